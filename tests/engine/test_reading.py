"""Model files taken apart in Python: what was written comes back, and every layer is listed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import SHIPPED
from numpy_engine import Lcg, parse, random_cascade, random_model
from numpy_generator import resnet_like, unet_like

from fastnst.format.modelfile import WctFile, to_bytes
from fastnst.format.reading import AnyModel, from_bytes, layers, read

MAKERS: dict[str, Callable[[Lcg], AnyModel]] = {
    "adain": random_model,
    "adain, winograd": lambda lcg: random_model(lcg, winograd=True),
    "wct": random_cascade,
    "resnet": lambda lcg: resnet_like(lcg, 16),
    "unet": lambda lcg: unet_like(lcg, 16),
}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("seed", range(4))
def test_what_was_written_is_read(kind: str, seed: int) -> None:
    model = MAKERS[kind](Lcg(seed))
    data = to_bytes(model)
    assert to_bytes(from_bytes(data)) == data
    assert from_bytes(data).card == model.card


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_layers_of_shipped_models_are_those_that_the_reference_reads(path: Path) -> None:
    reference = parse(path.read_bytes())
    pairs = list(reference.stages.values()) if isinstance(reference, WctFile) else [reference]
    wanted = [(layer.inputs, layer.outputs, layer.weights.size) for pair in pairs for layer in (*pair.encoder, *pair.decoder)]
    assert [(each["inputs"], each["outputs"], each["weights"]) for each in layers(read(path))] == wanted


def test_what_layers_do_is_said() -> None:
    does = {each["does"] for each in layers(unet_like(Lcg(1), 16))}
    assert {"convolution, stride 2", "convolution, transposed, stride 2", "picture"} <= does
    pair = {each["does"] for each in layers(random_model(Lcg(1), winograd=True))}
    assert {word for each in pair for word in each.split(", ")} >= {"Winograd", "upsamples", "pools"}
