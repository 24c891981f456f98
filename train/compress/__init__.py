"""Compression: from a trained image-to-image network to a smaller one in 8 bits. See :mod:`.running`."""

from .running import compress, compressed

__all__ = ["compress", "compressed"]
