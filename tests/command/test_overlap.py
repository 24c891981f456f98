"""Folders: pictures are done side by side, unless memory is limited or pictures are large."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import MODEL, Run, files_in, pixels
from PIL import Image

from fastnst import Stylizer
from fastnst.jobs import pictures
from fastnst.jobs import run as jobs
from fastnst.jobs.plans import Task
from fastnst.jobs.together import GivenUpError, InBackground
from fastnst.options import Options

SIZE = (24, 20)


class Watched:
    """Which pictures are read, and when the engine works. Before its first one, it waits ``waits`` seconds for another."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, waits: float) -> None:
        self.steps: list[str] = []
        self.overlapped, self.threads = False, set[int | None]()
        second = threading.Event()
        opened, stylize = pictures.open_picture, Stylizer.stylize

        def reading(path: Path, *rest: Any) -> Any:
            picture = opened(path, *rest)
            if path.parent.name == "many":
                self.steps.append(f"read {path.stem}")
                if len(self.steps) == 2:
                    second.set()
            return picture

        def working(stylizer: Stylizer, source: Any, *rest: Any, **named: Any) -> Any:
            if "engine" not in self.steps:
                self.overlapped = second.wait(waits)
            self.steps.append("engine")
            self.threads.add(stylizer.threads)
            return stylize(stylizer, source, *rest, **named)

        monkeypatch.setattr(pictures, "open_picture", reading)
        monkeypatch.setattr(Stylizer, "stylize", working)


@pytest.fixture
def many(work: Path) -> Path:
    (work / "many").mkdir()
    rng = np.random.default_rng(3)
    for name in "abcde":
        Image.fromarray(rng.integers(0, 256, (*SIZE, 3), np.uint8)).save(work / "many" / f"{name}.png")
    return work / "many"


def test_a_picture_is_read_while_the_engine_has_the_one_before(run: Run, many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, waits=60)
    result = run("stylize", many, "style.png", "-o", "out", *MODEL)
    assert result.code == 0 and result.out.startswith("5 stylized, ")
    assert watched.overlapped and watched.threads == {1}
    stylizer = Stylizer("model.fnst")
    for name in "abcde":
        np.testing.assert_array_equal(pixels(f"out/{name}.png"), stylizer(pixels(many / f"{name}.png"), pixels("style.png")))


@pytest.mark.parametrize("limit", ["memory", "large"])
def test_pictures_are_done_one_after_the_other(run: Run, many: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    watched = Watched(monkeypatch, waits=0.2)
    if limit == "large":
        monkeypatch.setattr(jobs, "machine_memory", lambda: 4 * SIZE[0] * SIZE[1])
    options = ("--max-memory", "64M") if limit == "memory" else ()
    assert run("stylize", many, "style.png", "-o", "out", *MODEL, *options).code == 0
    assert watched.threads == {None}
    assert watched.steps == [step for name in "abcde" for step in (f"read {name}", "engine")]


def test_one_that_fails_stops_no_other(run: Run, many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors of the engine, of the reader and of the writer, each in its order."""
    (many / "b.png").write_bytes(b"broken")
    stylize = Stylizer.stylize

    def failing(stylizer: Stylizer, source: Any, *rest: Any) -> Any:
        if source.path.stem == "d":
            raise MemoryError
        return stylize(stylizer, source, *rest)

    monkeypatch.setattr(Stylizer, "stylize", failing)
    result = run("stylize", many, "style.png", "-o", "out", *MODEL)
    assert result.code == 1
    first, second = result.err.splitlines()
    assert first.startswith(f"fastnst: error: {many}/b.png: not a picture")
    assert second == f"fastnst: error: {many}/d.png: not enough memory"
    assert files_in(Path("out")) == {"a.png", "c.png", "e.png"}


def test_who_waits_for_a_busy_thread_can_give_up() -> None:
    background, go_on = InBackground(1), threading.Event()
    first, second = background.submit(go_on.wait), background.submit(int)
    background.shutdown(wait=False)
    for result in (first, second):
        with pytest.raises(GivenUpError):
            result.result(timeout=10)
    go_on.set()


def test_results_and_errors_of_the_background() -> None:
    background = InBackground(1)
    assert background.submit(divmod, 7, 2).result() == (3, 1)
    with pytest.raises(ZeroDivisionError):
        background.submit(divmod, 7, 0).result()
    background.shutdown()


def test_each_result_of_one_content_is_told_as_it_comes(work: Path) -> None:
    """Of many styles of one picture, nobody waits for the last to hear of the first."""
    options = Options(palette=0.0)
    styles = [(work / "style.png",), (work / "content.png",)]
    tasks = [Task(work / "content.png", work / f"{n}.png", each) for n, each in enumerate(styles)]
    results = jobs.run(tasks, Stylizer(work / "model.fnst", 1), options)
    next(results)
    assert (work / "0.png").exists() and not (work / "1.png").exists()
    next(results)
    assert (work / "1.png").exists()
