"""Layers, and an AdaIN model's encoder, statistics and decoder, in exact integers. Maps are uint8 [H, W, C]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnst.format.modelfile import AdainFile, Layer, Stage
from fastnst.format.winograd import centre, positions_of

Map = NDArray[np.uint8]


def framed(q: Map, upsample: bool) -> Map:
    """``q`` with a border of one pixel: repeated before an upsampling, otherwise reflected (a single pixel repeats)."""
    for axis in (0, 1):
        width = [(0, 0)] * 3
        width[axis] = (1, 1)
        q = np.pad(q, width, mode="edge" if upsample or q.shape[axis] == 1 else "reflect")
    return q


def slide(frame: Map, weights: NDArray[np.int8], bias: NDArray[np.int32]) -> NDArray[np.float64]:
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


def crossed(axis: int, x: NDArray[Any], upsample: bool) -> list[NDArray[Any]]:
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
    rows = crossed(0, framed(q, layer.upsample).astype(np.int64), layer.upsample)
    windows = [part for row in rows for part in crossed(1, row, layer.upsample)]
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
        frame = q if layer.kernel == 1 else framed(q, upsample=False)
        return _pooled(_requantise(slide(frame, layer.weights, layer.bias), layer.multiplier, layer.zero), layer.pool)
    height, width = q.shape[:2]
    frame = framed(q, upsample=True)
    out = np.empty((2 * height, 2 * width, layer.outputs), np.uint8)
    for phase in range(4):
        row, column = divmod(phase, 2)
        view = frame[row : row + height + 1, column : column + width + 1]
        acc = slide(view, layer.weights[phase], layer.bias[phase])
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


Shares = NDArray[np.int64]
"""How much of each feature belongs to a region, [h, w], in 256ths."""


def statistics(
    model: AdainFile, features: Map, shares: Shares | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each feature channel in real units, of a region or of all: two float64 [C]."""
    scale = float(np.float32(model.feature_scale))
    weights, unit = (np.ones(features.shape[:2], np.uint64), 1) if shares is None else (shares.astype(np.uint64), 256)
    weights = weights.reshape(-1, 1)
    count = int(weights.sum())
    values = features.reshape(len(weights), -1).astype(np.uint64)
    sums = (weights * values).sum(0).tolist(), (weights * values * values).sum(0).tolist()  # Python integers
    means, stds = [], []
    for total, squares in zip(*sums, strict=True):
        spread = float(count * squares - total * total) / (float(count) * float(max(count - unit, unit)))
        means.append((scale * float(total)) / float(count))
        stds.append(np.sqrt((scale * scale) * spread + 1e-5))
    return np.array(means), np.array(stds)


def renormalise(
    model: AdainFile,
    features: Map,
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    alpha: float,
    shares: Shares | None = None,
) -> Map:
    """AdaIN: the decoder's input for ``features`` blended ``alpha`` of the way from their statistics, or those of a region."""
    scale, step = float(np.float32(model.feature_scale)), float(np.float32(model.decoder_scale))
    own_mean, own_std = statistics(model, features, shares)
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
