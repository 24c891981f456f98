"""Train all shipped models, from VGG-19 alone, one run after the other within a given time.

A TOML file (``recipes/campaign.toml``) lists the runs in order. Each has a recipe, a share of the time, the settings that
differ from the recipe's defaults, the proportions of its steps, and the earlier runs whose results it uses. The number of steps
that fit a share is computed once, from the time of a few steps on this machine, and recorded in ``plan.json``. So a campaign
that was stopped resumes with the same numbers: finished runs are kept, and the current one continues from its last checkpoint.

At every checkpoint ``report.md`` is written again: the figures of all runs, their curves (``NAME/curve.svg``) and their last
pictures. Finished runs are converted to models in ``models/NAME.fnst``.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import torch

from fastnst.convert import convert
from fastnst.networks import weights
from fastnst.system.atomic import atomic_output

from . import adain, cascade, collab, decoder
from .checkpoints import load_checkpoint, save_checkpoint
from .curves import curve
from .loop import VALIDATION_LOSS, Recipe, Run, train
from .precision import fastest
from .process_group import ProcessGroup, joined
from .settings import Parser, RunOptions, Settings, filled, read

TABLE = Path(__file__).parent / "recipes" / "campaign.toml"
TRIAL_STEPS = 4
"""The number of steps of each phase that are timed. The fastest counts, because the first ones fill pools and caches."""
UNITS = {"s": 1, "m": 60, "h": 3600}
Log: TypeAlias = dict[str, list[tuple[int, float]]]
"""The steps and values of each term of a run."""
CURVES = {VALIDATION_LOSS: "loss on held-out pairs", "loss": "loss of the training batches"}
"""Terms whose curves can be shown, in order of preference: a recipe that does not validate has only its training loss."""


@dataclass(frozen=True)
class Kind:
    """A recipe that a campaign can run."""

    defaults: Settings
    make: Callable[[Any, RunOptions, ProcessGroup], Recipe]
    steps: tuple[str, ...]
    """The settings for the numbers of steps of its phases, in order."""


KINDS = {
    "decoder": Kind(decoder.DecoderSettings(), decoder.DecoderRecipe, ("steps",)),
    "collab": Kind(collab.CollabSettings(), collab.CollabRecipe, ("encoder_steps", "decoder_steps")),
    "cascade": Kind(cascade.CascadeSettings(), cascade.CascadeRecipe, ("rebuild_steps", "steps")),
    "adain": Kind(adain.AdainSettings(), adain.AdainRecipe, ("distil_steps", "style_steps", "finish_steps")),
}


@dataclass(frozen=True)
class Entry:
    """One run of the table."""

    name: str
    recipe: str
    share: float
    """Its share of the time, relative to those of the other runs."""
    parts: dict[str, float]
    """The proportions of the phases' steps, by the setting of their number; phases that are not named get none."""
    settings: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str | list[str]] = field(default_factory=dict)
    """By setting, the name of the earlier run whose result is its value, or those of several, each a stage of WCT, to join."""

    @property
    def sources(self) -> list[str]:
        """The names of the earlier runs that it needs."""
        return [name for names in self.files.values() for name in ([names] if isinstance(names, str) else names)]

    @property
    def stage(self) -> int | None:
        """The stage of WCT whose encoder and decoder it trains."""
        settings = filled(self.kind.defaults, self.settings, self.name)
        return settings.stage if isinstance(settings, collab.CollabSettings) else None

    @property
    def kind(self) -> Kind:
        return KINDS[self.recipe]


@dataclass(frozen=True)
class Table:
    """All runs and models of a campaign."""

    runs: list[Entry]
    models: dict[str, list[str]]
    """By model, the names of the runs whose networks it consists of."""


