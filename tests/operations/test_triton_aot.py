"""What the tests of compiled kernels rest on: that they see what is wrong, and that what is compiled is what is launched."""

from __future__ import annotations

import re
import weakref
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
import torch
import triton
import triton.language as tl
from compiled import assert_rounded, assert_sound, narrow_addresses
from interpreted import DEVICE, compiled, interpreted
from kernel_calls import CALLS
from torch.utils._python_dispatch import TorchDispatchMode
from triton.backends.compiler import GPUTarget
from triton.compiler.compiler import make_backend
from triton.runtime.jit import create_function_from_signature

from fastnst.kernels.triton import aot, configs, launch, tiles


@triton.jit
def scale_kernel(x, out, stride, factor, wide: tl.constexpr, block: tl.constexpr):
    program = tl.program_id(0)
    start = (program.to(tl.int64) if wide else program) * stride
    at = start + tl.arange(0, block)
    tl.store(out + at, tl.load(x + at).to(tl.float32) * factor)


@triton.jit
def double_kernel(x, out, block: tl.constexpr):
    at = tl.arange(0, block)
    tl.store(out + at, tl.load(x + at).to(tl.float64) * 0.1)


@triton.jit
def quotient_kernel(x, y, out, exact: tl.constexpr, block: tl.constexpr):
    at = tl.arange(0, block)
    dividend, divisor = tl.load(x + at), tl.load(y + at)
    result = tiles.quotient(dividend, tl.sqrt_rn(divisor)) if exact else dividend / tl.sqrt(divisor)
    tl.store(out + at, result)


@triton.jit
def triangle_kernel(out, blocks, count, block: tl.constexpr):
    tile = tl.program_id(0) * block + tl.arange(0, block)
    row, column = tiles.triangle(tile, blocks)
    tl.store(out + 2 * tile, row, mask=tile < count)
    tl.store(out + 2 * tile + 1, column, mask=tile < count)


STEMS = pytest.mark.parametrize("stem", CALLS)


def test_every_size_has_a_default() -> None:
    for kernel, table in configs.TABLES.items():
        assert {(0, size) for _, size in table} <= set(table), kernel


@interpreted
def test_start_runs_the_kernel() -> None:
    x = torch.arange(32.0, device=DEVICE)
    out = torch.empty_like(x)
    launch.start(scale_kernel, (2,), x, out, 16, 0.5, wide=True, block=16)
    assert torch.equal(out, x / 2)


@compiled
@pytest.mark.parametrize("wide", [True, False])
def test_addresses_of_32_bits_are_seen(wide: bool) -> None:
    x = torch.empty(2**32, device="meta")
    with aot.captured(90) as kernels:
        launch.start(scale_kernel, (2**20,), x, x, 4096, 0.5, wide=wide, block=16)
    assert bool(narrow_addresses(kernels[0].ttir)) == (not wide)


@compiled
def test_float64_is_seen() -> None:
    x = torch.empty(16, device="meta")
    with aot.captured(80) as kernels:
        launch.start(double_kernel, (1,), x, x, block=16)
    assert_sound(kernels[0], double=True)
    with pytest.raises(AssertionError, match="float64"):
        assert_sound(kernels[0])


@compiled
def test_arguments_are_specialised_as_at_a_launch() -> None:
    x, half = torch.empty(64, device="meta"), torch.empty(64, device="meta", dtype=torch.float16)
    with aot.captured(90) as kernels:
        for stride in (1, 17, 32, 48, 2**40):  # compiled in; any; multiples of 16 are one case; 64 bits
            launch.start(scale_kernel, (1,), half, x, stride, 0.5, wide=True, block=16, num_warps=1)
    one, any_number, aligned, long = (kernel.ttir.split("attributes")[0].split("@scale_kernel")[1] for kernel in kernels)
    assert "%stride" not in one and "!tt.ptr<f16> {tt.divisibility = 16" in one and "f32" in one
    assert "%stride: i32 loc" in any_number
    assert "%stride: i32 {tt.divisibility = 16" in aligned
    assert "%stride: i64 {tt.divisibility = 16" in long
    assert all(kernel.options["num_warps"] == 1 and ".reqntid 32" in kernel.ptx for kernel in kernels)
    with pytest.raises(TypeError, match="str"):
        aot.specialised(scale_kernel, x, x, "1", 0.5, wide=True, block=16)


@compiled
def test_nothing_is_left_changed() -> None:
    kept = launch.start, launch.device_of
    with pytest.raises(KeyError), aot.captured(75):
        launch.device_of(torch.empty(1, device="meta"))
    assert (launch.start, launch.device_of) == kept


@compiled
@pytest.mark.parametrize("exact", [True, False])
def test_approximate_quotients_and_roots_are_seen(exact: bool) -> None:
    """On a GPU Triton's own ``/`` and ``tl.sqrt`` are approximate; ``quotient`` and ``tl.sqrt_rn`` round to nearest."""
    x = torch.empty(32, device="meta")
    with aot.captured(90) as kernels:
        launch.start(quotient_kernel, (1,), x, x, x, exact=exact, block=32)
    found = set(re.findall(r"\b(?:div|sqrt)\.\w+", kernels[0].ptx))
    if exact:
        assert found == {"div.rn", "sqrt.rn"}
        assert_rounded(kernels[0])
    else:
        assert found == {"div.full", "sqrt.approx"}
        with pytest.raises(AssertionError, match=r"div\.full\.f32, sqrt\.approx"):
            assert_rounded(kernels[0])


