"""The ``.fnst`` model file: what it holds, what the numbers mean, and its writer. The engine's reader is C++.

A file is data only: no code, no paths, nothing to evaluate. All numbers are little-endian.

======  =====  ========================================================================
offset  bytes  content
======  =====  ========================================================================
0       4      ``FNST``
4       4      u32 format version: 2, or 3 if some layer has Winograd form
8       8      u64 length of the whole file
16      4      u32 kind of model: 1 = AdaIN pair, 2 = WCT stages, 3 = generator
20      4      u32 length of the card
24      4      u32 number of encoder layers; WCT: of stages, 1..5; generator: of nodes, 1..1024
28      4      u32 number of decoder layers
32      4      f32 ``feature_scale``: the real value of one step of the encoder's output
36      4      f32 ``decoder_scale``: the real value of one step of the decoder's input
40      4      u32 ``decoder_zero``, 0..255: the decoder input that means 0
44      4      zero; so are, for WCT and generators, the four fields before it
48      ...    the card: UTF-8 JSON, padded with zero bytes to a multiple of 4
...     ...    AdaIN: encoder layers, then decoder layers; WCT: the stages; generator: nodes, :mod:`fastnst.format.graphfile`
end-32  32     SHA-256 of everything before it
======  =====  ========================================================================

A stage of WCT has its number as a u32, 1..5, lower from stage to stage (the order in which they run), the numbers of encoder
and of decoder layers as u32, the encoder's layers, three f32 arrays with a number for each of the encoder's output channels, at
most 512 -- ``feature_scale``, ``decoder_scale`` and ``decoder_zero``, which need not be whole and lies in -1e6..1e6 -- and the
decoder's layers. Whitening makes weak channels as strong as any, so each has its own scale.

A layer is seven u32 -- inputs, outputs, kernel (1 or 3), upsample (0 or 1; not with pool, kernel 3), pool (0 none, 1 floor,
2 ceil), zero (0..255), coded -- then its arrays, each padded with zero bytes to a multiple of 4:

* weights, s8: ``[outputs][kernel][kernel][inputs]``; with ``upsample`` ``[4][outputs][2][2][inputs]``, see below. If ``coded``
  is not 0, that many bytes instead, from which the code of :mod:`fastnst.format.huffman` gives them, mostly a quarter less;
* bias, s32: ``[outputs]``, with ``upsample`` ``[4][outputs]``;
* multiplier, f32, of the same shape as the bias.

In version 3 an eighth u32 follows ``coded``, the layer's form: 0, or 1 for Winograd's. Layers of the latter have kernel 3 and
are neither an encoder's first nor a decoder's last; weights, bias and multiplier are shaped as without ``upsample``; and there
is a fourth array, scales, s16, ``[4][4]``, with ``upsample`` ``[3][3]``. :mod:`fastnst.format.winograd` says what they compute.

What other layers compute, exactly, on 8-bit unsigned maps ``q``::

    acc = bias + sum(weight * q)                             32-bit integers; cannot overflow, or the file is refused
    out = clamp(round(float32(acc) * multiplier) + zero, 0, 255)

``float32(acc)`` and the product each round to nearest even, ``round`` takes halves to even. A 3x3 layer pads by reflection
of 1 (a side of one pixel repeats it). ReLU is ``zero`` = 0: the clamp does it. ``pool`` then takes the 2x2 maximum with
stride 2, odd sides rounded down or up.

With ``upsample`` the layer is a 3x3 convolution of the map after nearest x2 upsampling, stored as the four 2x2 convolutions of
the small map that it equals, one for each output phase (2 x row parity + column parity): rows 0 | 1+2 of the kernel for an even
row, 0+1 | 2 for an odd one, columns likewise. Reflection of the large map is repetition of the small one's edge, so the
2x2 windows reach one pixel up or left for parity 0, one down or right for parity 1, and edges repeat.

The first encoder layer reads the picture (3 channels, one step = 1/255), the last decoder layer writes one. Between the two,
with ``q`` the encoder's output and the statistics of its channels in real units, AdaIN is ``clamp(round(a * q + b), 0, 255)``
in float32 with two roundings before the last; see ``csrc/engine/adain.h``. WCT is a 1x1 convolution of ``q`` by a whole
matrix, in 16-bit weights made for each picture: ``csrc/engine/wct.h``. Its stages hand 8-bit pictures on.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnst.format.fields import array_field, padded, weights_field
from fastnst.format.graphfile import GeneratorFile, node_bytes

MAGIC = b"FNST"
VERSION, VERSION_WITH_FORMS = 2, 3
KIND_ADAIN, KIND_WCT, KIND_GENERATOR = 1, 2, 3
POOLS = ("none", "floor", "ceil")

_HEADER = struct.Struct("<4sIQIIIIffII")
_STAGE = struct.Struct("<3I")
_LAYER = struct.Struct("<7I")
_FORM = struct.Struct("<I")


@dataclass(frozen=True)
class Layer:
    """One quantised convolution; the arrays are shaped as the module's text says."""

    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    multiplier: NDArray[np.float32]
    zero: int = 0
    upsample: bool = False
    pool: str = "none"
    scales: NDArray[np.int16] | None = None
    """Of a layer in Winograd form; None for a direct one."""

    @property
    def inputs(self) -> int:
        return int(self.weights.shape[-1])

    @property
    def outputs(self) -> int:
        return int(self.bias.shape[-1])

    @property
    def kernel(self) -> int:
        return 3 if self.upsample else int(self.weights.shape[1])


