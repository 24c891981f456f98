"""Conversion. A package, so that its conftest.py is not confused with that of all tests."""
