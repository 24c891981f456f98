"""Picture files in and out, as the rest of fastnst sees them; the work is done in :mod:`fastnst.pictures`."""

from fastnst.pictures.color import to_srgb
from fastnst.pictures.formats import OTHER_SUFFIXES, READ_SUFFIXES, VIDEO_SUFFIXES
from fastnst.pictures.hidden import filled
from fastnst.pictures.picture import MAX_PIXELS, ImageError, Picture, require_file
from fastnst.pictures.reading import open_picture
from fastnst.pictures.resize import resize_short_side, scaled_size
from fastnst.pictures.writing import WRITE_SUFFIXES, can_write, save_picture

__all__ = [
    "MAX_PIXELS",
    "OTHER_SUFFIXES",
    "READ_SUFFIXES",
    "VIDEO_SUFFIXES",
    "WRITE_SUFFIXES",
    "ImageError",
    "Picture",
    "can_write",
    "filled",
    "open_picture",
    "require_file",
    "resize_short_side",
    "save_picture",
    "scaled_size",
    "to_srgb",
]
