"""The command ``styles``: the looks that ship."""

from __future__ import annotations

import argparse
import json
import math
import os
from pathlib import Path

from fastnst.cli.errors import DONE, USAGE, fail, quiet_libraries
from fastnst.cli.values import path

HELP = "list the looks inside the package, which stand for styles by their names, and whose paintings they are of"
_SHEET_SIDE = 384  # short side of the photograph on a sheet: all looks of it take a few seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", metavar="NAME", help="a shipped model; default: the shipped default")
    add("--sheet", type=path, metavar="PHOTO", help="show all of them on a picture of your own instead, in OUT")
    add("-o", "--output", type=path, metavar="OUT", help="of --sheet: a picture")
    add("--overwrite", action="store_true", help="replace an existing output")
    add("--json", action="store_true", help="one JSON line per look")


def run(arguments: argparse.Namespace) -> int:
    import fastnst

    if (arguments.sheet is None) != (arguments.output is None):
        return fail("--sheet PHOTO and -o OUT go together", USAGE)
    with quiet_libraries():
        if arguments.sheet is not None:
            return _sheet(arguments)
    from fastnst.stylize import DEFAULT_MODEL, look_source

    model = arguments.model or DEFAULT_MODEL
    names = fastnst.looks(model)
    if not names:
        return fail(f"no looks ship for {model}")
    width = max(map(len, names))
    for name in names:
        source = look_source(name, model)
        if arguments.json:
            print(json.dumps({"name": name, "model": model} | (source._asdict() if source else {})))
        else:
            print(f"{name:{width}}  {source}" if source else name)
    return DONE


def _sheet(arguments: argparse.Namespace) -> int:
    import numpy as np
    from PIL import Image

    import fastnst
    from fastnst.images import Picture, can_write, open_picture, resize_short_side, save_picture
    from fastnst.jobs.sheets import Cell, sheet
    from fastnst.stylize import DEFAULT_MODEL, shipped_look

    output: Path = arguments.output
    if not can_write(output):
        return fail(f"{output}: the suffix of a sheet is that of a picture, such as .png", USAGE)
    if os.path.lexists(output) and not arguments.overwrite:
        return fail(f"{output}: exists already; --overwrite replaces it")
    model = arguments.model or DEFAULT_MODEL
    names = fastnst.looks(model)
    if not names:
        return fail(f"no looks ship for {model}")
    stylizer = fastnst.Stylizer(model)
    photo = open_picture(arguments.sheet).flattened()
    photo = resize_short_side(Picture(photo), min(_SHEET_SIDE, *photo.size)).rgb
    cells: list[Cell] = [(photo, arguments.sheet.name)]
    for name in names:
        styled = stylizer(np.asarray(photo), fastnst.load_look(shipped_look(name, model)))
        cells.append((Image.fromarray(styled), name))
    columns = math.isqrt(len(cells) - 1) + 1
    save_picture(Picture(sheet([cells[at : at + columns] for at in range(0, len(cells), columns)])), output)
    print(f"{output}  {len(names)} looks of {model}")
    return DONE
