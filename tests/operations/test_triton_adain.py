"""The Triton kernels of AdaIN: interpreted, against the reference in float64; compiled, what the result must not contain."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from compiled import assert_sound
from interpreted import DEVICE, assert_near, compiled, interpreted
from torch import Tensor

from fastnst.kernels.triton import adain as kernels
from fastnst.kernels.triton import aot, configs
from fastnst.reference import adaptive_instance_normalization, calc_mean_std
from fastnst.reference.adain import renormalize

EPS = 1e-5
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
# Way through the kernels, shape of the content, height and width of the style.
CASES = [
    ("rows", (2, 3, 5, 7), (4, 3)),
    ("rows", (1, 2, 1, 1), (1, 2)),
    ("pieces", (2, 2, 5, 7), (11, 9)),
    ("pieces", (1, 2, 19, 11), (1, 1)),
    ("channels_last", (2, 10, 5, 7), (13, 3)),
    ("channels_last", (1, 3, 1, 2), (17, 3)),
    ("mixed", (2, 3, 5, 8), (6, 7)),
]


@pytest.fixture
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Small tiles, so that small maps have many; and rows that count as long, unless they shall stay on chip."""
    small = {
        "contiguous": {"NUMBERS": 32, "TILES": 3, "CHANNELS": 1},
        "channels_last": {"NUMBERS": 64, "TILES": 2, "CHANNELS": 8},
    }
    table = {(0, layout): {**options, "num_warps": 4} for layout, options in small.items()}
    monkeypatch.setitem(configs.TABLES, "adain_piece", table)
    if request.param != "rows":
        monkeypatch.setattr(kernels, "LONGEST_ROW", 0)
    return request.param


def maps(way: str, shape: tuple[int, ...], style: tuple[int, int], dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Content, style and a gradient whose layout is not the content's."""
    generator = torch.Generator().manual_seed(math.prod(shape))
    sizes = shape, (*shape[:2], *style), shape
    content, style_map, grad = (torch.randn(size, generator=generator) * 0.5 - 2.3 for size in sizes)
    last = torch.channels_last
    if way in {"channels_last", "mixed"}:
        content = content.to(memory_format=last)
    if way == "channels_last":
        style_map = style_map.to(memory_format=last)
    else:
        grad = grad.to(memory_format=last)
    return content.to(DEVICE, dtype), style_map.to(DEVICE, dtype), grad.to(DEVICE, dtype)


def exact(*tensors: Tensor) -> Iterator[Tensor]:
    return (tensor.detach().cpu().double().requires_grad_() for tensor in tensors)


def largest(values: Tensor) -> float:
    return values.abs().max().item()


@interpreted
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("way", "shape", "style"), CASES, indirect=["way"])
def test_statistics(way: str, shape: tuple[int, ...], style: tuple[int, int], dtype: torch.dtype) -> None:
    x, _, _ = maps(way, shape, style, dtype)
    (wide,) = exact(x)
    wanted = calc_mean_std(wide, EPS)
    grads = [torch.randn_like(statistic) for statistic in wanted]
    (wanted_dx,) = torch.autograd.grad(wanted, wide, grads)
    mean, std = kernels.channel_stats(x, EPS)
    assert mean.dtype == std.dtype == torch.float32 and mean.shape == std.shape == (*shape[:2], 1, 1)
    assert_near(mean, wanted[0], terms=wide[0, 0].numel())
    assert_near(std, wanted[1], terms=wide[0, 0].numel())
    dx = kernels.channel_stats_backward(*(grad.to(DEVICE, torch.float32) for grad in grads), x, mean, std)
    assert dx.dtype == dtype and dx.stride() == x.stride()
    # The deviations that it is made of are rounded where the mean is: 2.3 here, at deviations of 0.5.
    assert_near(dx, wanted_dx, terms=16)


@interpreted
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("way", "shape", "style"), CASES, indirect=["way"])
def test_adain(way: str, shape: tuple[int, ...], style: tuple[int, int], dtype: torch.dtype) -> None:
    content, style_map, grad = maps(way, shape, style, dtype)
    wide, wide_style, wide_grad = exact(content, style_map, grad)
    wanted = adaptive_instance_normalization(wide, wide_style)
    wanted_grads = torch.autograd.grad(wanted, (wide, wide_style), wide_grad)
    out, *statistics = kernels.adain(content, style_map, EPS)
    assert out.dtype == dtype and out.stride() == content.stride()
    terms = max(wide[0, 0].numel(), wide_style[0, 0].numel())
    assert_near(out, wanted, terms=terms)
    for mine, right in zip(statistics, (*calc_mean_std(wide), *calc_mean_std(wide_style)), strict=True):
        assert_near(mine, right, terms=terms)
    grads = kernels.adain_backward(grad, content, style_map, *statistics)
    scales = largest(wide_grad * statistics[3].cpu() / statistics[1].cpu()), largest(wide_grad)
    for mine, right, x, scale in zip(grads, wanted_grads, (content, style_map), scales, strict=True):
        assert mine.dtype == dtype and mine.stride() == x.stride()
        assert_near(mine, right, terms, scale)