def table_from(path: Path) -> Table:
    """Read a table of runs.

    Raises:
        ValueError: one line about what is wrong with it.
        OSError: it cannot be read.
    """
    given = read(path)
    if unknown := given.keys() - {"runs", "models"}:
        raise ValueError(f"{path}: unknown {', '.join(sorted(unknown))}; expected runs and models")
    known = {each.name for each in fields(Entry)} - {"name"}
    runs: list[Entry] = []
    for name, run in given.get("runs", {}).items():
        if unknown := run.keys() - known:
            raise ValueError(f"{path}: {name}: unknown {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
        if missing := {"recipe", "share", "parts"} - run.keys():
            raise ValueError(f"{path}: {name}: lacks {', '.join(sorted(missing))}")
        entry = Entry(name, **run)
        if entry.recipe not in KINDS:
            raise ValueError(f"{path}: {name}: recipe: expected {' or '.join(KINDS)}, got {entry.recipe!r}")
        if not (entry.share > 0 and entry.parts and min(entry.parts.values()) > 0):
            raise ValueError(f"{path}: {name}: share and parts: expected numbers above 0")
        if unknown := entry.parts.keys() - set(entry.kind.steps):
            raise ValueError(f"{path}: {name}: parts: {entry.recipe} has {' and '.join(entry.kind.steps)}, not {min(unknown)}")
        check_files(entry, runs, f"{path}: {name}: files")
        filled(entry.kind.defaults, entry.settings, f"{path}: {name}")
        runs.append(entry)
    models = given.get("models", {})
    for model, parts in models.items():
        if unknown := set(parts) - {run.name for run in runs}:
            raise ValueError(f"{path}: model {model}: no run is called {min(unknown)}")
        if len(parts) != 1:
            check_stages([run for run in runs if run.name in parts], f"{path}: model {model}")
    return Table(runs, models)


def check_files(entry: Entry, runs: Sequence[Entry], source: str) -> None:
    """Raise ValueError unless ``entry`` can use the results that it names of ``runs``, those before it."""
    earlier = {run.name: run for run in runs}
    if later := [each for each in entry.sources if each not in earlier]:
        raise ValueError(f"{source}: no earlier run is called {later[0]}")
    filled(entry.kind.defaults, dict.fromkeys(entry.files, ""), source)
    for names in entry.files.values():
        if not isinstance(names, str):
            check_stages([earlier[each] for each in names], source)


def check_stages(runs: Sequence[Entry], source: str) -> None:
    """Raise ValueError unless the results of ``runs`` can be joined: each is a pair of WCT, and no two are of one stage."""
    stages = [run.stage for run in runs]
    if not stages or None in stages or len(set(stages)) < len(stages):
        raise ValueError(f"{source}: expected runs of collab, each of another stage")


def seconds_of(text: str) -> float:
    """Seconds in a text such as ``90m``, ``6h`` or ``45s``; ValueError for anything else."""
    if not (match := re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)) or not float(match[1]):
        raise ValueError(f"expected a time like 6h, 90m or 45s, got {text!r}")
    return float(match[1]) * UNITS[match[2]]


def pace(entry: Entry, settings: Settings, options: RunOptions, processes: ProcessGroup) -> dict[str, float]:
    """The seconds that a step of each phase of ``entry`` takes on this machine, by the setting for its number of steps."""
    counts: dict[str, Any] = {name: TRIAL_STEPS * (name in entry.parts) for name in entry.kind.steps}
    trial = replace(settings, **counts)
    recipe = entry.kind.make(trial, options, processes)
    run = Run(recipe, trial, options, processes)
    seconds: dict[str, float] = {}
    for name, phase in zip(entry.kind.steps, recipe.phases, strict=True):
        spent = []
        for _ in range(phase.steps):
            start = time.perf_counter()
            run.advance()
            spent.append(time.perf_counter() - start)
        if spent:
            seconds[name] = min(spent[1:])
    return seconds


def steps_for(budget: float, parts: Mapping[str, float], seconds: Mapping[str, float]) -> dict[str, int]:
    """The numbers of steps, in the proportions of ``parts`` and at least 1, that take ``budget`` seconds."""
    unit = budget / sum(share * seconds[name] for name, share in parts.items())
    return {name: max(1, round(share * unit)) for name, share in parts.items()}


