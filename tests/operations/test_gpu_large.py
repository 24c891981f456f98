"""Maps of more than 2^31 elements: what a large map gives must be what its pattern gives, which is repeated in it."""

from __future__ import annotations

import pytest
import torch
from gpu_operations import GPU
from torch import Tensor

from fastnst.kernels.triton import adain, color, embedding, perceptual, relation, wct
from fastnst.reference import color_transfer

pytestmark = GPU
CHANNELS, PERIOD, REPEATS = 2, 2**14, 2**16 + 1
"""2 x 2^14 x (2^16 + 1) elements: 2^31 and a few more. In bfloat16 4.3 GB."""
LAYOUTS = pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels_last"])


@pytest.fixture(autouse=True)
def memory() -> None:
    """Of a dozen maps; what earlier tests had is given back."""
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    wanted = 12 * 2 * CHANNELS * PERIOD * REPEATS
    if free < wanted:
        pytest.skip(f"needs {wanted / 2**30:.0f} GiB of the device's memory, {free / 2**30:.0f} are free")


def pattern(seed: int, channels: int = CHANNELS) -> Tensor:
    """[1, C, 1, PERIOD]."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(1, channels, 1, PERIOD, generator=generator) + 0.5).to("cuda", torch.bfloat16)


def repeated(small: Tensor, last: bool) -> Tensor:
    """``small`` [1, C, 1, PERIOD] as [1, C, REPEATS, PERIOD]."""
    large = small.expand(-1, -1, REPEATS, -1)
    return large.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def assert_repeats(large: Tensor, small: Tensor, bound: float) -> None:
    """Every row of ``large`` is ``small``, up to ``bound`` of its largest number."""
    size = small.double().abs().max()
    for start in range(0, REPEATS, 4096):
        rows = large[:, :, start : start + 4096]
        assert float((rows.float() - small.float()).abs().max()) <= bound * float(size), f"rows from {start}"


def population(small: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the large map, in float64: of n numbers and not of n - 1, as n is large."""
    wide = small.double()
    return wide.mean((-2, -1), keepdim=True), (wide.var((-2, -1), correction=0, keepdim=True) + 1e-5).sqrt()


@LAYOUTS
def test_adain(last: bool) -> None:
    content, style = pattern(0), pattern(1) * 2
    mean, std = population(content)
    style_mean = style.double().mean((-2, -1), keepdim=True)
    large, grad = repeated(content, last), repeated(pattern(2), last)
    out, *statistics = adain.adain(large, style, 1e-5)
    exact_style = style.double().var((-2, -1), keepdim=True).add(1e-5).sqrt()
    for mine, right in zip(statistics, (mean, std, style_mean, exact_style), strict=True):
        torch.testing.assert_close(mine.double(), right, rtol=1e-5, atol=1e-5)
    assert_repeats(out, (content.double() - mean) / std * exact_style + style_mean, 2**-7)
    del out
    gradient, _, _ = adain.adain_apply_backward(grad, large, statistics[0], statistics[1], statistics[3])
    normal, above = (content.double() - mean) / std, pattern(2).double()
    along = (above * normal).mean((-2, -1), keepdim=True)
    wanted = exact_style / std * (above - above.mean((-2, -1), keepdim=True) - normal * along)
    assert_repeats(gradient, wanted, 2**-7)


@LAYOUTS
def test_color(last: bool) -> None:
    """Moments of a repeated picture are its own, and so is the gradient of a repeated gradient."""
    source, target, above = pattern(0, 3), pattern(1, 3) * 0.5, pattern(2, 3)
    exact = source.double().requires_grad_()
    wanted = color_transfer(exact, target.double())
    (wanted_gradient,) = torch.autograd.grad(wanted, exact, above.double())
    large = repeated(source, last)
    out, *kept = color.color_apply(large, *color.color_moments(target), 1.0, 1e-5)
    assert_repeats(out, wanted.detach(), 2**-7)
    del out
    gradient, *_ = color.color_apply_backward(repeated(above, last), large, *kept, 1.0)
    assert_repeats(gradient, wanted_gradient, 2**-7)


