"""The commands beside stylize: what they print, what they pass on, and what they say without PyTorch."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from command_line import Run, failed

import fastnst
from fastnst import verify
from fastnst.images import open_picture


def test_version_and_help(run: Run) -> None:
    assert run("--version") == (0, f"fastnst {fastnst.__version__}\n", "")
    listing = run("--help")
    assert listing.code == 0
    for command in ("stylize", "models", "info", "convert", "train", "bench"):
        assert command in listing.out
        assert run(command, "--help").out.startswith(f"usage: fastnst {command} ")
    for option in ("--alpha", "--weights", "--preserve-color", "--size", "--style-size", "--threads", "--overwrite"):
        assert option in run("stylize", "--help").out


def test_no_and_unknown_commands_are_wrong_usage(run: Run) -> None:
    assert failed(run(), "required: COMMAND", code=2)
    assert failed(run("paint"), "invalid choice: 'paint'", code=2)


def test_python_m_fastnst() -> None:
    done = subprocess.run([sys.executable, "-m", "fastnst", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"fastnst {fastnst.__version__}\n"


def test_models_prints_what_ships(run: Run, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastnst.engine.models.MODELS", work)
    lines = run("models").out.splitlines()
    assert lines[0].startswith("name ")
    assert lines[1].split() == ["model", "adain", "12,345", f"{Path('model.fnst').stat().st_size:,}", "679", "-"]
    (report,) = map(json.loads, run("models", "--json").out.splitlines())
    assert report["name"] == "model"
    assert report["parameters"] == 12345
    assert report["file_bytes"] == Path("model.fnst").stat().st_size


def test_models_prints_card_and_layers_of_a_file(run: Run, work: Path) -> None:
    lines = run("models", "model.fnst").out.splitlines()
    assert lines[0].split() == ["path", "model.fnst"]
    assert ["kind", "adain"] in [line.split() for line in lines]
    assert ["parameters", "12345"] in [line.split() for line in lines]
    layers = [line.split() for line in lines[lines.index("") + 1 :]]
    assert layers[0] == ["part", "layer", "inputs", "outputs", "kernel", "does", "weights"]
    assert layers[1][:4] == ["encoder", "1", "3", layers[2][2]]
    (report,) = map(json.loads, run("models", "--json", "model.fnst").out.splitlines())
    assert len(report["layers"]) == len(layers) - 1
    assert report["card"]["parameters"] == 12345
    (work / "damaged.fnst").write_bytes((work / "model.fnst").read_bytes()[:-9])
    result = run("models", "damaged.fnst")
    assert result.code == 1
    assert result.err.startswith("fastnst: error: damaged.fnst: ")
    assert run("models", "absent").code == 1


def test_verify_passes_on_every_path_of_this_machine(run: Run) -> None:
    result = run("verify")
    assert result.code == 0
    for name, runs in fastnst.engine.instruction_sets():
        assert sum(line.startswith(f"pass: {name}, ") for line in result.out.splitlines()) == (3 if runs else 0)


def test_verify_says_which_path_differs(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    table = json.loads(verify.GOLDENS.read_text())
    table["adain-16x 0.5 1x1"] = "0" * 64
    (tmp_path / "goldens.json").write_text(json.dumps(table))
    monkeypatch.setattr(verify, "GOLDENS", tmp_path / "goldens.json")
    fastest = next(name for name, runs in fastnst.engine.instruction_sets() if runs)
    monkeypatch.setattr(verify.engine, "instruction_sets", lambda: [(fastest, True)])
    result = run("verify")
    assert result.code == 1 and not result.out
    assert result.err.splitlines()[0] == (f"fastnst: error: {fastest}, 1 threads: 1 differ, such as adain-16x 0.5 1x1")


def test_info_names_the_path_in_use_and_the_versions(run: Run) -> None:
    result = run("info")
    assert result.code == 0
    facts = dict(line.split(maxsplit=1) for line in result.out.splitlines() if not line.startswith(("can", "instr")))
    assert facts["fastnst"] == fastnst.__version__
    assert facts["numpy"] == np.__version__
    assert int(facts["threads"]) == len(os.sched_getaffinity(0))
    assert f"instruction set  {fastnst.engine.instruction_set()}\n" in result.out
    for name, runs in fastnst.engine.instruction_sets():
        (line,) = (line for line in result.out.splitlines() if line.startswith("can run" if runs else "cannot run"))
        assert name in line


def test_info_without_torch() -> None:
    script = """
