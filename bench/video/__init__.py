"""Benchmark of videos, in frames per second."""
