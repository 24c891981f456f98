"""The laws of the house, checked on the source: imports point one way, and nothing runs code that came as data."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CSRC = ROOT / "csrc"
FOLDERS = {"fastnst": ROOT / "fastnst", "fastnst.kernels": ROOT / "kernels", "fastnst.train": ROOT / "train"}

ROWS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "ground": (("system", "format", "pictures", "images"), ()),
    "deployment": (("engine", "options", "color", "steps", "stylize", "verify", "video", "jobs", "info",
                    "transforms", "integrations"), ("ground",)),
    "reference": (("reference",), ()),
    "kernels": (("kernels", "testing"), ()),
    "operations": (("dispatch", "ops", "nn"), ("reference", "kernels")),
    "networks": (("networks", "metrics"), ("ground", "reference", "operations")),
    "meeting": (("convert", "evaluate", "train", "bench", "cli", "__main__"),
                ("ground", "deployment", "reference", "kernels", "operations", "networks")),
}  # fmt: skip
"""Rows of rooms, and the rows that each stands on. A room may import itself, the rooms before it in its row, and those of the
rows that it stands on. Two chains begin at the top, what users run and what trains, and meet in the last row alone."""
WITH_THE_LIBRARY = ("ground", "deployment", "kernels")
"""Rows that may import the compiled library."""
DEPLOYED = ("ground", "deployment")


@cache
def modules() -> dict[str, Path]:
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join([package, *parts]).removesuffix(".__init__")] = path
    return found


def imports(name: str, path: Path) -> set[str]:
    """Every module that ``path`` imports, anywhere in it, relative imports resolved."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base]).rstrip(".")
            known = {f"{base}.{alias.name}" for alias in node.names} & (set(modules()) | {"fastnst._engine"})
            found |= known or {base}
    return found


def room(name: str) -> str:
    """``fastnst.ops.adain`` -> ``ops``; empty for the package itself."""
    return [*name.split("."), ""][1]


def row(of: str) -> str:
    return next(name for name, (rooms, _) in ROWS.items() if of in rooms)


def may_import(of: str) -> set[str]:
    """The rooms that modules of a room may import."""
    rooms, below = ROWS[row(of)]
    mine = set(rooms[: rooms.index(of) + 1]).union(*(ROWS[each][0] for each in below))
    return mine | ({"_engine"} if row(of) in WITH_THE_LIBRARY else set())


@pytest.mark.parametrize("name", modules())
def test_imports_point_one_way(name: str) -> None:
    ours = {room(each) for each in imports(name, modules()[name]) if each.split(".")[0] == "fastnst"} - {""}
    allowed = may_import(room(name)) if room(name) else {"stylize", "engine", "_engine"}
    assert ours <= allowed


