"""Kernels of the linear embedding loss against the reference in float64, in every backend that can run here."""

from __future__ import annotations

import math

import pytest
import torch
from kernel_maps import (
    LAYOUTS,
    between_nan,
    check_any_number_of_threads,
    check_like,
    every_dtype,
    every_layout,
    random_map,
    wide,
)
from torch import Tensor

from fastnst.reference import linear_embedding_loss
from fastnst.testing import Backend, assert_close_to_reference, backends

# Batch, channels of student and teacher, height and width: single numbers, remainders of every block, the published pairs of
# channels, more tiles than chunks, more channels of the student than of the teacher.
SHAPES = [(1, 1, 1, 1, 1), (3, 2, 5, 1, 1), (2, 3, 7, 2, 3), (17, 5, 9, 3, 3), (1, 16, 64, 24, 23), (2, 24, 64, 9, 13),
          (1, 17, 33, 31, 40), (2, 32, 128, 10, 11), (1, 64, 256, 8, 9), (1, 128, 512, 12, 9), (1, 70, 20, 6, 7),
          (40, 3, 2, 20, 21)]  # fmt: skip

BACKENDS = backends("embedding")
CPU = next(backend for backend in BACKENDS if backend.name == "cpu")

every_backend = pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
every_teacher_layout = pytest.mark.parametrize("teacher_layout", LAYOUTS)


def inputs(
    backend: Backend,
    shape: tuple[int, int, int, int, int],
    dtype: torch.dtype = torch.float32,
    layout: str = "contiguous",
    teacher_layout: str = "contiguous",
) -> list[Tensor]:
    """Student, teacher, weight and bias, of about the same size after the projection."""
    batch, students, teachers, height, width = shape
    student = random_map(batch, students, height, width, dtype=dtype, layout=layout)
    teacher = random_map(batch, teachers, height, width, dtype=dtype, layout=teacher_layout, seed=1)
    weight = random_map(teachers, students, dtype=dtype, mean=0, std=1 / math.sqrt(students), seed=2)
    return [x.to(backend.device) for x in (student, teacher, weight, random_map(teachers, dtype=dtype, seed=3))]


@every_backend
@every_shape
@every_layout
@every_teacher_layout
@every_dtype
def test_loss_and_gradients(
    backend: Backend, shape: tuple[int, int, int, int, int], layout: str, teacher_layout: str, dtype: torch.dtype
) -> None:
    tensors = inputs(backend, shape, dtype, layout, teacher_layout)
    student, teacher, weight, bias = tensors
    exact = [wide(x) for x in tensors]
    expected = linear_embedding_loss(*exact)
    expected.backward()
    errors = torch.einsum("oc,nchw->nohw", exact[2].detach(), exact[0].detach()) + exact[3].detach()[:, None, None]
    errors = errors - exact[1].detach()
    batch, students, teachers, height, width = shape
    positions, scale = batch * height * width, 2 / errors.numel()

    loss, *gradients = backend.module.linear_embedding(student, teacher, weight, bias, True)
    assert loss.dtype == torch.float32
    assert_close_to_reference(loss, expected.detach(), "gradient", reduction=students)
    for gradient, x in zip(gradients, (student, weight, bias), strict=True):
        check_like(gradient, x)
    # Every gradient is a sum of errors times something; relative to all terms, as the errors have either sign.
    size = errors.abs().max() * scale
    terms = (
        (exact[0], size * exact[2].detach().abs().max() * teachers, teachers),
        (exact[2], size * exact[0].detach().abs().max() * positions, positions),
        (exact[3], size * positions, positions),
    )
    for gradient, (x, total, count) in zip(gradients, terms, strict=True):
        reduction = students + count
        assert_close_to_reference(gradient, x.grad, "gradient", reduction=reduction, scale=total / math.sqrt(count))

    value, *nothing = backend.module.linear_embedding(student, teacher, weight, bias, False)
    assert_close_to_reference(value, expected.detach(), "gradient", reduction=students)
    assert [x.shape for x in nothing] == [(0,)] * 3

    grad = torch.tensor(0.75, device=backend.device)
    result = backend.module.linear_embedding_teacher(grad, *tensors)
    check_like(result, teacher)
    assert_close_to_reference(result, 0.75 * exact[1].grad, "gradient", reduction=students, scale=size)


