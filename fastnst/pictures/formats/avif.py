"""AVIF, by Pillow where it is built with libavif."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module

from PIL import Image

from fastnst.pictures.format import Format, Writer, brands, profile_arguments
from fastnst.pictures.picture import KindError


def _prepare() -> None:
    with suppress(ImportError):
        import_module("PIL.AvifImagePlugin")
    if "AVIF" not in Image.OPEN:
        raise KindError("AVIF pictures need a Pillow that is built with libavif")


FORMAT = Format(
    name="AVIF",
    suffixes=(".avif",),
    recognises=lambda head: bool(brands(head) & {b"avif", b"avis"}),
    decoders=("AVIF",),
    prepare=_prepare,
    writer=Writer(
        suffixes=(".avif",),
        holds_alpha=True,
        options={"quality": 90, "subsampling": "4:4:4"},
        lossless=None,  # Pillow's encoder always goes through YCbCr, which costs up to three levels even at quality 100
        metadata=("EXIF", "XMP"),
        arguments=profile_arguments,
    ),
)
