"""Model files taken apart: the card and every layer, as :mod:`.modelfile` and :mod:`.graphfile` write them.

This reads files that the engine accepts. It is the engine that refuses what is damaged or hostile; here such a file ends in an
error of Python's.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastnst.format import graphfile, huffman, modelfile
from fastnst.format.graphfile import Affine, Convolution, GeneratorFile, Node, Paint
from fastnst.format.modelfile import AdainFile, Layer, Stage, WctFile

AnyModel: TypeAlias = AdainFile | WctFile | GeneratorFile
Array: TypeAlias = NDArray[Any]
KINDS: dict[type, str] = {AdainFile: "adain", WctFile: "wct", GeneratorFile: "generator"}


def read(path: Path) -> AnyModel:
    """The model of a file.

    Raises:
        OSError: it cannot be read.
    """
    return from_bytes(path.read_bytes())


def from_bytes(data: bytes) -> AnyModel:
    """What :func:`.modelfile.to_bytes` made ``data`` of."""
    header = modelfile._HEADER
    _, version, _, kind, card_length, first, second, feature_scale, decoder_scale, decoder_zero, _ = header.unpack_from(data)
    reader = _Reader(data, header.size, version)
    card = json.loads(reader.array("u1", card_length).tobytes())
    if kind == modelfile.KIND_WCT:
        return WctFile(card, dict(reader.stage() for _ in range(first)))
    if kind == modelfile.KIND_GENERATOR:
        return GeneratorFile(card, [reader.node(second) for _ in range(first)], version)
    layers = [reader.layer() for _ in range(first + second)]
    return AdainFile(card, layers[:first], layers[first:], feature_scale, decoder_scale, decoder_zero)


@dataclass
class _Reader:
    """A position in a model file."""

    data: bytes
    offset: int
    version: int

    def fields(self, form: struct.Struct) -> tuple[Any, ...]:
        values = form.unpack_from(self.data, self.offset)
        self.offset += form.size
        return values

    def array(self, dtype: str, *shape: int) -> Array:
        """The next array, padding skipped."""
        values = np.frombuffer(self.data, dtype, int(np.prod(shape)), self.offset).reshape(shape)
        self.offset += -(-values.nbytes // 4) * 4
        return values

    def weights(self, coded: int, *shape: int) -> Array:
        """The next weights, coded in so many bytes, or in none."""
        if not coded:
            return self.array("<i1", *shape)
        data = huffman.decode(self.array("u1", coded).tobytes(), int(np.prod(shape)))
        return np.frombuffer(data, np.int8).reshape(shape)

    def layer(self) -> Layer:
        inputs, outputs, kernel, upsample, pool, zero, coded = self.fields(modelfile._LAYER)
        winograd = self.version == modelfile.VERSION_WITH_FORMS and bool(self.fields(modelfile._FORM)[0])
        phases, taps = ((4,), 2) if upsample and not winograd else ((), kernel)
        weights = self.weights(coded, *phases, outputs, taps, taps, inputs)
        bias, multiplier = self.array("<i4", *phases, outputs), self.array("<f4", *phases, outputs)
        side = 3 if upsample else 4
        scales = self.array("<i2", side, side) if winograd else None
        return Layer(weights, bias, multiplier, zero, bool(upsample), modelfile.POOLS[pool], scales)

    def stage(self) -> tuple[int, Stage]:
        number, encoders, decoders = self.fields(modelfile._STAGE)
        encoder = [self.layer() for _ in range(encoders)]
        scales = [self.array("<f4", encoder[-1].outputs) for _ in range(3)]
        return number, Stage(encoder, [self.layer() for _ in range(decoders)], *scales)

    def node(self, styles: int) -> Node:
        """The next node of a generator with so many styles, or none."""
        (kind,) = struct.unpack_from("<I", self.data, self.offset)
        if kind == graphfile.PAINT:
            _, source = self.fields(graphfile._PAINT)
            return Paint(source, self.array("<i2", 255))
        if kind == graphfile.AFFINE:
            head = graphfile._STYLED if styles else graphfile._AFFINE
            _, source, target, addend, channels, normalises, wide, zero, *styled, negative = self.fields(head)
            rows = (styles,) if styled == [1] else ()
            slope, offset = (self.array("<f4", *rows, channels) for _ in range(2))
            epsilon = self.array("<f4", channels) if normalises else None
            return Affine(source, target, slope, offset, epsilon, negative, zero, bool(wide), addend)
        _, source, target, inputs, outputs, kernel, stride, form, border, outside, coded = self.fields(graphfile._CONVOLUTION)
        name = graphfile.FORMS[form]
        weights = self.weights(coded, outputs, kernel, kernel, *(() if name == "depthwise" else (inputs,)))
        phases = (4, outputs) if name == "transposed" else (outputs,)
        bias, multiplier = self.array("<i4", *phases), self.array("<f4", outputs)
        return Convolution(source, target, weights, bias, multiplier, stride, name, graphfile.BORDERS[border], outside)


def layers(model: AnyModel) -> Iterator[dict[str, Any]]:
    """For each layer ``part``, ``layer``, ``inputs``, ``outputs``, ``kernel``, ``does`` (what else it does) and ``weights``."""
    if isinstance(model, GeneratorFile):
        for number, node in enumerate(model.nodes, 1):
            yield _node(number, node)
        return
    parts = {"": model} if isinstance(model, AdainFile) else {f"stage {k} ": stage for k, stage in model.stages.items()}
    for whose, pair in parts.items():
        for side in ("encoder", "decoder"):
            for number, layer in enumerate(getattr(pair, side), 1):
                does = [*(["upsamples"] if layer.upsample else []), *([f"pools, {layer.pool}"] if layer.pool != "none" else [])]
                does += ["Winograd"] if layer.scales is not None else []
                yield _record(f"{whose}{side}", number, layer.inputs, layer.outputs, layer.kernel, does, layer.weights.size)


def _node(number: int, node: Node) -> dict[str, Any]:
    if isinstance(node, Convolution):
        does = ["convolution", *([node.form] if node.form != "full" else [])]
        does += [f"stride {node.stride}"] if node.stride > 1 else []
        return _record("graph", number, node.inputs, node.outputs, node.kernel, does, node.weights.size)
    if isinstance(node, Affine):
        does = ["normalises" if node.epsilon is not None else "scales", *(["adds"] if node.addend else [])]
        does += ["ReLU"] if node.negative == 0 else [f"slope {node.negative:g} below 0"] if node.negative != 1 else []
        does += [f"{node.styles} styles"] if node.styles else []
        return _record("graph", number, node.channels, node.channels, 1, does, 2 * node.slope.size)
    return _record("graph", number, 3, 3, 1, ["picture"], len(node.thresholds))


def _record(part: str, number: int, inputs: int, outputs: int, kernel: int, does: list[str], weights: int) -> dict[str, Any]:
    shape = {"inputs": inputs, "outputs": outputs, "kernel": kernel}
    return {"part": part, "layer": number, **shape, "does": ", ".join(does), "weights": weights}
