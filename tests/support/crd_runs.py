"""Tiny runs of recipe crd: its folder of data with networks of random weights, and what a run holds."""

from __future__ import annotations

from pathlib import Path

import inception_file
import numpy as np
import skimage.data
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from fastnst.networks.perceptual import VGG16_LAYERS
from fastnst.train.crd import training as crd
from fastnst.train.crd import weights as crd_weights
from fastnst.train.crd.settings import CrdSettings
from fastnst.train.loop import Run
from fastnst.train.process_group import ProcessGroup
from fastnst.train.settings import RunOptions

SIZE = 32
TINY = {"teacher_width": 3, "student_width": 2, "judge_width": 3, "size": SIZE, "patch": 16, "perceptual_levels": 2, "pool": 3,
        "epochs": 2, "decay_epochs": 1, "interval": 2, "ratio": 1, "epoch_steps": 2, "held_out": 2, "dimension": 64,
        "batch": 2}  # fmt: skip


def write_data(folder: Path) -> Path:
    """A folder as the recipe expects one."""
    photographs = {"A": skimage.data.astronaut(), "B": skimage.data.coffee()}
    for letter, pixels in photographs.items():
        for split, count in (("train", 5), ("test", 3)):
            (folder / "unpaired" / (split + letter)).mkdir(parents=True)
            for i in range(count):
                part = pixels[40 * i : 40 * i + 80, 40 * i : 40 * i + 90]
                Image.fromarray(part).save(folder / "unpaired" / (split + letter) / f"{i}.png")
    for split in ("train", "test"):
        (folder / "paired" / split).mkdir(parents=True)
        for i in range(4):
            parts = [pixels[40 * i : 40 * i + 40, :40] for pixels in photographs.values()]
            Image.fromarray(np.concatenate(parts, 1)).save(folder / "paired" / split / f"{i}.png")
    (folder / "weights").mkdir()
    inception_file.write(folder / "weights" / crd_weights.INCEPTION_FILE)
    torch.manual_seed(0)
    vgg16 = {f"{name}.weight": torch.randn(b, a, 3, 3) / (3 * a**0.5) for name, (a, b) in VGG16_LAYERS.items()}
    vgg16 |= {f"{name}.bias": torch.zeros(b) for name, (_, b) in VGG16_LAYERS.items()}
    save_file(vgg16, folder / "weights" / crd_weights.VGG16_FILE)
    return folder


def given(task: str, **others: object) -> CrdSettings:
    return CrdSettings(**{**TINY, "task": task, "pictures": task, **others}).completed()  # type: ignore[arg-type]


def started(data: Path, out: Path, task: str, **others: object) -> Run:
    settings, options = given(task, **others), RunOptions(data, out, threads=1)
    return Run(crd.CrdRecipe(settings, options, ProcessGroup()), settings, options, ProcessGroup())


def recipe_of(run: Run) -> crd.CrdRecipe:
    assert isinstance(run.recipe, crd.CrdRecipe)
    return run.recipe


def weights(run: Run, part: str) -> dict[str, Tensor]:
    state = run.recipe.networks.state_dict()
    return {name: value.clone() for name, value in state.items() if name.startswith(part)}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> bool:
    return any(not torch.equal(value, after[name]) for name, value in before.items())


def until(run: Run, name: str) -> None:
    """Go on to the first step of the phase ``name``."""
    first = sum(p.steps for p in run.recipe.phases[: [p.name for p in run.recipe.phases].index(name)])
    while run.step < first:
        run.advance()
