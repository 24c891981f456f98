"""Ray Data: a data set of pictures stylized by a pool of actors, on one machine or many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ray.data import ActorPoolStrategy

from fastnst.transforms import RandomStyle

if TYPE_CHECKING:
    from ray.data import Dataset


def stylize(
    ds: Dataset,
    styles: Any,
    *,
    column: str = "image",
    name: str | None = "path",
    actors: int | tuple[int, int] = (1, 1024),
    batch_size: int = 64,
    p: float = 1.0,
    **options: Any,
) -> Dataset:
    """``ds`` with the pictures of a column stylized by :class:`fastnst.transforms.RandomStyle`; rows and other columns stay.

    What is drawn for a row depends on the seed and its name, or its pixels, so that a row that is done again, because an actor
    was lost, comes out the same. The looks are made once, here, and sent to the actors; each takes one core.

    Args:
        styles, p, options: as for :class:`fastnst.transforms.RandomStyle`.
        column: of arrays, uint8 or float [H, W], [H, W, 1] or [H, W, C], as ``ray.data.read_images`` makes them; they may be of
            different sizes and channels.
        name: a column that tells rows apart, such as the paths of ``read_images(..., include_paths=True)``; a row's pixels do
            where there is no such column.
        actors: how many, or the fewest and the most, as the cluster has cores for. Reading takes cores as well: as many
            actors as there are cores would wait for pictures for ever.
        batch_size: rows that an actor is given at a time.

    Returns:
        a data set, of which nothing is done before it is asked for. A grey picture is [H, W, 1] in it.
    """
    low, high = actors if isinstance(actors, tuple) else (actors, actors)
    style = RandomStyle(styles, p, **options)
    return ds.map_batches(
        _Actor,
        fn_constructor_args=(style, column, name),
        batch_size=batch_size,
        batch_format="numpy",
        compute=ActorPoolStrategy(min_size=low, max_size=high),
        num_cpus=1,
    )


class _Actor:
    """Stylizes batches of rows."""

    def __init__(self, style: RandomStyle, column: str, name: str | None) -> None:
        self._style, self._column, self._name = style, column, name

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        pictures = batch[self._column]
        names = batch.get(self._name) if self._name is not None else None
        keys = [None] * len(pictures) if names is None else list(map(str, names))
        styled = [self._style(_plain(each), index=key) for each, key in zip(pictures, keys, strict=True)]
        return {**batch, self._column: _column(styled)}


def _plain(picture: Any) -> Any:
    """[H, W, C]. Ray gives grey rows as [H, W], or as [1, H, W] where other rows of the column have three axes."""
    array = np.asarray(picture)
    if array.ndim == 3 and array.shape[0] == 1 and array.shape[2] > 4:
        array = array[0]
    return array[..., None] if array.ndim == 2 else array


def _column(pictures: list[Any]) -> Any:
    """One array where all are of one size, or else an array of arrays."""
    if len({each.shape for each in pictures}) == 1:
        return np.stack(pictures)
    column = np.empty(len(pictures), object)
    for at, each in enumerate(pictures):
        column[at] = each
    return column