@dataclass(frozen=True)
class AdainFile:
    """A whole AdaIN model as the file holds it."""

    card: dict[str, Any]
    encoder: Sequence[Layer]
    decoder: Sequence[Layer]
    feature_scale: float
    decoder_scale: float
    decoder_zero: int


@dataclass(frozen=True)
class Stage:
    """One stage of a WCT model; the three arrays are [C]."""

    encoder: Sequence[Layer]
    decoder: Sequence[Layer]
    feature_scale: NDArray[np.float32]
    decoder_scale: NDArray[np.float32]
    decoder_zero: NDArray[np.float32]


@dataclass(frozen=True)
class WctFile:
    """A whole WCT model as the file holds it: its stages by number."""

    card: dict[str, Any]
    stages: Mapping[int, Stage]


def _layer_bytes(layer: Layer, version: int) -> bytes:
    coded, weights = weights_field(layer.weights)
    kinds = layer.kernel, layer.upsample, POOLS.index(layer.pool), layer.zero, coded
    head = _LAYER.pack(layer.inputs, layer.outputs, *kinds)
    if version == VERSION_WITH_FORMS:
        head += _FORM.pack(layer.scales is not None)
    scales = b"" if layer.scales is None else array_field(layer.scales, "<i2")
    return head + weights + array_field(layer.bias, "<i4") + array_field(layer.multiplier, "<f4") + scales


def _version_of(layers: Iterable[Layer]) -> int:
    return VERSION if all(layer.scales is None for layer in layers) else VERSION_WITH_FORMS


def _stage_bytes(number: int, stage: Stage, version: int) -> bytes:
    layer_bytes = partial(_layer_bytes, version=version)
    arrays = (stage.feature_scale, stage.decoder_scale, stage.decoder_zero)
    return b"".join(
        (
            _STAGE.pack(number, len(stage.encoder), len(stage.decoder)),
            *map(layer_bytes, stage.encoder),
            *(array_field(array, "<f4") for array in arrays),
            *map(layer_bytes, stage.decoder),
        )
    )


def to_bytes(model: AdainFile | WctFile | GeneratorFile) -> bytes:
    """The file's content."""
    fields: tuple[int, int, int, float, float, int]
    version = VERSION
    if isinstance(model, WctFile):
        fields = (KIND_WCT, len(model.stages), 0, 0.0, 0.0, 0)
        version = _version_of(layer for stage in model.stages.values() for layer in (*stage.encoder, *stage.decoder))
        content = [_stage_bytes(number, stage, version) for number, stage in sorted(model.stages.items(), reverse=True)]
    elif isinstance(model, GeneratorFile):
        fields = (KIND_GENERATOR, len(model.nodes), model.styles, 0.0, 0.0, 0)
        version = model.written
        content = [node_bytes(node, version) for node in model.nodes]
    else:
        scales = (model.feature_scale, model.decoder_scale, model.decoder_zero)
        fields = (KIND_ADAIN, len(model.encoder), len(model.decoder), *scales)
        layers = (*model.encoder, *model.decoder)
        version = _version_of(layers)
        content = [_layer_bytes(layer, version) for layer in layers]
    card = json.dumps(model.card, ensure_ascii=False, sort_keys=True).encode()
    body = b"".join((padded(card), *content))
    length = _HEADER.size + len(body) + hashlib.sha256().digest_size
    header = _HEADER.pack(MAGIC, version, length, fields[0], len(card), *fields[1:], 0)
    return header + body + hashlib.sha256(header + body).digest()
