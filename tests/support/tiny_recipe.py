"""A recipe that trains in no time, for tests of the loop: ``python tiny_recipe.py --data X --out OUT [settings]``."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from fastnst.train.limits import AT_LEAST_0, setting
from fastnst.train.loop import train
from fastnst.train.process_group import ProcessGroup, joined
from fastnst.train.settings import Phase, RunOptions, Settings, parse


@dataclass(frozen=True)
class TinySettings(Settings):
    first: int = setting(5, "steps of the first phase", AT_LEAST_0, may_change=True)
    second: int = setting(7, "steps of the second phase", AT_LEAST_0, may_change=True)
    batch: int = 4
    validated: bool = setting(False, "whether there is a validation", may_change=True)
    dies_at: int = setting(-1, "batch at which the process kills itself", may_change=True)


class TinyRecipe:
    """Fits random numbers with two layers; the second phase trains the last one alone."""

    name = "tiny"

    def __init__(self, settings: TinySettings, _: RunOptions, processes: ProcessGroup) -> None:
        self.settings, self.processes = settings, processes
        torch.manual_seed(settings.seed)
        self.networks: nn.Module = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2))
        self.phases: Sequence[Phase] = [
            Phase("first", settings.first, settings.batch, 8, falls=False),
            Phase("second", settings.second, 2 * settings.batch, 8),
        ]
        self.seen: list[int] = []

    def losses(self, phase: Phase, batch_index: int) -> dict[str, Tensor]:
        if batch_index == self.settings.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        counters = list(self.processes.counters(batch_index, phase.batch))
        self.seen += counters
        x = torch.stack([torch.randn(6, generator=torch.Generator().manual_seed(counter)) for counter in counters])
        first, middle, last = self.networks.children()
        hidden = first(x) if phase.name == "first" else first(x).detach()
        loss = (last(middle(hidden)) - torch.sin(x[:, :2])).square().mean()
        return {"loss": loss, phase.name: 2 * loss.detach()}

    def validate(self) -> dict[str, float]:
        """The loss on samples that no batch has."""
        if not self.settings.validated:
            return {}
        x = torch.stack([torch.randn(6, generator=torch.Generator().manual_seed(10**6 + i)) for i in range(64)])
        return {"validation_loss": (self.networks(x) - torch.sin(x[:, :2])).square().mean().item()}

    def pictures(self) -> list[list[Tensor]]:
        return [[torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(i)) for i in range(2)]]

    def final(self) -> dict[str, Tensor]:
        return dict(self.networks.state_dict())


def main(argv: Sequence[str] | None = None) -> None:
    settings, options = parse("tiny", "A test.", TinySettings(), argv)
    torch.set_num_threads(1)
    with joined(options.device) as processes:
        recipe = TinyRecipe(settings, options, processes)
        train(recipe, settings, options, processes, recipe.validate)


def killed(argv: Sequence[str]) -> int:
    """The signal that ended a run in a process of its own; ``--dies-at`` says when. Forked: PyTorch takes seconds to load."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12: this process may have threads
        child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException), Path(os.devnull).open("w") as sys.stderr:  # for its bar
            main(argv)
        os._exit(0)
    return os.WTERMSIG(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    main()
