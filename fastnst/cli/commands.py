"""The commands other than ``stylize``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import fastnst
from fastnst.cli.errors import DONE, FAILED, INTERRUPTED, USAGE, fail, missing
from fastnst.cli.progress import Progress

if TYPE_CHECKING:
    from fastnst.convert.forms import LayerReport

RECIPES = {
    "decoder": "fastnst.train.decoder",
    "collab": "fastnst.train.collab",
    "ablation": "fastnst.train.ablation",
    "adain": "fastnst.train.adain",
    "prune": "fastnst.train.prune",
    "qat": "fastnst.train.qat",
    "crd": "fastnst.train.crd",
    "crd-tables": "fastnst.train.crd.tables",
    "campaign": "fastnst.train.campaign",
}
"""The modules of the recipes, by the names that ``fastnst train`` has for them."""
DEFAULT_EVALUATION_SIZE = 512


def run_models(arguments: argparse.Namespace) -> int:
    if arguments.models:
        return _show_models(arguments.models, arguments.json)
    models = fastnst.models()
    if arguments.json:
        for model in models:
            print(json.dumps({**vars(model), "path": str(model.path)}))
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
    _print_table([header, *rows])
    return DONE


def _show_models(names: Sequence[str], as_json: bool) -> int:
    from fastnst.info import described

    for number, model in enumerate(map(described, names)):
        if as_json:
            print(json.dumps(model))
            continue
        print("\n" if number else "", end="")
        _print_table([("path", model["path"]), ("bytes", f"{model['bytes']:,}"), *_flat(model["card"])])
        print()
        titles = list(model["layers"][0])
        rows = ([f"{each:,}" if isinstance(each, int) else each for each in layer.values()] for layer in model["layers"])
        _print_table([titles, *rows])
    return DONE


def _flat(card: Mapping[str, Any], of: str = "") -> Iterator[tuple[str, str]]:
    """Names and values of a card, those of a part of it with its name before theirs."""
    for name, value in card.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{of}{name}.")
        else:
            yield f"{of}{name}", value if isinstance(value, str) else json.dumps(value)


def run_info(_: argparse.Namespace) -> int:
    from fastnst.info import facts

    _print_table(facts())
    return DONE


def run_verify(_: argparse.Namespace) -> int:
    from fastnst.verify import verify

    code = DONE
    for result in verify():
        where = f"{result.path}, {result.threads} threads" if result.pictures else result.path
        if result.wrong:
            code = fail(f"{where}: {len(result.wrong)} differ, such as {result.wrong[0]}")
        else:
            print(f"pass: {where}: {result.pictures} pictures")
    return code


def _print_table(rows: Iterable[Sequence[str]]) -> None:
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    for row in zip(*columns, strict=True):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def run_convert(arguments: argparse.Namespace) -> int:
    if arguments.output.suffix != ".fnst":
        return fail(f"{arguments.output}: the suffix of a model is .fnst", USAGE)
    from fastnst.system.threads import sleep_while_waiting

    sleep_while_waiting()
    try:
        from fastnst.convert import convert
    except ModuleNotFoundError as error:
        return missing("convert", "torch", error)
    card = convert(
        arguments.source,
        arguments.calibrate,
        arguments.output,
        name=arguments.name,
        origin=arguments.origin,
        licence=arguments.licence,
        overwrite=arguments.overwrite,
        winograd=arguments.winograd,
        keep_dead=arguments.keep_dead,
        nearly_dead=arguments.nearly_dead,
        report=_print_layers if arguments.report else None,
    )
    fidelity = f"  {card['psnr']} dB beside float" if "psnr" in card else ""
    print(f"{arguments.output}  {card['parameters']:,} parameters  {arguments.output.stat().st_size:,} bytes{fidelity}")
    return DONE


def _print_layers(reports: Sequence[LayerReport]) -> None:
    from fastnst.convert.forms import table

    _print_table(table(reports))


def run_train(arguments: argparse.Namespace) -> int:
    try:
        recipe = import_module(RECIPES[arguments.recipe])
    except ModuleNotFoundError as error:
        return missing("train", "train", error)
    recipe.main(arguments.arguments)
    return DONE


def run_evaluate(arguments: argparse.Namespace) -> int:
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
        pairs, size = pair_folders(arguments.content, arguments.style), DEFAULT_EVALUATION_SIZE
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


def run_bench(arguments: argparse.Namespace) -> int:
    try:
        from fastnst.bench.run import run

        if arguments.layers is not None:
            from fastnst.bench.stylize import layers

            print(layers.write(arguments.layers, arguments.size, arguments.output))
            return DONE
        status = run(
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
