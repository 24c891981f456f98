"""Content relation distillation: a small image-to-image generator beside its large teacher. See :mod:`.training`."""

from .training import main

__all__ = ["main"]
