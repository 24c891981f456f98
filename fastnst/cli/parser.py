"""The commands, their options, and what ``--help`` says of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NoReturn

import fastnst
from fastnst.cli.commands import (
    DEFAULT_EVALUATION_SIZE,
    RECIPES,
    run_bench,
    run_convert,
    run_evaluate,
    run_info,
    run_models,
    run_train,
    run_verify,
)
from fastnst.cli.errors import USAGE, fail
from fastnst.cli.stylizing import run_stylize
from fastnst.cli.values import (
    OPERATIONS,
    STEMS,
    at_least,
    byte_count,
    level_list,
    path,
    positive,
    row_pair,
    share,
    stem,
    text,
    weight_list,
)

EXIT_CODES = "Exit codes: 0 done, 1 something failed, 2 wrong usage, 130 interrupted."
ON_CARD = "for the model's card; default: what the file says of itself, or unknown"
STYLE_HELP = "a picture, or several to mix; none for a model that translates pictures by itself"


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all errors of fastnst."""

    def error(self, message: str) -> NoReturn:
        fail(f"{message} (see '{self.prog} --help')")
        raise SystemExit(USAGE)


def build_parser() -> argparse.ArgumentParser:
    """Parses a command line; ``command`` of what it gives takes that and returns an exit code."""
    parser = Parser(prog="fastnst", description="Neural style transfer, small and fast.", allow_abbrev=False, epilog=EXIT_CODES)
    parser.add_argument("--version", action="version", version=f"fastnst {fastnst.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
        added.set_defaults(command=run)
        return added

    add_stylize_arguments(command("stylize", run_stylize, "stylize a picture, a video or a folder of them"))

    models = command("models", run_models, "list the models inside the package, or the card and layers of any")
    models.add_argument("models", nargs="*", metavar="MODEL", help="a name from the list or a .fnst file")
    models.add_argument("--json", action="store_true", help="one JSON line per model")

    command("info", run_info, "print what this machine offers")
    command("verify", run_verify, "check that every path of this machine makes the same pictures as all others")

    convert = command("convert", run_convert, "quantise a trained model for the engine (needs torch)")
    convert.add_argument("source", type=path, metavar="IN", help="trained model, .safetensors")
    convert.add_argument("-o", "--output", type=path, metavar="OUT", required=True, help="engine model, .fnst")
    convert.add_argument(
        "--calibrate", type=path, metavar="FOLDER", required=True, help="pictures that the value ranges are measured on"
    )
    convert.add_argument("--source", dest="origin", type=text, metavar="TEXT", help=f"where the weights come from, {ON_CARD}")
    convert.add_argument("--licence", "--license", type=text, metavar="TEXT", help=f"that of the weights, {ON_CARD}")
    convert.add_argument("--name", help="name on the model's card; default: that of the file")
    forms = (
        "layers in Winograd's form: never (default), always, auto: those faster by it here that lose little, or numbers: 3,4"
    )
    convert.add_argument("--winograd", default="never", metavar="LAYERS", help=forms)
    dead = convert.add_mutually_exclusive_group()
    kept = "keep channels of an AdaIN pair that stay zero by a margin in every picture; they are removed otherwise"
    dead.add_argument("--keep-dead", action="store_true", help=kept)
    nearly = "remove those too that never exceed this share of their layer's largest value: 0.002 is half a step of 8 bits"
    dead.add_argument("--nearly-dead", type=float, default=0.0, metavar="SHARE", help=nearly)
    convert.add_argument("--report", action="store_true", help="print times, quality and form of every layer")
    convert.add_argument("--overwrite", action="store_true", help="replace an existing output")

    train = command("train", run_train, "run a training recipe (needs torch)")
    train.add_argument("recipe", choices=RECIPES, metavar="RECIPE", help=" or ".join(RECIPES))
    train.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="--help shows those of the recipe")

    add_evaluate_arguments(command("evaluate", run_evaluate, "compare models on pairs of pictures (needs torch)"))

    bench = command("bench", run_bench, "measure operations beside their rivals, on a GPU where there is one (needs torch)")
    stems = f"some of {', '.join(STEMS)}; default: {', '.join(OPERATIONS)}"
    bench.add_argument("stems", nargs="*", type=stem, metavar="STEM", help=stems)
    bench.add_argument("--quick", action="store_true", help="the main sizes alone, with fewer visits")
    bench.add_argument("--compare", action="store_true", help="print times beside those of the last committed report")
    bench.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda where there is one")
    bench.add_argument("--limit", type=positive, metavar="SECONDS", help="begin no operation after so long; default: no limit")
    bench.add_argument("--layers", metavar="NAME_OR_FILE", help="of an AdaIN model instead: the time of each layer")
    bench.add_argument(
        "--size", type=at_least(1), default=512, metavar="N", help="of --layers: the picture's sides; default: 512"
    )
    bench.add_argument("-o", "--output", type=path, metavar="FOLDER", help="for the reports; default: bench/results")
    return parser


