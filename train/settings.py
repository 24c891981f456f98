"""Settings of a recipe: a frozen dataclass with values from its defaults, a TOML file and the command line, in this order."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from .limits import ABOVE_0, AT_LEAST_0, AT_LEAST_1, SHARE_BELOW_ONE, Range, Words, check, metadata_of, setting
from .precision import fastest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


AUTO = "auto"
PRECISIONS = (AUTO, "bfloat16", "float32")


@dataclass(frozen=True)
class Phase:
    """A phase of training, with batches of one kind.

    Attributes:
        batch: crops per batch and process.
        size: side of the crops in pixels.
        falls: whether the learning rate falls to zero along half a cosine; otherwise it stays the same.
        rate: factor of the learning rate.
        rates: further factors of it, for some of the recipe's networks.
        trains: names of networks that are trained by losses of their own, which have the same names; the others stay the same.
            If it is empty, all networks are trained by ``loss``.
        begins: called before the first step; it may change what is not trained. The figures that it returns are logged.
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
    """The settings of every recipe. They determine the result, and are recorded in each checkpoint."""

    accumulate: int = setting(1, "batches whose gradients make one step", AT_LEAST_1)
    learning_rate: float = setting(1e-3, "of Adam", ABOVE_0)
    warm_up: int = setting(100, "steps until the learning rate is reached", AT_LEAST_0)
    momentum: float = setting(0.9, "of Adam, its first beta", SHARE_BELOW_ONE)
    clip: float = setting(20.0, "largest norm of the gradient", ABOVE_0)
    average: float = setting(0.998, "share that the running average of the weights keeps per step", SHARE_BELOW_ONE)
    precision: str = setting(
        AUTO,
        "bfloat16 (autocast), float32, or auto: bfloat16 where the processor multiplies it",
        Words(PRECISIONS),
        may_change=True,
    )
    seed: int = setting(1, "of all that is drawn at random", Range(0, 10**9))

    @property
    def autocast(self) -> bool:
        """Whether networks compute in bfloat16. ``auto`` is resolved here as for a CPU."""
        return (fastest("cpu") if self.precision == AUTO else self.precision) == "bfloat16"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant; what this class does not know of, subclasses refuse.

        Raises:
            ValueError: one line.
        """
        check(self)

    def ancestry(self) -> dict[str, Any]:
        """The origin of the weights that training begins with: facts for users of the result."""
        return {}

    def lacking(self) -> dict[str, str]:
        """Required settings that are missing, and what they are needed for."""
        return {}

    def require(self) -> None:
        """Raise ValueError, one line, if anything is :meth:`lacking`."""
        if missing := self.lacking():
            raise ValueError("; ".join(f"{option(name)} is required: {why}" for name, why in missing.items()))


@dataclass(frozen=True)
class RunOptions:
    """Where a run reads and writes, and the hardware it uses; these options do not determine the result."""

    data: Path = field(metadata={"help": "folder with pictures to train on, and weights/"})
    out: Path = field(metadata={"help": "folder for checkpoints, logs and pictures; a run there goes on"})
    threads: int = setting(0, "0: as many as PyTorch chooses", Range(0, 1024))
    device: str = setting("cpu", "cpu or cuda; under torchrun each process takes its own", Words(("cpu", "cuda")))
    every: int = setting(200, "steps between checkpoints", AT_LEAST_1)
    until_loss: float = setting(
        0.0, "stop at the first checkpoint whose validation loss is at most this; 0: at the last step", AT_LEAST_0
    )
    described: str = setting("not described", "what the pictures are and their licence, for the card")

    def __post_init__(self) -> None:
        """Check the values; raise ValueError, one line, if one is wrong."""
        check(self)


def option(name: str) -> str:
    """The name of a setting on the command line."""
    return f"--{name.replace('_', '-')}"


SettingsT = TypeVar("SettingsT", bound=Settings)


def read(path: Path) -> dict[str, Any]:
    """Read a recipe's TOML file.

    Raises:
        ValueError: it is no TOML, or one line about its options.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}") from None


def filled(defaults: SettingsT, given: dict[str, Any], source: str) -> SettingsT:
    """``defaults`` with some values replaced; integers are converted where real numbers are expected.

    Raises:
        ValueError: a setting does not exist, or has another type.
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


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())} (see '{self.prog} --help')\n")


def parse(
    recipe: str, description: str, defaults: SettingsT, argv: Sequence[str] | None, epilog: str = ""
) -> tuple[SettingsT, RunOptions]:
    """Parse the command line of ``fastnst train RECIPE``; errors exit with one line and status 2.

    Args:
        epilog: shown below the settings.
    """
    parser = Parser(prog=f"fastnst train {recipe}", description=description, epilog=epilog, allow_abbrev=False)
    parser.add_argument("--config", type=Path, help="TOML file with settings; those below override it")
    for each in fields(RunOptions):
        named: dict[str, Any] = {"required": True} if each.default is MISSING else {"default": each.default}
        kind = Path if each.default is MISSING else type(each.default)
        parser.add_argument(option(each.name), type=kind, help=each.metadata["help"], **named)
    group = parser.add_argument_group("settings")
    for each in fields(defaults):
        default = getattr(defaults, each.name)
        action: dict[str, Any] = {"type": type(default)}
        if isinstance(default, bool):
            action = {"action": argparse.BooleanOptionalAction}
        shown = f"{metadata_of(defaults, each.name).get('help', '')} ({default})".replace("%", "%%").strip()
        group.add_argument(option(each.name), dest=each.name, default=argparse.SUPPRESS, help=shown, **action)
    given = vars(parser.parse_args(argv))
    config = given.pop("config")
    try:
        options = RunOptions(**{each.name: given.pop(each.name) for each in fields(RunOptions)})
        settings = filled(defaults, read(config), str(config)) if config else defaults
        settings = filled(settings, given, "command line")
        if settings.precision == AUTO:  # a checkpoint says which it was
            settings = replace(settings, precision=fastest(options.device))
        settings.require()
        return settings, options
    except OSError as error:
        parser.error(f"{error.filename}: {error.strerror}")
    except ValueError as error:
        parser.error(str(error))


def same_run(run: Path, settings: Settings, begun: Mapping[str, Any]) -> None:
    """Check that a run can be resumed with ``settings``: only steps and the places of files may differ.

    Args:
        run: the folder of the run.
        begun: the settings of the run so far, from its checkpoint.

    Raises:
        ValueError: other settings differ; one line that names them and the run.
    """
    changed = []
    for name, value in asdict(settings).items():
        was = begun.get(name, value)  # checkpoints of earlier versions lack some
        moved = isinstance(was, str) and isinstance(value, str) and Path(was).name == Path(value).name
        if was != value and not moved and not metadata_of(settings, name).get("may_change"):
            changed.append(f"{option(name)} {was!r}, not {value!r}")
    if changed:
        raise ValueError(f"{run}: this run was begun with {'; '.join(changed)}; another folder begins a new one")


def to_toml(settings: Settings) -> str:
    """The settings as TOML, which :func:`read` and :func:`filled` read back."""

    def literal(value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        return repr(value) if isinstance(value, int | float) else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return "".join(f"{name} = {literal(value)}\n" for name, value in asdict(settings).items())
