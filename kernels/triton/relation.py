r"""Relations between items: distances and angles of a student's items compared with a teacher's, and gradients.

Nothing of size N x N x D or N^3 is stored. Squared distances q are computed from differences, not by a matrix product: they are
exactly 0 where items are equal, and lose no digits where items are close. Angles follow from q alone by the law of cosines,

.. math:: \cos_{ijk} = \tfrac12 (q_{ij} + q_{ik} - q_{jk})\,r_{ij}\,r_{ik}

with r = 1 / sqrt(q), or 0 up to a distance of 1e-12: items that coincide have no angle and no gradient. So all three angles
of a triangle cost a few operations, and W = d loss / d q needs one pass over triangles. Every number is summed by one program
in a fixed order, so results are reproducible to the bit.

W is symmetric with a zero diagonal, and q_ij and q_ji count as two variables: d loss = sum over all ordered pairs of
W_ij dq_ij, so d loss / d x_i = 4 sum over j of W_ij (x_i - x_j).

Items are read where they lie: of an image, item i is at ``(i // line) * down + (i % line) * across`` and its numbers lie
``outer`` x ``middle`` x ``inner`` with a stride each (``View``). So rows, columns and patches in either layout are one kernel.
Views are passed as plain numbers, and a tile's row and column follow from its number. Without a table in memory nothing is
copied to the GPU, and a captured CUDA graph has no pointer to memory that could be freed. New numbers of a view cause no
compilation.

The law of cosines has an error of about eps * (longer side) / (shorter side), where the reference's differences have only
that of the items themselves. In return the loop over triangles does not depend on D. The error matters for items that nearly
coincide: the cosines of their angles are noise, from -1 to 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fastnst.kernels.triton import launch
from fastnst.kernels.triton.configs import choose
from fastnst.kernels.triton.relation_pairs import DISTANCES, SQUARES, WEIGHTS, pairwise_kernel, spread_kernel
from fastnst.kernels.triton.relation_triangles import lengths_kernel, triangles_kernel
from fastnst.kernels.triton.relation_views import VIEWS, View, granules, padded, pair_count, sets, tile_count


def pairwise(items: Tensor, squared: bool, eps: float) -> Tensor:
    """Distances of all pairs of ``items`` [B, N, D], or their squares clamped at ``eps``: [B, N, N] in their type."""
    batch, count, _ = items.shape
    out = items.new_empty(batch, count, count)
    _pairwise(items, sets(items), DISTANCES, out, squared=squared, eps=eps)
    return out


def pairwise_backward(grad: Tensor, items: Tensor, squared: bool, eps: float) -> Tensor:
    """The gradient of ``items`` for any ``grad`` [B, N, N]; pairs that were clamped hand none on."""
    weights = torch.empty_like(grad, dtype=torch.float32)
    _pairwise(items, sets(items), WEIGHTS, weights, gradients=grad.contiguous(), squared=squared, eps=eps)
    return _spread(items, sets(items), weights, None)


def relation(student: Tensor, teacher: Tensor, distance_weight: float, angle_weight: float) -> tuple[Tensor, Tensor]:
    """The loss of every set, float32 [B], and W (see above), float32 [B, N, N], of items [B, N, D] and [B, N, E].

    The loss is ``distance_weight`` times ``rkd_distance_loss`` plus ``angle_weight`` times ``rkd_angle_loss`` of the
    reference; a weight of 0 leaves out that term's work. Source: Park et al., CVPR 2019.
    """
    losses, weights = _relations(student, teacher, sets(student), sets(teacher), distance_weight, angle_weight)
    return losses, weights.view(len(student), student.shape[1], student.shape[1])


def relation_backward(grad: Tensor, weights: Tensor, student: Tensor) -> Tensor:
    """The gradient of ``student`` for the losses' ``grad`` [B]."""
    return _spread(student, sets(student), weights, grad)


def content_relation(
    student: Tensor, teacher: Tensor, patch_size: int, distance_weight: float, angle_weight: float, granularities: int
) -> tuple[Tensor, Tensor]:
    """The loss of every image, float32 [N], summed over ``granularities``, and W of each of them in turn, float32 [N, K]."""
    views = [granules(images, patch_size, granularities) for images in (student, teacher)]
    return _relations(student, teacher, *views, distance_weight, angle_weight)


