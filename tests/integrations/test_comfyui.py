"""The node for ComfyUI, against a stand-in for ComfyUI's interface that is written from its documentation.

ComfyUI itself is not run. The stand-in has what https://docs.comfy.org/custom-nodes/v3_migration says of ``comfy_api.latest``:
a schema with inputs by name, ``execute`` as a class method that takes them, ``NodeOutput``, and an extension that lists nodes.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tomllib

torch = pytest.importorskip("torch")

import fastnst  # noqa: E402
from fastnst import verify  # noqa: E402

FOLDER = Path(__file__).parents[2] / "integrations" / "comfyui"


@dataclass
class Port:
    id: str = ""
    optional: bool = False
    options: list[str] = field(default_factory=list)
    default: Any = None
    min: float | None = None
    max: float | None = None
    step: float | None = None
    tooltip: str = ""


@dataclass
class Schema:
    node_id: str
    display_name: str
    category: str
    inputs: list[Port]
    outputs: list[Port]
    description: str = ""


class NodeOutput:
    def __init__(self, *result: Any) -> None:
        self.result = result


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Any:
    kind = SimpleNamespace(Input=Port, Output=Port)
    io = SimpleNamespace(Schema=Schema, NodeOutput=NodeOutput, ComfyNode=type("ComfyNode", (), {}))
    for name in ("Image", "Mask", "Float", "Boolean", "Combo"):
        setattr(io, name, kind)
    latest = ModuleType("comfy_api.latest")
    latest.io, latest.ComfyExtension = io, type("ComfyExtension", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "comfy_api", ModuleType("comfy_api"))
    monkeypatch.setitem(sys.modules, "comfy_api.latest", latest)
    spec = importlib.util.spec_from_file_location("fastnst_comfyui", FOLDER / "__init__.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (found,) = asyncio.run(asyncio.run(module.comfy_entrypoint()).get_node_list())
    return found


def tensor(*pictures: np.ndarray) -> Any:
    return torch.stack([torch.from_numpy(picture.astype(np.float32) / 255) for picture in pictures])


CONTENTS = [verify.picture(40, 50, seed=seed) for seed in (1, 2)]
STYLE, OTHER = verify.picture(48, 40, seed=7), verify.picture(30, 60, seed=8)


def run(node: Any, **given: Any) -> Any:
    defaults = {port.id: port.default for port in node.define_schema().inputs if port.default is not None}
    (result,) = node.execute(**defaults | {"content": tensor(*CONTENTS), "style": tensor(STYLE)} | given).result
    return result


def test_every_input_of_the_schema_is_taken_by_name(node: Any) -> None:
    schema = node.define_schema()
    assert [port.id for port in schema.inputs if not port.optional and port.default is None] == ["content", "style"]
    assert {"adain-16x", "wct-16x"} <= set(schema.inputs[2].options)
    assert len({port.id for port in schema.inputs}) == len(schema.inputs)


def test_a_batch_is_what_stylizer_makes(node: Any) -> None:
    made = run(node, strength=0.5, palette=0.25)
    stylizer = fastnst.Stylizer("adain-16x")
    wanted = tensor(*(stylizer(content, STYLE, alpha=0.5, palette=0.25) for content in CONTENTS))
    assert made.dtype == torch.float32
    assert torch.equal(made, wanted)


def test_two_styles_and_kept_colours(node: Any) -> None:
    made = run(node, second_style=tensor(OTHER), mix=0.25, preserve_color=True, palette=1.0)
    stylizer = fastnst.Stylizer("adain-16x")
    styles = {"weights": [0.75, 0.25], "preserve_color": True}
    assert torch.equal(made, tensor(*(stylizer(content, [STYLE, OTHER], **styles) for content in CONTENTS)))


def test_a_mask_says_where(node: Any) -> None:
    mask = torch.zeros(40, 50)
    mask[:, 25:] = 1
    made, plain, whole = run(node, mask=mask), tensor(*CONTENTS), run(node)
    assert torch.equal(made[:, :, :25], plain[:, :, :25])
    assert torch.equal(made[:, :, 25:], whole[:, :, 25:])
    assert torch.equal(run(node, mask=torch.ones(1, 10, 10)), whole)  # of another size
    with pytest.raises(ValueError, match="3 masks for 2 pictures"):
        run(node, mask=torch.ones(3, 40, 50))


def test_transparency_is_left_out(node: Any) -> None:
    clear = torch.cat([tensor(*CONTENTS), torch.zeros(2, 40, 50, 1)], 3)
    assert torch.equal(run(node, content=clear), run(node))


def test_the_metadata_is_of_this_version() -> None:
    described = tomllib.loads((FOLDER / "pyproject.toml").read_text())
    assert described["project"]["version"] == fastnst.__version__
    assert described["tool"]["comfy"].keys() >= {"PublisherId", "DisplayName"}
