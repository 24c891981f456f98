"""The page in a real browser: what is chosen, dropped and stopped, and that nothing is asked of any other computer."""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import io
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import fastnst
from fastnst import verify
from fastnst.cli.commands.ui import ISOLATED, PageServer

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the page is not checked")

WEB = Path(__file__).resolve().parents[2] / "web"
EXAMPLE = WEB.parent / "examples" / "photo2painting.fnst"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
PATIENCE = 120_000
Pixels = NDArray[np.uint8]

if CHROMIUM is None:
    pytest.skip("chromium is not installed: the page is not checked", allow_module_level=True)
if not (WEB / "fastnst.wasm").exists():
    pytest.skip("`make web` has built no WebAssembly: the page is not checked", allow_module_level=True)


class Files(http.server.SimpleHTTPRequestHandler):
    """The folder web/ as any static host would serve it."""

    def end_headers(self) -> None:
        for name, value in self.server.headers.items():  # type: ignore[attr-defined]
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def served(headers: dict[str, str]) -> Iterator[str]:
    handler = functools.partial(Files, directory=str(WEB))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.headers = headers  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with served({}) as address:
        yield address


@pytest.fixture(scope="module")
def isolated_site() -> Iterator[str]:
    """Where pages may share memory with their workers."""
    with served(ISOLATED) as address:
        yield address


@pytest.fixture(scope="module")
def play() -> Iterator[Any]:
    with playwright.sync_playwright() as play:
        yield play


@pytest.fixture(scope="module")
def browser(play: Any) -> Iterator[Any]:
    with closing(play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *CAMERA])) as browser:
        yield browser


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page whose errors fail the test, and whose requests are kept in ``page.asked``."""
    context = browser.new_context(viewport={"width": 1200, "height": 860}, permissions=["camera"])
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.asked, wrong = [], []
    context.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(f"{error}"))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    assert wrong == []


def png(picture: Pixels) -> dict[str, Any]:
    """A file that a person would choose."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return {"name": "picture.png", "mimeType": "image/png", "buffer": file.getvalue()}


def painted(page: Any, times: int) -> None:
    """Wait until so many pictures have been made, or more: the camera does not wait to be looked at."""
    end = time.monotonic() + PATIENCE / 1000
    while int(page.get_attribute("body", "data-painted") or 0) < times:
        assert time.monotonic() < end, page.inner_text("#message")
        page.wait_for_timeout(50)


def result(page: Any) -> str:
    """SHA-256 of the picture's RGBA bytes."""
    pixels = page.evaluate(
        """() => {
          const canvas = document.getElementById("after");
          return Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data);
        }"""
    )
    return hashlib.sha256(bytes(pixels)).hexdigest()


def sha256(picture: Pixels) -> str:
    """Of its RGBA bytes."""
    return hashlib.sha256(np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)]).tobytes()).hexdigest()


def wanted(content: Pixels, style: Pixels, model: str = "adain-16x", **options: Any) -> str:
    return sha256(fastnst.Stylizer(model)(content, style, **options))


def large(picture: Pixels) -> Pixels:
    """As large as the page shows a painting to the network, so that it scales nothing."""
    return np.asarray(Image.fromarray(picture).resize((512, 512), Image.Resampling.NEAREST))


CONTENT, STYLE = verify.picture(90, 120, seed=1), large(verify.picture(64, 64, seed=2))
PAINTING = verify.picture(90, 120, seed=2)


def test_chosen_files_are_painted_with_the_native_bytes_and_no_other_host_is_asked(page: Any, site: str) -> None:
    page.goto(f"{site}/desk/index.html")
    page.set_input_files("#painting", [png(STYLE)])
    page.set_input_files("#photo", [png(CONTENT)])
    painted(page, 1)
    assert result(page) == wanted(CONTENT, STYLE)
    for times, mode in enumerate(("luma", "lab", "match", "histogram"), start=2):
        page.select_option("#preserve", mode)
        painted(page, times)
        assert result(page) == wanted(CONTENT, STYLE, preserve_color=mode)
    assert {url.split("/")[2] for url in page.asked if url.startswith("http")} == {site.split("/")[2]}


def mask_of(page: Any) -> Pixels:
    """What the brush has left of the selected region, [H, W]."""
    height, width, values = page.evaluate(
        """() => {
          const canvas = document.querySelector("#masks canvas.selected");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return [canvas.height, canvas.width, Array.from(data).filter((_, i) => i % 4 === 3)];
        }"""
    )
    return np.array(values, np.uint8).reshape(height, width)


