"""One training loop for all recipes: steps, averages, checkpoints, logs, pictures, several processes.

A recipe provides the networks and the losses of a batch (:class:`Recipe`). Every random choice is a function of the seed and a
counter, so a checkpoint holds the complete state: a run that was killed and resumed gives the same bytes as one that was not,
provided that the number of threads is the same.
"""

from __future__ import annotations

import math
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from fastnst import __version__
from fastnst.system.atomic import atomic_output

from .checkpoints import CheckpointError, flatten_adam, link_over, load_checkpoint, restore_adam, save_checkpoint
from .process_group import ProcessGroup
from .settings import Phase, RunOptions, Settings, same_run, to_toml


class Recipe(Protocol):
    """What the loop needs from a recipe."""

    name: str
    networks: nn.Module
    """The networks that are trained, and others that a checkpoint must hold; those without a gradient stay unchanged."""
    phases: Sequence[Phase]

    def losses(self, phase: Phase, batch_index: int) -> dict[str, Tensor]:
        """The terms of one batch of this process. ``loss`` is minimised; weights that it does not depend on stay the same.

        In a phase that trains several networks by losses of their own, each loss has the name of its network. It may depend on
        other networks, but does not train them. No two losses share a graph, and all are computed before the step.
        """

    def pictures(self) -> Sequence[Sequence[Tensor]]:
        """Rows of pictures [3, H, W], RGB 0..1, that show the progress; may be empty."""

    def final(self) -> dict[str, Tensor]:
        """The tensors of the result."""


def located(phases: Iterable[Phase], step: int) -> tuple[Phase, int]:
    """The phase of a step, and the number of the step within it."""
    for phase in phases:
        if step < phase.steps:
            return phase, step
        step -= phase.steps
    raise IndexError("beyond the last step")


def learning_rate(settings: Settings, phase: Phase, within: int) -> float:
    """The learning rate of a step of a phase: it rises linearly at first, then stays or falls along half a cosine to zero."""
    warm = min(1.0, (within + 1) / max(1, settings.warm_up))
    fall = 0.5 * (1 + math.cos(math.pi * within / phase.steps)) if phase.falls else 1.0
    return settings.learning_rate * phase.rate * warm * fall


Validate: TypeAlias = Callable[[], dict[str, float]]
"""Computes figures of the present networks on pictures that are not used in training."""


VALIDATION_LOSS = "validation_loss"
"""The name of the figure by which runs are compared."""


