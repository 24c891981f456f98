"""The command ``train``."""

from __future__ import annotations

import argparse
from importlib import import_module

from fastnst.cli.errors import DONE, missing

HELP = "run a training recipe (needs torch)"
RECIPES = {
    "decoder": "fastnst.train.decoder",
    "collab": "fastnst.train.collab",
    "cascade": "fastnst.train.cascade",
    "ablation": "fastnst.train.ablation",
    "adain": "fastnst.train.adain",
    "prune": "fastnst.train.prune",
    "qat": "fastnst.train.qat",
    "crd": "fastnst.train.crd",
    "crd-tables": "fastnst.train.crd.tables",
    "campaign": "fastnst.train.campaign",
}
"""The modules of the recipes, by the names that ``fastnst train`` has for them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", choices=RECIPES, metavar="RECIPE", help=" or ".join(RECIPES))
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="--help shows those of the recipe")


def run(arguments: argparse.Namespace) -> int:
    try:
        recipe = import_module(RECIPES[arguments.recipe])
    except ModuleNotFoundError as error:
        return missing("train", "train", error)
    recipe.main(arguments.arguments)
    return DONE
