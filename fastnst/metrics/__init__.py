"""Measures of stylisation quality. Needs torch."""
