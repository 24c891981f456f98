"""Makes the shipped looks: of every drawing, for every shipped model whose looks are small.

    python -m fastnst.train.looks               # writes them into the package, replacing the present ones
    python -m fastnst.train.looks --draw FOLDER # writes the drawings themselves, to look at

Run it whenever a shipped model changes, because a look works only with the exact model file that it was made for; a test checks
this.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastnst.engine import AdainLook
from fastnst.format.lookfile import SUFFIX
from fastnst.stylize import Stylizer, models, shipped_look

from .drawings import DRAWINGS

SIDE = 512  # pixels, the size to which stylize shrinks styles


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", type=Path, metavar="FOLDER", help="write the drawings instead")
    arguments = parser.parse_args()
    drawings = {name: draw(SIDE) for name, draw in DRAWINGS.items()}
    if arguments.draw is not None:
        arguments.draw.mkdir(parents=True, exist_ok=True)
        for name, drawing in drawings.items():
            drawing.save(arguments.draw / f"{name}.png")
        return
    for model in models():
        stylizer = Stylizer(model.path)
        folder = shipped_look("any", model.name).parent
        for stale in folder.glob(f"*{SUFFIX}"):
            stale.unlink()
        if model.kind != AdainLook.kind:  # WCT's looks are whole matrices: hundreds of kilobytes each
            continue
        folder.mkdir(parents=True, exist_ok=True)
        for name, drawing in drawings.items():
            look = stylizer.encode_style(np.asarray(drawing))
            assert isinstance(look, AdainLook)
            # The zeros behind the digits of a float32 compress to nothing in the package.
            replace(look, mean=_short(look.mean), std=_short(look.std)).save(shipped_look(name, model.name))
        print(f"{folder}  {len(drawings)} looks  {sum(path.stat().st_size for path in folder.iterdir()):,} bytes")  # noqa: T201


def _short(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values.astype(np.float32).astype(np.float64)


if __name__ == "__main__":
    main()
