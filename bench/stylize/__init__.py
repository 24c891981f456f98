"""Benchmark of one picture, beside other runtimes."""