def add_stylize_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    contents = "a picture, a video, or a folder of them (with the folders in it); - is a y4m on standard input"
    add("content", type=path, metavar="CONTENT", help=contents)
    style = add("style", type=path, nargs="+", default=[], metavar="STYLE", help=STYLE_HELP)
    style.required = False  # nargs="*" would take none where an option follows CONTENT, and refuse the STYLE after that
    outputs = "output file; a folder where CONTENT is a folder; - is a y4m on standard output"
    add("-o", "--output", type=path, metavar="OUT", help=outputs)
    add("--model", metavar="NAME_OR_FILE", help="a shipped model's name or a .fnst file; default: the shipped default")
    add("--alpha", type=share, default=1.0, metavar="A", help="0 = content, 1 = full style (default)")
    add("--weights", type=weight_list, metavar="W,W...", help="parts of the styles, such as 0.7,0.3; default: equal parts")
    add("--levels", type=level_list, metavar="L,L...", help="levels of a WCT model, such as 5,4,3,2,1; default: all it has")
    colors = parser.add_mutually_exclusive_group()
    keeps = "keep the content's colours"
    colors.add_argument("--preserve-color", dest="colors", action="store_const", const="luma", default="palette", help=keeps)
    palette = (
        "how far colours are moved to the style's: 0 = as the network makes them, 1 = all the way (default); times --alpha"
    )
    colors.add_argument("--palette", type=share, metavar="P", help=palette)
    add("--size", type=at_least(0), default=0, metavar="N", help="short side of the content in pixels; 0 = as it is (default)")
    add(
        "--style-size",
        type=at_least(0),
        metavar="N",
        help="short side of the styles in pixels; 0 = as they are; default: larger styles are shrunk to 512",
    )
    add("--threads", type=at_least(1), metavar="N", help="default: the cores this process may use")
    add(
        "--max-memory",
        type=byte_count,
        metavar="BYTES",
        help="working memory, such as 512M or 2G: larger pictures are done in tiles, with the same pixels; default: 12 bytes "
        "for each pixel, at least 64M, at most a quarter of the machine's",
    )
    add(
        "--smooth",
        type=share,
        metavar="S",
        help="of a video: how slowly the content's statistics follow the frames, 0 = at once, 1 = only at cuts; default: "
        "0.5 for AdaIN models",
    )
    qualities = "of a video: the encoder's number, 0 = best; default: 18 for H.264, 24 for WebM's VP9"
    add("--video-quality", type=at_least(0), metavar="N", help=qualities)
    camera = "show what camera N sees instead; every picture given is a style (default: camera 0)"
    add("--camera", type=at_least(0), nargs="?", const=0, metavar="N", help=camera)
    add("--overwrite", action="store_true", help="replace existing outputs; without it a folder run does what is missing")
    add("--quiet", action="store_true", help="print nothing but errors")
    add(
        "--json",
        action="store_true",
        help="one JSON line per picture or video: size, seconds, bytes of memory, what was left out, or its error",
    )


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    shapes = (
        "a shipped model's name, a .fnst file, a trained .safetensors file, or a folder of finished pictures named "
        "CONTENT_stylized_STYLE.png; NAME=MODEL names its row"
    )
    add("models", nargs="+", metavar="MODEL", help=shapes)
    add("-o", "--output", type=path, required=True, metavar="FOLDER", help="for evaluation.md, evaluation.json and the sheet")
    add("--testset", type=path, metavar="FILE", help='JSON: {"size": N, "pairs": [{"content": FILE, "style": FILE}, ...]}')
    add("--content", type=path, metavar="FOLDER", help="instead of a test set: photographs, and by --style paintings")
    add("--style", type=path, metavar="FOLDER", help="the first by name goes with the first photograph, and so on")
    add(
        "--weights",
        type=path,
        metavar="FOLDER",
        help="of the scoring networks vgg19*.safetensors and lpips_alex*.safetensors; what is not there is not measured",
    )
    add(
        "--against",
        type=row_pair,
        action="append",
        default=[],
        metavar="ROW=ROW",
        help="PSNR and SSIM of the first row's pictures beside the second's, such as int8 beside float; may be repeated",
    )
    add("--palette", type=share, default=1.0, metavar="P", help="strength of the palette step behind every model; default: 1")
    clip = "a clip whose frames are stylized like the first pair: how steady they are (needs scikit-image)"
    add("--video", type=path, metavar="CLIP", help=clip)
    size = f"short side in pixels; default: the test set's, or {DEFAULT_EVALUATION_SIZE}"
    add("--size", type=at_least(32), metavar="N", help=size)
    add("--pairs", type=at_least(1), metavar="N", help="the first N pairs alone")
    add("--threads", type=at_least(1), metavar="N", help="default: the cores this process may use")
    add("--overwrite", action="store_true", help="replace existing outputs")
    add("--json", action="store_true", help="one JSON line per model")