class Campaign:
    """A campaign that is run in a folder."""

    def __init__(self, table: Table, options: RunOptions, processes: ProcessGroup, budget: float) -> None:
        self.table, self.options, self.processes, self.budget = table, options, processes, budget
        self.plan_file = options.out / "plan.json"
        self.plan: dict[str, dict[str, Any]] = json.loads(self.plan_file.read_text()) if self.plan_file.exists() else {}

    def final(self, name: str) -> Path:
        return self.options.out / name / "final.safetensors"

    def newest(self, name: str) -> Path:
        """The result of a run, or its last checkpoint."""
        final = self.final(name)
        return final if final.exists() else final.with_name("last.safetensors")

    def settings_of(self, entry: Entry) -> Settings:
        """The settings of a run, with the planned numbers of steps."""
        given = {"precision": fastest(self.options.device), **entry.settings}
        given |= {setting: str(self.source(entry, run)) for setting, run in entry.files.items()}
        settings = filled(entry.kind.defaults, given, entry.name)
        steps: dict[str, Any] = dict.fromkeys(entry.kind.steps, 0)
        return replace(settings, **steps | self.plan.get(entry.name, {}).get("steps", {}))

    def source(self, entry: Entry, runs: str | list[str]) -> Path:
        """The file with the result of an earlier run, or with those of several, joined in the folder of ``entry``."""
        if isinstance(runs, str):
            return self.final(runs)
        output = self.options.out / entry.name / "start.safetensors"
        if self.processes.leads and not output.exists():
            output.parent.mkdir(parents=True, exist_ok=True)
            joined_stages(self.stages_of(runs), output)
        self.processes.wait()
        return output

    def stages_of(self, runs: Sequence[str]) -> dict[int, Path]:
        """The results of runs that each train one stage of WCT, by the stage."""
        return {entry.stage: self.final(entry.name) for entry in self.table.runs if entry.name in runs and entry.stage}

    def planned(self, entry: Entry) -> Settings:
        """The settings of a run. If it is not planned yet, its steps are timed and the plan is recorded."""
        if entry.name not in self.plan:
            seconds = pace(entry, self.settings_of(entry), self.options_of(entry), self.processes)
            share = self.budget * entry.share / sum(each.share for each in self.table.runs)
            self.plan[entry.name] = {"steps": steps_for(share, entry.parts, seconds), "seconds_a_step": seconds}
            self.write(self.plan_file, json.dumps(self.plan, indent=1))
        return self.settings_of(entry)

    def options_of(self, entry: Entry) -> RunOptions:
        return replace(self.options, out=self.options.out / entry.name)

    def run(self) -> None:
        """Do everything that is not done yet."""
        for entry in self.table.runs:
            if not self.final(entry.name).exists():
                settings, options = self.planned(entry), self.options_of(entry)
                recipe = entry.kind.make(settings, options, self.processes)
                validate = getattr(recipe, "validate", dict)
                train(recipe, settings, options, self.processes, validate, self.write_report)
            self.write_report()
            self.make_models()

    def write_report(self) -> None:
        """Write ``report.md``, and the curve of each run that has begun."""
        if not self.processes.leads:
            return
        logs = {entry.name: self.log(entry.name) for entry in self.table.runs}
        for name, log in logs.items():
            if kind := curve_of(log):
                self.write(self.options.out / name / "curve.svg", curve(log[kind], f"{name}: {CURVES[kind]}"))
        self.write(self.options.out / "report.md", self.report(logs))

    def log(self, name: str) -> Log:
        """The log of a run so far."""
        file = self.options.out / name / "log.csv"
        log: Log = {}
        for line in file.read_text().splitlines()[1:] if file.exists() else ():
            step, term, value = line.split(",")
            log.setdefault(term, []).append((int(step), float(value)))
        return log

    def write(self, path: Path, text: str) -> None:
        if self.processes.leads:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_output(path) as file:
                file.write(text.encode())

    def make_models(self) -> None:
        """Convert the models whose runs are finished, calibrated on the training pictures."""
        for name, runs in self.table.models.items():
            output = self.options.out / "models" / f"{name}.fnst"
            if self.processes.leads and not output.exists() and all(self.final(run).exists() for run in runs):
                output.parent.mkdir(exist_ok=True)
                source = self.final(runs[0])
                if len(runs) > 1:
                    source = joined_stages(self.stages_of(runs), output.with_suffix(".safetensors"))
                convert(source, calibration_of(self.options), output, name=name)

    def report(self, logs: Mapping[str, Log]) -> str:
        """A report of what has been trained so far, in Markdown."""
        titles = "| run | recipe | steps | of | hours | precision | loss on held-out pairs, along the run |"
        head = f"{titles}\n| --- | --- | --: | --: | --: | --- | --- |"
        begun = [entry for entry in self.table.runs if self.newest(entry.name).exists()]
        rows = [self.row(entry, logs[entry.name]) for entry in begun]
        where = f"{self.options.device}, torch {torch.__version__}, budget {self.budget / 3600:.2g} hours"
        pages = [self.shown(entry.name) for entry in begun]
        return "\n".join((f"# Campaign\n\n{where}. Pictures: {self.options.described}.\n", head, *rows, *pages))

    def row(self, entry: Entry, log: Log) -> str:
        facts = load_checkpoint(self.newest(entry.name))[1]
        losses = ", ".join(f"{value:.4g}" for _, value in log.get(VALIDATION_LOSS, ())) or "none"
        steps = f"{facts['step']:,} | {sum(self.plan[entry.name]['steps'].values()):,}"
        told = f"{steps} | {facts['seconds'] / 3600:.2f} | {facts['settings']['precision']}"
        return f"| {entry.name} | {entry.recipe} | {told} | {losses} |"

    def shown(self, name: str) -> str:
        """The part of the report with the curve of a run and its last pictures."""
        pictures = sorted((self.options.out / name).glob("step-*.jpg"), key=lambda path: int(path.stem.partition("-")[2]))
        files = [self.options.out / name / "curve.svg", *pictures[-1:]]
        shown = [f"![{name}: {file.stem}]({name}/{file.name})\n" for file in files if file.exists()]
        return "\n".join((f"\n## {name}\n", *shown))


