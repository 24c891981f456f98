"""The Triton kernels of colour transfer: interpreted, against the reference in float64; compiled."""

from __future__ import annotations

import math

import pytest
import torch
from compiled import assert_sound
from interpreted import DEVICE, assert_near, compiled, interpreted
from torch import Tensor

from fastnst.kernels.triton import aot, configs
from fastnst.kernels.triton import color as kernels
from fastnst.reference import color_transfer
from fastnst.reference.color import COLOR_EPS, color_moments

LAYOUTS = pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
# One position, part of a tile, a tile and a few more.
SIZES = pytest.mark.parametrize("size", [(1, 1), (5, 7), (33, 32)], ids=str)


def picture(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    values = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    return (0.5 * values + 0.4 * values[:, :1] + 0.1 * values[:, 2:]).to(DEVICE, dtype)


def transferred(source: Tensor, target: Tensor, grad: Tensor, strength: float, eps: float) -> list[Tensor]:
    """The result, and the gradients of source and target."""
    mean, covariance = kernels.color_moments(target)
    out, *kept = kernels.color_apply(source, mean, covariance, strength, eps)
    dsource, *of_moments = kernels.color_apply_backward(grad, source, *kept, strength)
    return [out, dsource, kernels.color_moments_backward(*of_moments, target, mean)]


def exact(source: Tensor, target: Tensor, grad: Tensor, strength: float, eps: float) -> list[Tensor]:
    leaves = [x.cpu().double().requires_grad_() for x in (source, target)]
    out = color_transfer(*leaves, strength, eps)
    return [out.detach(), *torch.autograd.grad(out, leaves, grad.cpu().double())]


@interpreted
@SIZES
@LAYOUTS
@DTYPES
def test_transfer(size: tuple[int, int], layout: torch.memory_format, dtype: torch.dtype) -> None:
    source, grad = (picture(2, 3, *size, dtype=dtype, seed=seed).contiguous(memory_format=layout) for seed in (0, 1))
    target = (picture(2, 3, 4, 9, dtype=dtype, seed=2) * 0.75).contiguous(memory_format=layout)
    mine = transferred(source, target, grad, 0.75, 0.01)
    for result, wanted, like in zip(mine, exact(source, target, grad, 0.75, 0.01), (source, source, target), strict=True):
        assert (result.dtype, result.stride()) == (dtype, like.stride())
        assert_near(result, wanted, terms=math.prod(size))


@interpreted
@LAYOUTS
def test_pieces_are_merged(layout: torch.memory_format) -> None:
    """Several tiles in a piece, and a last one that is shorter; a mean that is far from 0."""
    table = configs.TABLES["color_piece"]
    kept = table[0, "any"]
    table[0, "any"] = {"POSITIONS": 32, "TILES": 4, "num_warps": 1}
    try:
        x = (picture(1, 3, 63, 61) + 100).contiguous(memory_format=layout)
        mean, covariance = kernels.color_moments(x)
    finally:
        table[0, "any"] = kept
    wanted_mean, wanted = color_moments(x.cpu().double())
    assert mean.dtype == covariance.dtype == torch.float64
    assert (mean.cpu() - wanted_mean).abs().max() < 1e-6
    assert (covariance.cpu() - wanted).abs().max() < 1e-6 * wanted.abs().max()


@interpreted
@pytest.mark.parametrize(
    "spectrum", [(1.0, 2.0, 3.0), (1e-5, 1e-5, 0.25), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1e-12, 1.0, 1e12)], ids=str
)
def test_eigenvalues(spectrum: tuple[float, ...]) -> None:
    values = torch.tensor(spectrum, dtype=torch.float64)
    bases = [torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(i)).double()).Q for i in range(3)]
    matrices = torch.stack([torch.diag(values), *((basis * values) @ basis.mT for basis in bases)])
    matrices = ((matrices + matrices.mT) / 2).to(DEVICE)
    found, vectors = kernels.eigenvalues(matrices)
    identity = torch.eye(3, dtype=torch.float64, device=DEVICE).expand(4, 3, 3)
    torch.testing.assert_close(vectors @ vectors.mT, identity, rtol=0, atol=1e-14)
    size = float(values.max())
    torch.testing.assert_close((vectors * found.unsqueeze(-2)) @ vectors.mT, matrices, rtol=0, atol=4e-15 * size)
    torch.testing.assert_close(found.sort().values.cpu(), values.expand(4, 3), rtol=0, atol=4e-15 * size)


@interpreted
def test_constant_and_grey_pictures() -> None:
    """The map of a constant source is 300 times the root of the target's covariance."""
    constant, colored, grad = torch.full((1, 3, 6, 6), 0.3, device=DEVICE), picture(1, 3, 6, 6), picture(1, 3, 6, 6, seed=1)
    grey = colored[:, :1].expand(-1, 3, -1, -1).contiguous()
    for source, target in ((constant, colored), (colored, constant), (grey, grey * 0.5), (constant, constant)):
        pairs = zip(transferred(source, target, grad, 1.0, COLOR_EPS), exact(source, target, grad, 1.0, COLOR_EPS), strict=True)
        for result, wanted in pairs:
            assert_near(result, wanted, terms=36, scale=100 * float(wanted.abs().max()))


@interpreted
def test_what_is_not_finite_makes_its_picture_nan_and_no_other() -> None:
    source, target = picture(2, 3, 5, 7), picture(2, 3, 5, 7, seed=1)
    source[0, 1, 2, 3] = math.nan
    out, dsource, dtarget = transferred(source, target, target, 1.0, COLOR_EPS)
    for result in (out, dsource, dtarget):
        assert bool(result[0].isnan().all())
        assert bool(result[1].isfinite().all())


@compiled
@pytest.mark.parametrize("capability", aot.PROCESSORS)
@DTYPES
def test_compiles(capability: int, dtype: torch.dtype) -> None:
    """Both layouts, sizes that allow no vectors, and pictures of more than 2^31 elements."""
    with aot.captured(capability) as compiled_kernels:
        for shape in [(8, 3, 256, 256), (1, 3, 31, 33), (1, 3, 2**15, 2**16)]:
            for layout in (torch.contiguous_format, torch.channels_last):
                x = torch.empty(shape, device="meta", dtype=dtype, memory_format=layout)
                transferred(x, x, x, 0.5, COLOR_EPS)
    assert {kernel.name for kernel in compiled_kernels} == {name for name in vars(kernels) if name.endswith("_kernel")}
    for kernel in compiled_kernels:
        assert_sound(kernel, double=kernel.name == "eigenvalues_kernel")
