"""The commands, their options, and what ``--help`` says of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
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
from fastnst.cli.completion import SHELLS, run_completion
from fastnst.cli.errors import USAGE, fail
from fastnst.cli.looks import add_look_arguments, add_styles_arguments, run_look, run_styles
from fastnst.cli.stylizing import run_stylize
from fastnst.cli.values import (
    COLORS,
    FORMATS,
    OPERATIONS,
    STEMS,
    StoreOutput,
    at_least,
    byte_count,
    level_list,
    output_name,
    path,
    percent,
    picture_format,
    positive,
    row_pair,
    scales,
    share,
    stem,
    text,
    weight_list,
)

EXIT_CODES = "Exit codes: 0 done, 1 something failed, 2 wrong usage, 130 interrupted."
ON_CARD = "for the model's card; default: what the file says of itself, or unknown"
KEEPS_COLOR = "--preserve-color"
STYLE_HELP = (
    "a picture, or several to mix; a .look file; or the name of a look that ships, see fastnst styles; none for a model that "
    "translates pictures by itself"
)
MANY_HELP = "a style; may be repeated; all names without an option are contents then"
SCALE_HELP = (
    "see the styles S times as large, 0.25 to 4; auto gives them the short side of the content, so that strokes keep in "
    "proportion to it; several are mixed by their shares: 0.5:0.5,2:0.5"
)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all errors of fastnst."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """What follows an option whose value may be left away is its value only if it can be."""
        words = list(sys.argv[1:] if args is None else args)
        for at in range(words.index("--") if "--" in words else len(words)):
            if words[at] == KEEPS_COLOR and (at + 1 == len(words) or words[at + 1] not in COLORS):
                words[at] = f"{KEEPS_COLOR}={COLORS[0]}"
        return super().parse_known_args(words, namespace)

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

    add_look_arguments(command("look", run_look, "keep what a model makes of a style, in a small file that stands for it"))
    about_styles = "list the looks inside the package, which stand for styles by their names"
    add_styles_arguments(command("styles", run_styles, about_styles))

    completion = command("completion", run_completion, "print a script by which a shell completes fastnst's command lines")
    completion.add_argument("shell", choices=SHELLS, help=" or ".join(SHELLS))
    completion.set_defaults(root=parser)

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
    contents = "a picture, a video, or a folder of them (with the folders in it); - is a picture or a y4m on standard input"
    add("content", type=path, metavar="CONTENT", help=contents)
    style = add("style", type=path, nargs="+", default=[], metavar="STYLE", help=STYLE_HELP)
    style.required = False  # nargs="*" would take none where an option follows CONTENT, and refuse the STYLE after that
    add("--style", dest="styles", type=path, action="append", default=[], metavar="STYLE", help=MANY_HELP)
    outputs = "output file; a folder where there are several results or the name ends with /; - is standard output"
    add("-o", "--output", action=StoreOutput, metavar="OUT", help=outputs)
    parser.set_defaults(output_is_folder=False)
    add("--each", action="store_true", help="take every style alone, and every picture of a STYLE that is a folder")
    sample = "as --each, but only N of the styles for each content, chosen at random by --seed"
    add("--sample", type=at_least(1), metavar="N", help=sample)
    add("--seed", type=at_least(0), default=0, metavar="N", help="of --sample: the same number chooses the same; default: 0")
    names = "of outputs in a folder, such as {content}-{style}.{ext}, which is the default with --each"
    add("--name", type=output_name, metavar="TEMPLATE", help=names)
    add(
        "--sheet",
        type=path,
        metavar="FILE",
        help="write one more picture of all results: styles across, contents down",
    )
    add("--model", metavar="NAME_OR_FILE", help="a shipped model's name or a .fnst file; default: the shipped default")
    add("--alpha", type=share, default=1.0, metavar="A", help="0 = content, 1 = full style (default)")
    add("--weights", type=weight_list, metavar="W,W...", help="parts of the styles, such as 0.7,0.3; default: equal parts")
    add("--levels", type=level_list, metavar="L,L...", help="levels of a WCT model, such as 5,4,3,2,1; default: all it has")
    colors = parser.add_mutually_exclusive_group()
    colors.add_argument(
        KEEPS_COLOR,
        dest="colors",
        choices=COLORS,
        nargs="?",
        const=COLORS[0],
        default="palette",
        metavar="MODE",
        help="keep the content's colours: luma (default) or lab take the lightness alone from the result, match gives it the "
        "content's mean and covariance of colours, histogram the content's histograms",
    )
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
    formats = f"of pictures whose output's suffix does not say it: {', '.join(FORMATS)}; in folders, of all of them"
    add("--format", type=picture_format, metavar="NAME", help=formats)
    fidelity = parser.add_mutually_exclusive_group()
    quality = "of JPEG, WebP and AVIF, 1 to 100; default: 95, of AVIF 90"
    fidelity.add_argument("--quality", type=percent, metavar="N", help=quality)
    lossless = "write WebP so that it gives back the very pixels, as PNG and TIFF always do"
    fidelity.add_argument("--lossless", action="store_true", help=lossless)
    strips = "leave EXIF, XMP, IPTC and resolution of the content out of the output; they are kept otherwise"
    add("--strip-metadata", action="store_true", help=strips)
    add("--style-scale", type=scales, metavar="S", help=SCALE_HELP)
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
    add("--dry-run", action="store_true", help="print what would be done: outputs, sizes, tiles and memory; write nothing")
    add("--overwrite", action="store_true", help="replace existing outputs; without it a folder run does what is missing")
    add("--quiet", action="store_true", help="print nothing but errors")
    add(
        "--json",
        action="store_true",
        help="one JSON line per picture or video: size, seconds, bytes of memory, what was left out, or its error",
    )


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    shapes = "a shipped model's name, a .fnst file or a trained .safetensors file; NAME=MODEL names its row"
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
        help="PSNR of the first row's pictures beside the second's, such as int8 beside float; may be repeated",
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
