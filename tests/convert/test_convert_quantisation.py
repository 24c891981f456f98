"""Quantising single layers and maps: fitted weights and biases, ranges with the least error, and sums that cannot overflow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from fastnst.convert.arithmetic import Grid, float_sums, simulate_layer
from fastnst.convert.pair import Conv
from fastnst.convert.quantisation import (
    SAMPLES,
    Fit,
    Moments,
    best_grid,
    grid_of,
    prove_safe,
    quantise_weights,
)
from fastnst.format.modelfile import Layer


def test_the_bias_makes_the_means_equal() -> None:
    """Bias correction: over the pictures it was fitted to, a layer's mean sums are the float layer's, zero point and all."""
    generator = torch.Generator().manual_seed(4)
    weight = torch.randn((1, 6, 5, 3, 3), generator=generator, dtype=torch.float64)
    conv = Conv(weight, torch.linspace(-2, 2, 6, dtype=torch.float64), relu=False)
    inputs, outputs = Grid(0.05, 77), Grid(1.2, 128)
    real = torch.rand((1, 5, 32, 32), generator=generator) * 12.5 - 3.8
    q = (real / inputs.scale + inputs.zero).round().clamp(0, 255).to(torch.uint8)
    sums = float_sums(real, conv)
    fit = Fit(conv, inputs)
    fit.add(q, sums)
    layer = fit.layer(outputs)
    out = (simulate_layer(q, layer).double() - outputs.zero) * outputs.scale
    assert (out.mean((0, 2, 3)) - sums.mean((0, 2, 3))).abs().max() < 0.05 * outputs.scale
    assert (out - sums).square().mean().sqrt() < outputs.scale


def test_fitting_beats_rounding_to_nearest() -> None:
    """On correlated inputs the fitted weights' sums are nearer to the true ones than those of plain rounding."""
    generator = torch.Generator().manual_seed(5)
    basis = torch.randn((40, 12), generator=generator, dtype=torch.float64)
    x = basis @ torch.randn((12, 3000), generator=generator, dtype=torch.float64)
    weight = torch.randn((8, 40), generator=generator, dtype=torch.float64)
    moments = Moments()
    moments.add(x, weight @ x)
    xx, _ = moments.covariances()
    (q,), scale = quantise_weights([weight], torch.zeros(8, dtype=torch.float64), [xx])
    assert q.abs().max() <= 127
    top = weight.abs().amax(1, keepdim=True) / 127
    plain = (weight / top).round() * top

    def error(candidate: Tensor) -> float:
        return ((candidate - weight) @ x).square().mean().item()

    assert error(q * scale[:, None]) < 0.5 * error(plain)


# --- ranges -----------------------------------------------------------------------------------------------------------------


def grid_error(grid: Grid, x: Tensor) -> float:
    q = (x / grid.scale + grid.zero).round().clamp(0, 255)
    return (grid.real(q) - x).square().mean().item()


def test_best_grid_has_the_least_error_and_holds_zero() -> None:
    x = torch.randn((1, 2, 64, 64), generator=torch.Generator().manual_seed(2)).exp() - 0.5
    grid = best_grid([x], relu=False, ranges="mse")
    assert np.float32(grid.scale) == grid.scale
    assert 0 < grid.zero < 60
    assert x.numel() == SAMPLES  # so that every value counts, and counts once
    widest = grid_of(x.min().item(), x.max().item())
    assert grid_error(grid, x) <= grid_error(widest, x)
    assert grid_error(grid, x) < 1.02 * min(grid_error(grid_of(a * x.min().item(), b * x.max().item()), x)
                                           for a in (0.5, 0.8, 1) for b in np.linspace(0.1, 1, 40))  # fmt: skip


def test_a_range_after_relu_begins_at_zero() -> None:
    grid = best_grid([torch.tensor([[[[-50.0, 0.0, 255.0]]]])], relu=True, ranges="mse")
    assert grid.zero == 0
    assert grid.scale == pytest.approx(1, rel=1e-3)


def test_percentile_leaves_outliers_out() -> None:
    x = torch.linspace(0, 1, 100_000).reshape(1, 1, 100, 1000).clone()
    x[0, 0, 0, 0] = 3.0
    clean = torch.linspace(0, 1, 100_000).reshape(1, 1, 100, 1000)
    assert best_grid([x, clean, clean], relu=True, ranges="percentile").scale * 255 == pytest.approx(1, rel=2e-3)


def test_one_picture_of_huge_values_does_not_set_the_range() -> None:
    """Least squared error alone would take a range that reduces all other pictures to two or three steps."""
    usual = torch.rand((1, 1, 64, 128), generator=torch.Generator().manual_seed(7))
    grid = best_grid([usual] * 9 + [100 * usual], relu=True, ranges="mse")
    assert grid_error(grid, usual) < 0.02 * usual.square().mean()


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_a_map_that_is_always_zero_has_a_grid(value: float) -> None:
    grid = best_grid([torch.full((1, 1, 4, 4), value)], relu=True, ranges="mse")
    assert grid.scale > 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bias": np.array([2**31 - 1], np.int32)}, "accumulator"),
        ({"bias": np.array([-(2**31)], np.int32)}, "accumulator"),
        ({"multiplier": np.array([1e6], np.float32)}, "output"),
    ],
)
def test_layers_that_could_overflow(change: dict[str, np.ndarray], words: str) -> None:
    layer = Layer(np.full((1, 3, 3, 20), 127, np.int8), np.zeros(1, np.int32), np.full(1, 1e-4, np.float32))
    prove_safe(layer)
    with pytest.raises(ValueError, match=words):
        prove_safe(replace(layer, **change))