def test_a_region_painted_with_the_brush_has_the_native_bytes_and_is_taken_back(page: Any, site: str) -> None:
    page.goto(f"{site}/desk/index.html")
    page.set_input_files("#painting", [png(STYLE)])
    page.set_input_files("#photo", [png(CONTENT)])
    painted(page, 1)
    page.click("#regions")
    other = large(verify.picture(64, 64, seed=9))
    page.set_input_files("#painting", [png(other)])  # for the region, for that is selected
    painted(page, 2)
    assert result(page) == wanted(CONTENT, STYLE)  # nothing is painted over yet
    box = page.locator("#masks").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    painted(page, 3)
    mask = mask_of(page)
    assert mask.shape == CONTENT.shape[:2]
    assert mask[22, 30] == 255
    assert mask[80, 110] == 0
    assert result(page) == wanted(CONTENT, STYLE, regions=[(mask, other)])
    page.check("#keep-rest")
    painted(page, 4)
    assert result(page) == sha256(fastnst.Stylizer("adain-16x")(CONTENT, regions=[(mask, other)]))
    page.uncheck("#keep-rest")
    painted(page, 5)
    page.click("#undo")
    painted(page, 6)
    assert not mask_of(page).any()
    assert result(page) == wanted(CONTENT, STYLE)


def test_regions_are_painted_by_keys_alone(page: Any, site: str) -> None:
    page.goto(f"{site}/desk/index.html")
    page.set_input_files("#painting", [png(STYLE)])
    page.set_input_files("#photo", [png(CONTENT)])
    painted(page, 1)
    page.focus("#regions")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    painted(page, 2)
    first = mask_of(page)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    painted(page, 3)
    assert np.count_nonzero(mask_of(page)) > np.count_nonzero(first) > 0
    page.keyboard.press("Control+z")
    painted(page, 4)
    np.testing.assert_array_equal(mask_of(page), first)
    assert page.input_value("#compare") == "0"
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    assert page.input_value("#compare") == "5"


def test_a_file_that_is_no_picture_is_one_line_and_changes_nothing(page: Any, site: str) -> None:
    page.goto(f"{site}/desk/index.html")
    page.set_input_files("#photo", [{"name": "letter.txt", "mimeType": "image/png", "buffer": b"Dear Sir"}])
    page.wait_for_selector("#message.wrong")
    assert page.inner_text("#message") == "letter.txt This is no picture that the browser can read."
    assert page.get_attribute("body", "data-painted") is None


def stopped(page: Any, site: str) -> None:
    """The page, once a large picture was begun and stopped on it."""
    page.goto(f"{site}/desk/index.html")
    page.set_input_files("#painting", [png(STYLE)])
    page.set_input_files("#photo", [png(np.full((3000, 4000, 3), 99, np.uint8))])  # nobody sees what is in it
    page.click("#stop")
    page.wait_for_selector("#stop", state="hidden")


def test_stop_stops_and_the_next_picture_is_right(page: Any, site: str) -> None:
    stopped(page, site)
    assert page.inner_text("#message") == "Stopped."
    page.set_input_files("#photo", [png(CONTENT)])
    painted(page, 1)
    assert result(page) == wanted(CONTENT, STYLE)


def test_the_camera_is_painted_until_it_is_stopped(page: Any, site: str) -> None:
    page.goto(f"{site}/desk/index.html")
    page.click("#camera")
    painted(page, 2)
    page.click("#camera")
    assert page.get_attribute("#camera", "aria-pressed") == "false"


MADE = """async ([jobs, size, ...pictures]) => {
  const { Fastnst } = await import("/fastnst.js");
  const bytes = (text) => Uint8ClampedArray.from(atob(text), (letter) => letter.charCodeAt(0));
  const [content, style] = pictures.map((rgba) => ({ ...size, data: bytes(rgba) }));
  const made = [];
  for (const [model, threads, module] of jobs) {
    const wasm = module ? `/${module}.wasm` : undefined;
    const fastnst = await Fastnst.load(model, { threads: threads ?? undefined, wasm });
    const { data } = await fastnst.stylize(content, fastnst.isGenerator ? null : style);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
    made.push([fastnst.threads, fastnst.instructionSet, Array.from(digest)]);
    fastnst.close();
  }
  return made;
}"""


