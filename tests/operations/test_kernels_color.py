"""Kernels of colour transfer against the reference in float64, in every backend that can run here."""

from __future__ import annotations

import pytest
import torch
from kernel_maps import (
    DTYPES,
    LAYOUTS,
    between_nan,
    check_any_number_of_threads,
    check_like,
    every_dtype,
    every_layout,
    wide,
)
from torch import Tensor

from fastnst.reference import color_transfer
from fastnst.reference.color import COLOR_EPS, color_moments
from fastnst.testing import Backend, assert_close_to_reference, backends

# One position, less than a vector, whole blocks, whole chunks, and a few more.
SIZES = [(1, 1), (1, 2), (3, 5), (7, 13), (32, 32), (33, 31), (64, 128), (100, 211)]

BACKENDS = backends("color")
CPU = next(backend for backend in BACKENDS if backend.name == "cpu")

every_backend = pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
every_size = pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))


def picture(
    backend: Backend,
    *shape: int,
    dtype: torch.dtype = torch.float32,
    layout: str = "contiguous",
    seed: int = 0,
    mean: float = 0.0,
) -> Tensor:
    """Colours whose channels depend on one another; in 0..1 if no mean is added."""
    values = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    values = 0.5 * values + 0.4 * values[:, :1] + 0.1 * values[:, 2:] + mean
    return values.to(dtype).contiguous(memory_format=LAYOUTS[layout]).to(backend.device)


def transferred(
    backend: Backend, source: Tensor, target: Tensor, grad: Tensor, strength: float = 1.0, eps: float = COLOR_EPS
) -> list[Tensor]:
    """The result, and the gradients of source and target."""
    kernels = backend.module
    target_mean, target_covariance = kernels.color_moments(target)
    out, *kept = kernels.color_apply(source, target_mean, target_covariance, strength, eps)
    dsource, *of_moments = kernels.color_apply_backward(grad, source, *kept, strength)
    return [out, dsource, kernels.color_moments_backward(*of_moments, target, target_mean)]


def exact(source: Tensor, target: Tensor, grad: Tensor, strength: float = 1.0, eps: float = COLOR_EPS) -> list[Tensor]:
    leaves = [wide(source), wide(target)]
    out = color_transfer(*leaves, strength, eps)
    return [out.detach(), *torch.autograd.grad(out, leaves, grad.cpu().double())]


def check(mine: list[Tensor], wanted: list[Tensor], reduction: int, stretch: float = 1.0) -> None:
    """``stretch`` is how much the map enlarges what its arguments are wrong by."""
    for result, right, kind in zip(mine, wanted, ("sum", "gradient", "gradient"), strict=True):
        scale = stretch * right.abs().max()
        assert_close_to_reference(result, right, kind, reduction=reduction, scale=scale)


@every_backend
@every_size
@every_layout
@every_dtype
def test_moments(backend: Backend, size: tuple[int, int], layout: str, dtype: torch.dtype) -> None:
    x = picture(backend, 3, 3, *size, dtype=dtype, layout=layout)
    wanted_mean, wanted = color_moments(x.cpu().double())
    mean, covariance = backend.module.color_moments(x)
    assert mean.dtype == covariance.dtype == torch.float64
    assert torch.equal(covariance, covariance.mT)
    assert_close_to_reference(mean, wanted_mean, "sum", reduction=64)
    deviation = wanted.diagonal(dim1=-2, dim2=-1).sqrt()
    # What an entry may be wrong by is relative to both deviations; of a single position it is the rounding of its mean.
    scale = (deviation.unsqueeze(-1) * deviation.unsqueeze(-2)).clamp(min=1e-7)
    assert_close_to_reference(covariance, wanted, "sum", reduction=64, scale=scale)


@every_backend
@every_size
@every_layout
@every_dtype
@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_transfer(backend: Backend, size: tuple[int, int], layout: str, dtype: torch.dtype, strength: float) -> None:
    source = picture(backend, 2, 3, *size, dtype=dtype, layout=layout)
    target = picture(backend, 2, 3, 9, 14, dtype=dtype, layout=layout, seed=1) * 0.75
    grad = picture(backend, 2, 3, *size, dtype=dtype, layout=layout, seed=2, mean=-0.5)
    mine = transferred(backend, source, target, grad, strength, 0.01)
    check_like(mine[0], source)
    check_like(mine[1], source)
    check_like(mine[2], target)
    check(mine, exact(source, target, grad, strength, 0.01), size[0] * size[1])


@every_backend
@pytest.mark.parametrize("target_layout", LAYOUTS)
@pytest.mark.parametrize("grad_layout", LAYOUTS)
@pytest.mark.parametrize("source_layout", LAYOUTS)
def test_layouts_may_differ(backend: Backend, source_layout: str, grad_layout: str, target_layout: str) -> None:
    source = picture(backend, 2, 3, 15, 17, layout=source_layout)
    target = picture(backend, 2, 3, 23, 6, layout=target_layout, seed=1)
    grad = picture(backend, 2, 3, 15, 17, layout=grad_layout, seed=2)
    mine = transferred(backend, source, target, grad)
    for result, like in zip(mine, (source, source, target), strict=True):
        check_like(result, like)
    check(mine, exact(source, target, grad), 15 * 17)


