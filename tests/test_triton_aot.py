"""What the tests of compiled kernels rest on: that they see what is wrong, and that what is compiled is what is launched."""

from __future__ import annotations

import pytest
import torch
import triton
import triton.language as tl
from compiled import assert_sound, narrow_addresses
from interpreted import DEVICE, compiled, interpreted

from fastnst.kernels.triton import aot, configs, launch


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
