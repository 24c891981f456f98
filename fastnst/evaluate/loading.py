"""Which file or folder an argument means, and the row it makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from fastnst.format.kinds import described, require_weights, weights_in
from fastnst.networks.files import read_networks
from fastnst.networks.vgg import Encoder
from fastnst.stylize import models
from fastnst.system.errors import UsageError

from .models import EngineModel, FinishedPictures, Model, Row
from .networks import FloatModel
from .pictures import Pair

EXPECTED = "a .fnst or .safetensors file, a folder of pictures, nor a shipped model's name"


def named(arguments: Sequence[str]) -> dict[str, Path]:
    """Rows and their files, from ``MODEL`` or ``NAME=MODEL``; a model is a shipped one's name, a file, or a folder of pictures.

    Raises:
        UsageError: two rows of one name.
    """
    shipped = {model.name: model.path for model in models()}
    rows: dict[str, Path] = {}
    for argument in arguments:
        name, _, model = argument.rpartition("=") if not Path(argument).exists() else ("", "", argument)
        name = name or (model if model in shipped else Path(model).stem)
        if name in rows:
            raise UsageError(f"{argument}: another model is named {name!r}; NAME={model} gives it a name of its own")
        rows[name] = shipped.get(model, Path(model))
    return rows


def load_row(name: str, path: Path, pairs: Sequence[Pair], threads: int, vgg: Callable[[int], Encoder]) -> Row:
    """A folder of finished pictures, one of each of ``pairs``, or the model in a file (:func:`load_model`).

    Raises:
        ValueError: one line that says what is wrong.
        FileNotFoundError: no such file.
    """
    if path.is_dir() and not weights_in(path):
        return FinishedPictures(name, path, pairs)
    return load_model(name, path, threads, vgg)


def load_model(name: str, path: Path, threads: int, vgg: Callable[[int], Encoder]) -> Model:
    """The model in a file.

    Args:
        name: of its row.
        path: ``.fnst``, or a trained ``.safetensors`` (see :func:`.networks.read_networks`).
        threads: that the engine uses.
        vgg: VGG-19 up to a stage, for decoders that come without an encoder.

    Raises:
        ValueError: one line that names the file and says what is wrong.
        FileNotFoundError: no such file.
    """
    try:
        require_weights(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such model") from None
    if path.suffix == ".fnst":
        return EngineModel(name, path, threads)
    if path.suffix == ".safetensors":
        return FloatModel(name, path, read_networks(path, vgg))
    raise ValueError(f"{path}: {described(path, EXPECTED)}")