@interpreted
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("way", "shape", "style"), CASES[::2], indirect=["way"])
def test_known_statistics(way: str, shape: tuple[int, ...], style: tuple[int, int], dtype: torch.dtype) -> None:
    content, _, grad = maps(way, shape, style, dtype)
    style_mean, style_std = torch.randn(*shape[:2], 1, 1), torch.rand(*shape[:2], 1, 1) + 0.1
    arguments = list(exact(content, style_mean, style_std))
    (wide_grad,) = exact(grad)
    wanted = renormalize(*arguments)
    wanted_grads = torch.autograd.grad(wanted, arguments, wide_grad)
    out, mean, std = kernels.adain_apply(content, style_mean.to(DEVICE), style_std.to(DEVICE), EPS)
    terms = shape[2] * shape[3]
    assert_near(out, wanted, terms=terms)
    assert_near(mean, calc_mean_std(arguments[0])[0], terms=terms)
    grads = kernels.adain_apply_backward(grad, content, mean, std, style_std.to(DEVICE))
    assert grads[0].stride() == content.stride() and grads[1].dtype == grads[2].dtype == torch.float32
    over_std = wide_grad / std.cpu()
    scales = largest(over_std * arguments[2]), largest(wide_grad) * terms**0.5, largest(over_std * arguments[0]) * terms**0.5
    for mine, right, scale in zip(grads, wanted_grads, scales, strict=True):
        assert_near(mine, right, terms, scale)


@interpreted
def test_few_long_rows_are_split_into_whole_tiles() -> None:
    """The tables as they are: rows longer than a tile, and fewer than processors."""
    x = torch.rand(1, 2, 70, 100, generator=torch.Generator().manual_seed(1)).to(DEVICE)
    assert not kernels.on_chip(kernels.LONGEST_ROW, x)
    for mine, right in zip(kernels.channel_stats(x, EPS), calc_mean_std(x.cpu().double()), strict=True):
        assert_near(mine, right, terms=7000)


@interpreted
@pytest.mark.parametrize("way", ["rows", "pieces", "channels_last"], indirect=True)
def test_a_mean_of_a_thousand_deviations(way: str) -> None:
    x = torch.randn(1, 4, 16, 17, generator=torch.Generator().manual_seed(2)) + 1000
    x = x.to(memory_format=torch.channels_last) if way == "channels_last" else x
    mean, std = calc_mean_std(x.double())
    for mine, right in zip(kernels.channel_stats(x.to(DEVICE), EPS), (mean, std), strict=True):
        assert_near(mine, right, terms=16)  # not a thousand times worse than at mean 0
    known = torch.zeros_like(mean).float().to(DEVICE), torch.ones_like(std).float().to(DEVICE)
    out, _, _ = kernels.adain_apply(x.to(DEVICE), *known, EPS)
    # Pieces take away a mean that is rounded to float32, rows on chip the very mean.
    scale = 1 if way == "rows" else 1000
    assert (out.cpu() - (x.double() - mean) / std).abs().max() < 4 * scale * torch.finfo(torch.float32).eps


@interpreted
@pytest.mark.parametrize("way", ["rows", "pieces", "channels_last"], indirect=True)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # NumPy's, in the interpreter
def test_extremes(way: str) -> None:
    """Constant channels, +-512 in float16, NaN and infinity: each in its channel, and nowhere else."""
    x = torch.zeros(1, 4, 8, 9)
    x[0, 0] = 3.25
    x[0, 1] = 512 * (torch.arange(72).view(8, 9) % 2 * 2 - 1)
    x[0, 2, 7, 8] = math.nan
    x[0, 3, 0, 0] = math.inf
    x = x.to(memory_format=torch.channels_last) if way == "channels_last" else x
    style = torch.randn(1, 4, 3, 5, generator=torch.Generator().manual_seed(3)).to(DEVICE, torch.float16)
    out, mean, std, style_mean, style_std = kernels.adain(x.to(DEVICE, torch.float16), style, EPS)
    torch.testing.assert_close(mean.flatten()[:2].cpu(), torch.tensor([3.25, 0.0]))
    torch.testing.assert_close(std.flatten()[:2].cpu(), torch.tensor([math.sqrt(EPS), 512 * math.sqrt(72 / 71)]))
    torch.testing.assert_close(out[0, 0].float(), style_mean[0, 0].expand(8, 9), rtol=2e-3, atol=0)  # float16
    assert out[0, 1].isfinite().all()
    assert out[0, 2:].isnan().all() and std[0, 2:].isnan().all()
    assert style_std.isfinite().all()


@compiled
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("capability", aot.PROCESSORS)
def test_compiles(capability: int, dtype: torch.dtype) -> None:
    """Shapes that reach every kernel with every entry of the tables, and tensors of more than 2^31 elements."""
    shapes = [(1, 2, 1, 1), (4, 64, 32, 32), (2048, 512, 64, 64), (1, 256, 125, 125), (1, 256, 160, 192), (1, 64, 511, 513)]
    every = [torch.empty(shape, device="meta", dtype=dtype) for shape in [*shapes, (1, 2, 2**16, 2**16)]]
    last = [(1, 3, 33, 65), (3, 256, 2048, 2048)]
    every += [torch.empty(s, device="meta", dtype=dtype, memory_format=torch.channels_last) for s in last]
    with aot.captured(capability) as compiled_kernels:
        for x in every:
            _, *statistics = kernels.adain(x, x, EPS)
            kernels.adain_backward(x, x, x, *statistics)
            _, mean, std = kernels.adain_apply(x, *statistics[2:], EPS)
            kernels.adain_apply_backward(x, x, mean, std, std)
            kernels.channel_stats(x, EPS)
    names = {kernel.name for kernel in compiled_kernels}
    assert names == {name for name in vars(kernels) if name.endswith("_kernel")}
    for kernel in compiled_kernels:
        assert_sound(kernel)
