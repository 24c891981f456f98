"""The lightness of one picture in the colours of another, as ITU-R BT.601 has it (the Y of JPEG)."""

from __future__ import annotations

import numpy as np

from fastnst.engine import Pixels

# BT.601's parts in units of 1/65536. The sum is 65536, so that grey of any level is its own luma.
_LUMA = np.array([19595, 38470, 7471], np.int32)
_BAND_PIXELS = 1 << 18  # 32-bit intermediates of one band stay in the cache


def keep_color(content: Pixels, styled: Pixels) -> Pixels:
    """``styled`` in the colours of ``content``: the luma of the one, the chroma of the other, uint8 [H, W, 3].

    Adding one number to R, G and B moves luma by just that number and chroma not at all. So the result is
    ``clamp(content + round(luma(styled) - luma(content)), 0, 255)``, in integers that are the same on every machine.
    """
    result = np.empty_like(content)
    rows = max(1, _BAND_PIXELS // content.shape[1])
    for top in range(0, content.shape[0], rows):
        band = slice(top, top + rows)
        original = content[band].astype(np.int32)
        shift = ((styled[band] - original) @ _LUMA + 32768) >> 16
        result[band] = np.clip(original + shift[..., None], 0, 255)
    return result
