"""Makes the shipped looks, for every shipped model.

    python examples/looks.py                     # of every drawing: writes them into the package, replacing the present ones
    python examples/looks.py --paintings FOLDER  # and of the paintings of public_domain.py, whose pictures are in FOLDER
    python examples/looks.py --draw FOLDER       # writes the drawings themselves, to look at

Run it whenever a shipped model changes, because a look works only with the exact model file that it was made for; a test checks
this. Without FOLDER, looks of paintings stay if they are for the present file of the model, and else they are removed.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import public_domain
from drawings import DRAWINGS
from fastnst.engine import AdainLook, Look
from fastnst.engine.palette import Colors
from fastnst.engine.wct import Coloring, WctLook
from fastnst.format.lookfile import SUFFIX, Source, from_bytes, to_bytes
from fastnst.jobs.pictures import look_of_file
from fastnst.options import Options, StyleScale
from fastnst.stylize import Stylizer, models, shipped_look

SIDE = 512  # pixels, the size to which stylize shrinks styles
_DIGITS = 12
"""Of each number, in binary: a four-thousandth of it, which no 8-bit picture shows."""
_MATRIX_DIGITS = 8
"""Of WCT's matrices, which are nearly all of its looks. WCT is steep: any rounding at all, be it of the sixteenth digit, moves
pixels by some seven levels, and neither towards nor away from photograph and painting. Over eight pairs of 320 and 384 pixels
AdaIN's loss was 10.99 by the looks as they are, and 10.95, 10.93, 10.97 and 10.90 by 16, 12, 10 and 8 digits."""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", type=Path, metavar="FOLDER", help="write the drawings instead")
    parser.add_argument("--paintings", type=Path, metavar="FOLDER", help="pictures of all paintings of public_domain.py")
    arguments = parser.parse_args()
    drawings = {name: draw(SIDE) for name, draw in DRAWINGS.items()}
    if arguments.draw is not None:
        arguments.draw.mkdir(parents=True, exist_ok=True)
        for name, drawing in drawings.items():
            drawing.save(arguments.draw / f"{name}.png")
        return
    try:
        paintings = public_domain.pictures(arguments.paintings) if arguments.paintings else {}
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    for model in models():
        stylizer = Stylizer(model.path)
        folder = shipped_look("any", model.name).parent
        for stale in folder.glob(f"*{SUFFIX}"):
            stored = from_bytes(stale.read_bytes())
            if stored.source is None or paintings or stored.model != stylizer.engine.identity[0]:
                stale.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        for name, drawing in drawings.items():
            _save(stylizer.encode_style(np.asarray(drawing)), shipped_look(name, model.name), None)
        for name, picture in paintings.items():
            look = look_of_file(picture, stylizer, Options(), StyleScale())
            _save(look, shipped_look(name, model.name), public_domain.source(name, picture))
        files = list(folder.iterdir())
        print(f"{folder}  {len(files)} looks  {sum(path.stat().st_size for path in files):,} bytes")


def _save(look: Look, path: Path, source: Source | None) -> None:
    assert look.colors is not None
    colors = Colors(_short(look.colors.mean, _DIGITS), _short(look.colors.covariance, _DIGITS))
    # Numbers of few digits take few bytes in the file.
    if isinstance(look, WctLook):
        levels = {level: _short_coloring(each) for level, each in look.levels.items()}
        look = replace(look, levels=levels, colors=colors)
    else:
        assert isinstance(look, AdainLook)
        look = replace(look, mean=_short(look.mean, _DIGITS), std=_short(look.std, _DIGITS), colors=colors)
    look.save(path)
    if source is not None:
        path.write_bytes(to_bytes(from_bytes(path.read_bytes())._replace(source=source)))


def _short_coloring(each: Coloring) -> Coloring:
    return Coloring(_short(each.mean, _DIGITS), _short(each.root, _MATRIX_DIGITS))


def _short(values: NDArray[np.float64], digits: int) -> NDArray[np.float64]:
    """Rounded to so many binary digits."""
    fractions, exponents = np.frexp(values)
    return np.ldexp(np.round(fractions * 2**digits) / 2**digits, exponents)


if __name__ == "__main__":
    main()
