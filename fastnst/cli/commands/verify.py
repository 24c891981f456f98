"""The command ``verify``."""

from __future__ import annotations

import argparse

from fastnst.cli.errors import DONE, fail

HELP = "check that every instruction set here makes the recorded pictures"


def add_arguments(_: argparse.ArgumentParser) -> None:
    """It takes none."""


def run(_: argparse.Namespace) -> int:
    from fastnst.verify import verify

    code = DONE
    for result in verify():
        where = f"{result.path}, {result.threads} threads" if result.pictures else result.path
        if result.wrong:
            code = fail(f"{where}: {len(result.wrong)} differ, such as {result.wrong[0]}")
        else:
            print(f"pass: {where}: {result.pictures} pictures")
    return code
