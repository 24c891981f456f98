"""Kernels of the relation losses of sets of items against the reference in float64, in every backend that can run here."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from relation_checks import (
    CPU,
    EPS,
    check,
    check_relation,
    every_backend,
    every_dtype,
    random,
    spread,
)

from fastnst.reference import pdist, rkd_loss
from fastnst.testing import Backend, assert_close_to_reference

# Sets, items, numbers of the student's items and of the teacher's.
SETS = [(1, 1, 5, 5), (2, 3, 7, 5), (17, 5, 8, 8), (1, 17, 33, 40), (2, 33, 100, 3), (1, 70, 513, 20),
        (1, 40, 3100, 1), (1, 130, 9, 9), (1, 5, 20000, 9000)]  # fmt: skip

every_set = pytest.mark.parametrize("sizes", SETS, ids=lambda sizes: "x".join(map(str, sizes)))


# --- sets of items ----------------------------------------------------------------------------------------------------------


@every_backend
@every_set
def test_relation(backend: Backend, sizes: tuple[int, int, int, int]) -> None:
    sets, items, numbers, others = sizes
    check_relation(backend, random(backend, sets, items, numbers), random(backend, sets, items, others, seed=1))


@every_backend
@every_dtype
def test_relation_of_every_type(backend: Backend, dtype: torch.dtype) -> None:
    check_relation(backend, random(backend, 2, 9, 40, dtype=dtype), random(backend, 2, 9, 33, dtype=dtype, seed=1))


@every_backend
@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0), (25.0, 50.0), (0.0, 0.0)])
def test_weights_of_the_terms(backend: Backend, weights: tuple[float, float]) -> None:
    check_relation(backend, random(backend, 2, 34, 12), random(backend, 2, 34, 12, seed=1), weights)


@every_backend
def test_differences_beyond_the_quadratic_part(backend: Backend) -> None:
    student, teacher = random(backend, 2, 20, 4), random(backend, 2, 20, 4, seed=1)
    student[:, -1] *= 20
    check_relation(backend, student, teacher)


@every_backend
def test_items_far_from_the_origin(backend: Backend) -> None:
    """Gradients come from differences: weights times items, as a product of matrices, would lose four digits here."""
    check_relation(backend, random(backend, 2, 40, 30) + 1000, random(backend, 2, 40, 30, seed=1) - 1000)


@every_backend
def test_two_items_have_nothing_to_learn(backend: Backend) -> None:
    """They have one distance, which is its own mean, and no angle."""
    student = random(backend, 3, 2, 5)
    losses, w = backend.module.relation(student, random(backend, 3, 2, 4, seed=1), 1.0, 2.0)
    assert losses.abs().max() < 1e-12
    assert backend.module.relation_backward(torch.ones_like(losses), w, student).abs().max() < 1e-6


@every_backend
def test_many_items(backend: Backend) -> None:
    """More than are worked on at once, against the plain formula one vertex after the other: N^3 numbers are too many.

    Smooth L1 of an error e is s (e - s / 2), and its derivative s, where s is e clamped to -1..1: faster than by autograd, and
    this reference is what takes the time of the test.
    """
    student, teacher = random(backend, 1, 645, 9), random(backend, 1, 645, 8, seed=1)
    wide, wanted = student[0].cpu().double().requires_grad_(), teacher[0].cpu().double()
    loss = torch.zeros((), dtype=torch.float64)
    for vertex in range(645):
        units, others = (F.normalize(items - items[vertex], dim=1) for items in (wide, wanted))
        held = units.detach()
        error = (held @ held.mT).addmm_(others, others.mT, alpha=-1)
        slope = error.clamp(-1, 1)
        loss += slope.flatten() @ error.sub_(slope, alpha=0.5).flatten() / 645**3
        units.backward(2 / 645**3 * slope @ held)
    losses, w = backend.module.relation(student, teacher, 0.0, 1.0)
    gradient = backend.module.relation_backward(torch.ones_like(losses), w, student)
    assert wide.grad is not None
    check(losses, gradient, (loss[None], wide.grad[None]), 1.0, 645, spread(student, teacher))


# --- pairs alone ------------------------------------------------------------------------------------------------------------


@every_backend
@every_dtype
@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("shape", [(1, 1, 4), (3, 2, 1), (2, 33, 50), (1, 70, 9), (2, 6, 20000)])
@pytest.mark.parametrize("eps", [EPS, 0.5])
def test_pairwise(backend: Backend, dtype: torch.dtype, squared: bool, shape: tuple[int, int, int], eps: float) -> None:
    """With an eps of 0.5 some distances are clamped; items 0 and 5 coincide."""
    items = random(backend, *shape, dtype=dtype)
    items[:, 5:6] = items[:, :1]
    grad = random(backend, shape[0], shape[1], shape[1], dtype=dtype, seed=1)
    distances = backend.module.pairwise(items, squared, eps)
    gradient = backend.module.pairwise_backward(grad, items, squared, eps)
    assert distances.dtype == gradient.dtype == dtype and not distances.diagonal(dim1=1, dim2=2).any()
    wide = items.cpu().double().requires_grad_()
    expected = pdist(wide, squared, eps)
    expected.backward(grad.cpu().double())
    assert wide.grad is not None
    # Every distance is a sum of its own, as wrong as it is large.
    assert_close_to_reference(
        distances, expected.detach(), "sum", reduction=shape[2], scale=expected.detach().clamp(min=1e-6 * math.sqrt(eps))
    )
    assert_close_to_reference(gradient, wide.grad, "gradient", reduction=shape[1])


# --- items that coincide, or nearly -----------------------------------------------------------------------------------------


@every_backend
@pytest.mark.parametrize("who", ["student", "teacher", "both"])
def test_items_that_coincide(backend: Backend, who: str) -> None:
    """Squared distances from differences are exactly 0 there, so that the bounds are the same as elsewhere."""
    student, teacher = random(backend, 2, 40, 7), random(backend, 2, 40, 7, seed=1)
    for items, name in ((student, "student"), (teacher, "teacher")):
        if who in (name, "both"):
            items[:, [3, 33, 38]] = items[:, [0]]
            items[:, 5] = items[:, 21]
    check_relation(backend, student, teacher)


@every_backend
def test_items_that_all_coincide(backend: Backend) -> None:
    student, teacher = torch.full((1, 40, 7), 0.1, device=backend.device), random(backend, 1, 40, 7)
    check_relation(backend, student, teacher)
    losses, w = backend.module.relation(student, teacher, 1.0, 2.0)
    assert not backend.module.relation_backward(torch.ones_like(losses), w, student).any()
    assert backend.module.relation(teacher, student, 1.0, 2.0)[0].isfinite()


@every_backend
@pytest.mark.parametrize("gap", [1e-2, 1e-4])
@pytest.mark.parametrize("who", ["student", "teacher"])
def test_items_that_nearly_coincide(backend: Backend, gap: float, who: str) -> None:
    student, teacher = random(backend, 1, 20, 6), random(backend, 1, 20, 6, seed=1)
    items = student if who == "student" else teacher
    items[:, 5] = items[:, 3] + gap * random(backend, 6, seed=2)
    check_relation(backend, student, teacher)


@every_backend
@pytest.mark.parametrize("gap", [1e-7, 1e-11])
@pytest.mark.parametrize("who", ["student", "teacher"])
def test_errors_of_nearly_equal_items_are_bounded(backend: Backend, gap: float, who: str) -> None:
    """In float32 two items so close have no angle with others; their 4 N of the N^3 cosines stay from -1 to 1 anyway, and
    the difference of two is wrong by 2 at most, where Huber's loss has a slope of 1 at most. Their weight in it is 2."""
    student, teacher = random(backend, 1, 20, 6), random(backend, 1, 20, 6, seed=1)
    items = student if who == "student" else teacher
    items[:, 3] = 0
    items[:, 5] = gap * random(backend, 6, seed=2)
    exact = rkd_loss(student.cpu().double(), teacher.cpu().double(), 1.0, 2.0)
    losses, w = backend.module.relation(student, teacher, 1.0, 2.0)
    assert abs(losses.item() - exact.item()) < 2 * 2 * 4 * 20 / 20**3
    gradient = backend.module.relation_backward(torch.ones_like(losses), w, student)
    # The formula's own gradient there is about 1 / distance, times the share of these triplets.
    assert gradient.isfinite().all() and gradient.abs().max() < 1 / gap


