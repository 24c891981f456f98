"""The least cost of the network, in multiply-adds and bytes, and the measured int8 peak of this machine.

The model counts the *direct* network: every convolution as published, upsampled layers on their large maps. An engine that
needs fewer multiplications (four 2x2 convolutions instead of a 3x3 on an upsampled map, Winograd) can therefore exceed 100 %.
``python -m bench.stylize.roofline`` prints the figures of the default network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import network

SOURCE = Path(__file__).with_name("peak.cpp")
PROBES = 3


@dataclass(frozen=True)
class Step:
    """A convolution with its sizes. Input pixels are counted before upsampling, output pixels after pooling."""

    macs: int
    input_values: int
    output_values: int


def steps(net: network.Network, size: int, style: str) -> Iterator[Step]:
    """All convolutions for one ``size`` x ``size`` picture: two encoders, or one if the style is cached, and the decoder."""
    for _ in range(2 if style == "given" else 1):
        yield from chain(net.encoder, size)
    yield from chain(net.decoder, size // 8)


def chain(convs: Sequence[network.Conv], side: int) -> Iterator[Step]:
    for conv in convs:
        outputs, inputs, kernel, _ = conv.weights.shape
        input_values = inputs * side**2
        side *= 2 if conv.upsample else 1
        macs = outputs * inputs * kernel**2 * side**2
        side //= 2 if conv.pool else 1
        yield Step(macs, input_values, outputs * side**2)


def macs(net: network.Network, size: int, style: str) -> int:
    """Multiply-adds of the convolutions; everything else is below one percent of them."""
    return sum(step.macs for step in steps(net, size, style))


def layerwise_bytes(net: network.Network, size: int, style: str) -> int:
    """Bytes that are moved if each layer reads its 8-bit input and writes its 8-bit output, with everything else fused."""
    return sum(step.input_values + step.output_values for step in steps(net, size, style))


def least_bytes(net: network.Network, size: int, style: str) -> int:
    """Bytes no engine can avoid: pictures in and out and the 8-bit weights, once."""
    pictures = 3 if style == "given" else 2
    return pictures * 3 * size**2 + sum(conv.weights.size for _, conv in net.named())


# --- the machine ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Peak:
    """Measured limits for a number of threads.

    Attributes:
        macs_per_second: 8-bit multiply-adds, or None with the reason in ``note``.
        bytes_per_second: reading memory.
        note: the instruction that was measured, or why there is no figure.
    """

    threads: int
    macs_per_second: float | None
    bytes_per_second: float | None
    note: str


def build_probe(folder: Path) -> Path:
    """Compile ``peak.cpp`` into ``folder``.

    Raises:
        FileNotFoundError: there is no C++ compiler, or no ``peak.cpp``: it is not installed.
        subprocess.CalledProcessError: it does not compile here.
    """
    compiler = os.environ.get("CXX") or next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
    if compiler is None:
        raise FileNotFoundError("no C++ compiler found")
    if not SOURCE.exists():
        raise FileNotFoundError(f"{SOURCE.name} is not installed")
    program = folder / "peak"
    command = [compiler, "-O3", "-std=c++17", "-pthread", SOURCE, "-o", program]
    subprocess.run(command, check=True, capture_output=True, text=True)  # type: ignore[arg-type]
    return program


def measure(threads: int, wait: Callable[[], None] = lambda: None, instruction_set: str = "") -> Peak:
    """Compile the probe, run it a few times, each after ``wait``, and return the best of every figure.

    With ``instruction_set``, one of the engine's, only its instructions are measured.

    If the machine or the compiler cannot do it, the `Peak` has no figures, and its note says why.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            program = build_probe(Path(folder))
            outcomes = [run_probe(program, threads, wait, instruction_set) for _ in range(PROBES)]
        except subprocess.CalledProcessError as error:
            return Peak(threads, None, None, f"no int8 roofline measured: {error.stderr.strip() or 'the probe failed'}")
        except (OSError, subprocess.SubprocessError) as error:
            return Peak(threads, None, None, f"no int8 roofline measured: {error}")
    speed = max(outcome["bytes_per_second"] for outcome in outcomes)
    instruction = outcomes[0]["instruction"]
    if instruction is None:
        return Peak(threads, None, speed, "no int8 roofline measured: the probe knows no 8-bit multiply-add of this processor")
    return Peak(threads, max(outcome["macs_per_second"] for outcome in outcomes), speed, instruction)


def run_probe(program: Path, threads: int, wait: Callable[[], None], instruction_set: str) -> dict[str, Any]:
    """Run the probe and parse its output."""
    wait()
    command = [str(program), str(threads), instruction_set]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
    facts: dict[str, Any] = json.loads(output)
    return facts


def main() -> None:
    """Print the default network's costs and this machine's limits."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.safetensors"
        network.save_random(path)
        net = network.from_file(path)
    for size in (256, 512, 1024):
        for style in ("given", "cached"):
            cost = macs(net, size, style) / 1e9, layerwise_bytes(net, size, style) / 1e6, least_bytes(net, size, style) / 1e6
            print("{} px, style {}: {:.1f} GMAC, {:.0f} MB layer by layer, {:.1f} MB at least".format(size, style, *cost))
    for threads in (1, 2):
        print(measure(threads))


if __name__ == "__main__":
    main()
