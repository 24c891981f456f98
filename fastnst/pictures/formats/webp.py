"""WebP, by Pillow."""

from __future__ import annotations

from functools import partial
from importlib import import_module

from fastnst.pictures.format import Format, Writer, profile_arguments

FORMAT = Format(
    name="WebP",
    suffixes=(".webp",),
    recognises=lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP",
    decoders=("WEBP",),
    prepare=partial(import_module, "PIL.WebPImagePlugin"),
    writer=Writer(
        suffixes=(".webp",),
        holds_alpha=True,
        # "exact" keeps the colours below transparent pixels; the transparency itself is stored without loss.
        options={"quality": 95, "exact": True},
        lossless={"lossless": True, "exact": True},
        metadata=("EXIF", "XMP"),
        arguments=profile_arguments,
    ),
)