def content_relation_backward(grad: Tensor, weights: Tensor, student: Tensor, patch_size: int, granularities: int) -> Tensor:
    """The gradient of the images ``student``, in their layout, for the losses' ``grad`` [N]."""
    return _spread(student, granules(student, patch_size, granularities), weights, grad)


def _pairwise(
    items: Tensor,
    views: tuple[View, ...],
    mode: int,
    out: Tensor,
    *,
    size: str | None = None,
    inverses: Tensor | None = None,
    lengths: Tensor | None = None,
    gradients: Tensor | None = None,
    squared: bool = True,
    eps: float = 0.0,
) -> None:
    device = launch.device_of(items)
    options = choose("pairwise", device.capability, size or _size(views, len(items), device))
    tiles = tile_count(views, int(options["BLOCK"]))
    tensors, sizes = (items, gradients, out, inverses, lengths), (items.stride(0), pair_count(views), tiles, eps)
    numbers = padded(views, int(options["DEPTH"]))
    launch.start(pairwise_kernel, (len(items) * tiles,), *tensors, *sizes, *numbers, MODE=mode, SQUARED=squared, **options)


def _relations(
    student: Tensor,
    teacher: Tensor,
    views: tuple[View, ...],
    teacher_views: tuple[View, ...],
    distance_weight: float,
    angle_weight: float,
) -> tuple[Tensor, Tensor]:
    batch, pairs, device = len(student), pair_count(views), launch.device_of(student)
    size = _size(views, batch, device)
    options = choose("relation", device.capability, size)
    tiles = tile_count(views, int(options["BLOCK"]))
    # Separate tensors: a slice of a larger one may not be aligned for vectors, which would cause another compilation.
    squares, wanted, weights = (student.new_empty(batch, pairs, dtype=torch.float32) for _ in range(3))
    angles: tuple[Tensor | None, Tensor | None] = (None, None)
    if angle_weight != 0:
        angles = torch.empty_like(squares), torch.empty_like(wanted)
    lengths, wanted_lengths, products, losses = (student.new_empty(batch, tiles, dtype=torch.float32) for _ in range(4))
    _pairwise(student, views, SQUARES, squares, size=size, inverses=angles[0], lengths=lengths)
    _pairwise(teacher, teacher_views, SQUARES, wanted, size=size, inverses=angles[1], lengths=wanted_lengths)
    grid, means = (batch * tiles,), (lengths, wanted_lengths)
    sizes = pairs, tiles, *(view.count for view in views), *(0,) * (VIEWS - len(views))
    if distance_weight != 0:
        terms = squares, wanted, *means, losses, products, *sizes, float(distance_weight)
        launch.start(lengths_kernel, grid, *terms, **options)
    tensors = squares, angles[0], wanted, angles[1], *means, products, losses, weights
    scales = float(distance_weight), float(angle_weight)
    chosen = {"DISTANCE": distance_weight != 0, "ANGLE": angle_weight != 0}
    launch.start(triangles_kernel, grid, *tensors, *sizes, *scales, **chosen, **options)
    return losses.sum(1), weights


def _spread(items: Tensor, views: tuple[View, ...], weights: Tensor, grad: Tensor | None) -> Tensor:
    """The gradient of ``items`` from those of their squared distances, summed over ``views`` in float32."""
    covered = sum(view.count * view.numbers for view in views[:1]) * len(items) == items.numel()
    wide = items.dtype if len(views) == 1 else torch.float32
    out = torch.empty_like(items, dtype=wide) if covered else torch.zeros_like(items, dtype=wide)
    options = choose("spread", launch.device_of(items).capability, "any")
    base = 0
    for index, view in enumerate(views):
        blocks = math.ceil(view.count / int(options["BLOCK"])), math.ceil(view.numbers / int(options["NUMBERS"]))
        launch.start(
            spread_kernel, (len(items) * math.prod(blocks),),
            items, weights, grad, out, items.stride(0), pair_count(views), base, view.count, view.line, view.down, view.across,
            view.outer_stride, view.middle, view.middle_stride, view.inner, view.inner_stride, view.numbers, *blocks,
            SCALED=grad is not None, ADD=index > 0, **options,
        )  # fmt: skip
        base += view.count**2
    return out.to(items.dtype)


def _size(views: tuple[View, ...], batch: int, device: launch.Device) -> str:
    """The size of tiles: large ones share more data, small ones are enough to occupy a GPU with less work."""
    tiles = tile_count(views, int(choose("relation", device.capability, "many")["BLOCK"]))
    return "many" if tiles * batch >= 2 * device.processors else "few"
