"""WCT: moments of features, the roots of their covariance, and the cascade of stages."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from fastnst import _engine
from fastnst.format.modelfile import Stage, WctFile

from .layers import Map, Shares, encode, run_layer

Real = NDArray[np.float64]


def moments(stage: Stage, features: Map, shares: Shares | None = None) -> tuple[Real, Real]:
    """Mean [C] and covariance [C, C] of features in real units, of a region or of all, sums in Python's integers."""
    scale = stage.feature_scale.astype(np.float64)
    weights, unit = (np.ones(features.shape[:2], np.uint64), 1) if shares is None else (shares.astype(np.uint64), 256)
    weights = weights.reshape(-1, 1)
    count = int(weights.sum())
    values = features.reshape(len(weights), -1).astype(np.uint64)
    sums, products = (weights * values).sum(0).astype(object), ((weights * values).T @ values).astype(object)
    spread = (count * products - np.outer(sums, sums)).astype(np.float64)
    covariance = np.outer(scale, scale) * (spread / (float(count) * float(max(count - unit, unit))))
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


def recolour(stage: Stage, features: Map, mean: Real, style_root: Real, alpha: float, shares: Shares | None = None) -> Map:
    """WCT: the decoder's input for ``features`` blended ``alpha`` of the way to a style's mean and root."""
    given, taken, zero = (x.astype(np.float64) for x in (stage.feature_scale, stage.decoder_scale, stage.decoder_zero))
    own_mean, covariance = moments(stage, features, shares)
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
