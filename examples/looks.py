"""Makes the shipped looks: of every drawing, for every shipped model whose looks are small.

    python examples/looks.py               # writes them into the package, replacing the present ones
    python examples/looks.py --draw FOLDER # writes the drawings themselves, to look at

Run it whenever a shipped model changes, because a look works only with the exact model file that it was made for; a test checks
this.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drawings import DRAWINGS
from fastnst.engine import AdainLook
from fastnst.format.lookfile import SUFFIX
from fastnst.stylize import Stylizer, models, shipped_look

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
            assert look.colors is not None
            colors = type(look.colors)(_short(look.colors.mean), _short(look.colors.covariance))
            # The zeros behind their digits compress to nothing in the package.
            replace(look, mean=_short(look.mean), std=_short(look.std), colors=colors).save(shipped_look(name, model.name))
        print(f"{folder}  {len(drawings)} looks  {sum(path.stat().st_size for path in folder.iterdir()):,} bytes")


def _short(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rounded to 12 binary digits: a four-thousandth, which no 8-bit picture shows."""
    digits, exponents = np.frexp(values)
    return np.ldexp(np.round(digits * 2**12) / 2**12, exponents)


if __name__ == "__main__":
    main()
