"""Benchmark of pictures that do not fit into memory."""
