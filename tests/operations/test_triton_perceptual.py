"""The Triton kernels of mean errors and of Gram matrices: interpreted, against the reference in float64; compiled."""

from __future__ import annotations

import math

import pytest
import torch
from compiled import assert_sound
from interpreted import DEVICE, INTERPRETED, assert_near, compiled, interpreted

from fastnst.kernels.triton import aot, configs
from fastnst.kernels.triton import perceptual as kernels
from fastnst.reference import gram_matrix
from fastnst.reference.perceptual import mean_error

# One to four blocks of channels, one to several parts of the positions.
SHAPES = [(2, 3, 5, 7), (1, 67, 11, 13), (2, 130, 3, 1), (1, 200, 4, 5), (3, 1, 1, 1), (1, 2, 40, 41)]


@interpreted
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gram(shape: tuple[int, ...], layout: torch.memory_format, dtype: torch.dtype) -> None:
    if dtype == torch.bfloat16 and INTERPRETED:
        pytest.skip("the interpreter multiplies bfloat16 wrongly")
    generator = torch.Generator().manual_seed(math.prod(shape))
    x = torch.randn(shape, generator=generator).contiguous(memory_format=layout).to(DEVICE, dtype)
    grad = torch.randn((shape[0], shape[1], shape[1]), generator=generator)  # not symmetric
    wide = x.cpu().double().requires_grad_()
    wanted = gram_matrix(wide)
    (wanted_dx,) = torch.autograd.grad(wanted, wide, grad.double())
    mine = kernels.gram(x)
    assert mine.dtype == torch.float32 and mine.shape == wanted.shape and torch.equal(mine, mine.mT)
    assert_near(mine, wanted, terms=shape[2] * shape[3])
    dx = kernels.gram_backward(grad.to(DEVICE), x)
    assert dx.dtype == dtype and dx.stride() == x.stride()
    assert_near(dx, wanted_dx, terms=shape[1], rounding=0 if dtype == torch.float32 else 2**-12)


@interpreted
def test_extremes() -> None:
    """Products and sums that float16 cannot hold; NaN in the rows and columns of its channel alone."""
    x = torch.full((1, 3, 4, 5), 512, dtype=torch.float16, device=DEVICE)
    assert torch.equal(kernels.gram(x).cpu(), torch.full((1, 3, 3), 512**2 / 3))
    x[0, 1, 2, 3] = math.nan
    broken = kernels.gram(x)[0].isnan().cpu()
    assert torch.equal(broken, torch.tensor([[False, True, False], [True, True, True], [False, True, False]]))


@interpreted
@pytest.mark.parametrize("squared", [True, False], ids=["l2", "l1"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 5, 7), (3, 16, 32, 33)], ids=str)
def test_mean_error(shape: tuple[int, ...], dtype: torch.dtype, squared: bool) -> None:
    """One piece and several; the other map in the other layout; no gradient where there is no difference."""
    generator = torch.Generator().manual_seed(math.prod(shape))
    x, y = (torch.randn(shape, generator=generator).to(DEVICE, dtype) for _ in range(2))
    y[0, 0, 0] = x[0, 0, 0]
    wide = x.cpu().double().requires_grad_()
    wanted = mean_error(wide, y.cpu().double(), "l2" if squared else "l1")
    (wanted_dx,) = torch.autograd.grad(wanted, wide, torch.tensor(3.0).double())
    y = y.contiguous(memory_format=torch.channels_last)
    assert_near(kernels.mean_error(x, y, squared), wanted, terms=8)
    dx = kernels.mean_error_backward(torch.tensor(3.0, device=DEVICE), x, y, squared)
    assert dx.dtype == dtype and dx.stride() == x.stride()
    assert_near(dx, wanted_dx, terms=1)


@compiled
@pytest.mark.parametrize("capability", aot.PROCESSORS)
@pytest.mark.parametrize(
    ("dtype", "products"),
    [(torch.float32, "ieee"), (torch.float32, "tf32x3"), (torch.bfloat16, "ieee"), (torch.float16, "ieee")],
    ids=str,
)
def test_compiles(capability: int, dtype: torch.dtype, products: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both layouts, sizes that allow no vectors, and tensors of more than 2^31 elements."""
    monkeypatch.setattr(configs, "FLOAT32_PRODUCTS", products)
    with aot.captured(capability) as compiled_kernels:
        for shape in [(16, 512, 512, 1024), (1, 67, 31, 33), (1, 2, 2**16, 2**16)]:
            for layout in (torch.contiguous_format, torch.channels_last):
                x = torch.empty(shape, device="meta", dtype=dtype, memory_format=layout)
                kernels.gram_backward(kernels.gram(x), x)
                for squared in (True, False):
                    kernels.mean_error_backward(kernels.mean_error(x, x, squared), x, x, squared)
    names = {"gram_kernel", "gram_backward_kernel"}
    assert {kernel.name for kernel in compiled_kernels} == names | {"mean_error_kernel", "mean_error_backward_kernel"}
    for kernel in compiled_kernels:
        assert_sound(kernel)
        if kernel.name not in names:
            continue
        with_tensor_cores = "mma" in kernel.ptx
        assert with_tensor_cores == (dtype != torch.float32 or products == "tf32x3")
