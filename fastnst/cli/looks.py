"""The commands ``look`` and ``styles``: looks without a painting."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from fastnst.cli.errors import DONE, USAGE, fail, quiet_libraries
from fastnst.cli.values import at_least, byte_count, level_list, path, scales, weight_list

SUFFIX = ".look"
_SHEET_SIDE = 384  # short side of the photograph on a sheet: all looks of it take a few seconds


def run_look(arguments: argparse.Namespace) -> int:
    with quiet_libraries():
        return _make_look(arguments)


def _make_look(arguments: argparse.Namespace) -> int:
    from fastnst.jobs.looks import Looks
    from fastnst.options import Options
    from fastnst.stylize import Stylizer
    from fastnst.system.errors import UsageError

    output: Path = arguments.output
    if output.suffix != SUFFIX:
        return fail(f"{output}: the suffix of a look is {SUFFIX}", USAGE)
    if arguments.weights and len(arguments.weights) != len(arguments.style):
        return fail(f"--weights needs one number for each style: {len(arguments.style)}", USAGE)
    if os.path.lexists(output) and not arguments.overwrite:
        return fail(f"{output}: exists already; --overwrite replaces it")
    stylizer = Stylizer(arguments.model, arguments.threads, arguments.max_memory)
    if not stylizer.engine.takes_style:
        return fail("a look needs a model that takes a style", USAGE)
    options = Options(
        weights=arguments.weights,
        style_size=arguments.style_size,
        style_scale=arguments.style_scale,
        levels=arguments.levels,
    )
    try:
        stylizer.engine.with_levels(options.levels)
        look = Looks(stylizer, options).options(arguments.style).look
    except UsageError as error:
        return fail(str(error), USAGE)
    assert look is not None
    look.save(output)
    print(f"{output}  {output.stat().st_size:,} bytes  for {stylizer.engine.identity[1]}")
    return DONE


def run_styles(arguments: argparse.Namespace) -> int:
    import fastnst

    if (arguments.sheet is None) != (arguments.output is None):
        return fail("--sheet PHOTO and -o OUT go together", USAGE)
    with quiet_libraries():
        if arguments.sheet is not None:
            return _sheet(arguments)
    from fastnst.stylize import DEFAULT_MODEL

    model = arguments.model or DEFAULT_MODEL
    names = fastnst.looks(model)
    if not names:
        return fail(f"no looks ship for {model}")
    for name in names:
        print(json.dumps({"name": name, "model": model}) if arguments.json else name)
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
    columns = round(len(cells) ** 0.5 + 0.5)
    save_picture(Picture(sheet([cells[at : at + columns] for at in range(0, len(cells), columns)])), output)
    print(f"{output}  {len(names)} looks of {model}")
    return DONE


def add_look_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("style", type=path, nargs="+", metavar="STYLE", help="a picture, or several to mix")
    add("-o", "--output", type=path, required=True, metavar="OUT", help="a file that ends with .look")
    add("--model", metavar="NAME_OR_FILE", help="a shipped model's name or a .fnst file; a look is for this model alone")
    add("--weights", type=weight_list, metavar="W,W...", help="parts of the styles, such as 0.7,0.3; default: equal parts")
    add("--levels", type=level_list, metavar="L,L...", help="levels of a WCT model; default: all it has")
    add("--style-size", type=at_least(0), metavar="N", help="short side of the styles, as for stylize")
    add("--style-scale", type=scales, metavar="S", help="how large they are seen beside that, 0.25 to 4, or several mixed")
    add("--threads", type=at_least(1), metavar="N", help="default: the cores this process may use")
    add("--max-memory", type=byte_count, metavar="BYTES", help="ceiling of working memory, such as 512M")
    add("--overwrite", action="store_true", help="replace an existing output")


def add_styles_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", metavar="NAME", help="a shipped model; default: the shipped default")
    add("--sheet", type=path, metavar="PHOTO", help="show all of them on a picture of your own instead, in OUT")
    add("-o", "--output", type=path, metavar="OUT", help="of --sheet: a picture")
    add("--overwrite", action="store_true", help="replace an existing output")
    add("--json", action="store_true", help="one JSON line per look")
