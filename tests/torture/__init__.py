"""Everything that could crash fastnst, lose work or change a pixel, tried on purpose.

``make test`` runs every check with a quick figure, ``make torture`` with a full one and writes what came of it to
``bench/results/torture.md``. A check is a function of one of the modules here; :mod:`torture.framework` says what it gets.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torture.framework import Check

MODULES = (
    "models",
    "graphs",
    "fuzz",
    "coverage",
    "determinism",
    "exactness",
    "images",
    "streams",
    "crashes",
    "datasets",
    "steps",
    "processes",
    "exits",
    "commands",
    "shell",
    "operations",
    "supply",
)


def everything() -> list[Check]:
    """All checks, in the order of the list."""
    for module in MODULES:
        import_module(f"torture.{module}")
    from torture.framework import CHECKS

    return CHECKS
