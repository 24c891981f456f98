"""Settings of a recipe: a frozen dataclass, filled from its defaults, a TOML file and the command line, the last word last."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


PRECISIONS = {"bfloat16": torch.bfloat16, "float32": torch.float32}


@dataclass(frozen=True)
class Phase:
    """A stretch of training with batches of one kind.

    Attributes:
        batch: crops per batch and process.
        size: side of the crops in pixels.
        falls: whether the learning rate falls to zero along half a cosine; otherwise it stays.
        rate: factor of the learning rate.
        rates: further factors of it, for some of the recipe's networks.
        trains: children of the recipe's networks that go down losses of their own, called after them; the others stay. Without
            any, all networks go down ``loss``.
        begins: called before the first step; may change what is not trained. The figures that it returns are logged.
    """

    name: str
    steps: int
    batch: int
    size: int
    falls: bool = True
    rate: float = 1.0
    trains: tuple[str, ...] = ()
    begins: Callable[[], dict[str, float]] | None = None
    rates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """What every recipe has; everything that decides the result, recorded in each checkpoint."""

    accumulate: int = field(default=1, metadata={"help": "batches whose gradients make one step"})
    learning_rate: float = 1e-3
    warm_up: int = field(default=100, metadata={"help": "steps until the learning rate is reached"})
    momentum: float = field(default=0.9, metadata={"help": "of Adam, its first beta"})
    clip: float = field(default=20.0, metadata={"help": "largest norm of the gradient"})
    average: float = field(default=0.998, metadata={"help": "share that the running average of the weights keeps per step"})
    precision: str = field(default="bfloat16", metadata={"help": "bfloat16 (autocast) or float32"})
    compile: bool = field(default=False, metadata={"help": "torch.compile the networks"})
    seed: int = 1

    @property
    def autocast(self) -> bool:
        return self.precision != "float32"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ValueError: one line.
        """
        if self.accumulate < 1:
            raise ValueError(f"accumulate: expected at least 1, got {self.accumulate}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision: expected {' or '.join(PRECISIONS)}, got {self.precision!r}")
        if not (self.learning_rate > 0 and self.clip > 0 and 0 <= self.average < 1 and 0 <= self.momentum < 1):
            raise ValueError("learning_rate and clip must be above 0, average and momentum in 0 to 1")


@dataclass(frozen=True)
class Place:
    """Where a run reads and writes, and on what it runs; none of it decides the result."""

    data: Path
    out: Path
    threads: int = 0
    device: str = "cpu"
    every: int = 200
    described: str = "not described"


SettingsT = TypeVar("SettingsT", bound=Settings)


def read(path: Path) -> dict[str, Any]:
    """A recipe's TOML file.

    Raises:
        ValueError: not TOML; one line with the place.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}") from None


def filled(defaults: SettingsT, given: dict[str, Any], source: str) -> SettingsT:
    """``defaults`` with some values replaced; whole numbers pass for real ones.

    Raises:
        ValueError: a setting that does not exist, or of another type.
    """
    kinds = {each.name: type(getattr(defaults, each.name)) for each in fields(defaults)}
    converted = {}
    for name, value in given.items():
        if name not in kinds:
            raise ValueError(f"{source}: unknown setting {name}; there are {', '.join(kinds)}")
        kind = kinds[name]
        if kind is float and type(value) is int:
            value = float(value)  # noqa: PLW2901
        if type(value) is not kind:
            raise ValueError(f"{source}: {name}: expected {kind.__name__}, got {value!r}")
        converted[name] = value
    return replace(defaults, **converted)


def parse(recipe: str, description: str, defaults: SettingsT, argv: Sequence[str] | None) -> tuple[SettingsT, Place]:
    """The command line of ``fastnst train RECIPE``; exits with usage and status 2 on what it cannot take."""
    parser = argparse.ArgumentParser(prog=f"fastnst train {recipe}", description=description)
    parser.add_argument("--config", type=Path, help="TOML file with settings; those below override it")
    parser.add_argument("--data", type=Path, required=True, help="folder with pictures to train on, and weights/")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for checkpoints, logs and pictures; a run there goes on"
    )
    parser.add_argument("--threads", type=int, default=Place.threads, help="0: as many as PyTorch chooses")
    parser.add_argument("--device", default=Place.device, help="cpu or cuda; under torchrun each process takes its own")
    parser.add_argument("--every", type=int, default=Place.every, help="steps between checkpoints")
    parser.add_argument("--described", default=Place.described, help="what the pictures are and their licence, for the card")
    group = parser.add_argument_group("settings")
    for each in fields(defaults):
        default = getattr(defaults, each.name)
        action: dict[str, Any] = {"type": type(default)}
        if isinstance(default, bool):
            action = {"action": argparse.BooleanOptionalAction}
        name = f"--{each.name.replace('_', '-')}"
        shown = f"{each.metadata.get('help', '')} ({default})".strip()
        group.add_argument(name, dest=each.name, default=argparse.SUPPRESS, help=shown, **action)
    given = vars(parser.parse_args(argv))
    place = Place(**{each.name: given.pop(each.name) for each in fields(Place)})
    config = given.pop("config")
    try:
        settings = filled(defaults, read(config), str(config)) if config else defaults
        return filled(settings, given, "command line"), place
    except (ValueError, OSError) as error:
        parser.error(str(error))


def to_toml(settings: Settings) -> str:
    """The file that :func:`read` and :func:`filled` turn into ``settings`` again."""

    def literal(value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        return repr(value) if isinstance(value, int | float) else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return "".join(f"{name} = {literal(value)}\n" for name, value in asdict(settings).items())
