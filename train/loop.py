"""One training loop for all recipes: steps, averages, checkpoints, logs, pictures, several processes.

A recipe says what is trained and what a batch costs (:class:`Recipe`). Every random choice is a function of the seed and a
counter, so that a checkpoint holds all there is to know: a run that was killed and goes on gives the bytes of one that was
not, as long as the threads are as many.
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

from .checkpoints import CheckpointError, flatten_adam, link_over, load_checkpoint, restore_adam, save_checkpoint
from .process_group import ProcessGroup
from .settings import Phase, RunOptions, Settings, same_run, to_toml


class Recipe(Protocol):
    """What the loop needs to know."""

    name: str
    networks: nn.Module
    """All that is trained, and whatever else a checkpoint must hold: what needs no gradient, the loop leaves as it is."""
    phases: Sequence[Phase]

    def losses(self, phase: Phase, batch_index: int) -> dict[str, Tensor]:
        """The terms of one batch of this process; ``loss`` is the one to go down. What it does not depend on stays.

        In a phase that trains some networks each down a loss of its own, that loss is called after the network. It may depend
        on the others, which it leaves alone; no two losses share a graph. All see the weights from before the step.
        """

    def pictures(self) -> Sequence[Sequence[Tensor]]:
        """Rows of pictures [3, H, W], RGB 0..1, that show how far it is; may be empty."""

    def final(self) -> dict[str, Tensor]:
        """The tensors that whoever uses the result needs."""


def located(phases: Iterable[Phase], step: int) -> tuple[Phase, int]:
    """The phase of a step, and the step within it."""
    for phase in phases:
        if step < phase.steps:
            return phase, step
        step -= phase.steps
    raise IndexError("beyond the last step")


def learning_rate(settings: Settings, phase: Phase, within: int) -> float:
    """Of a step of a phase: rising evenly at first, then constant or along half a cosine to zero."""
    warm = min(1.0, (within + 1) / max(1, settings.warm_up))
    fall = 0.5 * (1 + math.cos(math.pi * within / phase.steps)) if phase.falls else 1.0
    return settings.learning_rate * phase.rate * warm * fall


Validate: TypeAlias = Callable[[], dict[str, float]]
"""Figures of the networks as they are on pictures that training never sees."""


VALIDATION_LOSS = "validation_loss"
"""The figure that runs are compared by."""


class Run:
    """A recipe under way."""

    def __init__(self, recipe: Recipe, settings: Settings, options: RunOptions, processes: ProcessGroup) -> None:
        self.recipe, self.settings, self.options, self.processes = recipe, settings, options, processes
        trained = [(name, p) for name, p in recipe.networks.named_parameters() if p.requires_grad]
        self.names, self.parameters = [name for name, _ in trained], [p for _, p in trained]
        # One Adam serves networks that are trained in turn: it has a state for each parameter, and leaves alone, step count
        # and all, those without a gradient.
        groups: dict[str, list[nn.Parameter]] = {}
        for name, p in trained:
            groups.setdefault(name.partition(".")[0], []).append(p)
        named_groups = [{"params": own, "network": network} for network, own in groups.items()]
        self.optimizer = torch.optim.Adam(named_groups, betas=(settings.momentum, 0.999))
        self.average = {name: p.detach().clone() for name, p in trained}
        self.steps = sum(phase.steps for phase in recipe.phases)
        self.step, self.seconds = 0, 0.0
        self.validation: dict[str, float] = {}
        """What the last checkpoint's weights gave on pictures that training never sees."""
        self.ancestry = settings.ancestry()

    def facts(self) -> dict[str, Any]:
        """What a checkpoint says of itself."""
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
        """The losses of a phase, and the parameters that each trains."""
        if not phase.trains:
            return {"loss": self.parameters}
        named = list(zip(self.names, self.parameters, strict=True))
        return {each: [p for name, p in named if name.startswith(f"{each}.")] for each in phase.trains}

    def advance(self) -> dict[str, float]:
        """One step down the gradient; the mean of each term over the batches of this process."""
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
        """A checkpoint to go on from."""
        model = {f"model.{name}": value for name, value in self.recipe.networks.state_dict().items()}
        average = {f"average.{name}": value for name, value in self.average.items()}
        save_checkpoint(path, model | average | flatten_adam(self.optimizer, self.names), self.facts())

    def restore(self, path: Path) -> None:
        """Go on from what :meth:`save` wrote.

        Raises:
            ValueError: it is another recipe's, or of other settings (:func:`.settings.same_run`).
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
        self.validation = facts.get("validation", {})  # which a checkpoint of an earlier version lacks

    def with_average(self) -> dict[str, Tensor]:
        """Put the averaged weights into the networks; returns those that were there."""
        own = {name: p.detach().clone() for name, p in zip(self.names, self.parameters, strict=True)}
        self._put(self.average)
        return own

    @torch.no_grad()
    def _put(self, weights: dict[str, Tensor]) -> None:
        for name, p in zip(self.names, self.parameters, strict=True):
            p.copy_(weights[name])

    def show(self, path: Path, validate: Validate) -> None:
        """Write the recipe's pictures, made with the averaged weights, and validate these."""
        own = self.with_average()
        with torch.no_grad():
            rows, self.validation = self.recipe.pictures(), validate()
        self._put(own)
        if rows:
            sheet(rows).save(path)

    def reached(self) -> bool:
        """Whether the last checkpoint is as good as the run is asked to go on until; the leader's word counts."""
        wanted = self.options.until_loss
        return wanted > 0 and self.processes.agreed(self.validation.get(VALIDATION_LOSS, math.inf)) <= wanted

    def save_final(self, path: Path) -> None:
        """What the recipe leaves, with the averaged weights."""
        own = self.with_average()
        save_checkpoint(path, self.recipe.final(), self.facts())
        self._put(own)


def sheet(rows: Iterable[Iterable[Tensor]]) -> Image.Image:
    """Pictures [3, H, W] of one size, side by side."""
    pixels = torch.cat([torch.cat(list(row), 2) for row in rows], 1)
    return Image.fromarray((pixels.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy())


def restore_latest(run: Run, last: Path, previous: Path) -> bool:
    """Go on from ``last``, or with a warning from ``previous`` if it is damaged; from nothing if there is neither.

    Returns:
        Whether ``last`` is damaged.

    Raises:
        CheckpointError: all that there is.
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
    """Run a recipe, or go on with it, to its last step, or to the first checkpoint that is as good as ``options.until_loss``.

    Writes into ``options.out``: ``settings.toml``, ``log.csv`` and TensorBoard's ``events``, ``last.safetensors`` to go on
    from and the one before it, ``previous.safetensors``, ``step-N.jpg``, and at the end ``final.safetensors`` with the
    averaged weights. At every checkpoint ``validate`` is called with the averaged weights, and both the log and the checkpoint
    have what it says; ``saved`` is called when all is written.

    Returns:
        ``final.safetensors``.

    Raises:
        ValueError: the checkpoint that is there is another recipe's; ``until_loss`` is given and nothing is validated.
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
        (out / "settings.toml").write_text(to_toml(settings))
    processes.wait()
    if processes.leads and damaged:  # now that all processes have read it: it must not take the place of the good one
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
    """Every step's terms in ``log.csv`` (step, name, value) and for TensorBoard; what a killed run did in vain is cut off."""

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
    """The log of a process that does not lead."""

    def write(self, step: int, values: dict[str, float]) -> None:
        pass

    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *_: object) -> None:
        pass
