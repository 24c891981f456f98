"""Benchmark of generators beside other runtimes."""
