"""The npm package, run by node: its WebAssembly modules, and pictures to and from them."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "web"
JOBS = ROOT / "tests" / "web" / "jobs.mjs"
THREADS = {"fastnst.wasm": 1, "fastnst-scalar.wasm": 1, "fastnst-threads.wasm": 4}
THREADS |= {"fastnst-relaxed.wasm": 1, "fastnst-relaxed-threads.wasm": 4}
"""The modules, and how many threads each is tested with."""
MODULES = tuple(THREADS)


def lacking() -> str | None:
    """What is not here of what it needs, in one line; None if nothing is missing."""
    if shutil.which("node") is None:
        return "node is not installed: nothing of the web is checked"
    if not all((WEB / name).exists() for name in MODULES):
        return "`make web` has built no WebAssembly: nothing of it is checked"
    return None


@functools.cache
def has_relaxed() -> bool:
    """Whether this node has relaxed vectors, as version 20 has behind a flag."""
    program = f"""
      import {{ setFlagsFromString }} from "node:v8";
      import {{ hasRelaxed }} from "{WEB / "engine.js"}";
      setFlagsFromString("--experimental-wasm-relaxed-simd");
      process.exit(hasRelaxed() ? 0 : 1);
    """
    return subprocess.run(["node", "--input-type=module", "--eval", program], stderr=subprocess.DEVNULL).returncode == 0


def runs(module: str) -> bool:
    """Whether this node has what a module needs."""
    return "relaxed" not in module or has_relaxed()


def rgba(picture: Pixels) -> Pixels:
    """A picture as pages have it: what is RGB is opaque."""
    height, width, channels = picture.shape
    return picture if channels == 4 else np.dstack([picture, np.full((height, width), 255, np.uint8)])


def given(picture: Pixels) -> dict[str, Any]:
    """A picture as JSON."""
    height, width, _ = picture.shape
    return {"width": width, "height": height, "rgba": base64.b64encode(rgba(picture).tobytes()).decode()}


def digest(picture: Pixels) -> str:
    """The SHA-256 that node says of a picture."""
    return hashlib.sha256(rgba(picture).tobytes()).hexdigest()


def run(folder: Path, *jobs: dict[str, Any]) -> list[dict[str, Any]]:
    """What node says of each job; ``folder`` is where it runs, and keeps the jobs."""
    file = folder / "jobs.json"
    file.write_text(json.dumps(jobs))
    command = ["node", str(JOBS), str(WEB / "node.js"), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, cwd=folder)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
