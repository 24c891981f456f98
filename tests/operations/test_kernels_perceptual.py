"""Kernels of mean errors and of Gram matrices against the reference in float64, in every backend that can run here."""

from __future__ import annotations

import pytest
import torch
from kernel_maps import (
    between_nan,
    check_any_number_of_threads,
    check_like,
    every_dtype,
    every_layout,
    random_map,
    wide,
)
from torch import Tensor

from fastnst.reference import gram_matrix
from fastnst.reference.perceptual import mean_error
from fastnst.testing import Backend, assert_close_to_reference, backends

# One position and fewer than channels; one, two and three blocks of channels; several ranges of positions.
SHAPES = [(1, 1, 1, 1), (3, 5, 1, 1), (2, 7, 3, 5), (17, 3, 2, 4), (1, 16, 9, 11), (2, 33, 20, 13), (1, 64, 71, 43),
          (1, 129, 12, 31), (2, 300, 6, 7), (1, 515, 5, 9)]  # fmt: skip

BACKENDS = backends("perceptual")
CPU = next(backend for backend in BACKENDS if backend.name == "cpu")

every_backend = pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))


every_error = pytest.mark.parametrize("squared", [True, False], ids=["l2", "l1"])


@every_backend
@every_shape
@every_layout
@every_dtype
@every_error
def test_mean_error(backend: Backend, shape: tuple[int, ...], layout: str, dtype: torch.dtype, squared: bool) -> None:
    """Also between maps in different layouts."""
    x, y = random_map(*shape, dtype=dtype, layout=layout), random_map(*shape, dtype=dtype, seed=1)
    y[0, 0, 0] = x[0, 0, 0]  # no difference, no gradient
    grad = torch.tensor(3.0)
    exact, aim = wide(x), y.double()
    expected = mean_error(exact, aim, "l2" if squared else "l1")
    expected.backward(3 * torch.ones((), dtype=torch.float64))
    mine = x.to(backend.device), y.to(backend.device)
    assert_close_to_reference(backend.module.mean_error(*mine, squared), expected, "sum", reduction=256)
    result = backend.module.mean_error_backward(grad.to(backend.device), *mine, squared)
    check_like(result, mine[0])
    assert_close_to_reference(result, exact.grad)


@every_backend
@every_error
def test_mean_error_of_millions_and_of_no_number(backend: Backend, squared: bool) -> None:
    """One running sum in float32 would stop growing; NaN is no error of 0."""
    x, y = torch.full((1, 5, 1000, 1001), 1.5), torch.full((1, 5, 1000, 1001), 1.0)
    error = backend.module.mean_error(x.to(backend.device), y.to(backend.device), squared)
    assert_close_to_reference(error, torch.tensor(0.25 if squared else 0.5).double(), "sum", reduction=256)
    x[0, 3, 7, 7] = float("nan")
    assert backend.module.mean_error(x.to(backend.device), y.to(backend.device), squared).isnan()
    grad = backend.module.mean_error_backward(
        torch.tensor(1.0, device=backend.device), x.to(backend.device), y.to(backend.device), squared
    )
    assert grad.isnan().sum() == 1


def check_gram(x: Tensor, result: Tensor) -> None:
    """Each element is as wrong as the lengths of its two channels are large."""
    expected = gram_matrix(x.cpu().double())
    length = expected.diagonal(dim1=1, dim2=2).sqrt()
    assert result.dtype == torch.float32
    assert torch.equal(result, result.mT)
    scale = length.unsqueeze(1) * length.unsqueeze(2)
    assert_close_to_reference(result, expected, "sum", reduction=x[0, 0].numel(), scale=scale)


@every_backend
@every_shape
@every_layout
@every_dtype
def test_gram(backend: Backend, shape: tuple[int, ...], layout: str, dtype: torch.dtype) -> None:
    x = random_map(*shape, dtype=dtype, layout=layout).to(backend.device)
    check_gram(x, backend.module.gram(x))


@every_backend
@every_shape
@every_layout
@every_dtype
def test_gram_backward(backend: Backend, shape: tuple[int, ...], layout: str, dtype: torch.dtype) -> None:
    """Gradients of losses on Gram matrices are symmetric; those of other uses are not."""
    x = random_map(*shape, dtype=dtype, layout=layout)
    grad = torch.randn(shape[0], shape[1], shape[1], generator=torch.Generator().manual_seed(1))
    result = backend.module.gram_backward(grad.to(backend.device), x.to(backend.device))
    check_like(result, x.to(backend.device))
    exact = wide(x)
    gram_matrix(exact).backward(grad.double())
    assert_close_to_reference(result, exact.grad, "sum", reduction=shape[1])


@every_backend
@every_layout
def test_many_positions_lose_no_digits(backend: Backend, layout: str) -> None:
    """Half a million values of one sign, as behind a ReLU: one running sum in float32 would stop growing evenly."""
    x = random_map(1, 3, 700, 720, layout=layout, mean=100, std=1)
    result = backend.module.gram(x.to(backend.device))
    assert_close_to_reference(result, gram_matrix(x.double()), "sum", reduction=64)


@every_backend
@every_layout
def test_half_precision_does_not_overflow(backend: Backend, layout: str) -> None:
    """Squares of 512 are beyond float16."""
    x = (random_map(2, 5, 40, 40, layout=layout, mean=0).sign() * 512).half().to(backend.device)
    check_gram(x, backend.module.gram(x))


@every_backend
@every_layout
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_stays_in_its_channel(backend: Backend, layout: str, bad: float) -> None:
    x = random_map(2, 40, 20, 21, layout=layout)
    x[1, 17, 3, 4] = bad
    finite = backend.module.gram(x.to(backend.device)).cpu().isfinite()
    assert not finite[1, 17].any()
    assert not finite[1, :, 17].any()
    finite[1, 17] = finite[1, :, 17] = True
    assert finite.all()


@every_layout
@every_dtype
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 5, 3, 3), (2, 33, 5, 13), (1, 21, 64, 33)])
def test_memory_around_a_map_is_not_read(layout: str, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    x, grad = random_map(*shape, dtype=dtype, layout=layout), random_map(shape[0], shape[1], shape[1], seed=1)
    inside = between_nan(x, 7)
    assert torch.equal(CPU.module.gram(inside), CPU.module.gram(x))
    assert torch.equal(CPU.module.mean_error(inside, x * 2, True), CPU.module.mean_error(x, x * 2, True))
    assert torch.equal(CPU.module.gram_backward(between_nan(grad, 1), inside), CPU.module.gram_backward(grad, x))


@every_layout
@pytest.mark.parametrize("shape", [(1, 3, 300, 400), (1, 300, 40, 30), (9, 20, 30, 31)])
def test_any_number_of_threads_gives_the_same_bytes(shape: tuple[int, ...], layout: str) -> None:
    x, grad, one = random_map(*shape, layout=layout), random_map(shape[0], shape[1], shape[1], seed=1), torch.tensor(1.0)
    check_any_number_of_threads(lambda: [CPU.module.gram(x), CPU.module.gram_backward(grad, x)])
    check_any_number_of_threads(lambda: [CPU.module.mean_error(x, -x, True), CPU.module.mean_error_backward(one, x, -x, True)])


def test_cpu_kernels_have_no_other_types() -> None:
    with pytest.raises(TypeError, match="float64"):
        CPU.module.gram(torch.zeros(1, 1, 2, 2).double())
