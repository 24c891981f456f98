"""The result of a run of the recipe ``crd``: how real the pictures look, and the cost of the networks."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import torch
from torch import nn

from fastnst.convert import without_folders
from fastnst.metrics.cost import macs, parameters
from fastnst.system.atomic import atomic_output

from ..process_group import ProcessGroup
from ..settings import Phase
from .jury import Jury
from .settings import CrdSettings

TIMED_PASSES = 5


class Judged(Protocol):
    """What is needed of a finished run to judge it."""

    settings: CrdSettings
    processes: ProcessGroup
    phases: Sequence[Phase]

    @property
    def results(self) -> dict[str, nn.Module]:
        """The networks that are judged: ``student``, and ``teacher`` if there was one."""

    def jury(self, split: str) -> Jury:
        """Judges generators on the pictures of ``split``."""


@torch.no_grad()
def cost(network: nn.Module, size: int, device: torch.device) -> dict[str, float]:
    """Parameters, multiply-accumulates counted in two ways, and the median time of a ``size`` x ``size`` picture."""
    image, times = torch.zeros(1, 3, size, size, device=device), []
    training = network.training
    network.eval()
    counts = {"macs": macs(network, image), "macs_as_published": macs(network, image, transposed_at_output=True)}
    for _ in range(TIMED_PASSES):
        started = time.perf_counter()
        network(image).sum().item()  # waits for a GPU
        times.append(time.perf_counter() - started)
    network.train(training)
    return {"parameters": parameters(network), **counts, "milliseconds": 1000 * median(times)}


def quality(recipe: Judged) -> dict[str, Any]:
    """The quality of the small generator at the end and of the teacher that it learnt from last, if it had one."""
    settings, device = recipe.settings, recipe.processes.device
    jury = recipe.jury("test")
    figures = {
        name: {**jury.realism(network).as_dict(), **cost(network, settings.size, device)}
        for name, network in recipe.results.items()
    }
    steps = {each: sum(phase.steps for phase in recipe.phases if each in phase.trains) for each in ("teacher", "student")}
    return {
        **figures,
        "steps": steps if settings.distil else {"teacher": 0, "student": steps["teacher"]},
        "checkpoint": "the last one, chosen by no picture",
        "teacher_chosen_by": {"last": "nothing: the last one"}.get(settings.selection, f"{settings.selection} pictures"),
        "perceptual": "VGG-16 to relu2_2" + (", relu3_3 and relu4_3 of VGG-19" if settings.perceptual_levels == 4 else ""),
        "timing": {"threads": torch.get_num_threads(), "device": str(device), "torch": torch.__version__},
        "settings": without_folders(asdict(settings)),
    }


def write_quality(recipe: Judged, path: Path) -> None:
    """Write :func:`quality` as JSON, complete or absent."""
    with atomic_output(path) as file:
        file.write(json.dumps(quality(recipe), indent=1).encode())
