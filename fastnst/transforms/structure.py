"""Which values of a sample are its pictures: as ``torchvision.transforms.v2`` has it, for dictionaries, lists and tuples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from fastnst.transforms.kinds import is_image, is_tensor

Place: TypeAlias = tuple[Any, ...]
"""The keys that lead to a value."""


def images_in(sample: Any) -> list[tuple[Place, Any]]:
    """Every PIL image, ``tv_tensors.Image`` and ``Video``; without any, the first plain tensor or array."""
    leaves = list(_leaves(sample, ()))
    images = [(place, value) for place, value in leaves if is_image(value)]
    if images:
        return images
    return [(place, value) for place, value in leaves if _is_plain(value)][:1]


def _is_plain(value: Any) -> bool:
    """Whether it may be a picture: a mask or a box of torchvision's is a tensor too, and none."""
    if is_tensor(value):
        return type(value).__module__.split(".")[0] != "torchvision"
    return isinstance(value, np.ndarray)


def _leaves(value: Any, place: Place) -> Iterator[tuple[Place, Any]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves(each, (*place, key))
    elif isinstance(value, list | tuple):
        for at, each in enumerate(value):
            yield from _leaves(each, (*place, at))
    else:
        yield place, value


def replaced(value: Any, results: Mapping[Place, Any], place: Place = ()) -> Any:
    """The same structure with other values in some places; what holds none of them stays the very object."""
    if place in results:
        return results[place]
    if not any(each[: len(place)] == place for each in results):
        return value
    if isinstance(value, Mapping):
        changed = {key: replaced(each, results, (*place, key)) for key, each in value.items()}
        return changed if type(value) is dict else type(value)(changed)  # type: ignore[call-arg]
    several = [replaced(each, results, (*place, at)) for at, each in enumerate(value)]
    if isinstance(value, tuple) and hasattr(value, "_fields"):  # a named one
        return type(value)(*several)
    return type(value)(several)
