"""Benchmark of the recipes' training steps beside published code."""
