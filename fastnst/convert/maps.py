"""The maps of all calibration pictures between two layers of a network, of which no more are held than must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, overload

from torch import Tensor

from fastnst.system.memory import return_free_memory

Step: TypeAlias = Callable[[Tensor], Tensor]

GROWTH = 8
"""Maps so many times as large as what is held are not held but made each time that they are read: behind a wide first layer,
which costs a twentieth of the layer that reads it and whose maps would take more memory than all that follow."""


class Maps(Sequence[Tensor]):
    """One map for each calibration picture. They go through a network layer by layer, one after another."""

    def __init__(self, maps: Sequence[Tensor]) -> None:
        self._held = list(maps)
        self._steps: list[Step] = []  # from what is held to what is read

    def __len__(self) -> int:
        return len(self._held)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...

    @overload
    def __getitem__(self, index: slice) -> Maps: ...

    def __getitem__(self, index: int | slice) -> Tensor | Maps:
        if isinstance(index, slice):
            part = Maps(self._held[index])
            part._steps = list(self._steps)
            return part
        x = self._held[index]
        for step in self._steps:
            x = step(x)
        return x

    def through(self, first: Step, second: Step | None = None) -> Iterator[Tensor]:
        """``first(x)`` for every map x; when all were taken, ``second`` of it, or itself, has replaced every x.

        A layer is ``first`` its sums, which its statistics need, and ``second`` what follows them.
        """
        held = True
        for i in range(len(self)):
            y = first(self[i])
            yield y
            if held:
                x = second(y) if second else y
                held = i > 0 or x.numel() <= GROWTH * self._held[0].numel()
            if held:
                self._held[i] = x
        self._steps = [] if held else [*self._steps, first, *([second] if second else [])]
        return_free_memory()

    def advance(self, step: Step) -> None:
        """Replace every map x by ``step(x)``."""
        for _ in self.through(step):
            pass
