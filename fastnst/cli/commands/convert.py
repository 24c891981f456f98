"""The command ``convert``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fastnst.cli.errors import DONE, USAGE, fail, missing
from fastnst.cli.tables import print_table
from fastnst.cli.values import path, text

if TYPE_CHECKING:
    from fastnst.convert.forms import LayerReport
    from fastnst.convert.recognition import Recognised

HELP = "quantise a trained network for the engine (needs torch)"
VALUES = {"signed": (-1.0, 1.0), "unit": (0.0, 1.0), "bytes": (0.0, 255.0)}
ON_CARD = "for the model's card; default: what the file says of itself, or unknown"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    trained = "trained network, .safetensors, .pth, .pt or .onnx; several files of one that is published so"
    parser.add_argument("sources", nargs="+", type=path, metavar="IN", help=trained)
    parser.add_argument("-o", "--output", type=path, metavar="OUT", required=True, help="engine model, .fnst")
    parser.add_argument(
        "--calibrate", type=path, metavar="FOLDER", required=True, help="pictures on which value ranges are measured"
    )
    parser.add_argument("--source", dest="origin", type=text, metavar="TEXT", help=f"where the weights come from, {ON_CARD}")
    parser.add_argument("--licence", "--license", type=text, metavar="TEXT", help=f"that of the weights, {ON_CARD}")
    values = "how an ONNX network writes pictures: signed, -1..1, unit, 0..1, or bytes, 0..255; default: as its end says"
    parser.add_argument("--values", choices=VALUES, help=values)
    parser.add_argument("--name", help="name on the model's card; default: that of the file")
    forms = "layers in Winograd form: never (default), always, auto (where it is faster here and loses little), or numbers: 3,4"
    parser.add_argument("--winograd", default="never", metavar="LAYERS", help=forms)
    dead = parser.add_mutually_exclusive_group()
    kept = "keep channels of an AdaIN pair that stay zero by a margin in every picture; they are removed otherwise"
    dead.add_argument("--keep-dead", action="store_true", help=kept)
    nearly = "also remove those that never exceed this share of their layer's largest value; 0.002 is half a step of 8 bits"
    dead.add_argument("--nearly-dead", type=float, default=0.0, metavar="SHARE", help=nearly)
    parser.add_argument("--report", action="store_true", help="print times, quality and form of every layer")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")


def run(arguments: argparse.Namespace) -> int:
    if wrong := begin(arguments.output):
        return wrong
    try:
        from fastnst.convert import convert
    except ModuleNotFoundError as error:
        return missing("convert", "torch", error)
    try:
        card = convert(
            arguments.sources,
            arguments.calibrate,
            arguments.output,
            name=arguments.name,
            origin=arguments.origin,
            licence=arguments.licence,
            values=VALUES.get(arguments.values),
            overwrite=arguments.overwrite,
            winograd=arguments.winograd,
            keep_dead=arguments.keep_dead,
            nearly_dead=arguments.nearly_dead,
            report=_print_layers if arguments.report else None,
            recognised=print_network,
        )
    except ModuleNotFoundError as error:
        return missing("convert", "onnx", error)
    fidelity = f"  {card['psnr']} dB beside float" if "psnr" in card else ""
    print(f"{arguments.output}  {card['parameters']:,} parameters  {arguments.output.stat().st_size:,} bytes{fidelity}")
    return DONE


def begin(output: Path) -> int:
    """What comes before PyTorch is loaded to make ``output``: an exit code, above 0 if that is no name of a model."""
    if output.suffix != ".fnst":
        return fail(f"{output}: the suffix of a model is .fnst", USAGE)
    from fastnst.system.threads import sleep_while_waiting

    sleep_while_waiting()
    return DONE


def print_network(found: Recognised) -> None:
    print(f"{', '.join(str(source.path) for source in found.sources)}: {found.what}", flush=True)


def _print_layers(reports: Sequence[LayerReport]) -> None:
    from fastnst.convert.forms import table

    print_table(table(reports))
