"""Writes pictures of any size row by row: smooth colours and noise, always the same for a size.

``python -m bench.large.synthetic 32768 32768 picture.ppm`` writes one of a gigapixel.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

BAND = 64  # rows that are computed at a time


def write_ppm(path: Path, height: int, width: int) -> None:
    """Write a raw PPM of this size to ``path``."""
    noise = np.random.default_rng(1).integers(0, 48, (BAND, width, 3), np.uint8)
    x = np.arange(width) / 97
    with path.open("wb") as file:
        file.write(b"P6\n%d %d\n255\n" % (width, height))
        for top in range(0, height, BAND):
            y = np.arange(top, min(top + BAND, height))[:, None] / 61
            waves = (np.sin(x + y), np.sin(x * 1.7 - y), np.cos(y * 0.6 + x / 3))
            band = np.stack([(100 + 80 * wave).astype(np.uint8) for wave in waves], axis=2)
            file.write((band + noise[: len(band)]).tobytes())


if __name__ == "__main__":
    write_ppm(Path(sys.argv[3]), int(sys.argv[1]), int(sys.argv[2]))
