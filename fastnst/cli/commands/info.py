"""The command ``info``."""

from __future__ import annotations

import argparse

from fastnst.cli.errors import DONE
from fastnst.cli.tables import print_table

HELP = "print the version, the models and what this machine offers"


def add_arguments(_: argparse.ArgumentParser) -> None:
    """It takes none."""


def run(_: argparse.Namespace) -> int:
    from fastnst.info import facts

    print_table(facts())
    return DONE
