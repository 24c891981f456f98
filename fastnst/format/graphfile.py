"""A generator's part of a ``.fnst`` file: the nodes of its graph, and exactly what they compute.

A generator translates pictures without a style. Its nodes read and write numbered maps, of bytes (``q``, unsigned) or of 16
bits (``r``, signed). Map 0 is the picture, bytes of 3 channels; every other one is numbered in the order in which it is first
written, and all have as many channels as the node that writes them gives. Nodes run in the order of the file, each reads what
is complete, and every map is read by some node. The last node paints the picture that comes out. A node begins with its type
as a u32:

**1, convolution**, of a map of bytes to a new one of 16 bits: ten u32 -- source, target, inputs, outputs, kernel, stride, form,
border, outside, coded -- then weights, s8, as in :mod:`fastnst.format.modelfile`, bias, s32 [outputs] or for form 2
[4][outputs], and multiplier, f32 [outputs]::

    acc = bias + sum(weight * q)                             32-bit integers; cannot overflow, or the file is refused
    r = clamp(round(float32(acc) * multiplier), -32768, 32767)

======  ==========  =====================================================  =====================================
form                weights                                                kernel and stride
======  ==========  =====================================================  =====================================
0       full        ``[outputs][kernel][kernel][inputs]``                  1, 3, 7 or 9 with 1; 3 or 4 with 2
1       depthwise   ``[outputs][kernel][kernel]``, outputs = inputs        3 with 1
2       transposed  ``[outputs][kernel][kernel][inputs]``                  3 or 4 with 2
======  ==========  =====================================================  =====================================

Windows reach (kernel - 1) // 2 pixels beyond the edges, where the map holds ``outside`` in all channels (the byte that stands
for 0) if ``border`` is 0, is reflected if it is 1 (not with form 2), and repeats its edge if it is 2. All nodes that reach
beyond the edges of a map agree on this. Stride 2 halves the sides. Form 2 doubles them: tap k of the kernel adds what row i of
the source holds to row 2 i - 1 + k of the target, columns likewise (PyTorch's transposed convolution with padding 1, for kernel
3 output padding 1). The bias is that of the target's phase, 2 x row parity + column parity: phases meet different taps, and so
different sums of what stands for 0. (Nearest upsampling by 2, reflection and a 3x3 convolution: form 2 of kernel 4, border 2.)

**2, affine**, of a map of 16 bits: seven u32 -- source, target, addend, channels, normalises, wide, zero -- in files of version
5 an eighth, styled, then negative, an f32 in 0..1, slope and offset, f32 [channels], and if ``normalises`` is 1, epsilon, f32
[channels]. With a = slope, b = offset::

    t = r * a + b                                            float32, product and sum each rounded
    t = max(t, t * negative)                                 ReLU: negative = 0; nothing: 1; otherwise leaky
    q = clamp(round(t) + zero, 0, 255)                       wide = 0
    r = clamp(round(clamp(t, -65536, 65536)) + addend, -32768, 32767)          wide = 1, zero = 0

``addend`` is a map of 16 bits, 0 for none. To write a map of bytes that there is already, but that none has read, is to add
channels to it: they begin at the next multiple of 16, and the channels skipped mean nothing (weights that read them must be 0).
If it normalises, the source is a convolution's, and with S1 and S2 the exact sums of a channel's numbers and of their squares
over the n positions of the map, in float64 and in this order::

    gain = slope / sqrt((n * S2 - S1^2) / (n * n) + epsilon)
    a, b = float32(gain), float32(offset - (S1 / n) * gain)

This is instance normalisation (Ulyanov et al., 2016). A convolution's scale and bias cancel in it.

If ``styled`` is 1, slope and offset are f32 [styles][channels], with a row for each style of the file. They are mixed first, by
the part p of each style, 0..1 in float64, in this order::

    slope = float32(((0 + p[0] * slope[0]) + p[1] * slope[1]) + ..)                 offset likewise

This is conditional instance normalisation (Dumoulin et al., 2017). One style alone has part 1, all others 0; without a choice
it is style 0.

**3, paint**, only at the end: a u32, the source, 16 bits of 3 channels that the node before it has written, as large as the
picture, and that no other reads; then 255 thresholds, s16, none below the one before it, padded. A number becomes the count of
thresholds that it reaches. So tanh, like any other rising function, is the same on every machine.

Stride 2 rounds odd sides up, and what form 2 makes larger than the picture is cut off at the end, as where networks are
trained. The picture is extended first, to the right and below by reflection (of period 2 (side - 1)), and cut at the end:

* to multiples of 2^(the most halvings of any map), if some full convolution of kernel 4 and stride 2 reads a map that no form 2
  has made larger, for it would round down; or if maps that meet in a node were halved and doubled in different orders;
* where a side is too short for some map to be reflected, to the shortest that is not.

A file of version 2 always extends the picture to such multiples, and has neither kernel 9 nor border 2. Files are written as
version 4, or, with styles, as version 5; only generators have these two.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastnst.format.fields import array_field, weights_field

CONVOLUTION, AFFINE, PAINT = 1, 2, 3
FORMS = ("full", "depthwise", "transposed")
MAX_NODES = 1024
MAX_STYLES = 1024
VERSION, VERSION_WITH_STYLES = 4, 5
BORDERS = ("constant", "reflected", "repeated")
STEP = 16
"""Where a further writer's channels may begin in a map of bytes."""

