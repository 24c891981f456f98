"""Videos: files in containers through PyAV, raw y4m with nothing but NumPy, and a camera.

``kinds`` tells videos from pictures, ``job`` stylizes a video from beginning to end. ``frames`` defines sources and targets,
which ``y4m``, ``container`` and ``remux`` implement; ``pipeline`` stylizes what goes from one to the other.
"""

from __future__ import annotations

from fastnst.system.atomic import PIPE
from fastnst.video.kinds import WRITE_SUFFIXES, is_sequence, is_video, moves

__all__ = ["PIPE", "WRITE_SUFFIXES", "is_sequence", "is_video", "moves"]
