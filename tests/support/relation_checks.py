"""Checks of the relation kernels against the reference in float64, and the backends they are run in."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fastnst.reference import content_relation_loss, pdist, rkd_loss
from fastnst.testing import Backend, assert_close_to_reference, backends

EPS = 1e-12
KINDS = {"row": 1, "column": 2, "patch": 4}
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}

BACKENDS = backends("relation")
CPU = next(backend for backend in BACKENDS if backend.name == "cpu")

every_backend = pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=lambda dtype: str(dtype)[6:])

Loss = Callable[[Tensor], Tensor]


def random(backend: Backend, *shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype).to(backend.device)


def exactly(loss: Loss, student: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """Losses and their gradient in float64."""
    wide = student.detach().cpu().double().requires_grad_()
    losses = loss(wide)
    (gradient,) = torch.autograd.grad((losses * grad.cpu().double()).sum(), wide)
    return losses.detach(), gradient


def spread(*sets: Tensor) -> float:
    """The ratio of two distances within a set, in root mean square, without items that coincide; of the worst set."""
    ratios = [1.0]
    for distances in (pdist(items.detach().cpu().double()) for items in sets):
        for each in distances.reshape(-1, *distances.shape[-2:]):
            squares = each[each > 1.1 * math.sqrt(EPS)].square()
            if squares.numel():
                ratios.append(float(squares.mean() * (1 / squares).mean()) ** 0.5)
    return max(ratios)


def cut(images: Tensor, kind: str, patch: int) -> Tensor:
    """The items of images [N, C, H, W] as sets [N, items, numbers]."""
    if kind == "row":
        return images.permute(0, 2, 1, 3).flatten(2)
    if kind == "column":
        return images.permute(0, 3, 1, 2).flatten(2)
    return F.unfold(images.float(), patch, stride=patch).mT


def check(losses: Tensor, gradient: Tensor, expected: tuple[Tensor, Tensor], weight: float, items: int, ratio: float) -> None:
    """Losses and gradient as exact as float32 and the law of cosines allow.

    The law divides the rounding of the longer distance by the shorter one, so that cosines are wrong by ``ratio`` roundings.
    The loss is ``weight`` times the mean of half the squares of their differences, and wrong by no more than that error times
    the differences' root mean square. The gradient is proportional to the differences, its error is not: it is a random walk
    through the sum over items.
    """
    assert losses.dtype == torch.float32
    difference = (2 * expected[0] / max(weight, 1e-30)).sqrt()
    loss_size = weight * ratio * (difference + torch.finfo(torch.float32).eps * ratio)
    assert_close_to_reference(losses, expected[0], "gradient", scale=loss_size)
    gradient_size = expected[1].abs().amax(tuple(range(1, gradient.dim())), keepdim=True)
    gradient_size *= ratio / difference.clamp(1e-30, 1).view_as(gradient_size)
    assert_close_to_reference(gradient, expected[1], "gradient", reduction=items, scale=gradient_size)


def check_relation(backend: Backend, student: Tensor, teacher: Tensor, weights: tuple[float, float] = (1.0, 2.0)) -> None:
    grad = random(backend, len(student), seed=9)
    losses, w = backend.module.relation(student, teacher, *weights)
    assert w.dtype == torch.float32 and w.shape == (*student.shape[:2], student.shape[1])
    assert torch.equal(w, w.mT) and not w.diagonal(dim1=1, dim2=2).any()
    gradient = backend.module.relation_backward(grad, w, student)
    assert gradient.dtype == student.dtype and gradient.stride() == student.stride()
    expected = exactly(lambda items: rkd_loss(items, teacher.cpu().double(), *weights), student, grad)
    check(losses, gradient, expected, sum(weights), student.shape[1], spread(student, teacher))


def check_images(
    backend: Backend,
    student: Tensor,
    teacher: Tensor,
    patch: int,
    kinds: Sequence[str] = tuple(KINDS),
    weights: tuple[float, float] = (1.0, 2.0),
) -> None:
    grad, mask = random(backend, len(student), seed=9), sum(KINDS[kind] for kind in kinds)
    sets = [(cut(student, kind, patch), cut(teacher, kind, patch)) for kind in kinds]
    counts = [items.shape[1] for items, _ in sets]
    losses, w = backend.module.content_relation(student, teacher, patch, *weights, mask)
    assert w.dtype == torch.float32 and w.shape == (len(student), sum(count**2 for count in counts))
    for count, block in zip(counts, w.split([count**2 for count in counts], 1), strict=True):
        matrix = block.view(-1, count, count)
        assert torch.equal(matrix, matrix.mT) and not matrix.diagonal(dim1=1, dim2=2).any()
    gradient = backend.module.content_relation_backward(grad, w, student, patch, mask)
    assert gradient.dtype == student.dtype and gradient.stride() == student.stride()
    wanted = teacher.cpu().double()
    expected = exactly(
        lambda images: content_relation_loss(images, wanted, patch, *weights, granularities=kinds, reduction="none"),
        student,
        grad,
    )
    ratio = max(spread(*pair) for pair in sets)
    check(losses, gradient, expected, len(kinds) * sum(weights), max(counts), ratio)
