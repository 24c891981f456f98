"""Kernels of channel statistics and AdaIN against the reference in float64, in every backend that can run here."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastnst.reference import adaptive_instance_normalization, calc_mean_std, mean_variance_norm, renormalize
from fastnst.testing import Backend, assert_close_to_reference, backends

EPS = 1e-5
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
SHAPES = [(1, 1, 1, 1), (2, 5, 1, 1), (3, 1, 1, 2), (2, 3, 5, 7), (1, 16, 4, 4), (2, 17, 9, 13), (1, 64, 24, 24),
          (1, 100, 3, 11), (1, 3, 200, 210), (2, 130, 40, 41), (1, 1500, 9, 12)]  # fmt: skip

BACKENDS = backends("adain")
CPU = next(backend for backend in BACKENDS if backend.name == "cpu")

every_backend = pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=lambda dtype: str(dtype)[6:])
every_layout = pytest.mark.parametrize("layout", LAYOUTS)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))


def random(
    backend: Backend,
    *shape: int,
    dtype: torch.dtype = torch.float32,
    layout: str = "contiguous",
    mean: float = 0.5,
    std: float = 2.0,
    seed: int = 0,
) -> Tensor:
    """Normal numbers around ``mean``, and around 0 in every third channel."""
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * std
    values += torch.where(torch.arange(shape[1]) % 3 == 2, 0.0, mean).view(1, -1, 1, 1)
    return values.to(dtype).contiguous(memory_format=LAYOUTS[layout]).to(backend.device)


def wide(x: Tensor) -> Tensor:
    return x.detach().cpu().double().requires_grad_()


def check_like(result: Tensor, x: Tensor) -> None:
    """A map has the type and the strides of the map that it belongs to."""
    assert (result.dtype, result.stride(), result.device) == (x.dtype, x.stride(), x.device)


def check_statistics(x: Tensor, mean: Tensor, std: Tensor, eps: float = EPS) -> None:
    exact = x.cpu().double()
    size = exact.square().mean((2, 3), keepdim=True).sqrt()
    terms = exact.shape[2] * exact.shape[3]
    expected = calc_mean_std(exact, eps)
    for statistic in (mean, std):
        assert statistic.dtype == torch.float32
        assert statistic.is_contiguous()
    assert_close_to_reference(mean, expected[0], "sum", reduction=terms, scale=size)
    # Every squared distance from the mean is wrong by the rounding of x - mean; relative to the deviation, not to the values.
    assert_close_to_reference(std, expected[1], "sum", reduction=terms, scale=expected[1])


@every_backend
@every_shape
@every_layout
@every_dtype
def test_channel_stats(backend: Backend, shape: tuple[int, ...], layout: str, dtype: torch.dtype) -> None:
    x = random(backend, *shape, dtype=dtype, layout=layout)
    check_statistics(x, *backend.module.channel_stats(x, 0.25), eps=0.25)


@every_backend
@every_shape
@every_layout
@every_dtype
def test_channel_stats_backward(backend: Backend, shape: tuple[int, ...], layout: str, dtype: torch.dtype) -> None:
    x = random(backend, *shape, dtype=dtype, layout=layout)
    mean, std = backend.module.channel_stats(x, EPS)
    grads = [random(backend, *shape[:2], 1, 1, seed=seed) for seed in (1, 2)]
    dx = backend.module.channel_stats_backward(*grads, x, mean, std)
    check_like(dx, x)
    exact = wide(x)
    torch.autograd.backward(calc_mean_std(exact, EPS), [grad.cpu().double() for grad in grads])
    assert_close_to_reference(dx, exact.grad, "gradient")


@every_backend
@every_shape
@every_layout
@every_dtype
def test_adain_apply(backend: Backend, shape: tuple[int, ...], layout: str, dtype: torch.dtype) -> None:
    content = random(backend, *shape, dtype=dtype, layout=layout)
    style_mean, style_std = (random(backend, *shape[:2], 1, 1, seed=seed) for seed in (1, 2))
    out, mean, std = backend.module.adain_apply(content, style_mean, style_std, EPS)
    check_like(out, content)
    check_statistics(content, mean, std)
    inputs = [wide(x) for x in (content, style_mean, style_std)]
    expected = renormalize(*inputs)
    terms = shape[2] * shape[3]
    assert_close_to_reference(out, expected.detach(), "sum", reduction=terms)

    grad = random(backend, *shape, dtype=dtype, layout=layout, seed=3)
    results = backend.module.adain_apply_backward(grad, content, mean, std, style_std)
    check_like(results[0], content)
    expected.backward(grad.cpu().double())
    # A channel's gradients are sums of the terms that reach it, and as wrong as these are large.
    size = grad.cpu().double().square().mean((2, 3), keepdim=True).sqrt() * (inputs[2] / std.cpu().double()).abs().detach()
    assert_close_to_reference(results[0], inputs[0].grad, "gradient", reduction=terms, scale=size)
    for result, exact in zip(results[1:], inputs[1:], strict=True):
        assert result.dtype == torch.float32
        assert_close_to_reference(result, exact.grad, "gradient", reduction=terms, scale=grad.abs().sum((2, 3), True).cpu())


@every_backend
@every_dtype
@pytest.mark.parametrize("style_layout", LAYOUTS)
@pytest.mark.parametrize("grad_layout", LAYOUTS)
@pytest.mark.parametrize("content_layout", LAYOUTS)
def test_adain(backend: Backend, dtype: torch.dtype, content_layout: str, style_layout: str, grad_layout: str) -> None:
    content = random(backend, 2, 19, 15, 17, dtype=dtype, layout=content_layout)
    style = random(backend, 2, 19, 23, 6, dtype=dtype, layout=style_layout, mean=3, std=0.5, seed=1)
    grad = random(backend, 2, 19, 15, 17, dtype=dtype, layout=grad_layout, seed=2)
    out, *statistics = backend.module.adain(content, style, EPS)
    check_like(out, content)
    check_statistics(content, *statistics[:2])
    check_statistics(style, *statistics[2:])
    exact_content, exact_style = wide(content), wide(style)
    expected = adaptive_instance_normalization(exact_content, exact_style)
    assert_close_to_reference(out, expected.detach(), "sum", reduction=15 * 17)

    dcontent, dstyle = backend.module.adain_backward(grad, content, style, *statistics)
    check_like(dcontent, content)
    check_like(dstyle, style)
    expected.backward(grad.cpu().double())
    assert_close_to_reference(dcontent, exact_content.grad, "gradient", reduction=15 * 17)
    assert_close_to_reference(dstyle, exact_style.grad, "gradient", reduction=15 * 17)


@every_backend
@every_layout
def test_large_means_leave_the_digits(backend: Backend, layout: str) -> None:
    """Mean / deviation 1000: E[x^2] - E[x]^2 is wrong by a quarter, and (x - mean) in float32 by the rounding of the mean."""
    content, style, grad = (random(backend, 2, 3, 64, 65, layout=layout, mean=1000, std=1, seed=seed) for seed in range(3))
    out, *statistics = backend.module.adain(content, style, EPS)
    dcontent, _ = backend.module.adain_backward(grad, content, style, *statistics)
    exact_content, exact_style = wide(content), wide(style)
    expected = adaptive_instance_normalization(exact_content, exact_style)
    expected.backward(grad.cpu().double())
    check_statistics(content, *statistics[:2])
    # The mean is handed over in float32, and moves all of the content by its rounding, in deviations.
    rounding = 1000 + expected.detach().abs().max()
    assert_close_to_reference(out, expected.detach(), scale=rounding)
    assert_close_to_reference(dcontent, exact_content.grad, "gradient", scale=rounding)


@every_layout
def test_cpu_keeps_digits_that_a_mean_in_float32_loses(layout: str) -> None:
    """At mean / deviation 1000 the rounding of the mean alone is up to 3e-5 deviations."""
    content = random(CPU, 2, 3, 64, 65, layout=layout, mean=1000, std=1)
    zero, one = torch.zeros(2, 3, 1, 1), torch.ones(2, 3, 1, 1)
    out, mean, std = CPU.module.adain_apply(content, zero, one, EPS)
    exact = wide(content)
    expected = mean_variance_norm(exact)
    terms = 64 * 65 // 4  # of four sums side by side
    assert_close_to_reference(out, expected.detach(), "sum", reduction=terms)

    grad = random(CPU, 2, 3, 64, 65, layout=layout, seed=1)
    dcontent, _, dstyle_std = CPU.module.adain_apply_backward(grad, content, mean, std, one)
    expected.backward(grad.double())
    assert_close_to_reference(dcontent, exact.grad, "sum", reduction=terms)
    products = grad.double() * expected.detach()
    assert_close_to_reference(
        dstyle_std, products.sum((2, 3), True), "sum", reduction=terms, scale=products.abs().sum((2, 3), True)
    )


@every_backend
@every_layout
def test_long_rows_leave_the_digits(backend: Backend, layout: str) -> None:
    """A million positions per channel, with a mean of 1000 deviations, are no harder than a few thousand."""
    x = random(backend, 1, 2, 1000, 1024, layout=layout, mean=1000, std=1)
    mean, std = backend.module.channel_stats(x, EPS)
    expected = calc_mean_std(x.cpu().double(), EPS)
    assert_close_to_reference(mean, expected[0], "sum", reduction=64)
    assert_close_to_reference(std, expected[1], "sum", reduction=4096)


@every_backend
@every_layout
def test_values_that_change_along_the_row(backend: Backend, layout: str) -> None:
    """Where the first part of a map says little of the rest: one step, and an outlier in the first place."""
    x = random(backend, 2, 3, 128, 128, layout=layout, std=1e-3, mean=0)
    x[:, :, :16] += 100
    x[1, :, 0, 0] = 1e5
    check_statistics(x, *backend.module.channel_stats(x, EPS))


@every_backend
@every_layout
@every_dtype
def test_constant_channels(backend: Backend, layout: str, dtype: torch.dtype) -> None:
    content = random(backend, 2, 5, 9, 9, dtype=dtype, layout=layout)
    content[:, 1] = 100
    style, grad = (random(backend, 2, 5, 9, 9, dtype=dtype, layout=layout, seed=seed) for seed in (1, 2))
    out, *statistics = backend.module.adain(content, style, EPS)
    dcontent, dstyle = backend.module.adain_backward(grad, content, style, *statistics)
    assert (statistics[1][:, 1].double().cpu() - EPS**0.5).abs().max() < 1e-9
    torch.testing.assert_close(out[:, 1].float(), statistics[2][:, 1].to(dtype).float().expand(2, 9, 9), rtol=0, atol=0)
    exact_content, exact_style = wide(content), wide(style)
    adaptive_instance_normalization(exact_content, exact_style).backward(grad.cpu().double())
    assert_close_to_reference(dcontent, exact_content.grad, "gradient", reduction=81)
    assert_close_to_reference(dstyle, exact_style.grad, "gradient", reduction=81)


@every_backend
@every_layout
def test_constant_channels_without_epsilon(backend: Backend, layout: str) -> None:
    """Roundings must not leave a variance below 0."""
    values = torch.rand(1, 200, 1, 1, generator=torch.Generator().manual_seed(0))
    x = values.expand(1, 200, 13, 17).contiguous(memory_format=LAYOUTS[layout]).to(backend.device)
    mean, std = backend.module.channel_stats(x, 0.0)
    assert_close_to_reference(mean, values.double(), "sum", reduction=221)
    assert_close_to_reference(std, torch.zeros(1, 200, 1, 1).double(), "sum", reduction=221, scale=values)


@every_backend
@every_layout
def test_half_precision_does_not_overflow(backend: Backend, layout: str) -> None:
    """Squares of 512 are beyond float16."""
    content = (random(backend, 2, 3, 40, 40, layout=layout, mean=0).sign() * 512).half()
    zero, one = torch.zeros(2, 3, 1, 1, device=backend.device), torch.ones(2, 3, 1, 1, device=backend.device)
    out, mean, std = backend.module.adain_apply(content, zero, one, EPS)
    check_statistics(content, mean, std)
    assert_close_to_reference(out, mean_variance_norm(content.cpu().double()), "sum", reduction=1600)


@every_backend
@every_layout
def test_single_positions(backend: Backend, layout: str) -> None:
    content, style, grad = (random(backend, 3, 7, 1, 1, layout=layout, seed=seed) for seed in range(3))
    out, *statistics = backend.module.adain(content, style, EPS)
    dcontent, dstyle = backend.module.adain_backward(grad, content, style, *statistics)
    torch.testing.assert_close(out, style, rtol=1e-6, atol=0)
    assert not dcontent.any()
    torch.testing.assert_close(dstyle, grad, rtol=1e-6, atol=0)


@every_backend
@every_layout
@every_dtype
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (5, 13), (64, 33)])
def test_memory_around_a_map_is_not_read(backend: Backend, layout: str, dtype: torch.dtype, size: tuple[int, int]) -> None:
    """Maps inside larger storage, at odd addresses, between NaN."""
    shape = (2, 5, *size)
    maps = [random(backend, *shape, dtype=dtype, layout=layout, seed=seed) for seed in range(3)]
    inside = []
    for offset, x in zip((1, 7, 33), maps, strict=True):
        storage = torch.full((offset + x.numel() + 64,), torch.nan, dtype=dtype, device=x.device)
        inside.append(storage.as_strided(shape, x.stride(), offset).copy_(x))
    for content, style, grad in (maps, inside):
        out, *statistics = backend.module.adain(content, style, EPS)
        results = [out, *statistics, *backend.module.adain_backward(grad, content, style, *statistics)]
        assert all(result.isfinite().all() for result in results)
        if content is maps[0]:
            wanted = results
    for result, aligned in zip(results, wanted, strict=True):
        assert torch.equal(result, aligned)


@every_backend
@every_layout
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_stays_in_its_channel(backend: Backend, layout: str, bad: float) -> None:
    content, style, grad = (random(backend, 2, 6, 20, 21, layout=layout, seed=seed) for seed in range(3))
    content[1, 2, 3, 4] = bad
    out, *statistics = backend.module.adain(content, style, EPS)
    dcontent, dstyle = backend.module.adain_backward(grad, content, style, *statistics)
    for result in (out, *statistics[:2], dcontent, dstyle):
        finite = result.isfinite().all((2, 3))
        assert not finite[1, 2]
        finite[1, 2] = True
        assert finite.all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=lambda dtype: str(dtype)[6:])
@pytest.mark.parametrize("divisor", [1 / 5, 1, 3, 17, 65535])
def test_all_numbers_of_16_bits_are_read_and_rounded_as_pytorch_does(dtype: torch.dtype, divisor: float) -> None:
    """The gradient of the deviation is a multiple of x: here 1 / divisor, as 65535 is a multiple of every divisor."""
    x = torch.arange(-(2**15), 2**15).to(torch.int16).view(dtype).view(1, 1, 256, 256)
    zero, one = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
    scaled = CPU.module.channel_stats_backward(zero, one * (65535 / divisor), x, zero, one)
    torch.testing.assert_close(scaled, (x.float() * torch.tensor(1 / divisor)).to(dtype), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    ("shape", "layout"),
    [((1, 3, 300, 400), "contiguous"), ((40, 3, 30, 31), "contiguous"), ((2, 33, 200, 30), "channels_last"),
     ((9, 33, 40, 30), "channels_last"), ((1, 4, 1100, 1000), "channels_last")],
)  # fmt: skip
def test_any_number_of_threads_gives_the_same_bytes(shape: tuple[int, ...], layout: str) -> None:
    """Whatever is shared out: rows, parts of a row, images, parts of an image."""
    content, style, grad = (random(CPU, *shape, layout=layout, seed=seed) for seed in range(3))
    before, runs = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            out, *statistics = CPU.module.adain(content, style, EPS)
            runs.append([out, *statistics, *CPU.module.adain_backward(grad, content, style, *statistics)])
    finally:
        torch.set_num_threads(before)
    for run in runs[1:]:
        assert all(torch.equal(mine, first) for mine, first in zip(run, runs[0], strict=True))


def test_cpu_kernels_have_no_other_types() -> None:
    with pytest.raises(TypeError, match="float64"):
        CPU.module.channel_stats(torch.zeros(1, 1, 2, 2).double(), EPS)
