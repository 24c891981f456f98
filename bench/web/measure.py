"""The shipped model in a tab of Chromium: fastnst's WebAssembly and ONNX Runtime's, with as many threads each, in turn; and how
soon the page of ``web/desk`` shows its first picture, and with how many bytes.

ONNX Runtime's package is fetched with npm. It runs the graphs that ``fastnst export`` writes, in float numbers and in 8 bits.
"""

from __future__ import annotations

import functools
import http.server
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from .. import pictures
from ..interleave import busy_seconds, wait_until_quiet
from ..machine import cores, system

RIVAL, MODEL = "onnxruntime-web@1.30.0", "adain-16x"
SIZES, THREADS, ROUNDS, LESS_ROUNDS = (256, 512), (1, 2), 7, 3
FAST, SIMD128, SCALAR = "fastnst", "fastnst, simd128", "fastnst, scalar"
RIVALS = ("onnxruntime-web, float32", "onnxruntime-web, int8")
WEB = Path(__file__).resolve().parents[2] / "web"
ALLOWED_SHARE = 0.3
"""The share of the cores that the browser's other processes may use."""


@dataclass(frozen=True)
class Case:
    """The side of a picture in pixels, and how many threads every contender has."""

    size: int
    threads: int

    @property
    def name(self) -> str:
        return f"{self.size} x {self.size}, {self.threads} thread{'s' * (self.threads > 1)}"

    @property
    def contenders(self) -> tuple[str, ...]:
        slow = [SCALAR] if self.threads == 1 and self.size == min(SIZES) else []
        return (FAST, SIMD128, *slow, *RIVALS)


@dataclass
class Result:
    """Seconds of every sample by contender, and the share of the cores in use beyond one core."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    foreign_share: float = 0.0


def cases(quick: bool) -> list[Case]:
    return [Case(size, threads) for size in (SIZES[-1:] if quick else SIZES) for threads in THREADS]


def lacking() -> str:
    """What is needed and missing on this machine; empty if nothing is."""
    if browser() is None:
        return "chromium is not installed"
    if not (WEB / "fastnst.wasm").exists():
        return "`make web` has not been run"
    if any(find_spec(name) is None for name in ("playwright", "onnx", "skimage")):
        return "one of playwright, onnx and scikit-image is not installed"
    return "" if shutil.which("npm") else "npm is not installed"


def browser() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Server(http.server.ThreadingHTTPServer):
    """Counts the bytes of files that it has sent."""

    daemon_threads = True
    sent = 0


class Files(http.server.SimpleHTTPRequestHandler):
    """Serves pages with cross-origin isolation, which have threads and finer clocks."""

    server: Server

    def send_header(self, keyword: str, value: str) -> None:
        if keyword == "Content-Length":
            self.server.sent += int(value)
        super().send_header(keyword, value)

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
    for name, options in (("float32", []), ("int8", ["--qdq"])):
        command = [sys.executable, "-m", "fastnst", "export", MODEL, *options, "-o", str(folder / f"{name}.onnx")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for size in sizes:
        for name, picture in zip(("content", "style"), pictures.pair(size), strict=True):
            opaque = np.full(picture.shape[:2], 255, np.uint8)
            (folder / f"{name}-{size}").write_bytes(np.dstack([picture, opaque]).tobytes())


@dataclass
class Site:
    """Chromium, and the pages that it is to open."""

    browser: Any
    server: Server
    tabs: dict[int, Any] = field(default_factory=dict)
    instruction_set: str = ""  # that fastnst takes in this browser

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def tab(self, threads: int) -> Any:
        """A page with the contenders: ONNX Runtime's number of threads is its page's."""
        if threads not in self.tabs:
            page = self.tabs[threads] = self.browser.new_page()
            page.set_default_timeout(0)
            page.goto(f"{self.address}/page.html?threads={threads}")
            page.wait_for_function("window.prepare !== undefined")
        return self.tabs[threads]


@contextmanager
def site(sizes: list[int]) -> Iterator[Site]:
    """Everything that is measured, behind a server of files."""
    from playwright.sync_api import sync_playwright

    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        prepare(Path(scratch), sizes)
        handler = functools.partial(Files, directory=scratch)
        server = stack.enter_context(Server(("127.0.0.1", 0), handler))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        play = stack.enter_context(sync_playwright())
        opened = play.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        stack.callback(opened.close)
        yield Site(opened, server)


def measure(site: Site, case: Case, rounds: int, patience: float) -> Result:
    """Measure the contenders in turn, after a first round that only warms up."""
    page, result = site.tab(case.threads), Result()
    page.evaluate("([size, threads]) => window.prepare(size, threads)", [case.size, case.threads])
    site.instruction_set = page.evaluate("window.instructionSet")
    wait_until_quiet(patience)
    busy, started = busy_seconds(), time.monotonic()
    for number in range(rounds + 1):
        for name in case.contenders:
            seconds = page.evaluate("name => window.sample(name)", name)
            if number:
                result.seconds.setdefault(name, []).append(seconds)
    used = (busy_seconds() - busy) / (time.monotonic() - started)
    result.foreign_share = max(0.0, used - case.threads - ALLOWED_SHARE) / cores()
    return result


# When the page has painted, in its own time, which begins with its navigation.
PAINTED = """new MutationObserver((_, observer) => {
  if (!document.body?.dataset.painted) return;
  window.seconds = performance.now() / 1000;
  observer.disconnect();
}).observe(document, { subtree: true, childList: true, attributes: true })"""


def first_picture(site: Site) -> tuple[float, int]:
    """Seconds from a page that was never loaded to its first picture, and the bytes of the files that were sent for it."""
    context = site.browser.new_context(service_workers="block")  # which fetch once more what is kept for later
    page = context.new_page()
    page.add_init_script(PAINTED)
    sent = site.server.sent
    page.goto(f"{site.address}/web/desk/index.html", wait_until="domcontentloaded")  # a click before is not heard
    page.click("#try")
    page.wait_for_selector("body[data-painted]")
    seconds = float(page.evaluate("window.seconds"))
    context.close()
    return seconds, site.server.sent - sent


def facts(site: Site, case: Case, name: str, result: Result) -> dict[str, Any]:
    """The facts about a contender, for the JSON file."""
    best = min(float(np.median(result.seconds[each])) for each in RIVALS)
    return common(site, result.seconds[name]) | {
        "case": case.name,
        "contender": name,
        "threads": case.threads,
        "beside_best_rival": best / float(np.median(result.seconds[name])),
        "foreign_share": result.foreign_share,
    }


def common(site: Site, seconds: list[float]) -> dict[str, Any]:
    """The facts of every row."""
    told = {"browser": site.browser.version, "instruction_set": site.instruction_set, "rival": RIVAL}
    return told | {"visits_seconds": seconds, **system()}
