"""What can be measured, by the names that ``fastnst bench`` takes."""

from __future__ import annotations

OPERATIONS = ("adain", "wct", "color", "relation", "embedding", "perceptual")
REPORTS = ("stylize", "training", "video", "translate", "large", "web", "dataset")
"""Stems that are no operations: each has a folder of its own, and in it the module that writes its report."""
STEMS = (*OPERATIONS, *REPORTS)
