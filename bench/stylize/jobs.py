"""The runtimes of the comparison: what they run, and how their pictures are compared.

A runtime is *prepared* once per network (converted, quantised) and *loaded* for every size, number of threads and way of
giving the style; loading returns the call that is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import pictures

Array = NDArray[Any]
Run = Callable[[], Any]

STYLES = ("given", "cached")
"""``given``: the input is two pictures. ``cached``: it is one picture and the statistics of a style encoded before."""

FP32_FLOOR, INT8_FLOOR = 60.0, 15.0
"""Values of :attr:`Runtime.floor` in dB."""


@dataclass
class Job:
    """What a worker runs, and the facts that it has gathered."""

    folder: Path
    size: int
    threads: int
    style: str
    details: dict[str, str] = field(default_factory=dict)
    given: dict[str, Array] = field(default_factory=dict, repr=False)

    def arrays(self, *names: str) -> dict[str, Array]:
        """Inputs by name, read once."""
        if missing := [name for name in names if name not in self.given]:
            with np.load(self.folder / f"inputs-{self.size}.npz") as stored:
                self.given |= {name: stored[name] for name in missing}
        return {name: self.given[name] for name in names}

    def floats(self) -> dict[str, Array]:
        """The rivals' inputs by name: pictures float32 [1, 3, H, W], statistics float32 [1, C, 1, 1]."""
        return self.arrays(*(("content", "style") if self.style == "given" else ("content", "mean", "std")))

    def pixels(self) -> tuple[pictures.Pixels, pictures.Pixels]:
        """The engine's inputs: content and style, uint8 [H, W, 3]."""
        arrays = self.arrays("content_pixels", "style_pixels")
        return arrays["content_pixels"], arrays["style_pixels"]


def keep(target: Path, make: Callable[[Path], object]) -> None:
    """Let ``make`` write ``target`` unless it exists; it appears only when it is complete."""
    if not target.exists():
        partial = target.with_name("partial-" + target.name)
        make(partial)
        partial.replace(target)


def to_picture(output: Any) -> Array:
    """Any runtime's output as float32 [3, H, W], clamped to 0..1 as in a saved picture."""
    array = np.asarray(output)
    if array.dtype == np.uint8:
        return array.transpose(2, 0, 1).astype(np.float32) / 255
    return array[0].astype(np.float32).clip(0, 1)


@dataclass(frozen=True)
class Runtime:
    """One line of the comparison.

    Attributes:
        needs: packages that it needs, by their import names.
        floor: the least PSNR in dB against PyTorch fp32; a runtime below it computes something else.
        styles: the ways of giving a style in which it differs from other runtimes in the table.
        picture: converts its output as :func:`to_picture` does.
        command: whether it starts a process for every picture.
    """

    name: str
    label: str
    needs: tuple[str, ...]
    prepare: Callable[[Path, str], object]
    load: Callable[[Job], Run]
    floor: float
    styles: tuple[str, ...] = STYLES
    picture: Callable[[Any], Array] = to_picture
    command: bool = False


def nothing(_folder: Path, _style: str) -> None:
    """Prepare nothing."""


def psnr(picture: Array, reference: Array) -> float:
    """Peak signal to noise in dB, peak 1; infinite for equal pictures."""
    error = float(np.mean((picture.astype(np.float64) - reference) ** 2))
    return float("inf") if error == 0 else -10 * float(np.log10(error))