@interpreted
def test_a_quotient_of_large_numbers_is_no_zero() -> None:
    x = torch.tensor([3e38, 1.0, 7.0, 1e-38], device=DEVICE)
    y = torch.tensor([2.5e38, 3.0, 49.0, 1.0], device=DEVICE).square().clamp(max=3e38)
    out = torch.empty_like(x)
    launch.start(quotient_kernel, (1,), x, y, out, exact=True, block=4)
    assert torch.equal(out.cpu(), (x.cpu() / y.cpu().sqrt()))


@interpreted
@pytest.mark.parametrize("blocks", [1, 2, 5, 8])
def test_tiles_of_a_triangle_are_each_there_once(blocks: int) -> None:
    count = blocks * (blocks + 1) // 2
    out = torch.empty(count, 2, dtype=torch.int64, device=DEVICE)
    launch.start(triangle_kernel, (triton.cdiv(count, 16),), out, blocks, count, block=16)
    assert sorted(map(tuple, out.tolist())) == [(row, column) for row in range(blocks) for column in range(row, blocks)]


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, tuple[Any, ...], dict[str, Any]]]:
    """Every kernel that is started, with its arguments and constants; none is compiled."""
    seen: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []

    def start(kernel: Any, _grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
        seen.append((kernel, arguments, options))

    monkeypatch.setattr(launch, "start", start)
    monkeypatch.setattr(launch, "device_of", lambda _x: launch.Device(90, 132))
    return seen


@STEMS
def test_nothing_is_copied_to_the_gpu(stem: str, launched: list[Any]) -> None:
    """Capturing a CUDA graph forbids copies from memory that is not pinned, and a replay would copy from what is gone."""

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, _types: Any, arguments: Any = (), named: Any = None) -> Any:
            result = function(*arguments, **(named or {}))
            tensors = [each for each in (*arguments, result) if isinstance(each, torch.Tensor)]
            assert all(each.device.type == "meta" for each in tensors), f"{function} on the CPU"
            return result

    with Watch():
        CALLS[stem](20, False)
    assert launched


@STEMS
def test_no_kernel_reads_what_is_kept_from_call_to_call(stem: str, launched: list[Any]) -> None:
    """A captured graph keeps alive what was allocated while it was captured, and nothing that was there before."""
    CALLS[stem](20, False)
    tensors = [weakref.ref(each) for _, given, _ in launched for each in given if isinstance(each, torch.Tensor)]
    assert tensors
    launched.clear()
    assert not [each for each in tensors if each() is not None]


@compiled
@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels_last"])
@STEMS
def test_sizes_compile_few_kernels(stem: str, last: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes between two powers of two, with the same constants and tensors: with and without vectors along each axis, at most.

    A map has one axis that is read in vectors; WCT's affine maps have the matrix's rows beside it, relations have none.
    """
    sources: dict[str, set[str]] = defaultdict(set)

    def note(source: Any, settings: Any, _capability: int, _grid: Any, options: dict[str, Any]) -> None:
        kinds = [kind if kind.startswith("*") or kind == "constexpr" else "number" for kind in source.signature.values()]
        sources[f"{source.name} {sorted(options.items())} {kinds} {settings}"].add(source.hash())

    monkeypatch.setattr(aot, "compiled", note)
    with aot.captured(90):
        for n in (68, 69, 70, 72, 75, 80, 96, 111, 112, 115):
            CALLS[stem](n, last)
    most = {name: len(hashes) for name, hashes in sources.items()}
    assert max(most.values()) <= {"relation": 1, "wct": 4}.get(stem, 2), most


@compiled
@pytest.mark.parametrize("n", [1, 2])
@STEMS
def test_sizes_of_one_compile(stem: str, n: int) -> None:
    """An integer that is 1 is compiled in, and no tensor then: what kernels do to sizes must be right for both."""
    with aot.captured(80) as kernels:
        CALLS[stem](n, False)
    for kernel in kernels:
        assert_rounded(kernel)


@compiled
@STEMS
def test_kernels_are_specialised_as_at_a_launch(stem: str, launched: list[Any]) -> None:
    """What is compiled ahead of time has the signature that Triton itself would choose."""
    backend = make_backend(GPUTarget("cuda", 90, 32))
    for n in (1, 16, 21):
        CALLS[stem](n, False)
    for kernel, arguments, options in launched:
        bind: Callable[..., Any] = create_function_from_signature(kernel.signature, kernel.params, backend)
        constants = {name: value for name, value in options.items() if name in kernel.arg_names}
        _, chosen, _ = bind(*arguments, **constants)
        source, _ = aot.specialised(kernel, *arguments, **options)
        assert list(source.signature.values()) == [kind for kind, _ in chosen]
        wide = {place for (place,), _ in source.attrs.items()}
        assert wide == {place for place, (_, said) in enumerate(chosen) if said == "D"}, kernel
