"""What this machine offers, and what a model holds: the facts that ``fastnst info`` and ``fastnst models`` print."""

from __future__ import annotations

import importlib.util
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import fastnst
from fastnst import engine
from fastnst.format import reading
from fastnst.stylize import find_model


def facts() -> list[tuple[str, str]]:
    """Names and values, ready to print. Imports torch where it is installed: only torch can say whether CUDA works."""
    sets = engine.instruction_sets()
    return [
        ("fastnst", fastnst.__version__),
        ("models", ", ".join(model.name for model in fastnst.models()) or "none"),
        ("instruction set", engine.instruction_set()),
        ("can run", ", ".join(name for name, runs in sets if runs)),
        ("cannot run", ", ".join(name for name, runs in sets if not runs) or "none"),
        ("threads", str(engine.default_threads())),
        ("processor", _processor()),
        ("system", f"{platform.system()} {platform.release()} on {platform.machine()}"),
        ("python", platform.python_version()),
        *((package, _installed(package)) for package in ("numpy", "pillow", "torch", "triton")),
        ("cuda", _cuda()),
    ]


def described(model: str | Path) -> dict[str, Any]:
    """Path, bytes, kind, how many styles it has if it has some, card and layers (:func:`fastnst.format.reading.layers`) of a
    shipped model or a file.

    Raises:
        ModelError: there is no such model, or it is damaged.
    """
    path = find_model(model)
    styles = engine.Engine(path).styles  # which refuses what is damaged
    content = reading.read(path)
    facts = {"path": str(path), "bytes": path.stat().st_size, "kind": reading.KINDS[type(content)]}
    facts |= {"styles": styles} if styles else {}
    return facts | {"card": content.card, "layers": list(reading.layers(content))}


def _processor() -> str:
    """Its name, where the system says; elsewhere its family."""
    names = Path("/proc/cpuinfo")
    lines = names.read_text().splitlines() if names.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _cuda() -> str:
    if importlib.util.find_spec("torch") is None:
        return "needs torch"
    try:
        import torch
    except Exception as error:  # a torch that does not load must not hide the other facts
        return f"torch does not load: {error}"
    if torch.version.cuda is None:
        return "not in this build of torch"
    if not torch.cuda.is_available():
        return f"{torch.version.cuda}, no device"
    devices = (torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    return f"{torch.version.cuda}, {', '.join(devices)}"
