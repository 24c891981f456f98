"""The parser of the command line, put together from the modules in :mod:`fastnst.cli.commands`."""

from __future__ import annotations

import argparse
from importlib import import_module
from pkgutil import iter_modules
from typing import NoReturn, Protocol, cast

import fastnst
from fastnst.cli import commands
from fastnst.cli.errors import USAGE, fail

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

    def error(self, message: str) -> NoReturn:
        fail(f"{message} (see '{self.prog} --help')")
        raise SystemExit(USAGE)


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
    added = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    known = names()
    for name in [command] if command in known else known:
        module = cast(Command, import_module(f"{commands.__name__}.{name}"))
        description = f"{module.HELP[0].upper()}{module.HELP[1:]}."
        each = added.add_parser(name, help=module.HELP, description=description, allow_abbrev=False)
        each.set_defaults(command=module.run)
        module.add_arguments(each)
    return parser
