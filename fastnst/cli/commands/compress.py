"""The command ``compress``."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastnst.cli.commands.convert import VALUES, begin, print_network
from fastnst.cli.errors import DONE, missing
from fastnst.cli.tables import print_table
from fastnst.cli.values import at_least, path, real, text

HELP = "make a trained image-to-image network smaller and quantise it (needs torch)"
SETTINGS = {
    "ratio": (real, "SHARE", "share of the multiply-accumulates that is kept; default: 0.25"),
    "steps": (at_least(0), "N", "of training towards the original; default: 2000"),
    "qat-steps": (at_least(0), "N", "of training in 8 bits after that, as the engine computes; 0: convert alone; default: 100"),
    "batch": (at_least(1), "N", "crops of each step; default: 1"),
    "size": (at_least(1), "N", "side of the crops in pixels; default: 256"),
    "multiple": (at_least(1), "N", "widths are multiples of it where there are channels enough; default: 16"),
    "held-out": (at_least(0), "N", "pictures that are only judged by, at most a tenth of all; default: 50"),
    "learning-rate": (real, "RATE", "of Adam; default: 0.001"),
    "qat-rate": (real, "RATE", "learning rate in 8 bits, in steps of weights and bytes; default: 0.002"),
    "perceptual-weight": (real, "W", "of VGG's terms, which need its weights; 0 does without; default: 1"),
    "perceptual-levels": (at_least(1), "N", "2: of VGG-16 alone, 4: and two of VGG-19's; default: 4"),
    "adversarial-weight": (real, "W", "of a discriminator that learns beside the student; 0: none; default: 0"),
    "seed": (at_least(0), "N", "of all that is drawn at random; default: 1"),
}
"""Settings that have options, by their names: what takes the word, its name and its help."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    network = "trained network, as for convert: .safetensors, .pth, .pt or .onnx; several files of one that is published so"
    add("sources", nargs="+", type=path, metavar="NETWORK", help=network)
    add("--data", type=path, metavar="PHOTOS", required=True, help="folder of pictures such as the network translates")
    add("-o", "--output", type=path, metavar="OUT", required=True, help="engine model, .fnst")
    run = (
        "for checkpoints, logs and the report; the same command resumes a run there; default: OUT without its suffix, and -run"
    )
    add("--run", type=path, metavar="FOLDER", help=run)
    weights = "of VGG-16 and VGG-19 (perceptual terms), LPIPS and FID's network (report); default: PHOTOS/weights"
    add("--weights", type=path, metavar="FOLDER", help=weights)
    add("--config", type=path, metavar="TOML", help="file with any settings; the options below override it")
    for name, (kind, word, told) in SETTINGS.items():
        add(f"--{name}", type=kind, metavar=word, default=argparse.SUPPRESS, help=told)
    add("--every", type=at_least(1), default=200, metavar="N", help="steps between checkpoints; default: 200")
    add("--threads", type=at_least(1), default=0, metavar="N", help="default: as many as PyTorch chooses")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="that trains; default: cpu")
    add("--described", type=text, default="not described", metavar="TEXT", help="what the pictures are, for the card")
    add("--source", dest="origin", type=text, metavar="TEXT", help="where they come from, for the card; default: this recipe")
    licence = "that of the weights, for the card; default: what NETWORK says of itself, or unknown"
    add("--licence", "--license", type=text, metavar="TEXT", help=licence)
    add("--values", choices=VALUES, help="as for convert: how an ONNX network writes pictures")
    add("--overwrite", action="store_true", help="replace an existing output")


def run(arguments: argparse.Namespace) -> int:
    if wrong := begin(arguments.output):
        return wrong
    try:
        import torch_pruning  # noqa: F401 - before the hours, not after them

        from fastnst.train.compress import compress
        from fastnst.train.settings import read
    except ModuleNotFoundError as error:
        return missing("compress", "compress", error)
    settings = read(arguments.config) if arguments.config else {}
    given = vars(arguments)
    for name in (option.replace("-", "_") for option in SETTINGS):
        if name in given:
            settings[name] = given[name]
    made = compress(
        arguments.sources,
        arguments.data,
        arguments.output,
        run=arguments.run or _beside(arguments.output),
        weights=arguments.weights,
        values=VALUES.get(arguments.values),
        origin=arguments.origin,
        licence=arguments.licence,
        overwrite=arguments.overwrite,
        threads=arguments.threads,
        device=arguments.device,
        every=arguments.every,
        described=arguments.described,
        recognised=print_network,
        **settings,
    )
    print_table(made.report.table())
    for line in (made.report.told, *made.report.left_out):
        print(line)
    print(f"{arguments.output}  {made.card['parameters']:,} parameters  {arguments.output.stat().st_size:,} bytes")
    return DONE


def _beside(output: Path) -> Path:
    return output.with_name(f"{output.stem}-run")
