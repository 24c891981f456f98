"""Relational distillation on the CPU: passes images to ``csrc/ops/relation.cpp``, a few at a time.

The compiled functions read contiguous float32 images. Others are copied, only as many at a time as are processed.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from fastnst import _engine
from fastnst.kernels.cpu.arguments import check_type, threads

ROWS = 1
SCRATCH = 2**24
"""Bytes of scratch memory for the images that are processed together. A single image may need more."""

Sizes = tuple[int, int, int, int, int, int, int, int]
"""Number of images; height, channels and width of the student; channels and width of the teacher; patch size; granularities."""


def pairwise(items: Tensor, squared: bool, eps: float) -> Tensor:
    """Distances [B, N, N] of items [B, N, D], in their type; squares are clamped at ``eps``, the diagonal is 0."""
    images, count = items.unsqueeze(1), items.shape[1]
    out = items.new_empty(items.shape[0], count, count)
    for part, sizes, scratch in _parts(images, None, 0, ROWS):
        few, distances = _plain(images[part]), _plain_like(out[part])
        _engine.relation_pairwise(few, sizes, squared, eps, distances, threads(), scratch)
        _put(out[part], distances)
    return out


def pairwise_backward(grad: Tensor, items: Tensor, squared: bool, eps: float) -> Tensor:
    """The gradient towards items [B, N, D], given the one towards ``pairwise(items)`` [B, N, N]."""
    images = items.unsqueeze(1)
    weights = torch.empty_like(grad, dtype=torch.float32, memory_format=torch.contiguous_format)
    for part, sizes, scratch in _parts(images, None, 0, ROWS):
        few, slopes = _plain(images[part]), _plain(grad[part])
        _engine.relation_pairwise_weights(slopes, few, sizes, squared, eps, weights[part], threads(), scratch)
    return relation_backward(weights.new_ones(items.shape[0]), weights, items)


def relation(student: Tensor, teacher: Tensor, distance_weight: float, angle_weight: float) -> tuple[Tensor, Tensor]:
    """Losses [B] of items [B, N, D] against items [B, N, E], and weights [B, N, N]: see ``content_relation``."""
    sets, count, _ = student.shape
    losses, weights = content_relation(student.unsqueeze(1), teacher.unsqueeze(1), 0, distance_weight, angle_weight, ROWS)
    return losses, weights.view(sets, count, count)


def relation_backward(grad: Tensor, weights: Tensor, student: Tensor) -> Tensor:
    """The gradient towards items [B, N, D], given the one towards the losses [B]."""
    return content_relation_backward(grad, weights.flatten(1), student.unsqueeze(1), 0, ROWS).squeeze(1)


def content_relation(
    student: Tensor, teacher: Tensor, patch_size: int, distance_weight: float, angle_weight: float, granularities: int
) -> tuple[Tensor, Tensor]:
    """Losses float32 [N] of images [N, C, H, W] against images [N, C', H, W], and weights float32 [N, K] for the backward.

    ``granularities`` is a sum of 1 for rows, 2 for columns and 4 for patches; K is the sum of their squared numbers of
    items, in this order. A weight is the derivative of the loss by one squared distance q_ij, where q_ij and q_ji count
    apart: one symmetric matrix for each granularity, with zeros on the diagonal.
    """
    losses = student.new_empty(student.shape[0], dtype=torch.float32)
    *_, pairs = _engine.relation_memory(True, _sizes(student, teacher, patch_size, granularities))
    weights = losses.new_empty(student.shape[0], pairs)
    for part, sizes, scratch in _parts(student, teacher, patch_size, granularities):
        few, wanted = _plain(student[part]), _plain(teacher[part])
        found = losses[part], weights[part]
        _engine.relation_losses(few, wanted, sizes, distance_weight, angle_weight, *found, threads(), scratch)
    return losses, weights


def content_relation_backward(grad: Tensor, weights: Tensor, student: Tensor, patch_size: int, granularities: int) -> Tensor:
    """The gradient towards images [N, C, H, W], given the one towards the losses [N]. The teacher has none."""
    factors, weights, out = _plain(grad), _plain(weights), torch.empty_like(student)
    for part, sizes, scratch in _parts(student, None, patch_size, granularities, distances=False):
        few, gradient = _plain(student[part]), _plain_like(out[part]).zero_()
        _engine.relation_backward(factors[part], weights[part], few, sizes, gradient, threads(), scratch)
        _put(out[part], gradient)
    return out


def _sizes(student: Tensor, teacher: Tensor, patch_size: int, granularities: int) -> Sizes:
    images, channels, height, width = student.shape
    return images, height, channels, width, teacher.shape[1], teacher.shape[3], patch_size, granularities


def _parts(
    student: Tensor, teacher: Tensor | None, patch_size: int, granularities: int, *, distances: bool = True
) -> Iterator[tuple[slice, Sizes, Tensor]]:
    """Groups of as many images as ``SCRATCH`` allows: their range, their sizes, and scratch memory for them.

    Without ``distances`` there is no memory for the distances between items.
    """
    check_type(student)
    images, *others = _sizes(student, student if teacher is None else teacher, patch_size, granularities)
    each_thread, each_image, _ = _engine.relation_memory(teacher is not None, (1, *others))
    once = min(images, max(1, SCRATCH // (4 * each_image)))
    floats = threads() * each_thread + (once * each_image if distances else 0)
    scratch = student.new_empty(floats, dtype=torch.float32)
    for begin in range(0, images, once):
        end = min(begin + once, images)
        yield slice(begin, end), (end - begin, *others), scratch


def _plain(x: Tensor) -> Tensor:
    return x.to(torch.float32).contiguous()


def _plain_like(x: Tensor) -> Tensor:
    """Memory for float32 values of ``x``: its own where that will do."""
    if x.dtype == torch.float32 and x.is_contiguous():
        return x
    return x.new_empty(x.shape, dtype=torch.float32)


def _put(target: Tensor, values: Tensor) -> None:
    if target.data_ptr() != values.data_ptr():
        target.copy_(values)