def made(page: Any, *jobs: tuple[str, int | None, str | None]) -> list[tuple[int, str, str]]:
    """Of each model, number of threads and module: threads, instruction set and SHA-256 of `CONTENT` in `STYLE`."""
    rgba = (np.dstack([each, np.full(each.shape[:2], 255, np.uint8)]) for each in (CONTENT, PAINTING))
    given = [base64.b64encode(each.tobytes()).decode() for each in rgba]
    size = {"width": CONTENT.shape[1], "height": CONTENT.shape[0]}
    answers = page.evaluate(f"(given) => ({MADE})(given)", [jobs, size, *given])
    return [(threads, path, bytes(digest).hex()) for threads, path, digest in answers]


def test_isolated_pages_have_threads_and_others_one_with_the_same_bytes(page: Any, site: str, isolated_site: str) -> None:
    asked = (None, 1, 4)
    digest = wanted(CONTENT, PAINTING)
    for address, told in ((site, [1, 1, 1]), (isolated_site, [0, 1, 4])):
        page.goto(f"{address}/desk/index.html")
        told[0] = told[0] or min(4, page.evaluate("navigator.hardwareConcurrency"))
        answers = made(page, *(("adain-16x", threads, None) for threads in asked))
        assert [(threads, digest) for threads, _, digest in answers] == [(threads, digest) for threads in told]


@pytest.mark.parametrize("flags", [[], ["--js-flags=--no-enable-avx-vnni"]], ids=["any", "without-vnni"])
def test_every_model_and_module_makes_the_same_bytes_with_threads(play: Any, isolated_site: str, flags: list[str]) -> None:
    """Where four products are summed at once, if this processor does that, and where they are not."""
    chosen = [None] if flags else [None, "fastnst"]
    shared = [None] if flags else [None, "fastnst-threads"]
    models = [*(model.name for model in fastnst.models()), "/example.fnst"]
    jobs = [(model, threads, module) for model in models for threads, some in ((1, chosen), (4, shared)) for module in some]
    with closing(play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *flags])) as browser:
        page = browser.new_page(service_workers="block")  # which would ask for the example itself
        page.set_default_timeout(PATIENCE)
        page.route("**/example.fnst", lambda route: route.fulfill(path=EXAMPLE))
        page.goto(f"{isolated_site}/desk/index.html")
        answers = made(page, *jobs)
    digests = {model: wanted(CONTENT, PAINTING, model=model) for model in models[:-1]}
    digests["/example.fnst"] = sha256(fastnst.Stylizer(EXAMPLE)(CONTENT))
    assert [(model, threads, digest) for (model, *_), (threads, _, digest) in zip(jobs, answers, strict=True)] == [
        (model, threads, digests[model]) for model, threads, _ in jobs
    ]
    paths = {path for (*_, module), (_, path, _) in zip(jobs, answers, strict=True) if module is None}
    assert paths == {"relaxed"} if flags else len(paths) == 1 and paths <= {"relaxed", "relaxeddot"}


def test_the_page_with_threads_stops_and_paints(page: Any, isolated_site: str) -> None:
    stopped(page, isolated_site)
    page.set_input_files("#photo", [png(CONTENT)])
    painted(page, 1)
    assert result(page) == wanted(CONTENT, STYLE)


def test_it_works_without_a_network_after_one_visit(page: Any, site: str) -> None:
    page.goto(f"{site}/desk/index.html")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.reload()
    page.context.set_offline(True)
    page.reload()
    page.click("#try")
    painted(page, 1)


def test_keyboard_and_languages(page: Any, site: str) -> None:
    page.goto(f"{site}/desk/index.html")
    page.select_option("#language", "de")
    assert page.inner_text("#stop-word, #choices-title") == "Gemälde"
    assert page.get_attribute("html", "lang") == "de"
    page.focus("#easel")
    page.keyboard.press("ArrowRight")
    assert page.input_value("#compare") == "5"
    missing = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, canvas[role]")]
            .filter((each) => !(each.ariaLabel || each.textContent.trim() || each.labels?.length))
            .map((each) => each.outerHTML)"""
    )
    assert missing == []


def test_fastnst_ui_has_the_native_engine_behind_the_same_page(page: Any) -> None:
    with PageServer(0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page.goto(server.address)
        page.set_input_files("#painting", [png(STYLE)])
        page.set_input_files("#photo", [png(CONTENT)])
        painted(page, 1)
        assert result(page) == wanted(CONTENT, STYLE)
        assert any(url.endswith("/stylize") for url in page.asked)
        assert not any(url.endswith(".wasm") for url in page.asked)
        server.shutdown()
