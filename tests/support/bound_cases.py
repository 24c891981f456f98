"""Layers whose sums of products reach what 16 bits hold, and one step beyond: see "Short sums" in ``docs/format.md``.

``python bound_cases.py COUNT`` tries so many with the engine and prints, for each, ``exact`` or what is wrong: a process of its
own, because the instruction set is chosen once in each.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from numpy_engine import Lcg

from fastnst.engine import Engine
from fastnst.format.modelfile import AdainFile, Layer, to_bytes

CHANNELS = 16
OUTPUTS = (1, 16, 17, 48)
INPUTS = (255, 127, 128, 254)
TOTALS = (126, 127, 128, 129, 130, 254, 256, 257, 258, 259, 260, 510)
"""Of the weights that meet in one sum: around the bounds for inputs up to 255 and up to 127."""
EXPECTED = 100


def parted(lcg: Lcg, total: int, count: int) -> list[int]:
    """``count`` numbers of 0..127 that sum to ``total``, or to the most that they can."""
    parts = [0] * count
    for left in range(min(total, 127 * count), 0, -1):
        free = [i for i, part in enumerate(parts) if part < 127]
        # The first ones often take all that they can: single weights are extreme, too.
        parts[free[0] if left % 3 else free[lcg.below(len(free))]] += 1
    return parts


def weights_at_bounds(lcg: Lcg, outputs: int) -> NDArray[np.int8]:
    """Kernels [O, 3, 3, CHANNELS] in which bytes 0 and 1, or 2 and 3, of one to eight steps share a total; signs by output."""
    weights = np.zeros((outputs, 3, 3, CHANNELS), np.int8)
    for output in range(outputs):
        sign = 1 - 2 * lcg.below(2)
        for row in weights[output].reshape(3, -1):  # 3 pixels side by side: a run of steps of 4 bytes
            steps = 1 + lcg.below(8)
            places = [4 * ((step + lcg.below(4)) % (len(row) // 4)) + 2 * lcg.below(2) for step in range(steps)]
            pairs = [place + byte for place in sorted(set(places)) for byte in (0, 1)]
            for place, part in zip(pairs, parted(lcg, TOTALS[lcg.below(len(TOTALS))], len(pairs)), strict=True):
                row[place] = sign * part
            if lcg.below(8) == 0:
                row[lcg.below(len(row))] = -128
    return weights


class Case(NamedTuple):
    """A model, and a picture of one number, from which it makes ``EXPECTED`` everywhere."""

    value: int
    model: bytes
    picture: NDArray[np.uint8]


def cases(seed: int) -> Iterator[Case]:
    """Layers for maps of one number, with biases that take every sum back to 0."""
    lcg = Lcg(31 * seed + 7)
    outputs = OUTPUTS[seed % len(OUTPUTS)]
    spread = Layer(np.ones((CHANNELS, 1, 1, 3), np.int8), np.zeros(CHANNELS, np.int32), np.full(CHANNELS, 1 / 3, np.float32))
    last = Layer(np.zeros((3, 1, 1, outputs), np.int8), np.zeros(3, np.int32), np.ones(3, np.float32))
    weights = weights_at_bounds(lcg, outputs)
    for value in INPUTS:
        bias = -value * weights.reshape(outputs, -1).sum(1, dtype=np.int64)
        layer = Layer(weights, bias.astype(np.int32), np.ones(outputs, np.float32), EXPECTED)
        model = AdainFile({}, [spread, layer], [last], 1.0, 1.0, 0)
        yield Case(value, to_bytes(model), np.full((3 + seed % 3, 4 + seed % 6, 3), value, np.uint8))


def wrong(tried: Iterable[Case]) -> Iterator[str]:
    """What the engine does not bring back as ``EXPECTED``."""
    for value, model, picture in tried:
        found = Engine(model).encode(picture, 1).array()
        if (found != EXPECTED).any():
            yield f"inputs of {value}: {sorted(set(found[found != EXPECTED].tolist()))} in place of {EXPECTED}"


def main(count: int) -> None:
    for seed in range(count):
        sys.stdout.write("; ".join(wrong(cases(seed))) or "exact")
        sys.stdout.write("\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