def test_the_drawing_shows_every_room() -> None:
    titles = re.findall(r'class="t"[^>]*>([^<(]+)', (ROOT / "docs" / "images" / "architecture.svg").read_text())
    shown = {room.strip() for title in titles for room in title.split(",")}
    rooms = {room for rooms, _ in ROWS.values() for room in rooms} - {"__main__"}
    assert shown - {"the compiled library"} == rooms


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Modules that import one another, directly or by way of others, wherever in the file the imports stand."""
    reached: dict[str, set[str]] = {}
    for name in graph:
        seen: set[str] = set()
        left = [name]
        while left:
            new = graph.get(left.pop(), set()) - seen
            seen |= new
            left += new
        reached[name] = seen
    found = {tuple(sorted(other for other in reached[name] if name in reached.get(other, ()))) for name in graph}
    return [list(circle) for circle in sorted(found) if circle]


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"e"}}
    assert circles(graph) == [["b", "c"], ["e"]]


def test_no_modules_import_one_another() -> None:
    """Neither at the top nor later, nor for types alone."""
    known = modules()
    graph = {name: imports(name, path) & known.keys() for name, path in known.items()}
    # The package itself imports what it offers on first use, and everything may ask it for its version.
    del graph["fastnst"]
    assert circles(graph) == []


@pytest.mark.parametrize("name", [name for name in modules() if row(room(name) or "cli") in DEPLOYED])
def test_deployment_needs_no_torch(name: str) -> None:
    path = modules()[name]
    top = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    roots = {alias.name.split(".")[0] for node in top if isinstance(node, ast.Import) for alias in node.names}
    roots |= {(node.module or "").split(".")[0] for node in top if isinstance(node, ast.ImportFrom)}
    assert not roots & {"torch", "safetensors", "triton"}


@pytest.mark.parametrize("name", modules())
def test_no_code_from_data(name: str) -> None:
    tree = ast.parse(modules()[name].read_text())
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not calls & {"eval", "exec", "__import__"}
    keywords = {(k.arg, getattr(k.value, "value", None)) for n in ast.walk(tree) if isinstance(n, ast.Call) for k in n.keywords}
    assert ("shell", True) not in keywords
    assert not imports(name, modules()[name]) & {"pickle", "marshal", "shelve", "dill", "yaml"}
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    named = {
        (ast.unparse(node.func), *((k.arg, getattr(k.value, "value", None)) for k in node.keywords)) for node in attributes
    }
    assert not [call for call in named if call[0] in {"os.system", "os.popen", "np.load"}]
    assert all(("weights_only", True) in call for call in named if call[0] == "torch.load")


@pytest.mark.parametrize("name", modules())
def test_no_network(name: str) -> None:
    """Nothing asks another computer. A server is no client: ``fastnst ui`` listens on 127.0.0.1 (tests/web/test_ui.py)."""
    clients = ("socket", "urllib.request", "http.client", "requests", "ftplib")
    assert not [each for each in imports(name, modules()[name]) if each.startswith(clients)]


def including(pattern: str) -> set[str]:
    """The C++ files, by their places in ``csrc/``, with an ``#include`` of a header that the pattern matches."""
    files = [path for path in CSRC.rglob("*") if path.suffix in {".cpp", ".h"}]
    found = {path for path in files if re.search(rf'#include ["<]{pattern}', path.read_text())}
    return {path.relative_to(CSRC).as_posix() for path in found}


def test_only_the_binding_knows_python() -> None:
    for name in including(r"(?:pybind11/|Python\.h|bind/)"):
        assert name.startswith("bind/")


def test_folders_of_the_engine_stand_on_one_another() -> None:
    """``base`` knows nothing else; the engine and the training operations ``base`` alone."""
    for folder in ("engine", "ops", "c"):
        assert all(not name.startswith("base/") for name in including(f"{folder}/"))
    assert all(not name.startswith("engine/") for name in including("(?:ops|c)/"))
    assert all(not name.startswith("ops/") for name in including("(?:engine|c)/"))


def test_the_executable_is_a_program_of_the_library() -> None:
    """It asks the engine through the C interface alone."""
    assert not {name for name in including("(?:engine|c|ops)/") if name.startswith("stylize")}


def test_kinds_of_model_are_told_apart_once() -> None:
    """When a model is loaded: whoever has an engine asks the base class alone."""
    kinds = including("engine/(?:adain|wct|generator)\\.h")
    stands_for_bands = {"web/whole.cpp"}
    assert kinds == {f"engine/{name}.cpp" for name in ("adain", "wct", "generator", "bands", "engine")} | stands_for_bands


def test_every_folder_is_in_the_table_of_folders() -> None:
    """So that nothing lands beside them by accident, such as what a command wrote."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    folders = {name.split("/")[0] for name in listed if "/" in name}
    rows = [row.split("|")[1] for row in (ROOT / "docs" / "architecture.md").read_text().splitlines() if row.startswith("| `")]
    assert folders == {name for row in rows for name in re.findall(r"`([^/`]+)/`", row)}


def test_no_source_file_is_longer_than_400_lines() -> None:
    folders = (
        "csrc",
        "include",
        "fastnst",
        "kernels",
        "train",
        "bench",
        "web",
        "integrations",
        "tests",
        "examples",
        "docs",
        ".ci",
    )
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")] + [ROOT / "setup.py"]
    sources = [path for path in files if path.suffix in {".py", ".pyi", ".cpp", ".h", ".c", ".cu", ".js", ".ts", ".mjs"}]
    assert len(sources) > 300
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in sources}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


@pytest.mark.parametrize("name", [name for name in modules() if room(name) == "cli"])
def test_commands_start_fast(name: str) -> None:
    """``fastnst --help`` imports every command: whatever takes time to import is imported when a command runs."""
    top = [node for node in ast.parse(modules()[name].read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    roots = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
    roots |= {node.module or "" for node in top if isinstance(node, ast.ImportFrom)}
    own = {each for each in roots if each.split(".")[0] not in sys.stdlib_module_names}
    assert {each for each in own if room(each) not in {"", "cli"}} == set()
