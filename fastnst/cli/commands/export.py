"""The command ``export``."""

from __future__ import annotations

import argparse

from fastnst.cli.errors import DONE, USAGE, fail, missing
from fastnst.cli.values import path

HELP = "write a model as an ONNX graph for other runtimes, in float numbers or 8 bits (needs onnx)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a name from the list of models or a .fnst file: AdaIN or a generator")
    parser.add_argument("-o", "--output", type=path, metavar="OUT", required=True, help="graph, .onnx")
    cached = "of AdaIN: take the style's mean and std, which do not change from picture to picture, instead of the style"
    parser.add_argument("--cached", action="store_true", help=cached)
    qdq = "in 8 bits, by QuantizeLinear and DequantizeLinear, instead of float numbers"
    parser.add_argument("--qdq", action="store_true", help=qdq)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")


def run(arguments: argparse.Namespace) -> int:
    output = arguments.output
    if output.suffix != ".onnx":
        return fail(f"{output}: the suffix of a graph is .onnx", USAGE)
    if output.exists() and not arguments.overwrite:
        return fail(f"{output} exists")
    try:
        from fastnst.format.onnxfile import onnx_bytes
    except ModuleNotFoundError as error:
        return missing("export", "onnx", error)
    from fastnst.engine import Engine
    from fastnst.format.reading import read
    from fastnst.stylize import find_model
    from fastnst.system.atomic import atomic_output

    model = find_model(arguments.model)
    Engine(model)  # refuses what is damaged
    data = onnx_bytes(read(model), cached=arguments.cached, int8=arguments.qdq)
    with atomic_output(output) as file:
        file.write(data)
    print(f"{output}  {len(data):,} bytes")
    return DONE