_CONVOLUTION = struct.Struct("<11I")
_AFFINE = struct.Struct("<8If")
_STYLED = struct.Struct("<9If")
_PAINT = struct.Struct("<2I")


@dataclass(frozen=True)
class Convolution:
    """Node 1; the arrays are shaped as the module's text says."""

    source: int
    target: int
    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    multiplier: NDArray[np.float32]
    stride: int = 1
    form: str = "full"
    border: str = "constant"
    outside: int = 0

    @property
    def kernel(self) -> int:
        return int(self.weights.shape[1])

    @property
    def outputs(self) -> int:
        return int(self.weights.shape[0])

    @property
    def inputs(self) -> int:
        return self.outputs if self.form == "depthwise" else int(self.weights.shape[3])


@dataclass(frozen=True)
class Affine:
    """Node 2; arrays are [channels], or ``slope`` and ``offset`` [styles, channels]."""

    source: int
    target: int
    slope: NDArray[np.float32]
    offset: NDArray[np.float32]
    epsilon: NDArray[np.float32] | None = None
    """Given if it normalises."""
    negative: float = 1.0
    zero: int = 0
    wide: bool = False
    addend: int = 0

    @property
    def channels(self) -> int:
        return int(self.slope.shape[-1])

    @property
    def styles(self) -> int:
        """How many it tells apart; 0 if it is the same in all."""
        return len(self.slope) if self.slope.ndim > 1 else 0

    def of_style(self, style: int) -> Affine:
        """The node as it is in one style."""
        return replace(self, slope=self.slope[style], offset=self.offset[style]) if self.styles else self


@dataclass(frozen=True)
class Paint:
    """Node 3; thresholds [255]."""

    source: int
    thresholds: NDArray[np.int16]


Node: TypeAlias = Convolution | Affine | Paint


@dataclass(frozen=True)
class GeneratorFile:
    """A whole generator as the file holds it."""

    card: dict[str, Any]
    nodes: Sequence[Node]
    version: int = VERSION

    @property
    def styles(self) -> int:
        """How many can be chosen and mixed; 0 if it has one look."""
        return max((node.styles for node in self.nodes if isinstance(node, Affine)), default=0)

    @property
    def written(self) -> int:
        """The version of its file."""
        return VERSION_WITH_STYLES if self.styles else self.version


def node_bytes(node: Node, version: int = VERSION) -> bytes:
    """A node as a file of this version holds it."""
    if isinstance(node, Convolution):
        coded, weights = weights_field(node.weights)
        shape = (node.inputs, node.outputs, node.kernel, node.stride, FORMS.index(node.form))
        around = (BORDERS.index(node.border), node.outside)
        head = _CONVOLUTION.pack(CONVOLUTION, node.source, node.target, *shape, *around, coded)
        return head + weights + array_field(node.bias, "<i4") + array_field(node.multiplier, "<f4")
    if isinstance(node, Affine):
        styled, layout = ((node.styles > 0,), _STYLED) if version == VERSION_WITH_STYLES else ((), _AFFINE)
        kinds = (node.epsilon is not None, node.wide, node.zero, *styled, node.negative)
        start = layout.pack(AFFINE, node.source, node.target, node.addend, node.channels, *kinds)
        arrays = (node.slope, node.offset, *(() if node.epsilon is None else (node.epsilon,)))
        return b"".join((start, *(array_field(array, "<f4") for array in arrays)))
    return _PAINT.pack(PAINT, node.source) + array_field(node.thresholds, "<i2")
