"""Generators, beside other runtimes."""
