"""The command ``bench``."""

from __future__ import annotations

import argparse

from fastnst.cli.errors import DONE, FAILED, INTERRUPTED, missing
from fastnst.cli.values import at_least, path, positive

HELP = "measure operations beside their rivals, on a GPU where there is one (needs torch)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from fastnst.bench.stems import OPERATIONS, STEMS

    stems = f"some of {', '.join(STEMS)}; default: {', '.join(OPERATIONS)}"
    parser.add_argument("stems", nargs="*", type=stem, metavar="STEM", help=stems)
    parser.add_argument("--quick", action="store_true", help="only the main sizes, with fewer samples")
    parser.add_argument("--compare", action="store_true", help="print times next to those of the last committed report")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda where there is one")
    parser.add_argument("--limit", type=positive, metavar="SECONDS", help="start no operation after so many seconds")
    parser.add_argument("--layers", metavar="NAME_OR_FILE", help="measure each layer of this AdaIN model instead")
    parser.add_argument(
        "--size", type=at_least(1), default=512, metavar="N", help="with --layers: the picture's sides; default: 512"
    )
    parser.add_argument("-o", "--output", type=path, metavar="FOLDER", help="for the reports; default: bench/results")


def stem(text: str) -> str:
    from fastnst.bench.stems import STEMS

    if text not in STEMS:  # argparse's own choices refuse none at all
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(STEMS)}, got {text!r}")
    return text


def run(arguments: argparse.Namespace) -> int:
    try:
        from fastnst.bench.run import run as run_benchmarks

        if arguments.layers is not None:
            from fastnst.bench.stylize import layers

            print(layers.write(arguments.layers, arguments.size, arguments.output))
            return DONE
        status = run_benchmarks(
            arguments.stems,
            quick=arguments.quick,
            compare=arguments.compare,
            device=arguments.device,
            limit=arguments.limit,
            folder=arguments.output,
        )
    except ModuleNotFoundError as error:
        return missing("bench", "bench", error)
    return {0: DONE, 2: INTERRUPTED}.get(status, FAILED)  # pytest's numbers
