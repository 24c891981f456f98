"""Videos: files in containers through PyAV, raw y4m with nothing but NumPy, and a camera.

``job`` does one from beginning to end. ``frames`` says what a source and a target are; ``y4m``, ``container`` and ``remux`` are
such; ``pipeline`` stylizes what goes from one to the other.
"""

from __future__ import annotations

from pathlib import Path

from fastnst.images import VIDEO_SUFFIXES as READ_SUFFIXES

__all__ = ["PIPE", "READ_SUFFIXES", "WRITE_SUFFIXES", "is_video"]

PIPE = Path("-")
"""Standard input or output, which carry y4m."""
WRITE_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".y4m")


def is_video(path: Path) -> bool:
    """Whether the name of a content says that it is a video."""
    return path == PIPE or path.suffix.lower() in READ_SUFFIXES
