"""Frames a second."""
