"""The last phase of a compression: the quantised student is trained on in the engine's arithmetic (:mod:`..fake_graph`), with
the losses of the phase before it (quantisation-aware training)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fastnst.convert.fidelity import generator_psnr
from fastnst.convert.generator import MIDDLE, streams_of
from fastnst.convert.graph import run_float
from fastnst.convert.trained_generator import TrainedGenerator, source_pictures
from fastnst.format.graphfile import GeneratorFile
from fastnst.format.modelfile import to_bytes
from fastnst.format.reading import read
from fastnst.system.atomic import atomic_output

from ..checkpoints import load_checkpoint
from ..fake_graph import FakeGraph
from ..loop import train
from ..process_group import ProcessGroup
from ..settings import RunOptions
from .settings import CompressSettings
from .training import CompressRecipe


def retrained(
    recipe_of: Callable[[nn.Module, CompressSettings], CompressRecipe],
    student: TrainedGenerator,
    start: Path,
    settings: CompressSettings,
    options: RunOptions,
    processes: ProcessGroup,
    output: Path,
) -> dict[str, Any]:
    """Train the model in ``start`` on, or resume that in ``options.out``, and write what comes of it to ``output``.

    Args:
        recipe_of: makes the recipe that trains a network by some settings.
        student: the network in floats that was converted to ``start``.
        settings: of the whole compression.

    Returns:
        The card.
    """
    model, own = read(start), settings.in_8_bits()
    assert isinstance(model, GeneratorFile)
    fake = FakeGraph(model.nodes, student.nodes)
    recipe = recipe_of(fake, own)
    tensors, _ = load_checkpoint(train(recipe, own, options, processes, recipe.validate))
    fake.load_state_dict(tensors)
    card = model.card | {
        "psnr": round(_fidelity(fake.cpu(), student, options.data), 2),
        "retrained_with": {"steps": own.steps, "learning_rate": own.learning_rate},
    }
    with atomic_output(output) as file:
        file.write(to_bytes(replace(model, card=card, nodes=fake.exported())))
    return card


@torch.no_grad()
def _fidelity(fake: FakeGraph, student: TrainedGenerator, calibration: Path) -> float:
    """The PSNR of its pictures beside the float network's on those that the converter was fitted to, in dB."""
    made, wanted = [], []
    for stream in streams_of(source_pictures(calibration, student.step), student.styles):
        picture, style = stream.real[0], stream.styles[0]
        made.append((fake(picture, style) + 1) * MIDDLE)
        wanted.append(run_float(student.nodes, picture, style))
    return generator_psnr(made, wanted)
