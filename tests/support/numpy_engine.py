"""The exact integer reference of ``fastnst/format/modelfile.py`` in NumPy: what the C++ engine must produce, byte for byte.

Maps are uint8 [H, W, C]. Written to be compared with the format's text, not to be fast.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnst import _engine
from fastnst.format.modelfile import POOLS, AdainFile, Layer, Stage, WctFile
from fastnst.format.winograd import centre, positions_of

Map = NDArray[np.uint8]
Real = NDArray[np.float64]

_HEADER = struct.Struct("<4sIQIIIIffII")
_DIGEST = 32


class Cursor:
    """Takes fields off a file's content; raises ValueError beyond the end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise ValueError("the file is cut short")
        self.at += size
        return self.data[self.at - size : self.at]

    def padded(self, size: int) -> bytes:
        """``size`` bytes and the zero bytes after them that fill up to a multiple of 4."""
        field = self.take(size)
        if any(self.take(-size % 4)):
            raise ValueError("padding that is not zero")
        return field

    def array(self, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        kind = np.dtype(dtype)
        return np.frombuffer(self.padded(int(np.prod(shape)) * kind.itemsize), kind).reshape(shape).copy()


def prefix_decoded(coded: bytes, count: int) -> bytes:
    """``count`` bytes from the code of :mod:`fastnst.format.huffman`, bit by bit; ValueError if it gives others."""
    lengths = [coded[symbol // 2] >> symbol % 2 * 4 & 15 for symbol in range(256)]
    names, code = {}, 0
    for length in range(1, 16):
        for symbol in range(256):
            if lengths[symbol] == length:
                names[format(code, f"0{length}b")] = symbol
                code += 1
        code <<= 1
    bits = "".join(format(byte, "08b") for byte in coded[128:])
    found, at = [], 0
    for _ in range(count):
        end = at + 1
        while bits[at:end] not in names:
            if end > min(len(bits), at + 15):
                raise ValueError("bits that are no code")
            end += 1
        found.append(names[bits[at:end]])
        at = end
    if len(bits) - at >= 8 or "1" in bits[at:]:
        raise ValueError("bits after the last code")
    return bytes(found)


def parse_weights(cursor: Cursor, shape: tuple[int, ...], coded: int) -> NDArray[np.int8]:
    """Weights of a shape, as they are or out of ``coded`` bytes."""
    if not coded:
        return cursor.array("<i1", shape)
    return np.frombuffer(prefix_decoded(cursor.padded(coded), int(np.prod(shape))), np.int8).reshape(shape).copy()


def _parse_layer(cursor: Cursor, version: int) -> Layer:
    inputs, outputs, kernel, upsample, pool, zero, coded = struct.unpack("<7I", cursor.take(28))
    (form,) = struct.unpack("<I", cursor.take(4)) if version == 3 else (0,)
    if form > 1 or (form and kernel != 3):
        raise ValueError("an unknown form of layer")
    if min(inputs, outputs) < 1 or kernel not in {1, 3} or upsample > 1 or pool > 2 or zero > 255:
        raise ValueError("a layer's head is out of range")
    if upsample and (kernel != 3 or pool):
        raise ValueError("an upsampling layer has kernel 3 and no pool")
    phases, taps = ((4,), 2) if upsample and not form else ((), kernel)
    side = 3 if upsample else 4
    return Layer(
        weights=parse_weights(cursor, (*phases, outputs, taps, taps, inputs), coded),
        bias=cursor.array("<i4", (*phases, outputs)),
        multiplier=cursor.array("<f4", (*phases, outputs)),
        zero=zero,
        upsample=bool(upsample),
        pool=POOLS[pool],
        scales=cursor.array("<i2", (side, side)) if form else None,
    )


def _parse_stage(cursor: Cursor, version: int) -> tuple[int, Stage]:
    number, encoders, decoders = struct.unpack("<3I", cursor.take(12))
    encoder = [_parse_layer(cursor, version) for _ in range(encoders)]
    channels = (encoder[-1].outputs,)
    feature_scale, decoder_scale, decoder_zero = (cursor.array("<f4", channels) for _ in range(3))
    decoder = [_parse_layer(cursor, version) for _ in range(decoders)]
    return number, Stage(encoder, decoder, feature_scale, decoder_scale, decoder_zero)


def parse(data: bytes) -> AdainFile | WctFile:
    """The model in ``data``; ValueError unless it is exactly as the format says (numeric safety is the engine's to prove)."""
    body, digest = data[:-_DIGEST], data[-_DIGEST:]
    if len(data) < _HEADER.size + _DIGEST or hashlib.sha256(body).digest() != digest:
        raise ValueError("cut short or damaged")
    cursor = Cursor(body)
    magic, version, length, kind, card, encoders, decoders, feature_scale, decoder_scale, zero, reserved = _HEADER.unpack(
        cursor.take(_HEADER.size)
    )
    if (magic, length, reserved) != (b"FNST", len(data), 0) or version not in {2, 3} or kind not in {1, 2} or zero > 255:
        raise ValueError("a header field is out of range")
    if kind == 2 and any((decoders, feature_scale, decoder_scale, zero)):
        raise ValueError("a header field that is not zero")
    text = json.loads(cursor.padded(card))
    model: AdainFile | WctFile
    if kind == 2:
        stages = [_parse_stage(cursor, version) for _ in range(encoders)]
        numbers = [number for number, _ in stages]
        if not numbers or numbers != sorted(set(numbers) & {1, 2, 3, 4, 5}, reverse=True):
            raise ValueError("stages out of order")
        model = WctFile(text, dict(stages))
    else:
        encoder = [_parse_layer(cursor, version) for _ in range(encoders)]
        decoder = [_parse_layer(cursor, version) for _ in range(decoders)]
        model = AdainFile(text, encoder, decoder, feature_scale, decoder_scale, zero)
    if cursor.at != len(body):
        raise ValueError("bytes after the last layer")
    return model


def _framed(q: Map, upsample: bool) -> Map:
    """``q`` with a border of one pixel: repeated before an upsampling, otherwise reflected (a single pixel repeats)."""
    for axis in (0, 1):
        width = [(0, 0)] * 3
        width[axis] = (1, 1)
        q = np.pad(q, width, mode="edge" if upsample or q.shape[axis] == 1 else "reflect")
    return q


def _slide(frame: Map, weights: NDArray[np.int8], bias: NDArray[np.int32]) -> NDArray[np.float64]:
    """Sums of a kernel [O, k, k, I] over every place in ``frame`` where it fits; float64 holds these integers exactly."""
    taps = weights.shape[1]
    windows = np.lib.stride_tricks.sliding_window_view(frame, (taps, taps), axis=(0, 1))  # [h, w, I, k, k]
    columns = windows.transpose(0, 1, 3, 4, 2).reshape(*windows.shape[:2], -1).astype(np.float64)
    return columns @ weights.reshape(len(weights), -1).T.astype(np.float64) + bias.astype(np.float64)


def _requantise(acc: NDArray[np.float64], multiplier: NDArray[np.float32], zero: int) -> Map:
    assert np.abs(acc).max() < 2**31
    scaled = np.rint(acc.astype(np.float32) * multiplier)
    return np.clip(scaled.astype(np.float64) + zero, 0, 255).astype(np.uint8)


def _pooled(q: Map, pool: str) -> Map:
    """2x2 maximum with stride 2; what is missing at an odd side with ``ceil`` counts as 0, the least value."""
    if pool == "none":
        return q
    height, width = q.shape[:2]
    if pool == "ceil":
        q = np.pad(q, ((0, height % 2), (0, width % 2), (0, 0)))
    q = q[: q.shape[0] // 2 * 2, : q.shape[1] // 2 * 2]
    return q.reshape(q.shape[0] // 2, 2, q.shape[1] // 2, 2, -1).max((1, 3))


def _crossed(axis: int, x: NDArray[Any], upsample: bool) -> list[NDArray[Any]]:
    """What positions take of the rows (axis 0) or columns (axis 1) of a framed map."""
    x = np.moveaxis(x, axis, 0)
    if upsample:
        a, b, c = x[:-2], x[1:-1], x[2:]
        parts = [a - b, b, b - c]
    else:
        if len(x) % 2:
            x = np.concatenate((x, x[-1:]))  # counts for outputs that are cut off
        a, b, c, d = x[:-3:2], x[1:-2:2], x[2:-1:2], x[3::2]
        parts = [a - c, b + c, c - b, b - d]
    return [np.moveaxis(part, 0, axis) for part in parts]


def _outputs(axis: int, parts: Sequence[NDArray[np.float32]], upsample: bool) -> NDArray[np.float32]:
    """What becomes of positions along an axis: its even and its odd outputs."""
    if upsample:
        a, b, c = parts
        both = a + b, b - c
    else:
        a, b, c, d = parts
        both = (a + b) + c, (b - c) - d
    shape = list(a.shape)
    shape[axis] *= 2
    return np.stack(both, axis + 1).reshape(shape)


def _run_winograd(q: Map, layer: Layer) -> Map:
    """A layer of Winograd's form, as :mod:`fastnst.format.winograd` says."""
    assert layer.scales is not None
    rows = _crossed(0, _framed(q, layer.upsample).astype(np.int64), layer.upsample)
    windows = [part for row in rows for part in _crossed(1, row, layer.upsample)]
    numbers, side = positions_of(layer), len(layer.scales)
    products = []
    for i, v in enumerate(windows):
        offset = 0 if i == centre(layer.upsample) else 128
        u = np.clip((v * int(layer.scales.flat[i]) + 16384 >> 15) + offset, 0, 255)
        acc = u.astype(np.float64) @ numbers.weights[i].T.astype(np.float64) + numbers.start[i].astype(np.float64)
        assert np.abs(acc).max() < 2**31
        products.append(acc.astype(np.float32) * numbers.multiplier[i])
    along = [_outputs(0, products[column::side], layer.upsample) for column in range(side)]
    out = np.rint(_outputs(1, along, layer.upsample)).astype(np.float64) + layer.zero
    height, width = (2 * side if layer.upsample else side for side in q.shape[:2])
    return _pooled(np.clip(out, 0, 255).astype(np.uint8)[:height, :width], layer.pool)


def run_layer(q: Map, layer: Layer) -> Map:
    """One layer on a map [H, W, I]."""
    if layer.scales is not None:
        return _run_winograd(q, layer)
    if not layer.upsample:
        frame = q if layer.kernel == 1 else _framed(q, upsample=False)
        return _pooled(_requantise(_slide(frame, layer.weights, layer.bias), layer.multiplier, layer.zero), layer.pool)
    height, width = q.shape[:2]
    frame = _framed(q, upsample=True)
    out = np.empty((2 * height, 2 * width, layer.outputs), np.uint8)
    for phase in range(4):
        row, column = divmod(phase, 2)
        view = frame[row : row + height + 1, column : column + width + 1]
        acc = _slide(view, layer.weights[phase], layer.bias[phase])
        out[row::2, column::2] = _requantise(acc, layer.multiplier[phase], layer.zero)
    return out


def encode(model: AdainFile | Stage, picture: Map) -> Map:
    """The encoder's output for a picture [H, W, 3], extended right and below by repetition to whole strides."""
    stride = 2 ** sum(layer.pool != "none" for layer in model.encoder)
    height, width = picture.shape[:2]
    q = np.pad(picture, ((0, -height % stride), (0, -width % stride), (0, 0)), mode="edge")
    for layer in model.encoder:
        q = run_layer(q, layer)
    return q


def statistics(model: AdainFile, features: Map) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each feature channel in real units: two float64 [C]."""
    scale = float(np.float32(model.feature_scale))
    count = features.shape[0] * features.shape[1]
    values = features.reshape(count, -1).astype(np.uint64)
    means, stds = [], []
    for total, squares in zip(values.sum(0).tolist(), (values * values).sum(0).tolist(), strict=True):  # Python integers
        spread = float(count * squares - total * total) / (float(count) * float(max(count - 1, 1)))
        means.append((scale * float(total)) / float(count))
        stds.append(np.sqrt((scale * scale) * spread + 1e-5))
    return np.array(means), np.array(stds)


def renormalise(model: AdainFile, features: Map, mean: NDArray[np.float64], std: NDArray[np.float64], alpha: float) -> Map:
    """AdaIN: the decoder's input for ``features`` blended ``alpha`` of the way to the given statistics."""
    scale, step = float(np.float32(model.feature_scale)), float(np.float32(model.decoder_scale))
    own_mean, own_std = statistics(model, features)
    slope = alpha * (std / own_std) + (1 - alpha)
    offset = alpha * (mean - own_mean * (std / own_std))
    a = (slope * scale / step).astype(np.float32)
    b = (offset / step + model.decoder_zero).astype(np.float32)
    product = a * features.astype(np.float32)
    return np.rint(np.clip(product + b, np.float32(0), np.float32(255))).astype(np.uint8)


def decode(
    model: AdainFile, features: Map, mean: NDArray[np.float64], std: NDArray[np.float64], alpha: float, size: Sequence[int]
) -> Map:
    """The picture [size[0], size[1], 3] of ``features`` with their statistics moved towards the given ones."""
    q = renormalise(model, features, mean, std, alpha)
    for layer in model.decoder:
        q = run_layer(q, layer)
    return q[: size[0], : size[1]]


def moments(stage: Stage, features: Map) -> tuple[Real, Real]:
    """Mean [C] and covariance [C, C] of features in real units, sums in Python's integers."""
    scale = stage.feature_scale.astype(np.float64)
    count = features.shape[0] * features.shape[1]
    values = features.reshape(count, -1).astype(np.uint64)
    sums, products = values.sum(0).astype(object), (values.T @ values).astype(object)
    spread = (count * products - np.outer(sums, sums)).astype(np.float64)
    covariance = np.outer(scale, scale) * (spread / (float(count) * float(max(count - 1, 1))))
    return (scale * sums.astype(np.float64)) / float(count), covariance


def _sum(terms: Iterable[Real]) -> Real:
    """One after the other: NumPy's own sums go by another order."""
    total: Real = functools.reduce(np.add, terms)
    return total


def root(stage: Stage, covariance: Real, inverse: bool = False) -> Real:
    """C^(1/2) or C^(-1/2) without the directions that the engine leaves out.

    The decomposition is the engine's, whose own test holds it to LAPACK: no two of them agree in their last bits.
    """
    values, vectors = _engine.eigen(covariance)
    scale = stage.feature_scale.astype(np.float64)
    noise = _sum((vectors * scale).T ** 2) / 12
    kept = (values >= 1e-5) & (values > noise)
    roots = np.sqrt(np.where(kept, values, 1.0))
    gains = np.where(kept, 1 / roots if inverse else roots, 0.0)
    terms = (gain * vector[:, None] * vector for gain, vector in zip(gains, vectors, strict=True) if gain)
    return _sum([np.zeros_like(covariance), *terms])


def recolour(stage: Stage, features: Map, mean: Real, style_root: Real, alpha: float) -> Map:
    """WCT: the decoder's input for ``features`` blended ``alpha`` of the way to a style's mean and root."""
    given, taken, zero = (x.astype(np.float64) for x in (stage.feature_scale, stage.decoder_scale, stage.decoder_zero))
    own_mean, covariance = moments(stage, features)
    whitening = root(stage, covariance, inverse=True)
    matrix = alpha * _sum(style_root[:, k, None] * whitening[k] for k in range(len(mean))) + (1 - alpha) * np.eye(len(mean))
    target = alpha * mean + (1 - alpha) * own_mean
    steps = matrix * given / taken[:, None]
    most = (2**31 - 1) // 255 - len(mean)
    fit = np.maximum(np.abs(steps).max(1) / 32767, _sum(np.abs(steps).T) / most)
    unit = np.where(fit >= 1e-30, fit, 1.0).astype(np.float32)
    weights = np.clip(np.rint(steps / unit[:, None].astype(np.float64)), -32767, 32767)
    moved = _sum((weights * unit[:, None].astype(np.float64) * (own_mean / given)).T)
    offset = (target / taken - moved + zero).astype(np.float32)
    sums = features.astype(np.float64) @ weights.T
    assert np.abs(weights).sum(1).max() * 255 < 2**31
    product = sums.astype(np.float32) * unit
    return np.rint(np.clip(product + offset, np.float32(0), np.float32(255))).astype(np.uint8)


def cascade(model: WctFile, picture: Map, styles: Mapping[int, tuple[Real, Real]], alpha: float) -> Map:
    """The picture that the stages of ``styles`` make, the deepest first; ``styles``: mean and root for each."""
    height, width = picture.shape[:2]
    for number in sorted(styles, reverse=True):
        stage = model.stages[number]
        q = recolour(stage, encode(stage, picture), *styles[number], alpha)
        for layer in stage.decoder:
            q = run_layer(q, layer)
        picture = q[:height, :width]
    return picture


def wct_look(model: WctFile, picture: Map, levels: Iterable[int]) -> dict[int, tuple[Real, Real]]:
    """What the levels take from a style: mean and root of each."""
    look = {}
    for level in levels:
        stage = model.stages[level]
        mean, covariance = moments(stage, encode(stage, picture))
        look[level] = (mean, root(stage, covariance))
    return look


_FACTOR, _INCREMENT = 6364136223846793005, 1442695040888963407


@dataclass
class Lcg:
    """Knuth's 64-bit linear congruential generator (MMIX): the same numbers on every machine and NumPy version."""

    state: int

    def below(self, limit: int) -> int:
        """A whole number in 0..limit-1."""
        self.state = (self.state * _FACTOR + _INCREMENT) % 2**64
        return (self.state >> 33) * limit >> 31

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Whole numbers in low..high-1: those that calling :meth:`below` for each would give, all at once."""
        count = int(np.prod(shape))
        powers = np.cumprod(np.full(count, _FACTOR, np.uint64))  # unsigned arithmetic wraps at 2^64, as the generator does
        steps = np.cumsum(np.concatenate(([np.uint64(1)], powers[:-1])), dtype=np.uint64)
        states = powers * np.uint64(self.state) + steps * np.uint64(_INCREMENT)
        self.state = int(states[-1])
        values = (states >> np.uint64(33)) * np.uint64(high - low) >> np.uint64(31)
        return low + values.astype(np.int64).reshape(shape)


def random_picture(lcg: Lcg, height: int, width: int) -> Map:
    """Noise over the whole range of bytes."""
    return lcg.integers(0, 256, (height, width, 3)).astype(np.uint8)


def random_layer(
    lcg: Lcg, probe: Map, outputs: int, kernel: int = 3, *, upsample: bool = False, pool: str = "none", zero: int = 0
) -> Layer:
    """A layer of random weights that passes on what it sees.

    Its sums over ``probe`` [H, W, I] are brought to the middle of the range and to its width; otherwise every picture would
    give the same output after a few layers, and comparing outputs would compare nothing. Whole numbers all the way, so that
    the layer is the same everywhere.
    """
    phases, taps = ((4,), 2) if upsample else ((), kernel)
    weights = lcg.integers(-127, 128, (*phases, outputs, taps, taps, probe.shape[2])).astype(np.int8)
    frame = probe if kernel == 1 else _framed(probe, upsample)
    biases, multipliers = [], []
    for kernels in weights.reshape(-1, *weights.shape[-4:]):
        sums = _slide(frame, kernels, np.zeros(outputs, np.int32)).astype(np.int64).reshape(-1, outputs)
        mean = sums.sum(0) // len(sums)
        usual = np.array([max(math.isqrt(int(square)), 16) for square in ((sums - mean) ** 2).sum(0) // len(sums)])
        biases.append((lcg.integers(32, 128, (outputs,)) - zero) * usual // 64 - mean)
        multipliers.append(lcg.integers(48, 80, (outputs,)).astype(np.float32) / usual.astype(np.float32))
    bias, multiplier = (np.stack(rows).reshape(*phases, outputs) for rows in (biases, multipliers))
    return Layer(weights, bias.astype(np.int32), multiplier, zero, upsample, pool)


def random_winograd_layer(
    lcg: Lcg, probe: Map, outputs: int, *, upsample: bool = False, pool: str = "none", zero: int = 0
) -> Layer:
    """The same of Winograd's form; most, but not all, of what becomes of ``probe`` passes unclamped."""
    shown = probe.repeat(2, 0).repeat(2, 1) if upsample else probe
    layer = random_layer(lcg, shown, outputs, pool=pool, zero=zero)
    rows = _crossed(0, _framed(probe, upsample).astype(np.int64), upsample)
    most = [max(int(np.abs(part).max()), 1) for row in rows for part in _crossed(1, row, upsample)]
    limits = [255 if i == centre(upsample) else 127 for i in range(len(most))]
    scales = [min(32767, 32768 * limit * (9 + lcg.below(4)) // (10 * top)) for limit, top in zip(limits, most, strict=True)]
    side = math.isqrt(len(scales))
    return replace(layer, upsample=upsample, scales=np.array(scales, np.int16).reshape(side, side))


@dataclass(frozen=True)
class Shape:
    """What a layer is, before it has weights."""

    outputs: int
    kernel: int = 3
    resizes: bool = False
    ceil: bool = False
    zero: int = 0
    winograd: bool = False

    def layer(self, lcg: Lcg, probe: Map, *, upsample: bool = False, pool: str = "none") -> Layer:
        if self.winograd:
            return random_winograd_layer(lcg, probe, self.outputs, upsample=upsample, pool=pool, zero=self.zero)
        return random_layer(lcg, probe, self.outputs, self.kernel, upsample=upsample, pool=pool, zero=self.zero)


def model_of(lcg: Lcg, encoder: Sequence[Shape], decoder: Sequence[Shape]) -> AdainFile:
    """A random model of a given structure: encoder layers that resize pool, decoder layers that do upsample."""
    probe = random_picture(lcg, 24, 32)
    layers: list[Layer] = []
    for shape in encoder:
        pool = ("none", "floor", "ceil")[shape.resizes + (shape.resizes and shape.ceil)]
        layers.append(shape.layer(lcg, probe, pool=pool))
        probe = run_layer(probe, layers[-1])
    feature_scale, decoder_scale, zero = (1 + lcg.below(1000)) / 4096, 0.0, lcg.below(64)
    decoder_scale = feature_scale * (16 + lcg.below(16)) / 16
    model = AdainFile({"name": "random"}, layers, [], feature_scale, decoder_scale, zero)
    probe = renormalise(model, probe, *statistics(model, probe), alpha=0.0)
    tail: list[Layer] = []
    for shape in decoder:
        tail.append(shape.layer(lcg, probe, upsample=shape.resizes))
        probe = run_layer(probe, tail[-1])
    return AdainFile(model.card, layers, tail, feature_scale, decoder_scale, zero)


def random_model(lcg: Lcg, widest: int = 40, winograd: bool = False) -> AdainFile:
    """A model of random structure: up to three pools and as many upsamplings among layers of kernel 1 and 3.

    Args:
        winograd: give that form to all layers that can have it.
    """

    def shapes(count: int, encoder: bool) -> list[Shape]:
        places = list(range(count))
        resizing = {places.pop(lcg.below(len(places))) for _ in range(halvings)}
        drawn = [
            Shape(
                outputs=1 + lcg.below(widest) if encoder or i + 1 < count else 3,
                kernel=3 if i in resizing and not encoder else (1, 3, 3)[lcg.below(3)],
                resizes=i in resizing,
                ceil=lcg.below(2) == 1,
                zero=(0, 0, 0, 100, 255)[lcg.below(5)],
            )
            for i in range(count)
        ]
        inner = range(1, count) if encoder else range(count - 1)
        return [replace(shape, winograd=winograd and shape.kernel == 3 and i in inner) for i, shape in enumerate(drawn)]

    encoders, decoders = 1 + lcg.below(4), 1 + lcg.below(4)
    halvings = lcg.below(1 + min(3, encoders, decoders))
    return model_of(lcg, shapes(encoders, encoder=True), shapes(decoders, encoder=False))


def random_stage(lcg: Lcg, widest: int = 40) -> Stage:
    """The networks of a random AdaIN model with scales of their own for every channel."""
    model = random_model(lcg, widest)
    count = (model.encoder[-1].outputs,)

    def between(low: int, high: int) -> NDArray[np.float32]:
        return (lcg.integers(low, high, count) / 4096).astype(np.float32)

    return Stage(model.encoder, model.decoder, between(40, 400), between(40, 400), between(0, 4096 * 128))


def random_cascade(lcg: Lcg, widest: int = 40) -> WctFile:
    """A WCT model of one to three random stages."""
    numbers = {1 + lcg.below(5) for _ in range(3)}
    return WctFile({"name": "random", "kind": "wct"}, {number: random_stage(lcg, widest) for number in sorted(numbers)})


def stage_of(lcg: Lcg, channels: int, halvings: int = 1) -> Stage:
    """A stage with so many channels to whiten."""
    resizes = halvings == 1
    model = model_of(lcg, [Shape(7), Shape(channels, resizes=resizes)], [Shape(9, resizes=resizes), Shape(3)])
    arrays = [lcg.integers(*limits, (channels,)).astype(np.float32) for limits in ((40, 400), (40, 400), (0, 128))]
    return Stage(model.encoder, model.decoder, arrays[0] / 4096, arrays[1] / 4096, arrays[2])


def three_levels() -> WctFile:
    """Levels 4, 2 and 1, of 37, 16 and 20 channels, whose pictures vary with content and style."""
    lcg = Lcg(3)
    card = {"name": "three", "kind": "wct", "parameters": 12345, "macs_per_pixel": 678.9}
    return WctFile(card, {4: stage_of(lcg, 37), 2: stage_of(lcg, 16), 1: stage_of(lcg, 20, 0)})


def pair_like(seed: int, widths: Sequence[int] = (16, 16, 32, 20, 37, 48)) -> AdainFile:
    """An AdaIN-shaped model: a pool after layers 2, 4 and 5 of six, the decoder its mirror."""
    pools = (False, True, False, True, True, False)
    encoder = [Shape(width, resizes=pool, ceil=i == 4) for i, (width, pool) in enumerate(zip(widths, pools, strict=True))]
    decoder = [Shape(width, resizes=pool) for width, pool in zip((3, *widths[:-1]), pools, strict=True)]
    return model_of(Lcg(seed), encoder, decoder[::-1])