import importlib.util, sys
import fastnst.info
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "torch" else find_spec(name)
from fastnst.cli import main
code = main(["info"])
assert "torch" not in sys.modules
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "needs torch" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("convert", "in.safetensors", "-o", "out.fnst", "--calibrate", "."), "torch"),
        (("train", "adain"), "train"),
        (("bench",), "bench"),
    ],
)
def test_commands_that_need_torch_say_how_to_get_it(arguments: tuple[str, ...], extra: str) -> None:
    script = f"""
import sys, types
recipes = types.ModuleType("fastnst.train")
recipes.__path__ = []
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "fastnst.train.adain"):
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, NoTorch())
sys.modules["fastnst.train"] = recipes
from fastnst.cli import main
sys.exit(main({list(arguments)!r}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"fastnst: error: fastnst {arguments[0]} needs torch: pip install 'fastnst[{extra}]'\n"


@pytest.mark.parametrize("chosen", [None, "ACTIVE"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("convert", "in.safetensors", "-o", "out.fnst", "--calibrate", "."),
        ("train", "adain"),
        ("evaluate", "adain-16x", "--content", ".", "--style", ".", "--weights", ".", "-o", "evaluation"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_threads_of_commands_with_torch_sleep_while_they_wait(arguments: tuple[str, ...], chosen: str | None) -> None:
    """Spinning beside two others, `convert` was not done in 26 minutes; asleep in 10. OpenMP reads the variable as it loads."""
    script = f"""
import os, sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"))
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, NoTorch())
from fastnst.cli import main
sys.exit(main({list(arguments)!r}))
"""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OMP_")}
    environment |= {"OMP_WAIT_POLICY": chosen} if chosen else {}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout.split()) == (1, [chosen or "PASSIVE"])


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_no_failure(closed: str) -> None:
    """As of services: Python has None for them, and the next file that is opened would be one of them."""
    command = "stylize content.png style.png -o out.png --model model.fnst --overwrite"
    for options in ("", " --json", " --quiet"):
        line = f"{shlex.quote(sys.executable)} -m fastnst {command}{options} {closed}"
        done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        assert open_picture(Path("out.png")).rgb.size == open_picture(Path("content.png")).rgb.size


def fake_module(monkeypatch: pytest.MonkeyPatch, name: str, **contents: object) -> None:
    module = ModuleType(name)
    vars(module).update(contents)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.usefixtures("work")
def test_convert_passes_its_arguments_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def convert(sources: list[Path], calibration: Path, output: Path, **options: object) -> dict[str, int]:
        assert callable(options.pop("recognised"))  # prints a line
        calls.append((sources, calibration, output, options))
        output.write_bytes(bytes(1234))
        return {"parameters": 5678}

    fake_module(monkeypatch, "fastnst.convert", convert=convert)
    arguments = ("convert", "in.safetensors", "--calibrate", "photos", "-o")
    assert run(*arguments, "out.fnst") == (0, "out.fnst  5,678 parameters  1,234 bytes\n", "")
    assert run(*arguments, "out.fnst", "--name", "small", "--overwrite", "--keep-dead").code == 0
    assert run(*arguments, "out.fnst", "--nearly-dead", "0.1").code == 0
    assert run(*arguments, "out.fnst", "--source", "a paper", "--licence", "CC0").code == 0
    paths = ([Path("in.safetensors")], Path("photos"), Path("out.fnst"))
    unsaid = dict.fromkeys(("name", "origin", "licence", "values"))
    plain = unsaid | {"overwrite": False, "winograd": "never", "keep_dead": False}
    plain |= {"nearly_dead": 0.0, "report": None}
    assert calls == [
        (*paths, plain),
        (*paths, plain | {"name": "small", "overwrite": True, "keep_dead": True}),
        (*paths, plain | {"nearly_dead": 0.1}),
        (*paths, plain | {"origin": "a paper", "licence": "CC0"}),
    ]
    assert failed(run(*arguments, "out.fnst", "--keep-dead", "--nearly-dead", "0.1"), "not allowed with", code=2)
    assert failed(run(*arguments, "out.onnx"), "out.onnx: the suffix of a model is .fnst", code=2)


def test_train_passes_all_arguments_to_the_recipe(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    fake_module(monkeypatch, "fastnst.train.adain", main=calls.append)
    assert run("train", "adain", "--help", "-o", "x", "--", "y").code == 0
    assert calls == [["--help", "-o", "x", "--", "y"]]
    assert failed(run("train", "everything"), "invalid choice: 'everything'", code=2)
