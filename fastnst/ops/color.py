"""Colour transfer between pictures. Formula: ``fastnst.reference.color``."""

from __future__ import annotations

from torch import Tensor

from fastnst import dispatch, reference
from fastnst.ops.documented import documented

COLOR_EPS = 1e-5


@documented(reference.color_transfer)
def color_transfer(source: Tensor, target: Tensor, strength: float = 1.0, eps: float = COLOR_EPS) -> Tensor:
    dispatch.choose("color", source, target)
    return reference.color_transfer(source, target, strength, eps)
