"""Layers in Winograd form: what they compute, exactly, and the numbers that it takes, derived from those of the file.

F(2x2, 3x3) of Lavin and Gray (CVPR 2016) in 8 bits: four outputs from a window of 4x4 by 16 multiplications, not 36. With
``upsample`` the window is 3x3: nearest x2 upsampling makes 4x4 of it, and 7 of the 16 products vanish. A window becomes its
side's square of *positions* by one rule along columns and then along rows:

* without ``upsample`` a window's a, b, c, d become a - c, b + c, c - b, b - d, and kernel rows f, g, h become
  f, f + g + h, f - g + h, h, of which the middle ones count half;
* with it a, b, c become a - b, b, b - c, and kernel rows f, f + g + h, h.

So each position is a 1x1 convolution. The position that adds wherever it can, (1, 1), is called the centre: there alone numbers
cannot be negative. For a position with scale ``s``, 1..32767, and ``v``, what became of the window, ``u`` is

    u = clamp(((v * s + 16384) >> 15) + offset, 0, 255)      offset: 0 at the centre, elsewhere 128

and for an output with ``n`` made of its kernel, ``m = max(127, max |n|)`` over inputs, ``half`` the halves above (1, 2 or 4),
and the layer's bias and multiplier, in whole numbers ``a // b`` rounded to the nearest, halves away from 0::

    w = (127 * n) // m
    start = centre: (bias * 127 * half * s) // (32768 * m)   elsewhere: -128 * sum(w)
    k = float32((multiplier * (32768 * m)) / (127 * half * s))              one division in float64
    acc = start + sum(w * u)                                 32-bit integers; cannot overflow, or the file is refused
    p = float32(acc) * k

Positions become outputs along columns and then along rows, each operation one of float32::

    without ``upsample``: (a + b) + c and (b - c) - d        with it: a + b and b - c

and an output becomes ``clamp(round(out) + zero, 0, 255)``; ``pool`` as for other layers. Windows begin one pixel above and left
of even rows and columns (with ``upsample``: of every pixel), and the border is that of other layers. The left outputs of the
four do not depend on the window's last column, and so on for the others: an output is a function of its own 3x3 inputs and of
whether its row and its column are even. A part of a map that begins at an even row and column has the very bytes of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastnst.format.modelfile import Layer

UNIT = 32768
"""What scales are relative to."""
KERNEL = {False: ((1, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 1)), True: ((1, 0, 0), (1, 1, 1), (0, 0, 1))}
"""By ``upsample``: what positions take of the three rows of a kernel."""
HALF = {False: (1, 2, 2, 1), True: (1, 1, 1)}


def centre(upsample: bool) -> int:
    """The number of position (1, 1)."""
    return 4 if upsample else 5


def nearest(numerator: NDArray[np.int64], denominator: NDArray[np.int64]) -> NDArray[np.int64]:
    """The quotients rounded to the nearest whole numbers, halves away from 0; denominators are positive."""
    size: NDArray[np.int64] = (2 * np.abs(numerator) + denominator) // (2 * denominator)
    return size * np.sign(numerator)


@dataclass(frozen=True)
class Positions:
    """The 1x1 convolutions of a layer, one for each of P positions."""

    weights: NDArray[np.int8]  # [P, O, I]
    start: NDArray[np.int64]  # [P, O]
    multiplier: NDArray[np.float32]  # [P, O]


def halves(upsample: bool) -> NDArray[np.int64]:
    """The divisors of positions [P] that their kernels leave to be done."""
    return np.outer(HALF[upsample], HALF[upsample]).reshape(-1).astype(np.int64)


def kernel_positions(weights: NDArray[np.int8], upsample: bool) -> NDArray[np.int64]:
    """What positions take of kernels [O, 3, 3, I], before halving: [P, O, I]."""
    take = np.array(KERNEL[upsample], np.int64)
    taken: NDArray[np.int64] = np.einsum("yi,xj,oijc->yxoc", take, take, weights.astype(np.int64))
    return taken.reshape(-1, *taken.shape[2:])


def positions_of(layer: Layer) -> Positions:
    """The convolutions of a layer in Winograd form; ``start`` may be beyond what the engine accepts."""
    assert layer.scales is not None
    n = kernel_positions(layer.weights, layer.upsample)
    most = np.maximum(np.abs(n).max(2), 127)
    weights = nearest(127 * n, most[..., None])
    shrunk = 127 * (halves(layer.upsample) * layer.scales.reshape(-1).astype(np.int64))[:, None]
    start = -128 * weights.sum(2)
    middle = centre(layer.upsample)
    start[middle] = nearest(layer.bias.astype(np.int64) * shrunk[middle], UNIT * most[middle])
    multiplier = ((layer.multiplier.astype(np.float64) * (UNIT * most)) / shrunk).astype(np.float32)
    return Positions(weights.astype(np.int8), start, multiplier)