@LAYOUTS
def test_gram_and_mean_error(last: bool) -> None:
    small, other = pattern(0), pattern(1)
    x, y = repeated(small, last), repeated(other, last)
    flat = small.double().flatten(2)
    torch.testing.assert_close(perceptual.gram(x).double(), flat @ flat.mT / (CHANNELS * PERIOD), rtol=1e-4, atol=1e-4)
    above = torch.tensor([[[1.0, 2.0], [-3.0, 0.5]]], device="cuda")
    wanted = (above + above.mT).double() @ flat / (CHANNELS * PERIOD * REPEATS)
    assert_repeats(perceptual.gram_backward(above, x), wanted.unsqueeze(2), 2**-6)
    error = (small.double() - other.double()).square().mean()
    torch.testing.assert_close(perceptual.mean_error(x, y, True).double(), error, rtol=1e-4, atol=0)
    gradient = perceptual.mean_error_backward(torch.ones((), device="cuda"), x, y, True)
    assert_repeats(gradient, 2 * (small.double() - other.double()) / x.numel(), 2**-7)


@LAYOUTS
def test_embedding(last: bool) -> None:
    small, other = pattern(0), pattern(1)
    student, teacher = repeated(small, last), repeated(other, last)
    weight = torch.tensor([[0.5, -1.0], [2.0, 0.25]], device="cuda", dtype=torch.bfloat16)
    bias = torch.tensor([0.125, -0.5], device="cuda", dtype=torch.bfloat16)
    loss, dstudent, _, _ = embedding.linear_embedding(student, teacher, weight, bias, True)
    wide = weight.double()
    error = wide @ small.double().flatten(2) + bias.double().unsqueeze(1) - other.double().flatten(2)
    torch.testing.assert_close(loss.double(), error.square().mean(), rtol=1e-4, atol=0)
    assert_repeats(dstudent, (2 / teacher.numel() * wide.mT @ error).unsqueeze(2), 2**-6)


def test_wct() -> None:
    small = pattern(0)
    x = repeated(small, False).flatten(2)
    root, mean, _, _ = wct.covariance_root(x, 0.1, 0.0, True)
    flat = small.double().flatten(2)
    centred = flat - flat.mean(-1, keepdim=True)
    values, vectors = torch.linalg.eigh(centred @ centred.mT / PERIOD + 0.1 * torch.eye(CHANNELS, device="cuda"))
    torch.testing.assert_close(root, (vectors / values.sqrt().unsqueeze(-2)) @ vectors.mT, rtol=1e-6, atol=1e-6)
    out = wct.transform(x, root, mean).view(1, CHANNELS, REPEATS, PERIOD)
    assert_repeats(out, (root @ flat + mean).unsqueeze(2), 2**-7)


def test_distances_of_items_of_more_numbers() -> None:
    """Two items of 2^31 numbers and a few more each."""
    numbers = 2**31 + 40
    items = torch.zeros(1, 2, numbers, device="cuda", dtype=torch.bfloat16)
    items[0, 0, 5] = 3.0
    items[0, 1, numbers - 1] = 4.0
    distances = relation.pairwise(items, False, 1e-12)
    assert distances.tolist() == [[[0.0, 5.0], [5.0, 0.0]]]
    above = torch.tensor([[[0.0, 1.0], [0.0, 0.0]]], device="cuda", dtype=torch.bfloat16)
    gradient = relation.pairwise_backward(above, items, False, 1e-12)
    assert gradient[0, :, 5].tolist() == pytest.approx([0.6, -0.6], rel=2**-7)
    assert gradient[0, :, numbers - 1].tolist() == pytest.approx([-0.8, 0.8], rel=2**-7)
    assert int(gradient.count_nonzero()) == 4
