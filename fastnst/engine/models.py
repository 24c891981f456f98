"""The models inside the package, and model files by their names."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from fastnst.engine import Engine, ModelError
from fastnst.engine.shipped import MODELS


class ModelInfo(NamedTuple):
    """What a shipped model is, from the card inside its file."""

    name: str
    kind: str
    parameters: int
    macs_per_pixel: float  # multiply-accumulates of encoder and decoder for one pixel of the content
    file_bytes: int
    distilled_from: str | None
    path: Path


def models() -> list[ModelInfo]:
    """The models inside the package, by name. Each file is loaded and so checked.

    Raises:
        ModelError: a file of the package is damaged.
    """
    return [_describe(path) for path in sorted(MODELS.glob("*.fnst"))]


def _describe(path: Path) -> ModelInfo:
    card = Engine(path).card
    try:
        return ModelInfo(
            name=path.stem,
            kind=card["kind"],
            parameters=card["parameters"],
            macs_per_pixel=card["macs_per_pixel"],
            file_bytes=path.stat().st_size,
            distilled_from=card.get("distilled_from"),
            path=path,
        )
    except KeyError as error:
        raise ModelError(f"{path}: its card does not say {error}") from None


def find_model(model: str | Path) -> Path:
    """The file of a shipped model's name, or ``model`` itself where it is a file."""
    shipped = {path.stem: path for path in sorted(MODELS.glob("*.fnst"))}
    if isinstance(model, str) and model in shipped:
        return shipped[model]
    path = Path(model)
    if path.is_file():
        return path
    if path.is_dir():
        raise ModelError(f"{path}: is a folder, not a model")
    if isinstance(model, Path) or path.suffix or len(path.parts) > 1:
        raise FileNotFoundError(f"{model}: no such model file")
    raise ModelError(f"no model is named {model!r}; the package has {', '.join(shipped) or 'none'}")
