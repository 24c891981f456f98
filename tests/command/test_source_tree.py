"""fastnst started in its own source tree, where nothing was built, while it is installed elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

import fastnst

LAUNCHER = "import sys\nfrom fastnst.cli import main\nsys.exit(main())\n"
"""What pip makes of the entry point: a script in another folder."""
BARE = (sys.executable, "-S")
"""Without what is installed: an editable fastnst would lend the tree its engine."""
PACKAGES = str(Path(numpy.__file__).parents[1])


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source tree in which nothing was built."""
    folder = tmp_path_factory.mktemp("tree")
    shutil.copytree(Path(fastnst.__file__).parent, folder / "fastnst", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    return folder


def run(command: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=os.environ | environment, capture_output=True, text=True)


def test_verify_runs_the_installed_package(tree: Path, tmp_path: Path) -> None:
    # On the fastest path alone: each is a child like any other.
    one = "from fastnst import engine\nfirst = engine.instruction_set()\nengine.instruction_sets = lambda: [(first, True)]\n"
    (tmp_path / "fastnst").write_text(one + LAUNCHER)
    done = run([sys.executable, str(tmp_path / "fastnst"), "verify"], tree)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines and all(line.startswith("pass: ") for line in lines)


def test_a_child_imports_what_its_parent_does(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("import sys, fastnst\nprint(fastnst.__file__, __name__, sys.argv[1:])\n")
    paths = {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])}
    script = (
        "import os, subprocess, sys\n"
        "from fastnst.system.child import python_module\n"
        f"os.chdir({str(tree)!r})\n"
        "sys.exit(subprocess.run(python_module('own', 'a b', '-c')).returncode)\n"
    )
    (tmp_path / "parent.py").write_text(script)
    done = run([sys.executable, str(tmp_path / "parent.py")], tmp_path, **paths)
    assert done.stdout == f"{fastnst.__file__} __main__ ['a b', '-c']\n", done.stderr


@pytest.mark.parametrize("work", ["fastnst.Stylizer()", "fastnst.models()", "fastnst.ModelError"])
def test_a_tree_without_an_engine_says_what_to_do(work: str, tree: Path) -> None:
    done = run([*BARE, "-c", f"import fastnst; {work}"], tree, PYTHONPATH=PACKAGES)
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"ImportError: fastnst's engine is not built in {tree / 'fastnst'}")
    assert "build_ext --inplace" in line and "another folder" in line


@pytest.mark.parametrize(
    "command", ["models", "info", "verify", "stylize a.png b.png -o c.png", "stylize a.png b.png -o c.png --max-memory 1G"]
)
def test_commands_in_a_tree_without_an_engine_say_it_in_one_line(command: str, tree: Path) -> None:
    done = run([*BARE, "-m", "fastnst", *command.split()], tree, PYTHONPATH=PACKAGES)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("fastnst: error: fastnst's engine is not built in ")


@pytest.mark.parametrize("command", ["train adain --help", "bench"])
def test_parts_that_lie_elsewhere_in_the_tree_are_not_mistaken_for_missing_packages(command: str, tree: Path) -> None:
    """The training half and the benchmarks are no folders of ``fastnst/`` in the source tree."""
    done = run([*BARE, "-m", "fastnst", *command.split()], tree, PYTHONPATH=PACKAGES)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "pip install 'fastnst[" not in line
    assert str(tree / "fastnst") in line and "another folder" in line
