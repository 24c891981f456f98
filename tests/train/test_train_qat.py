"""Retraining in the engine's arithmetic: the network that is trained is the one that runs, and it gets better."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from skimage import data
from trained_pair import Trained, as_picture, as_tensor, content_photograph, style_photograph

from fastnst.convert.arithmetic import simulate
from fastnst.convert.choosing import Chooser
from fastnst.convert.forms import choices
from fastnst.convert.pair import load_pair
from fastnst.convert.quantisation import quantise
from fastnst.engine import Engine
from fastnst.format.modelfile import to_bytes
from fastnst.train import qat
from fastnst.train.fake import FakePair
from fastnst.train.process_group import ProcessGroup
from fastnst.train.settings import RunOptions

COUNTERS = range(1000, 1008)
"""Crops that no training here sees."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Trained().saved(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs as training data, and to calibrate with."""
    folder = tmp_path_factory.mktemp("data")
    pictures = {"content-train": (data.astronaut(), data.chelsea()), "style-train": (data.coffee(), data.rocket())}
    for kind, photographs in pictures.items():
        (folder / kind).mkdir()
        for i, pixels in enumerate(photographs):
            Image.fromarray(pixels[:200, :200]).save(folder / kind / f"{i}.png")
    return folder


def settings(source: Path, folder: Path, **others: Any) -> qat.QatSettings:
    return qat.QatSettings(start=str(source), calibrate=str(folder / "content-train"), size=64, **others)


@pytest.mark.parametrize("winograd", ["never", "always"])
def test_forward_is_the_engine(source: Path, winograd: str) -> None:
    content, style = (as_tensor(picture()) for picture in (content_photograph, style_photograph))
    pair = load_pair(source)
    model = quantise(pair, [content], [style], choose=Chooser(iter(choices(pair, winograd)), []))
    fake = FakePair(model)
    assert torch.equal(fake(content.float(), style.float()), simulate(model, content, style).float())
    assert to_bytes(fake.exported()) == to_bytes(model)


def test_what_was_trained_is_what_runs(source: Path) -> None:
    """Every parameter in Winograd form is trained, and what is exported then is still the network of ``forward``."""
    content, style = (as_tensor(picture()[:64, :64]) for picture in (content_photograph, style_photograph))
    pair = load_pair(source)
    fake = FakePair(quantise(pair, [content], [style], choose=Chooser(iter(choices(pair, "always")), [])))
    before = fake.exported()
    optimiser = torch.optim.Adam(fake.parameters(), 0.3)
    for _ in range(2):
        optimiser.zero_grad()
        (fake(content.float(), style.float()) - 90).square().mean().backward()
        assert all(each.grad is not None and each.grad.abs().max() > 0 for each in fake.parameters())
        optimiser.step()
    model = fake.exported()
    for name in ("weights", "bias", "multiplier", "scales"):
        assert (getattr(model.encoder[3], name) != getattr(before.encoder[3], name)).any()
    assert torch.equal(fake(content.float(), style.float()), simulate(model, content, style).float())
    engine = Engine(to_bytes(model))
    made = engine.decode(engine.encode(as_picture(content), 1), engine.look(as_picture(style), 1), 1.0, 1)
    np.testing.assert_array_equal(as_tensor(made).float(), fake(content.float(), style.float()).detach())


@pytest.mark.parametrize("winograd", ["never", "always"])
def test_the_model_comes_closer_to_its_float_network(source: Path, folder: Path, tmp_path: Path, winograd: str) -> None:
    # A tenth of the usual rate: what 30 steps can do is small beside the noise of two crops at the usual one.
    given = settings(source, folder, steps=30, learning_rate=0.003, winograd=winograd)
    options = RunOptions(folder, tmp_path, threads=1)
    recipe = qat.QatRecipe(given, options, ProcessGroup())
    content, style = recipe.crops(COUNTERS)
    wanted = qat.float_picture(recipe.pair, content / 255, style / 255) * 255
    before = qat.decibels(recipe.fake(content, style), wanted).item()
    recipe.fake.load_state_dict(load_file(qat.train(recipe, given, options, ProcessGroup())))
    assert qat.decibels(recipe.fake(content, style), wanted).item() > before


def test_command_writes_a_model_that_runs(source: Path, folder: Path, tmp_path: Path) -> None:
    given = ["--start", source, "--calibrate", folder / "content-train", "--steps", 2, "--size", 32, "--threads", 1]
    qat.main([str(each) for each in ["--data", folder, "--out", tmp_path, *given]])
    engine = Engine(tmp_path / "model.fnst")
    assert engine.card["retrained_with"]["steps"] == 2
    assert engine.card["kind"] == "adain"


def test_what_cannot_be_meant_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="float32"):
        qat.QatSettings(precision="bfloat16")
    with pytest.raises(ValueError, match="any machine"):
        qat.QatSettings(winograd="auto")
    with pytest.raises(ValueError, match=r"--start is required: .*; --calibrate is required: "):
        qat.QatRecipe(qat.QatSettings(), RunOptions(folder, folder), ProcessGroup())
