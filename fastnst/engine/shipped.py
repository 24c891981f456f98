"""Which models and looks there are inside the package, by their names."""

from __future__ import annotations

import glob
from pathlib import Path

from fastnst.format.lookfile import MAGIC, SUFFIX, LookError, Source, from_bytes, is_look

DEFAULT_MODEL = "adain-16x"
MODELS = Path(__file__).parents[1] / "models"


def shipped_model(name: str) -> Path:
    """The file of a model inside the package; whether there is one is not looked at."""
    return MODELS / f"{name}.fnst"


def is_shipped(model: Path) -> bool:
    """Whether it is the file of a model inside the package."""
    return model == shipped_model(model.stem)


def looks(model: str | None = None) -> list[str]:
    """Names of the looks inside the package for a shipped model, by default the default one; each may stand for a style.

    They are of drawings of ``examples/drawings`` and of old paintings, and belong to the very files of the models.
    """
    return [path.stem for path in sorted((MODELS / "looks" / (model or DEFAULT_MODEL)).glob(f"*{SUFFIX}"))]


def shipped_look(name: str, model: str) -> Path:
    """The file of a look inside the package; whether there is one is not looked at."""
    return MODELS / "looks" / model / f"{name}{SUFFIX}"


def look_source(name: str, model: str) -> Source | None:
    """The painting that a look inside the package is of; None for one of a drawing of fastnst's own."""
    return from_bytes(shipped_look(name, model).read_bytes()).source


def find_look(style: Path, model: str) -> Path | None:
    """The file of a look that ``style`` is or names; None if it is a picture, or a path of nothing.

    Raises:
        LookError: a look that ships for other models than ``model``, or a name that is none's and no file's.
    """
    if style.is_file():
        with style.open("rb") as file:
            return style if is_look(file.read(len(MAGIC))) else None
    if style.exists() or style.suffix or len(style.parts) > 1:
        return None
    if shipped_look(style.name, model).is_file():
        return shipped_look(style.name, model)
    others = sorted(path.parent.name for path in (MODELS / "looks").glob(f"*/{glob.escape(style.name)}{SUFFIX}"))
    if others:
        raise LookError(f"{style}: this look ships for {', '.join(others)}, and not for {model}")
    import difflib  # not where nothing is wrong

    near = difflib.get_close_matches(style.name, looks(model), 1)
    raise LookError(f"{style}: no such file or look{f'; near to it is {near[0]}' if near else ''} (fastnst styles lists them)")
