"""The 200 golden pictures: ten contents, five styles, four modes, and what each must be on every machine.

``python -m torture.goldens --update``, in the folder ``tests``, makes them anew, and those of ``fastnst verify``; this is for
when a shipped model has changed, and for nothing else. ``python -m torture.goldens COUNT THREADS,...`` prints what this process
gets, for the checks that start it with an instruction set or a filled memory.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import fastnst
from fastnst import verify
from fastnst.stylize import Stylizer

Pixels = NDArray[np.uint8]
TABLE = Path(__file__).with_suffix(".json")
MODES = (("adain-16x", 1.0), ("adain-nano", 1.0), ("adain-16x", 0.5), ("wct-16x", 1.0))
FOLDER = Path(fastnst.__file__).parent / "models"


@dataclass(frozen=True)
class Case:
    """One golden picture."""

    content: str
    style: str
    model: str
    alpha: float

    @property
    def name(self) -> str:
        return f"{self.content} {self.style} {self.model} {self.alpha}"


@cache
def pictures() -> dict[str, Pixels]:
    """Contents and styles by name: photographs that come with scikit-image as PNG, cut small, and pictures by arithmetic."""
    import skimage.data

    photographs = {
        "astronaut": skimage.data.astronaut()[20:84, 190:270],
        "coffee": skimage.data.coffee()[100:171, 200:297],
        "cat": skimage.data.chelsea()[60:121, 100:180],
        "coins": np.stack([skimage.data.coins()[:50, :64]] * 3, 2),
        "camera": np.stack([skimage.data.camera()[100:229:2, 150:247:2]] * 3, 2),
    }
    sizes = {"made 80x64": (80, 64), "made 33x65": (33, 65), "made 7x90": (7, 90), "made 1x1": (1, 1), "made 64x64": (64, 64)}
    made = {name: verify.picture(*size, seed=index) for index, (name, size) in enumerate(sizes.items(), 1)}
    styles = {
        "style coffee": skimage.data.coffee()[200:264, 100:180],
        "style cat": skimage.data.chelsea()[100:164, 200:264],
        "style astronaut": skimage.data.astronaut()[200:272, 60:130],
        "style made 48x40": verify.picture(48, 40, seed=7),
        "style made 31x77": verify.picture(31, 77, seed=9),
    }
    return {name: np.ascontiguousarray(pixels) for name, pixels in (photographs | made | styles).items()}


def cases() -> list[Case]:
    """All 200, spread so that the first few of them are of every content, style and mode."""
    contents = [name for name in pictures() if not name.startswith("style")]
    styles = [name for name in pictures() if name.startswith("style")]
    found = [
        Case(content, styles[(i + j) % 5], *MODES[(i + j // 5) % 4]) for j in range(20) for i, content in enumerate(contents)
    ]
    assert len({case.name for case in found}) == 200
    return found


def digest(pixels: Pixels) -> str:
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def sources() -> str:
    """Of all contents and styles, so that other photographs are not taken for another engine."""
    return hashlib.sha256(b"".join(pixels.tobytes() for pixels in pictures().values())).hexdigest()


def at_offset(pixels: Pixels, offset: int) -> Pixels:
    """The same pixels ``offset`` bytes behind a boundary of 64."""
    memory = np.zeros(pixels.size + 128, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    view = memory[start : start + pixels.size].reshape(pixels.shape)
    view[...] = pixels
    assert view.ctypes.data % 64 == offset
    return view


@cache
def _stylizer(model: str, threads: int) -> Stylizer:
    return Stylizer(model, threads)


def picture_of(case: Case, threads: int, offset: int = 0) -> Pixels:
    """What this process makes of a case."""
    content, style = (at_offset(pictures()[name], offset) for name in (case.content, case.style))
    return _stylizer(case.model, threads)(content, style, alpha=case.alpha)


def made(case: Case, threads: int, offset: int = 0) -> str:
    """Its SHA-256."""
    return digest(picture_of(case, threads, offset))


def made_in_tiles(case: Case, threads: int) -> tuple[str, int] | None:
    """The same in the least memory that there are tiles for, in steps of an eighth of what the whole picture takes, and how
    many eighths; None if nothing less than the whole does."""
    content, style = pictures()[case.content], pictures()[case.style]
    whole = _stylizer(case.model, threads)
    look, needed = whole.encode_style(style), whole.engine.working_bytes(*content.shape[:2], threads=threads)
    for eighths in range(1, 8):
        tiled = Stylizer(case.model, threads, max_memory=needed * eighths // 8)
        try:
            return digest(tiled(content, look, alpha=case.alpha)), eighths
        except ValueError:  # no tile is that small
            continue
    return None


def wanted() -> dict[str, str]:
    """Name of the case -> SHA-256."""
    return dict(json.loads(TABLE.read_text())["pictures"])


def write_jobs(folder: Path, chosen: Sequence[Case]) -> str:
    """The cases as lines for the driver's ``golden``, and their pictures in ``folder``."""
    for name, pixels in pictures().items():
        header = b"P6\n%d %d\n255\n" % (pixels.shape[1], pixels.shape[0])
        (folder / f"{name.replace(' ', '-')}.ppm").write_bytes(header + pixels.tobytes())

    def file(name: str) -> Path:
        return folder / f"{name.replace(' ', '-')}.ppm"

    lines = (f"{FOLDER / case.model}.fnst {file(case.content)} {file(case.style)} {case.alpha}\n" for case in chosen)
    return "".join(lines)


def update() -> None:
    """Write both tables from what this machine makes with plain C++ on one thread."""
    if fastnst.engine.instruction_set() != "scalar":
        raise SystemExit("set FASTNST_ISA=scalar: goldens are made by the path that all others are compared with")
    table = {"sources": sources(), "pictures": {case.name: made(case, 1) for case in cases()}}
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
    verify.GOLDENS.write_text(json.dumps(verify.digests(1), indent=1) + "\n")


def main(arguments: Sequence[str]) -> None:
    if arguments == ["--update"]:
        update()
        return
    chosen, threads = cases()[: int(arguments[0])], [int(each) for each in arguments[1].split(",")]
    json.dump({case.name: sorted({made(case, each) for each in threads}) for case in chosen}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