@every_backend
@pytest.mark.parametrize("scale", [1e-15, 1e-9, 1e-3, 1e4, 1e15])
def test_any_scale_stays_finite(backend: Backend, scale: float) -> None:
    student, teacher = random(backend, 2, 18, 5) * scale, random(backend, 2, 18, 5, seed=1)
    losses, w = backend.module.relation(student, teacher, 1.0, 2.0)
    gradient = backend.module.relation_backward(torch.ones_like(losses), w, student)
    assert losses.isfinite().all() and gradient.isfinite().all()
    if scale >= 1e-3:
        check_relation(backend, student, teacher)


# --- threads, types and variants ---------------------------------------------------------------------------------------------


def test_any_number_of_threads_gives_the_same_bytes() -> None:
    """Whatever is shared out: images, kinds, tiles of pairs, parts of long items, bands of columns, pixels."""
    images = [random(CPU, 3, 3, 70, 66, seed=seed) for seed in (0, 1)]
    items = [random(CPU, 2, 9, 20000, seed=seed) for seed in (0, 1)]
    before, runs = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            losses, w = CPU.module.content_relation(*images, 16, 1.0, 2.0, 7)
            loss, v = CPU.module.relation(*items, 1.0, 2.0)
            distances = CPU.module.pairwise(items[0], False, EPS)
            gradients = [
                CPU.module.content_relation_backward(losses, w, images[0], 16, 7),
                CPU.module.relation_backward(loss, v, items[0]),
                CPU.module.pairwise_backward(v, items[0], False, EPS),
            ]
            runs.append([losses, w, loss, v, distances, *gradients])
    finally:
        torch.set_num_threads(before)
    for run in runs[1:]:
        assert all(torch.equal(mine, first) for mine, first in zip(run, runs[0], strict=True))


def test_cpu_kernels_have_no_other_types() -> None:
    for call in (
        lambda x: CPU.module.pairwise(x, False, EPS),
        lambda x: CPU.module.pairwise_backward(x, x, False, EPS),
        lambda x: CPU.module.relation(x, x, 1.0, 2.0),
        lambda x: CPU.module.relation_backward(x[:, 0, 0], x, x),
    ):
        with pytest.raises(TypeError, match="float64"):
            call(torch.zeros(1, 2, 2).double())