@every_backend
@every_layout
def test_a_perfect_student_has_no_loss(backend: Backend, layout: str) -> None:
    """Large values whose difference is nothing but the rounding of the teacher."""
    student, teacher, weight, bias = inputs(backend, (2, 16, 64, 9, 11), layout=layout, teacher_layout=layout)
    exact = torch.einsum("oc,nchw->nohw", weight.double(), student.double()) + bias.double()[:, None, None]
    teacher = exact.float().contiguous(memory_format=LAYOUTS[layout])
    loss, gradient, *_ = backend.module.linear_embedding(student, teacher, weight, bias, True)
    size = float(exact.abs().max()) * torch.finfo(torch.float32).eps * math.sqrt(16)
    assert 0 <= loss <= size**2
    assert gradient.abs().max() * teacher.numel() / 2 <= size * float(weight.abs().max()) * 64


@every_backend
@every_layout
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_shows(backend: Backend, layout: str, bad: float) -> None:
    """In the loss, and in the gradients that the position reaches."""
    student, teacher, weight, bias = inputs(backend, (2, 16, 40, 9, 11), layout=layout, teacher_layout=layout)
    teacher[1, 3, 4, 5] = bad
    loss, dstudent, dweight, dbias = backend.module.linear_embedding(student, teacher, weight, bias, True)
    assert not loss.isfinite()
    finite = dstudent.isfinite().all(1)
    assert not finite[1, 4, 5]
    finite[1, 4, 5] = True
    assert finite.all()
    for gradient in (dweight, dbias.unsqueeze(1)):
        assert not gradient[3].isfinite().any()
        assert gradient[torch.arange(40) != 3].isfinite().all()


@every_layout
@every_dtype
@pytest.mark.parametrize("shape", [(1, 1, 1, 1, 1), (2, 5, 7, 3, 3), (2, 20, 33, 5, 13), (1, 21, 40, 31, 33)])
def test_memory_around_a_map_is_not_read(layout: str, dtype: torch.dtype, shape: tuple[int, int, int, int, int]) -> None:
    tensors = inputs(CPU, shape, dtype, layout, layout)
    inside = [between_nan(x, offset) for x, offset in zip(tensors, (1, 7, 33, 3), strict=True)]
    for gradients in (True, False):
        wanted, found = (CPU.module.linear_embedding(*each, gradients) for each in (tensors, inside))
        assert all(torch.equal(mine, first) for mine, first in zip(found, wanted, strict=True))
    grad = torch.tensor(1.5)
    wanted, found = (CPU.module.linear_embedding_teacher(grad, *each) for each in (tensors, inside))
    assert torch.equal(found, wanted)


@every_layout
@pytest.mark.parametrize("shape", [(3, 16, 64, 40, 41), (1, 128, 512, 24, 25), (50, 5, 9, 3, 3)])
def test_any_number_of_threads_gives_the_same_bytes(shape: tuple[int, int, int, int, int], layout: str) -> None:
    tensors = inputs(CPU, shape, layout=layout)

    def run() -> list[Tensor]:
        with_gradients, value = (CPU.module.linear_embedding(*tensors, wanted) for wanted in (True, False))
        return [*with_gradients, value[0], CPU.module.linear_embedding_teacher(torch.tensor(2.0), *tensors)]

    check_any_number_of_threads(run)


def test_cpu_kernels_have_no_other_types() -> None:
    tensors = [x.double() for x in inputs(CPU, (1, 2, 3, 2, 2))]
    with pytest.raises(TypeError, match="float64"):
        CPU.module.linear_embedding(*tensors, True)
