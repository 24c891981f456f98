"""The laws of the house, checked on the source: imports point one way, and nothing runs code that came as data."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {"fastnst": ROOT / "fastnst", "fastnst.kernels": ROOT / "kernels", "fastnst.train": ROOT / "train"}

# What each part may import of the project: the two chains, which meet in `convert` and `evaluate` alone. Longest name wins.
MAY_IMPORT = {
    "fastnst": {"fastnst.stylize", "fastnst.engine", "fastnst._engine"},
    "fastnst.__main__": {"fastnst.cli"},
    "fastnst.cli": {"fastnst", "fastnst.cli", "fastnst.jobs", "fastnst.info", "fastnst.stylize", "fastnst.images",
                    "fastnst.convert", "fastnst.evaluate", "fastnst.train", "fastnst.bench", "fastnst.engine",
                    "fastnst.progress", "fastnst.plans", "fastnst.reports", "fastnst.memory", "fastnst.video",
                    "fastnst.threads", "fastnst.verify"},
    "fastnst.verify": {"fastnst.stylize", "fastnst.engine", "fastnst", "fastnst.child"},
    "fastnst.child": set(),
    "fastnst.info": {"fastnst", "fastnst.engine"},
    "fastnst.progress": set(),
    "fastnst.plans": {"fastnst.images", "fastnst.video"},
    "fastnst.reports": {"fastnst.plans"},
    "fastnst.jobs": {"fastnst.plans", "fastnst.reports", "fastnst.stylize", "fastnst.tiled", "fastnst.streams",
                     "fastnst.images", "fastnst.engine", "fastnst.memory", "fastnst.threads", "fastnst.video"},
    "fastnst.palette": {"fastnst._engine"},
    "fastnst.tiled": {"fastnst.stylize", "fastnst.streams", "fastnst.images", "fastnst.engine", "fastnst.threads"},
    "fastnst.streams": {"fastnst", "fastnst.streams", "fastnst.images", "fastnst.pictures", "fastnst._engine"},
    "fastnst.memory": {"fastnst._engine"},
    "fastnst.threads": set(),
    "fastnst.video": {"fastnst", "fastnst.video", "fastnst.stylize", "fastnst.images", "fastnst.engine", "fastnst.threads",
                      "fastnst.palette", "fastnst._engine"},
    "fastnst.stylize": {"fastnst.engine", "fastnst.images", "fastnst.memory", "fastnst.palette"},
    "fastnst.images": {"fastnst.pictures"},
    "fastnst.pictures": {"fastnst", "fastnst.pictures", "fastnst._engine"},
    "fastnst.engine": {"fastnst", "fastnst._engine", "fastnst.filekinds", "fastnst.palette"},
    "fastnst.filekinds": set(),
    "fastnst._engine": set(),
    "fastnst.modelfile": {"fastnst.graphfile", "fastnst.fields"},
    "fastnst.winograd": {"fastnst.modelfile"},
    "fastnst.graphfile": {"fastnst.fields"},
    "fastnst.fields": {"fastnst.huffman"},
    "fastnst.huffman": set(),
    "fastnst.convert": {"fastnst.convert", "fastnst.modelfile", "fastnst.graphfile", "fastnst.networks",
                        "fastnst.reference", "fastnst.images", "fastnst.winograd"},
    "fastnst.convert.forms": {"fastnst.convert", "fastnst.modelfile", "fastnst.engine"},
    "fastnst.reference": {"fastnst.reference"},
    "fastnst.kernels": {"fastnst.kernels"},
    "fastnst.kernels.cpu": {"fastnst.kernels", "fastnst._engine"},
    "fastnst.testing": {"fastnst.kernels"},
    "fastnst.dispatch": {"fastnst.kernels", "fastnst.reference"},
    "fastnst.ops": {"fastnst.ops", "fastnst.dispatch", "fastnst.reference"},
    "fastnst.nn": {"fastnst.ops", "fastnst.reference"},
    "fastnst.networks": {"fastnst.networks", "fastnst.filekinds", "fastnst.nn", "fastnst.ops", "fastnst.reference"},
    "fastnst.metrics": {"fastnst.metrics", "fastnst.networks", "fastnst.ops", "fastnst.reference"},
    "fastnst.evaluate": {"fastnst.evaluate", "fastnst.stylize", "fastnst.engine", "fastnst.images", "fastnst.info",
                         "fastnst.plans", "fastnst.networks", "fastnst.metrics", "fastnst.ops", "fastnst.filekinds",
                         "fastnst.palette"},
    "fastnst.train": {"fastnst", "fastnst.train", "fastnst.filekinds", "fastnst.networks", "fastnst.metrics", "fastnst.nn",
                      "fastnst.ops", "fastnst.reference", "fastnst.convert", "fastnst.modelfile", "fastnst.winograd",
                      "fastnst.images", "fastnst.threads"},
}  # fmt: skip
DEPLOYMENT = ("fastnst", "fastnst.child", "fastnst.cli", "fastnst.engine", "fastnst.fields", "fastnst.filekinds",
              "fastnst.graphfile", "fastnst.huffman", "fastnst.images",
              "fastnst.info", "fastnst.jobs", "fastnst.modelfile", "fastnst.plans", "fastnst.progress",
              "fastnst.memory", "fastnst.palette", "fastnst.reports", "fastnst.streams", "fastnst.stylize", "fastnst.threads",
              "fastnst.tiled",
              "fastnst.verify", "fastnst.video.job", "fastnst.video.camera")  # fmt: skip


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


def rule(name: str) -> str:
    return max((key for key in MAY_IMPORT if name == key or name.startswith(key + ".")), key=len)


@pytest.mark.parametrize("name", modules())
def test_imports_point_one_way(name: str) -> None:
    allowed = MAY_IMPORT[rule(name)]
    ours = {each for each in imports(name, modules()[name]) if each.split(".")[0] == "fastnst"}
    wrong = {each for each in ours if not any(each == ok or each.startswith(ok + ".") for ok in allowed - {"fastnst"})}
    assert wrong - (allowed & {"fastnst"}) == set()


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


@pytest.mark.parametrize("name", DEPLOYMENT)
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
    assert not {each.split(".")[0] for each in imports(name, modules()[name])} & {
        "socket",
        "urllib",
        "http",
        "requests",
        "ftplib",
    }


def test_only_the_binding_knows_python() -> None:
    knowing = {path.name for path in (ROOT / "csrc").rglob("*.[ch]*") if "pybind11" in path.read_text()}
    assert knowing == {"bind.cpp", "bind_hidden.cpp", "bind_hidden.h", "bind_ops.cpp", "bind_ops.h", "bind_palette.cpp",
                       "bind_palette.h", "lock.h", "tensor.h"}  # fmt: skip
    releasing = {path.name for path in (ROOT / "csrc").rglob("*.[ch]*") if '"lock.h"' in path.read_text()}
    assert releasing == {"bind.cpp", "bind_hidden.cpp", "bind_ops.cpp", "bind_palette.cpp"}
