"""The names of what can be measured, for ``fastnst bench``."""

from __future__ import annotations

OPERATIONS = ("adain", "wct", "color", "relation", "embedding", "perceptual")
REPORTS = ("stylize", "training", "video", "translate", "large", "web", "dataset")
"""Stems that are no operations. Each has a folder of its own with the module that writes its report."""
STEMS = (*OPERATIONS, *REPORTS)