@every_backend
@every_layout
def test_large_means_leave_the_digits(backend: Backend, layout: str) -> None:
    """Mean / deviation 4000: E[x^2] - E[x]^2 is nothing but noise, and the mean in float32 is wrong by 1e-4 deviations."""
    source = picture(backend, 2, 3, 64, 65, layout=layout, mean=1000)
    target, grad = (picture(backend, 2, 3, 64, 65, layout=layout, seed=seed) for seed in (1, 2))
    mine, wanted = transferred(backend, source, target, grad), exact(source, target, grad)
    check(mine, wanted, 64 * 65)
    moments = backend.module.color_moments(source)
    expected = color_moments(source.cpu().double())
    for result, right in zip(moments, expected, strict=True):
        assert_close_to_reference(result, right, "sum", reduction=64)


@every_backend
@every_layout
def test_gradients_that_are_alike_almost_cancel(backend: Backend, layout: str) -> None:
    """A sharp map and a gradient of 1 everywhere: the result's sum is the target's mean, whatever the source is."""
    source = picture(backend, 1, 3, 40, 40, layout=layout) * 1e-2
    target = picture(backend, 1, 3, 40, 40, layout=layout, seed=1)
    _, dsource, dtarget = transferred(backend, source, target, torch.ones_like(source))
    assert dsource.abs().max() < 1e-5
    torch.testing.assert_close(dtarget, torch.ones_like(target), rtol=0, atol=1e-5)


@every_backend
@every_layout
@every_dtype
def test_constant_pictures(backend: Backend, layout: str, dtype: torch.dtype) -> None:
    """The map of a constant source is 300 times the root of the target's covariance, and has nothing to be applied to."""
    source = torch.full((2, 3, 9, 9), 0.3, device=backend.device).to(dtype).contiguous(memory_format=LAYOUTS[layout])
    target, grad = (picture(backend, 2, 3, 9, 9, dtype=dtype, layout=layout, seed=seed) for seed in (1, 2))
    for pair in ((source, target), (target, source), (source, source)):
        mine, wanted = transferred(backend, *pair, grad), exact(*pair, grad)
        check(mine, wanted, 81, stretch=100)
    out = transferred(backend, source, target, grad)[0]
    mean = target.double().mean((2, 3), keepdim=True).expand(out.shape)
    torch.testing.assert_close(out.double(), mean, rtol=torch.finfo(dtype).eps, atol=1e-6)


@every_backend
@every_layout
def test_grey_pictures(backend: Backend, layout: str) -> None:
    """Two of three eigenvalues are eps alone, in both."""
    source, target, grad = (
        picture(backend, 1, 3, 30, 31, seed=seed)[:, :1].expand(-1, 3, -1, -1).contiguous(memory_format=LAYOUTS[layout])
        for seed in range(3)
    )
    check(transferred(backend, source, target, grad), exact(source, target, grad), 30 * 31)


@every_backend
def test_half_precision_does_not_overflow(backend: Backend) -> None:
    """Squares of 512 are beyond float16."""
    source = ((picture(backend, 2, 3, 20, 20) > 0.4).float() * 1024 - 512).half()
    target = ((picture(backend, 2, 3, 20, 20, seed=1) > 0.5).float() * 1024 - 512).half()
    grad = picture(backend, 2, 3, 20, 20, seed=2).half()
    check(transferred(backend, source, target, grad), exact(source, target, grad), 400)


@every_layout
@every_dtype
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (5, 13), (64, 33)])
def test_memory_around_a_picture_is_not_touched(layout: str, dtype: torch.dtype, size: tuple[int, int]) -> None:
    """Pictures inside larger storage, at odd addresses, between NaN."""
    maps = [picture(CPU, 2, 3, *size, dtype=dtype, layout=layout, seed=seed) for seed in range(3)]
    wanted = transferred(CPU, *maps)
    inside = [between_nan(x, offset) for offset, x in zip((1, 7, 33), maps, strict=True)]
    for result, aligned in zip(transferred(CPU, *inside), wanted, strict=True):
        assert torch.equal(result, aligned)


@every_layout
@pytest.mark.parametrize("shape", [(1, 3, 300, 400), (40, 3, 30, 31)])
def test_any_number_of_threads_gives_the_same_bytes(shape: tuple[int, ...], layout: str) -> None:
    source, target, grad = (picture(CPU, *shape, layout=layout, seed=seed) for seed in range(3))
    check_any_number_of_threads(lambda: transferred(CPU, source, target, grad))


def test_a_picture_that_is_not_finite_is_an_error_as_in_the_reference() -> None:
    source, target = picture(CPU, 1, 3, 8, 8), picture(CPU, 1, 3, 8, 8, seed=1)
    source[0, 1, 2, 3] = torch.nan
    for transfer in (lambda: color_transfer(source, target), lambda: transferred(CPU, source, target, target)):
        with pytest.raises(torch.linalg.LinAlgError):
            transfer()


def test_cpu_kernels_have_no_other_types() -> None:
    with pytest.raises(TypeError, match="float64"):
        CPU.module.color_moments(picture(CPU, 1, 3, 2, 2).double())
    assert torch.float64 not in DTYPES
