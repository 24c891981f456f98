"""fastnst among the runtimes that stylize: the engine in this process, its command and its executable."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from fastnst.system.child import python_module

from .. import pictures
from .jobs import Job, Run, keep


def prepare_fastnst(folder: Path, _style: str) -> None:
    """Convert the trained network, unless a model file of the engine is given."""

    def convert_network(target: Path) -> None:
        from fastnst.convert import convert

        source, pictures = folder / "source.safetensors", calibration_folder(folder)
        convert(source, pictures, target, name="benchmark", overwrite=True, keep_dead=True)  # as all runtimes

    keep(folder / "source.fnst", convert_network)


def calibration_folder(folder: Path) -> Path:
    """The calibration pictures as files."""
    from PIL import Image

    root = folder / "calibration"
    for i, pair in enumerate(pictures.calibration()):
        for kind, pixels in zip(("content", "style"), pair, strict=True):
            (root / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / kind / f"{i}.png")
    return root


def load_fastnst(job: Job) -> Run:
    from fastnst.engine import Engine, instruction_set

    engine = Engine(job.folder / "source.fnst")
    job.details["instruction set"] = instruction_set()
    content, style = job.pixels()
    threads = job.threads
    if job.style == "given":
        return lambda: engine.decode(engine.encode(content, threads), engine.look(style, threads), threads=threads)
    look = engine.look(style, threads)
    return lambda: engine.decode(engine.encode(content, threads), look, threads=threads)


def load_command(job: Job, program: list[str], suffix: str) -> Run:
    """A command that reads and writes picture files; the time includes the start of its process."""
    import subprocess

    from PIL import Image

    files = [job.folder / f"{name}-{job.size}{suffix}" for name in ("content", "style", "made")]
    for file, pixels in zip(files, job.pixels(), strict=False):
        Image.fromarray(pixels).save(file)
    options = ["-o", files[2], "--overwrite", "--threads", str(job.threads)]

    def run() -> Any:
        subprocess.run([*program, *files[:2], *options], check=True, capture_output=True)  # type: ignore[list-item]
        return np.asarray(Image.open(files[2]))

    return run


def load_fastnst_command(job: Job) -> Run:
    return load_command(job, python_module("fastnst", "stylize", "--model", str(job.folder / "source.fnst")), ".png")


def load_fastnst_executable(job: Job) -> Run:
    program = Path(sys.executable).with_name("fastnst-stylize")
    return load_command(job, [str(program), str(job.folder / "source.fnst")], ".ppm")
