"""The shipped model in a tab of Chromium: fastnst's WebAssembly and ONNX Runtime's, one thread each, in turn.

ONNX Runtime's package is fetched with npm. It runs the float network of the model, and the same quantised by ONNX Runtime's own
tools.
"""

from __future__ import annotations

import functools
import http.server
import shutil
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import pictures
from ..interleave import busy_seconds, wait_until_quiet
from ..machine import cores, system
from ..stylize import campaign, network, peers_onnxruntime

RIVAL = "onnxruntime-web@1.30.0"
SIZES, ROUNDS, LESS_ROUNDS = (256, 512), 7, 3
WEB = Path(__file__).resolve().parents[2] / "web"
ALLOWED_SHARE = 0.3
"""The share of the cores that the browser's other processes may use."""


@dataclass(frozen=True)
class Case:
    """The side of a picture in pixels."""

    size: int

    @property
    def name(self) -> str:
        return f"{self.size} x {self.size}"


@dataclass
class Result:
    """Seconds of every sample by contender, and the share of the cores in use beyond one core."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    foreign_share: float = 0.0


def cases(quick: bool) -> list[Case]:
    return [Case(size) for size in (SIZES[-1:] if quick else SIZES)]


def lacking() -> str:
    """What is needed and missing on this machine; empty if nothing is."""
    if browser() is None:
        return "chromium is not installed"
    if not (WEB / "fastnst.wasm").exists():
        return "`make web` has not been run"
    return "" if shutil.which("npm") else "npm is not installed"


def browser() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Files(http.server.SimpleHTTPRequestHandler):
    """Serves pages with cross-origin isolation, which have finer clocks."""

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def prepare(folder: Path, sizes: list[int]) -> None:
    """Write all files that the page loads to ``folder``."""
    subprocess.run(["npm", "pack", "--silent", RIVAL], check=True, cwd=folder, stdout=subprocess.DEVNULL)
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    (folder / "package" / "dist").rename(folder / "ort")
    (folder / "web").symlink_to(WEB, target_is_directory=True)
    for file in Path(__file__).parent.glob("page.*"):
        shutil.copy(file, folder)
    network.from_file(campaign.SHIPPED).save(folder / "network.npz")
    peers_onnxruntime.prepare_onnx(folder, "given")
    peers_onnxruntime.prepare_onnxruntime_int8(folder, "given")
    for size in sizes:
        for name, picture in zip(("content", "style"), pictures.pair(size), strict=True):
            opaque = np.full(picture.shape[:2], 255, np.uint8)
            (folder / f"{name}-{size}").write_bytes(np.dstack([picture, opaque]).tobytes())


@contextmanager
def tab(sizes: list[int]) -> Iterator[Any]:
    """A page with the contenders, in a tab of Chromium."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as scratch:
        prepare(Path(scratch), sizes)
        handler = functools.partial(Files, directory=scratch)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, sync_playwright() as play:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            opened = play.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
            page = opened.new_page()
            page.set_default_timeout(0)
            page.goto(f"http://127.0.0.1:{server.server_port}/page.html")
            page.wait_for_function("window.prepare !== undefined")
            yield page
            opened.close()
            server.shutdown()


def measure(page: Any, case: Case, rounds: int, patience: float) -> Result:
    """Measure the contenders in turn, after a first round that only warms up."""
    names, result = page.evaluate("size => window.prepare(size)", case.size), Result()
    wait_until_quiet(patience)
    busy, started = busy_seconds(), time.monotonic()
    for number in range(rounds + 1):
        for name in names:
            seconds = page.evaluate("name => window.sample(name)", name)
            if number:
                result.seconds.setdefault(name, []).append(seconds)
    used = (busy_seconds() - busy) / (time.monotonic() - started)
    result.foreign_share = max(0.0, used - 1 - ALLOWED_SHARE) / cores()
    return result


def facts(page: Any, case: Case, name: str, result: Result) -> dict[str, Any]:
    """The facts about a contender, for the JSON file."""
    best = min(float(np.median(result.seconds[each])) for each in result.seconds if each.startswith("onnxruntime"))
    return {
        "case": case.name,
        "contender": name,
        "threads": 1,
        "browser": page.context.browser.version,
        "rival": RIVAL,
        "beside_best_rival": best / float(np.median(result.seconds[name])),
        "visits_seconds": result.seconds[name],
        "foreign_share": result.foreign_share,
        **system(),
    }
