"""Picture files in and out: what the rest of fastnst uses of :mod:`fastnst.pictures`."""

from fastnst.pictures.color import to_srgb
from fastnst.pictures.hidden import filled
from fastnst.pictures.masks import Mask, MaskClip, as_mask, is_transparent, open_label_masks, open_mask
from fastnst.pictures.metadata import Metadata
from fastnst.pictures.metadata_reader import read_metadata
from fastnst.pictures.picture import MAX_PIXELS, ImageError, Picture, require_file
from fastnst.pictures.reading import open_picture, picture_size
from fastnst.pictures.registry import OTHER_SUFFIXES, READ_SUFFIXES, VIDEO_SUFFIXES, read_head, usual_suffix
from fastnst.pictures.resize import crop_middle, resize, resize_short_side, scaled_size
from fastnst.pictures.writing import FORMATS, WRITE_SUFFIXES, Saving, can_write, save_picture

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "OTHER_SUFFIXES",
    "READ_SUFFIXES",
    "VIDEO_SUFFIXES",
    "WRITE_SUFFIXES",
    "ImageError",
    "Mask",
    "MaskClip",
    "Metadata",
    "Picture",
    "Saving",
    "as_mask",
    "can_write",
    "crop_middle",
    "filled",
    "is_transparent",
    "open_label_masks",
    "open_mask",
    "open_picture",
    "picture_size",
    "read_head",
    "read_metadata",
    "require_file",
    "resize",
    "resize_short_side",
    "save_picture",
    "scaled_size",
    "to_srgb",
    "usual_suffix",
]
