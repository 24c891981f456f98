"""A front end is one file: a module in ``fastnst/cli/commands`` is a command, and nothing else has to know it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fastnst import cli
from fastnst.cli import commands
from fastnst.cli.registry import build_parser, names

FRONT_END = """
HELP = "greet somebody"

def add_arguments(parser):
    parser.add_argument("name")

def run(arguments):
    print(f"Hello, {arguments.name}!")
    return 0
"""


@pytest.fixture
def greet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "greet.py").write_text(FRONT_END)
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, f"{commands.__name__}.greet", raising=False)


@pytest.mark.usefixtures("greet")
def test_a_module_is_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert "greet" in names()
    assert "greet somebody" in build_parser().format_help()
    assert cli.main(["greet", "you"]) == 0
    assert capsys.readouterr().out == "Hello, you!\n"
    with pytest.raises(SystemExit, match="2"):
        cli.main(["greet"])
    assert "the following arguments are required: name" in capsys.readouterr().err


def test_a_command_imports_no_other() -> None:
    code = (
        "import sys\n"
        "from fastnst import cli\n"
        "try: cli.main(['stylize', '--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in sys.modules if name.startswith('fastnst.cli.commands.')], 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['fastnst.cli.commands.stylize'] False"


def test_an_unknown_command_is_refused_with_all_names(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["paint"])
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and all(name in said for name in names())
