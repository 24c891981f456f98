"""The command ``evaluate``."""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module

from fastnst.cli.errors import DONE, USAGE, fail, missing
from fastnst.cli.progress import Progress
from fastnst.cli.values import at_least, path, row_pair, share

HELP = "compare models on pairs of pictures (needs torch)"
DEFAULT_SIZE = 512


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    shapes = "a shipped model's name, a .fnst file or a trained .safetensors file; NAME=MODEL names its row"
    add("models", nargs="+", metavar="MODEL", help=shapes)
    add("-o", "--output", type=path, required=True, metavar="FOLDER", help="for evaluation.md, evaluation.json and the sheet")
    add("--testset", type=path, metavar="FILE", help='JSON: {"size": N, "pairs": [{"content": FILE, "style": FILE}, ...]}')
    add(
        "--content",
        type=path,
        metavar="FOLDER",
        help="photographs, instead of a test set; needs --style",
    )
    add("--style", type=path, metavar="FOLDER", help="paintings: the first by name goes with the first photograph, and so on")
    add(
        "--weights",
        type=path,
        metavar="FOLDER",
        help="the scoring networks vgg19*.safetensors and lpips_alex*.safetensors; without one, its scores are left out",
    )
    add(
        "--against",
        type=row_pair,
        action="append",
        default=[],
        metavar="ROW=ROW",
        help="PSNR between the pictures of two rows, such as int8=float; may be repeated",
    )
    add("--palette", type=share, default=1.0, metavar="P", help="strength of the palette step after every model; default: 1")
    clip = "also measure how steady the models are on this clip, in the style of the first pair (needs scikit-image)"
    add("--video", type=path, metavar="CLIP", help=clip)
    size = f"short side in pixels; default: the test set's, or {DEFAULT_SIZE}"
    add("--size", type=at_least(32), metavar="N", help=size)
    add("--pairs", type=at_least(1), metavar="N", help="only the first N pairs")
    add("--threads", type=at_least(1), metavar="N", help="default: the cores this process may use")
    add("--overwrite", action="store_true", help="replace existing outputs")
    add("--json", action="store_true", help="one JSON line per model")


def run(arguments: argparse.Namespace) -> int:
    from fastnst.system.errors import UsageError

    if (arguments.testset is None) == (arguments.content is None and arguments.style is None):
        return fail("give either --testset, or --content and --style", USAGE)
    if (arguments.content is None) != (arguments.style is None):
        return fail("--content and --style go together", USAGE)
    from fastnst.system.threads import sleep_while_waiting

    sleep_while_waiting()
    try:
        from fastnst.evaluate import evaluate, report, steps
        from fastnst.evaluate.pictures import pair_folders, read_testset

        if arguments.video:
            import_module("skimage.registration")
    except ModuleNotFoundError as error:
        return missing("evaluate", "evaluate" if arguments.video else "torch", error)
    if not arguments.overwrite and (taken := report.taken(arguments.output)):
        return fail(f"{taken}: exists already; --overwrite replaces it")
    if arguments.testset:
        pairs, size = read_testset(arguments.testset)
    else:
        pairs, size = pair_folders(arguments.content, arguments.style), DEFAULT_SIZE
    pairs = pairs[: arguments.pairs]
    try:
        with Progress(steps(pairs, len(arguments.models) if arguments.video else 0), shown=sys.stderr.isatty()) as progress:
            evaluation = evaluate(
                arguments.models,
                pairs,
                arguments.size or size,
                weights=arguments.weights,
                against=dict(arguments.against),
                threads=arguments.threads,
                palette=arguments.palette,
                clip=arguments.video,
                advance=progress.advance,
            )
    except UsageError as error:
        return fail(str(error), USAGE)
    for model in evaluation.models:
        moved = evaluation.warping_errors.get(model.name)
        if arguments.json:
            steady = {} if moved is None else {"warping_error": moved}
            print(json.dumps({"name": model.name, **report.summary(model), **steady}))
        else:
            print(report.one_line(model, moved))
    page = report.write(evaluation, arguments.output)
    if not arguments.json:
        print(page)
    return DONE
