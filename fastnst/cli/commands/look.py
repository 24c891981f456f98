"""The command ``look``: keeps a look in a file."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from fastnst.cli.errors import DONE, USAGE, fail, quiet_libraries
from fastnst.cli.values import at_least, byte_count, level_list, path, scales, weight_list

HELP = "keep what a model makes of a style, in a small file that stands for it"
SUFFIX = ".look"


def add_arguments(parser: argparse.ArgumentParser) -> None:
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


def run(arguments: argparse.Namespace) -> int:
    from fastnst.system.lean import lean

    lean()
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
