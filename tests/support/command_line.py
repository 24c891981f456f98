"""How tests run the command, and how they look at what it left."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fastnst import cli

Pixels = NDArray[np.uint8]


class Result(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Result]

# Whoever starts the tests in the background of a shell makes their children ignore SIGINT; this undoes it.
COMMAND = [
    sys.executable,
    "-c",
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from fastnst.cli import main; sys.exit(main())",
]

GOOD_OUTPUTS = {
    "astronaut.png",
    "cat.png",
    "china.png",
    "coffee.png",
    "flower.png",
    "more/coffee.jpg",
    "more/flower.png",
}
"""Of the fixture ``folder``."""

MODEL = ("--model", "model.fnst")


def stylize_one(run: Run, *options: str | Path) -> Result:
    return run("stylize", "content.png", "style.png", "-o", "out.png", *MODEL, *options)


def pixels(path: str | Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def failed(result: Result, *parts: str, code: int = 1) -> bool:
    """One line on stderr that holds ``parts``, nothing on stdout, the right exit code."""
    assert result.err.startswith("fastnst: error: ")
    assert result.err.count("\n") == 1
    assert not result.out
    assert result.code == code
    for part in parts:
        assert part in result.err
    return True


def in_process(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs command lines in this process."""

    def run(*arguments: str | Path) -> Result:
        capfd.readouterr()
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        return Result(code, *capfd.readouterr())

    return run