class Run:
    """A run of a recipe, and its state."""

    def __init__(self, recipe: Recipe, settings: Settings, options: RunOptions, processes: ProcessGroup) -> None:
        self.recipe, self.settings, self.options, self.processes = recipe, settings, options, processes
        trained = [(name, p) for name, p in recipe.networks.named_parameters() if p.requires_grad]
        self.names, self.parameters = [name for name, _ in trained], [p for _, p in trained]
        # One Adam serves networks that are trained in turn: it has a state for each parameter, and skips parameters without a
        # gradient, step counts included.
        groups: dict[str, list[nn.Parameter]] = {}
        for name, p in trained:
            groups.setdefault(name.partition(".")[0], []).append(p)
        named_groups = [{"params": own, "network": network} for network, own in groups.items()]
        self.optimizer = torch.optim.Adam(named_groups, betas=(settings.momentum, 0.999))
        self.average = {name: p.detach().clone() for name, p in trained}
        self.steps = sum(phase.steps for phase in recipe.phases)
        self.step, self.seconds = 0, 0.0
        self.validation: dict[str, float] = {}
        """The figures of the last checkpoint's weights on pictures that are not used in training."""
        self.ancestry = settings.ancestry()

    def facts(self) -> dict[str, Any]:
        """The facts that a checkpoint records."""
        return self.ancestry | {
            "recipe": self.recipe.name,
            "training_data": self.options.described,
            "step": self.step,
            "seconds": round(self.seconds),
            "validation": self.validation,
            "settings": asdict(self.settings),
            "processes": self.processes.size,
            "versions": {"fastnst": __version__, "torch": torch.__version__, "python": platform.python_version()},
        }

    def goes_down(self, phase: Phase) -> dict[str, list[nn.Parameter]]:
        """The names of the losses of a phase, and the parameters that each of them trains."""
        if not phase.trains:
            return {"loss": self.parameters}
        named = list(zip(self.names, self.parameters, strict=True))
        return {each: [p for name, p in named if name.startswith(f"{each}.")] for each in phase.trains}

    def advance(self) -> dict[str, float]:
        """Make one step, and return the mean of each term over the batches of this process."""
        settings = self.settings
        phase, within = located(self.recipe.phases, self.step)
        trained = self.goes_down(phase)
        self.optimizer.zero_grad(set_to_none=True)
        begun = phase.begins() if phase.begins and not within else {}
        sums: dict[str, float] = {}
        for part in range(settings.accumulate):
            losses = self.recipe.losses(phase, self.step * settings.accumulate + part)
            for name, parameters in trained.items():
                (losses[name] / settings.accumulate).backward(inputs=parameters)  # type: ignore[no-untyped-call]
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value.item() / settings.accumulate
        self.processes.average_gradients(self.parameters)
        for parameters in trained.values():
            nn.utils.clip_grad_norm_(parameters, settings.clip)
        rate = learning_rate(settings, phase, within)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * phase.rates.get(group["network"], 1.0)
        self.optimizer.step()
        share = min(settings.average, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for name, p in zip(self.names, self.parameters, strict=True):
                self.average[name].lerp_(p, 1 - share)
        self.step += 1
        return begun | sums | {"rate": rate, "samples": float(phase.batch * settings.accumulate * self.processes.size)}

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        model = {f"model.{name}": value for name, value in self.recipe.networks.state_dict().items()}
        average = {f"average.{name}": value for name, value in self.average.items()}
        save_checkpoint(path, model | average | flatten_adam(self.optimizer, self.names), self.facts())

    def restore(self, path: Path) -> None:
        """Continue from a checkpoint that :meth:`save` wrote.

        Raises:
            ValueError: it is of another recipe, or of other settings (:func:`.settings.same_run`).
        """
        tensors, facts = load_checkpoint(path)
        now = self.facts()
        if facts["recipe"] != now["recipe"]:
            raise ValueError(f"{path}: a checkpoint of recipe {facts['recipe']}, not {now['recipe']}")
        same_run(path.parent, self.settings, facts["settings"])
        self.recipe.networks.load_state_dict(
            {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
        )
        self.average = {name: tensors[f"average.{name}"].to(self.processes.device) for name in self.names}
        restore_adam(self.optimizer, self.names, tensors)
        self.step, self.seconds = facts["step"], facts["seconds"]
        self.validation = facts.get("validation", {})  # checkpoints of earlier versions lack it

    def with_average(self) -> dict[str, Tensor]:
        """Put the averaged weights into the networks, and return the previous weights."""
        own = {name: p.detach().clone() for name, p in zip(self.names, self.parameters, strict=True)}
        self._put(self.average)
        return own

    @torch.no_grad()
    def _put(self, weights: dict[str, Tensor]) -> None:
        for name, p in zip(self.names, self.parameters, strict=True):
            p.copy_(weights[name])

    def show(self, path: Path, validate: Validate) -> None:
        """Write the recipe's pictures, and validate, both with the averaged weights."""
        own = self.with_average()
        with torch.no_grad():
            rows, self.validation = self.recipe.pictures(), validate()
        self._put(own)
        if rows:
            sheet(rows).save(path)

    def reached(self) -> bool:
        """Whether the last checkpoint has reached ``until_loss``; all processes follow the leader."""
        wanted = self.options.until_loss
        return wanted > 0 and self.processes.agreed(self.validation.get(VALIDATION_LOSS, math.inf)) <= wanted

    def save_final(self, path: Path) -> None:
        """Write the result of the recipe, with the averaged weights."""
        own = self.with_average()
        save_checkpoint(path, self.recipe.final(), self.facts())
        self._put(own)


def sheet(rows: Iterable[Iterable[Tensor]]) -> Image.Image:
    """Pictures [3, H, W] of one size, side by side."""
    pixels = torch.cat([torch.cat(list(row), 2) for row in rows], 1)
    return Image.fromarray((pixels.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy())


def restore_latest(run: Run, last: Path, previous: Path) -> bool:
    """Continue from the checkpoint ``last``, or with a warning from ``previous`` if it is damaged; do nothing if there is none.

    Returns:
        Whether ``last`` is damaged.

    Raises:
        CheckpointError: all existing checkpoints are damaged.
        ValueError: as :meth:`Run.restore`.
    """
    if not last.exists():
        return False
    try:
        run.restore(last)
    except CheckpointError as error:
        if not previous.exists():
            raise
        tqdm.write(f"warning: {error}; going on from {previous}", file=sys.stderr)
        run.restore(previous)
        return True
    return False


def train(
    recipe: Recipe,
    settings: Settings,
    options: RunOptions,
    processes: ProcessGroup,
    validate: Validate = lambda: {},
    saved: Callable[[], None] = lambda: None,
) -> Path:
    """Run a recipe, or resume it, to its last step, or to the first checkpoint that reaches ``options.until_loss``.

    This writes to ``options.out``: ``settings.toml``; ``log.csv`` and ``events`` for TensorBoard; the checkpoints
    ``last.safetensors`` and the one before it, ``previous.safetensors``; ``step-N.jpg``; and at the end ``final.safetensors``
    with the averaged weights. At every checkpoint ``validate`` is called with the averaged weights in place, and its figures go
    to the log and the checkpoint; ``saved`` is called when everything is written.

    Returns:
        The path of ``final.safetensors``.

    Raises:
        ValueError: there is a checkpoint of another recipe; ``until_loss`` is given, but nothing is validated.
        OSError: a file cannot be read or written.
    """
    out = options.out
    run = Run(recipe, settings, options, processes)
    last, previous = out / "last.safetensors", out / "previous.safetensors"
    damaged = restore_latest(run, last, previous)
    if options.until_loss and processes.leads and VALIDATION_LOSS not in validate():
        raise ValueError("--until-loss: this run validates nothing: its recipe does not, or no pictures are held out")
    if processes.leads:
        out.mkdir(parents=True, exist_ok=True)
        with atomic_output(out / "settings.toml") as file:  # a killed run is gone on with by what is written there
            file.write(to_toml(settings).encode())
    processes.wait()
    if processes.leads and damaged:  # all processes have read it by now; it must not replace the good one
        link_over(previous, last)
    with Log(out, run.step) if processes.leads else Silence() as log:
        bar = tqdm(total=run.steps, initial=run.step, disable=not processes.leads, unit="step", desc=recipe.name)
        while run.step < run.steps and not run.reached():
            phase, _ = located(recipe.phases, run.step)
            started = time.perf_counter()
            values = run.advance()
            spent = time.perf_counter() - started
            run.seconds += spent
            speed = values.pop("samples") / spent
            log.write(run.step, values | {"samples_per_second": speed})
            shown = {name: value for name, value in values.items() if name in {"loss", *phase.trains}}
            bar.set_postfix_str(", ".join(f"{k} {v:.4g}" for k, v in (shown | {"samples/s": speed}).items()), refresh=False)
            bar.update()
            if processes.leads and (run.step % options.every == 0 or run.step == run.steps):
                run.show(out / f"step-{run.step}.jpg", validate)
                log.write(run.step, run.validation)
                if last.exists():
                    link_over(last, previous)
                run.save(last)
                saved()
        bar.close()
        if run.reached() and processes.leads:
            figure = run.validation[VALIDATION_LOSS]
            tqdm.write(f"validation loss {figure:.4g} at step {run.step:,}, after {run.seconds:.0f} s of steps")
    final = out / "final.safetensors"
    if processes.leads:
        run.save_final(final)
    processes.wait()
    return final


class Log:
    """Logs each step's terms in ``log.csv`` (step, name, value) and for TensorBoard. Steps after the checkpoint are removed."""

    def __init__(self, out: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        path = out / "log.csv"
        title, *rows = path.read_text().splitlines() if path.exists() and step else ["step,name,value"]
        self.file = path.open("w")
        self.file.writelines(f"{row}\n" for row in [title, *(row for row in rows if int(row.split(",", 1)[0]) <= step)])
        self.events = SummaryWriter(str(out / "events"), purge_step=step + 1)

    def write(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.file.write(f"{step},{name},{value:.6g}\n")
            self.events.add_scalar(name, value, step)
        self.file.flush()

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.events.close()


class Silence:
    """The log of a process that is not the leader: it writes nothing."""

    def write(self, step: int, values: dict[str, float]) -> None:
        pass

    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *_: object) -> None:
        pass
