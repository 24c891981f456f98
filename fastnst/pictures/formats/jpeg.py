"""JPEG (ISO 10918), by Pillow; large ones in rows by libvips."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

from fastnst.pictures.format import ALL_METADATA, Format, Writer, begins, profile_arguments, resolution_argument
from fastnst.pictures.metadata import Metadata, photoshop_resources

_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")


def _arguments(kept: Metadata) -> dict[str, Any]:
    found = profile_arguments(kept) | resolution_argument(kept)
    if kept.iptc:
        data = b"Photoshop 3.0\0" + photoshop_resources(kept.iptc)
        found["extra"] = b"\xff\xed" + (len(data) + 2).to_bytes(2, "big") + data
    return found


FORMAT = Format(
    name="JPEG",
    suffixes=(*_SUFFIXES, ".mpo"),
    recognises=begins(b"\xff\xd8\xff"),
    decoders=("JPEG",),
    prepare=partial(import_module, "PIL.JpegImagePlugin"),
    vips_loader="jpegload_source",
    writer=Writer(
        suffixes=_SUFFIXES,
        holds_alpha=False,
        options={"quality": 95, "subsampling": "4:4:4"},
        lossless=None,
        metadata=ALL_METADATA,
        max_metadata=65_000,  # a segment has 65,533 bytes, with the name of what is in it
        arguments=_arguments,
    ),
)
