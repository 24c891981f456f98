"""The style distance of Collaborative Distillation (Wang et al., CVPR 2020, table 2): Gram matrices, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastnst import ops


@torch.no_grad()
def gram_matrices(levels: Sequence[Tensor]) -> list[Tensor]:
    """Of a picture's levels in a scoring network, each [1, C, H, W]: F F^T / HW, [1, C, C].

    The published table does not say which divisor made it, so only figures of this definition compare.
    """
    return [ops.gram_matrix(level.float()) * level.shape[1] for level in levels]


def style_distances(grams: Sequence[Tensor], wanted: Sequence[Tensor]) -> list[float]:
    """For each stage, the Frobenius norm of the difference of two pictures' :func:`gram_matrices`."""
    return [float((a - b).norm()) for a, b in zip(grams, wanted, strict=True)]
