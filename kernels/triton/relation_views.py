"""The memory layout of the items of relation losses: rows, columns and patches of an image, or the items of a set."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

ROW, COLUMN, PATCH = 1, 2, 4
"""Bits of ``granularities``."""


@dataclass(frozen=True)
class View:
    """The memory layout of the items of an image or of a set; strides are in elements."""

    count: int
    line: int
    down: int
    across: int
    outer: int
    outer_stride: int
    middle: int
    middle_stride: int
    inner: int
    inner_stride: int

    @property
    def numbers(self) -> int:
        """The number of elements of an item."""
        return self.outer * self.middle * self.inner

    def arguments(self, depth: int) -> tuple[int, ...]:
        """The arguments of ``pairwise_kernel``, in the order of ``FIELDS``; ``depth`` numbers of an item are read in a step."""
        steps = self.outer * self.middle * math.ceil(self.inner / depth)
        place = self.count, self.line, self.down, self.across
        return *place, steps, self.outer_stride, self.middle, self.middle_stride, self.inner, self.inner_stride


FIELDS = (
    "count", "line", "down", "across", "steps", "outer_stride", "middle", "middle_stride", "inner", "inner_stride"
)  # fmt: skip
VIEWS = 3
"""The number of granularities."""


def view_of(count: int, line: int, down: int, across: int, *axes: tuple[int, int]) -> View:
    """A view of items whose numbers lie along ``axes`` (size and stride): joined where they can be, the best one innermost."""
    joined: list[tuple[int, int]] = []
    for size, stride in sorted(axes, key=lambda axis: -axis[1]):
        if size == 1:
            continue
        if joined and joined[-1][1] == size * stride:
            joined[-1] = (joined[-1][0] * size, stride)
        else:
            joined.append((size, stride))
    # The innermost axis is read in blocks: long strides are better than blocks that are mostly empty.
    joined.sort(key=lambda axis: (min(axis[0], 32), -axis[1]))
    (outer, outer_stride), (middle, middle_stride), (inner, inner_stride) = [(1, 0)] * (3 - len(joined)) + joined
    return View(count, line, down, across, outer, outer_stride, middle, middle_stride, inner, inner_stride)


def sets(items: Tensor) -> tuple[View, ...]:
    """The view of sets [B, N, D]."""
    _, count, numbers = items.shape
    return (view_of(count, 1, numbers, 0, (numbers, 1)),)


def granules(images: Tensor, patch_size: int, granularities: int) -> tuple[View, ...]:
    """The views of images [N, C, H, W]: rows, columns and patches, those whose bits ``granularities`` has."""
    _, channels, height, width = images.shape
    _, plane, down, across = images.stride()
    chosen = []
    if granularities & ROW:
        chosen.append(view_of(height, 1, down, 0, (channels, plane), (width, across)))
    if granularities & COLUMN:
        chosen.append(view_of(width, 1, across, 0, (channels, plane), (height, down)))
    if granularities & PATCH:
        line = width // patch_size
        sides = (channels, plane), (patch_size, down), (patch_size, across)
        chosen.append(view_of(height // patch_size * line, line, patch_size * down, patch_size * across, *sides))
    return tuple(chosen)


def pair_count(views: tuple[View, ...]) -> int:
    return sum(view.count**2 for view in views)


def tile_count(views: tuple[View, ...], block: int) -> int:
    """The number of tiles on and above the diagonals of all views."""
    sides = (math.ceil(view.count / block) for view in views)
    return sum(side * (side + 1) // 2 for side in sides)


def padded(views: tuple[View, ...], depth: int) -> list[int]:
    """The arguments of all views; missing ones have no items."""
    lacking = (0,) * (len(FIELDS) * (VIEWS - len(views)))
    return [*(number for view in views for number in view.arguments(depth)), *lacking]
