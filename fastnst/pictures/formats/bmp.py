"""BMP, and DIB, which is one without its file header, by Pillow."""

from __future__ import annotations

from fastnst.pictures.format import Format, Writer, begins, resolution_argument

FORMAT = Format(
    name="BMP",
    suffixes=(".bmp", ".dib"),
    recognises=begins(b"BM"),
    decoders=("BMP", "DIB"),
    writer=Writer(suffixes=(".bmp", ".dib"), holds_alpha=False, metadata=("resolution",), arguments=resolution_argument),
)
