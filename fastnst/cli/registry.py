"""The parser of the command line, put together from the modules in :mod:`fastnst.cli.commands`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import NoReturn, Protocol, cast

import fastnst
from fastnst.cli import commands
from fastnst.cli.errors import USAGE, fail
from fastnst.cli.values import COLORS, KEEPS_COLOR

EXIT_CODES = "Exit codes: 0 done, 1 something failed, 2 wrong usage, 130 interrupted."


class Command(Protocol):
    """What a module in :mod:`fastnst.cli.commands` has."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments of the command."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Run the command and return an exit code."""


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


class CommandParser(Parser):
    """The parser of one command, which refuses what it does not know itself, so that the error points at its own help."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return known, unknown


def names() -> list[str]:
    """The names of all commands."""
    return sorted(module.name for module in iter_modules(commands.__path__))


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """A parser of command lines. The attribute ``command`` of its result takes that result and returns an exit code.

    Args:
        command: the only command that the line can have, so that no other module is imported. All of them without it.
    """
    parser = Parser(prog="fastnst", description="Neural style transfer, small and fast.", allow_abbrev=False, epilog=EXIT_CODES)
    parser.add_argument("--version", action="version", version=f"fastnst {fastnst.__version__}")
    added = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=CommandParser)
    known = names()
    for name in [command] if command in known else known:
        module = cast(Command, import_module(f"{commands.__name__}.{name}"))
        description = f"{module.HELP[0].upper()}{module.HELP[1:]}."
        each = added.add_parser(name, help=module.HELP, description=description, allow_abbrev=False)
        each.set_defaults(command=module.run)
        module.add_arguments(each)
    return parser
