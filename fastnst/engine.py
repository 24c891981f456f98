"""Thin Python face of the C++ engine: load, encode, decode. Arrays in, arrays out; no pictures, no files but the model."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnst import _engine
from fastnst._engine import Features

Image = NDArray[np.uint8]


class ModelError(ValueError):
    """A model file that is broken, of an unknown version, or not a model at all."""


@dataclass(frozen=True)
class Look:
    """What AdaIN keeps of a style: mean and standard deviation of each feature channel, float64 [C]."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @staticmethod
    def mix(looks: Sequence[Look], weights: Sequence[float]) -> Look:
        """The weighted sum of several looks; weights are taken as they are (normalise them first)."""
        mean = sum((look.mean * weight for look, weight in zip(looks, weights, strict=True)), start=np.float64(0))
        std = sum((look.std * weight for look, weight in zip(looks, weights, strict=True)), start=np.float64(0))
        return Look(np.asarray(mean), np.asarray(std))


def default_threads() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Engine:
    """A model ready to run. One engine may be used from many threads at once; every method releases the GIL.

    Args:
        model: a ``.fnst`` file, or its content.

    Raises:
        ModelError: not a model this version understands; says what is wrong.
        FileNotFoundError: no such file.
    """

    def __init__(self, model: str | Path | bytes) -> None:
        name = "model" if isinstance(model, bytes) else str(model)
        data = model if isinstance(model, bytes) else Path(model).read_bytes()
        try:
            self._model = _engine.Model(data)
            card = json.loads(self._model.card)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{name}: {error}") from None
        if not isinstance(card, dict):
            raise ModelError(f"{name}: the model card is no JSON object")
        self.card: dict[str, Any] = card

    def encode(self, image: Image, threads: int | None = None) -> Features:
        """Features of ``image``, uint8 [H, W, 3], of any size from 1 x 1.

        Sides that are not a multiple of the network's stride are extended by repeating the last row and column.
        """
        return self._model.encode(image, threads or default_threads())

    def look(self, image: Image, threads: int | None = None) -> Look:
        """The style statistics of ``image``, uint8 [H, W, 3]."""
        return Look(*self.encode(image, threads).statistics())

    def decode(self, content: Features, look: Look, alpha: float = 1.0, threads: int | None = None) -> Image:
        """The picture of ``content`` with its features blended ``alpha`` of the way to ``look``: uint8 [H, W, 3]."""
        return self._model.decode(content, look.mean, look.std, alpha, threads or default_threads())

    def working_bytes(self, height: int, width: int) -> int:
        """Bytes the engine allocates to stylize a picture of this size: its plan, features included, weights not."""
        return self._model.working_bytes(height, width)


def instruction_sets() -> list[tuple[str, bool]]:
    """Every compiled instruction-set path in order of priority, and whether this processor can run it."""
    return _engine.instruction_sets()


def instruction_set() -> str:
    """The path in use: the first that can run, or the one ``FASTNST_ISA`` names.

    Raises:
        RuntimeError: ``FASTNST_ISA`` names a path that is unknown or cannot run here.
    """
    return _engine.instruction_set()
