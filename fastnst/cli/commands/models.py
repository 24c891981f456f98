"""The command ``models``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import fastnst
from fastnst.cli.errors import DONE, USAGE, fail, missing
from fastnst.cli.tables import print_table
from fastnst.cli.values import path

HELP = "list the models inside the package, or the card and layers of any"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", nargs="*", metavar="MODEL", help="a name from the list or a .fnst file")
    parser.add_argument("--json", action="store_true", help="one JSON line per model")
    weights = "write the float weights of one AdaIN model, in real units (needs safetensors)"
    parser.add_argument("--weights", type=path, metavar="OUT", help=weights)


def run(arguments: argparse.Namespace) -> int:
    if arguments.weights:
        return _write_weights(arguments.models, arguments.weights)
    if arguments.models:
        return _show_models(arguments.models, arguments.json)
    models = fastnst.models()
    if arguments.json:
        for model in models:
            print(json.dumps({**model._asdict(), "path": str(model.path)}))
        return DONE
    header = ("name", "kind", "parameters", "file bytes", "MACs/pixel", "distilled from")
    rows = [
        (
            model.name,
            model.kind,
            f"{model.parameters:,}",
            f"{model.file_bytes:,}",
            f"{model.macs_per_pixel:,.0f}",
            model.distilled_from or "-",
        )
        for model in models
    ]
    print_table([header, *rows])
    return DONE


def _write_weights(names: Sequence[str], output: Path) -> int:
    if len(names) != 1:
        return fail(f"--weights: the weights of one model, {len(names)} are given", USAGE)
    if output.suffix != ".safetensors":
        return fail(f"{output}: the suffix of weights is .safetensors", USAGE)
    if output.exists():
        return fail(f"{output} exists")
    try:
        from safetensors.numpy import save
    except ModuleNotFoundError as error:
        return missing("models --weights", "torch", error)
    from fastnst.engine import Engine
    from fastnst.format.floatnet import float_network, trained_tensors
    from fastnst.format.modelfile import AdainFile
    from fastnst.format.reading import read
    from fastnst.stylize import find_model
    from fastnst.system.atomic import atomic_output

    source = find_model(names[0])
    Engine(source)  # refuses what is damaged
    model = read(source)
    if not isinstance(model, AdainFile):
        return fail(f"{source}: weights are written of AdaIN models alone")
    told: dict[str, str] = {key: str(model.card[key]) for key in ("source", "licence") if key in model.card}
    data = save(trained_tensors(float_network(model)), told)
    with atomic_output(output) as file:
        file.write(data)
    print(f"{output}  {len(data):,} bytes")
    return DONE


def _show_models(names: Sequence[str], as_json: bool) -> int:
    from fastnst.info import described

    for number, model in enumerate(map(described, names)):
        if as_json:
            print(json.dumps(model))
            continue
        print("\n" if number else "", end="")
        styles = [("styles", f"{model['styles']}, numbered from 0")] if "styles" in model else []
        print_table([("path", model["path"]), ("bytes", f"{model['bytes']:,}"), *styles, *_flat(model["card"])])
        print()
        titles = list(model["layers"][0])
        rows = ([f"{each:,}" if isinstance(each, int) else each for each in layer.values()] for layer in model["layers"])
        print_table([titles, *rows])
    return DONE


def _flat(card: Mapping[str, Any], of: str = "") -> Iterator[tuple[str, str]]:
    """Names and values of a card, those of a part of it with its name before theirs."""
    for name, value in card.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{of}{name}.")
        else:
            yield f"{of}{name}", value if isinstance(value, str) else json.dumps(value)
