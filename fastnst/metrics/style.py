"""The style distance of Collaborative Distillation (Wang et al., CVPR 2020, table 2): Gram matrices, stage by stage."""

from __future__ import annotations

import torch
from torch import Tensor

from fastnst import ops
from fastnst.networks.vgg import Encoder


@torch.no_grad()
def style_distances(vgg: Encoder, output: Tensor, style: Tensor) -> list[float]:
    """For each stage of ``vgg``, the Frobenius norm of the difference of two pictures' Gram matrices.

    Args:
        vgg: a scoring network up to any stage.
        output, style: [1, 3, H, W], RGB 0..1, of any sizes.

    The Gram matrices are sums over places divided by their number (F F^T / HW): the published table does not say which
    divisor made it, so only figures of this definition compare.
    """
    distances = []
    for a, b in zip(vgg.features(output.clamp(0, 1)), vgg.features(style), strict=True):
        grams = [ops.gram_matrix(x.float()) * x.shape[1] for x in (a, b)]
        distances.append(float((grams[0] - grams[1]).norm()))
    return distances
