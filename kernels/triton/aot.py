"""Compiles kernels ahead of time, for GPUs that need not be present. This is the only file that uses ``ASTSource``.

The formats of its signature and attributes have been the same since Triton 3.3; this was tested with 3.6, 3.7 and 3.9.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from fastnst.kernels.triton import launch

POINTERS = {"float64": "*fp64", "float32": "*fp32", "bfloat16": "*bf16", "float16": "*fp16", "int32": "*i32", "int64": "*i64"}
PROCESSORS = {80: 108, 90: 132}
"""Streaming multiprocessors of an A100 and an H100 or H200, on which the choice of kernels depends."""


@dataclass(frozen=True)
class Compiled:
    """One kernel for one GPU."""

    name: str
    capability: int
    grid: tuple[int, ...]
    options: Mapping[str, Any]
    ttir: str
    """Triton's intermediate representation: tiles, before any GPU is considered."""
    ptx: str
    shared: int
    """Bytes of shared memory of a program."""
    registers: int
    """Registers of a thread."""
    local: int
    """Bytes of a thread's stack and spilt registers."""


@contextmanager
def captured(capability: int) -> Iterator[list[Compiled]]:
    """In this context, kernels that would be launched on tensors of the device ``meta`` are compiled for ``capability``, not
    run.

    ``with captured(90) as kernels: adain.channel_stats(torch.empty(1, 64, 512, 512, device="meta"), 1e-5)`` fills ``kernels``
    with the kernels that the backend would have run on such a tensor, options and specialisations included, each once.
    """
    kernels: list[Compiled] = []
    seen: set[str] = set()

    def start(kernel: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
        source, settings = specialised(kernel, *arguments, **options)
        key = f"{source.hash()} {settings}"
        if key not in seen:
            seen.add(key)
            kernels.append(compiled(source, settings, capability, grid, options))

    def device_of(x: Tensor) -> launch.Device:  # noqa: ARG001
        return launch.Device(capability, PROCESSORS[capability])

    kept = launch.start, launch.device_of
    launch.start, launch.device_of = start, device_of
    try:
        yield kernels
    finally:
        launch.start, launch.device_of = kept


def specialised(kernel: Any, *arguments: Any, **options: Any) -> tuple[ASTSource, dict[str, Any]]:
    """``kernel`` with the types and properties of arguments that ``launch.start`` would show Triton; its other options."""
    names = list(kernel.arg_names)
    values = dict(zip(names, arguments, strict=False)) | {name: options[name] for name in names if name in options}
    constants: dict[str, Any] = {}
    signature: dict[str, str] = {}
    divisible: dict[tuple[int, ...], list[list[Any]]] = {}
    for index, parameter in enumerate(kernel.params):
        name, value = parameter.name, values[parameter.name]
        whole = isinstance(value, int) and not isinstance(value, bool)
        # An integer that is 1 is compiled in, as at a launch.
        if parameter.is_constexpr or value is None or (whole and value == 1 and not parameter.do_not_specialize):
            constants[name], signature[name] = value, "constexpr"
            continue
        signature[name] = _type(value)
        if whole and parameter.do_not_specialize:
            continue
        address = value.data_ptr() if isinstance(value, Tensor) else value
        if isinstance(address, int) and not isinstance(value, bool) and address % 16 == 0:
            divisible[(index,)] = [["tt.divisibility", 16]]
    settings = {name: value for name, value in options.items() if name not in names} | {"enable_fp_fusion": True}
    return ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=divisible), settings


def compiled(
    source: ASTSource, settings: dict[str, Any], capability: int, grid: tuple[int, ...], options: Mapping[str, Any]
) -> Compiled:
    """The result of Triton's compiler; ``grid`` and ``options`` are only noted."""
    done = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=settings)
    registers, local = _resources(done.asm["cubin"])
    return Compiled(
        name=source.name,
        capability=capability,
        grid=grid,
        options=options,
        ttir=done.asm["ttir"],
        ptx=done.asm["ptx"],
        shared=done.metadata.shared,
        registers=registers,
        local=local,
    )


def _type(value: Any) -> str:
    if isinstance(value, Tensor):
        return POINTERS[str(value.dtype).removeprefix("torch.")]
    if isinstance(value, bool):
        return "u1"
    if isinstance(value, int):
        return "i32" if -(2**31) <= value < 2**31 else "i64"
    if isinstance(value, float):
        return "fp32"
    raise TypeError(f"a kernel takes tensors, bools, ints and floats, not {type(value)}")


def _resources(cubin: bytes) -> tuple[int, int]:
    """Registers and bytes of local memory per thread, as NVIDIA's own tool reads them; spills are not visible in PTX."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        command = [triton.knobs.nvidia.cuobjdump.path, "--dump-resource-usage", str(path)]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = {name: int(value) for name, value in re.findall(r"\b(REG|STACK|LOCAL):(\d+)", text)}
    return found["REG"], found["STACK"] + found["LOCAL"]