def curve_of(log: Log) -> str | None:
    """The term that shows the progress of a run best; ``None`` if there is none."""
    return next((term for term in CURVES if any(0 < value < math.inf for _, value in log.get(term, ()))), None)


def joined_stages(files: Mapping[int, Path], output: Path) -> Path:
    """Join WCT stages, one file each, in the one file that ``fastnst convert`` reads."""
    tensors = {
        f"{stage}.{name}": value
        for stage, file in files.items()
        for name, value in weights.read(file).items()
        if name.startswith(("encoder.", "decoder."))
    }
    facts = load_checkpoint(next(iter(files.values())))[1]
    save_checkpoint(output, tensors, facts)
    return output


def calibration_of(options: RunOptions) -> Path:
    """A folder with links ``content`` and ``style`` to the training pictures."""
    folder = options.out / "calibration"
    folder.mkdir(exist_ok=True)
    for link, pictures in (("content", "content-train"), ("style", "style-train")):
        if not (folder / link).exists():
            (folder / link).symlink_to((options.data / pictures).resolve(), target_is_directory=True)
    return folder


def main(argv: Sequence[str] | None = None) -> None:
    """``fastnst train campaign``; see ``--help``."""
    parser = Parser(prog="fastnst train campaign", description=(__doc__ or "").splitlines()[0], allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, help="folder with pictures to train on, and weights/")
    parser.add_argument("--out", type=Path, required=True, help="folder of the campaign; one that was begun there goes on")
    parser.add_argument("--table", type=Path, default=TABLE, help="TOML file with the runs (every model that ships)")
    parser.add_argument("--budget", type=seconds_of, default="6h", help="time for all runs together, such as 90m (%(default)s)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: CUDA where there is a device")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as PyTorch chooses")
    parser.add_argument("--every", type=int, default=200, help="steps between checkpoints (%(default)s)")
    parser.add_argument("--described", default="not described", help="what the pictures are and their licence, for the cards")
    given = parser.parse_args(argv)
    device = ("cuda" if torch.cuda.is_available() else "cpu") if given.device == "auto" else given.device
    try:
        table = table_from(given.table)
        options = RunOptions(given.data, given.out, given.threads, device, given.every, described=given.described)
    except OSError as error:
        parser.error(f"{error.filename}: {error.strerror}")
    except ValueError as error:
        parser.error(str(error))
    if options.threads:
        torch.set_num_threads(options.threads)
    with joined(options.device) as processes:
        Campaign(table, options, processes, given.budget).run()


if __name__ == "__main__":
    main()
