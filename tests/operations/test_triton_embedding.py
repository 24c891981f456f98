"""The Triton kernels of the linear embedding loss: interpreted, against the reference in float64; compiled."""

from __future__ import annotations

import math

import pytest
import torch
from compiled import assert_sound
from interpreted import DEVICE, INTERPRETED, assert_near, compiled, interpreted
from torch import Tensor

from fastnst.kernels.triton import aot, configs
from fastnst.kernels.triton import embedding as kernels
from fastnst.reference import linear_embedding_loss

LAST = torch.channels_last
# Batch, channels of the student and the teacher, height and width, layouts of the student and the teacher.
CASES = [
    ((2, 5, 7, 5, 7), None, None),  # one block of everything
    ((2, 70, 67, 9, 11), None, LAST),  # several blocks of everything
    ((1, 130, 33, 3, 3), LAST, None),  # more of the student's channels than one block has in any type
    ((3, 16, 64, 1, 1), LAST, LAST),
]
DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def inputs(sizes: tuple[int, ...], student_layout: torch.memory_format | None, teacher_layout: torch.memory_format | None,
           dtype: torch.dtype) -> list[Tensor]:  # fmt: skip
    batch, students, teachers, height, width = sizes
    generator = torch.Generator().manual_seed(math.prod(sizes))
    shapes = (batch, students, height, width), (batch, teachers, height, width), (teachers, students), (teachers,)
    student, teacher, weight, bias = (torch.randn(shape, generator=generator) for shape in shapes)
    student = student.contiguous(memory_format=student_layout or torch.contiguous_format)
    teacher = teacher.contiguous(memory_format=teacher_layout or torch.contiguous_format)
    return [each.to(DEVICE, dtype) for each in (student, teacher, weight / students**0.5, bias)]


@interpreted
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("sizes", "student_layout", "teacher_layout"), CASES)
def test_loss_and_gradients(
    sizes: tuple[int, ...],
    student_layout: torch.memory_format | None,
    teacher_layout: torch.memory_format | None,
    dtype: torch.dtype,
) -> None:
    if dtype == torch.bfloat16 and INTERPRETED:
        pytest.skip("the interpreter multiplies bfloat16 wrongly")
    mine = inputs(sizes, student_layout, teacher_layout, dtype)
    wide = [each.cpu().double().requires_grad_() for each in mine]
    wanted = linear_embedding_loss(*wide)
    wanted_grads = torch.autograd.grad(wanted, wide)
    loss, *grads = kernels.linear_embedding(*mine, True)
    alone, *nothing = kernels.linear_embedding(*mine, False)
    assert loss.dtype == torch.float32 and loss.shape == () and torch.equal(loss, alone)
    assert [each.shape for each in nothing] == [(0,)] * 3
    rounding = 0 if dtype == torch.float32 else 2**-12
    assert_near(loss, wanted, terms=sizes[1])
    upstream = torch.tensor(3.5, device=DEVICE)
    dteacher = kernels.linear_embedding_teacher(upstream, *mine)
    positions = sizes[0] * sizes[3] * sizes[4]
    terms = (sizes[1] + sizes[2], sizes[1], sizes[1] + positions, sizes[1] + positions)
    for grad, right, x, count in zip((grads[0], dteacher / 3.5, *grads[1:]), wanted_grads, mine, terms, strict=True):
        assert grad.dtype == x.dtype and grad.stride() == x.stride()
        # Gradients of a mean are small: float16 has steps of 6e-8 there, whatever the value.
        assert_near(grad, right, count, rounding=rounding)


@interpreted
def test_nan_reaches_the_loss() -> None:
    student, teacher, weight, bias = inputs((1, 3, 4, 2, 3), None, None, torch.float32)
    student[0, 1, 1, 1] = math.nan
    loss, dstudent, _, _ = kernels.linear_embedding(student, teacher, weight, bias, True)
    assert loss.isnan() and dstudent[0, :, 1, 1].isnan().all() and dstudent[0, :, 0].isfinite().all()


@compiled
@pytest.mark.parametrize("capability", aot.PROCESSORS)
@pytest.mark.parametrize(
    ("dtype", "products"),
    [(torch.float32, "ieee"), (torch.float32, "tf32x3"), (torch.bfloat16, "ieee"), (torch.float16, "ieee")],
    ids=str,
)
def test_compiles(capability: int, dtype: torch.dtype, products: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few and many channels, in both layouts, and tensors of more than 2^31 elements."""
    monkeypatch.setattr(configs, "FLOAT32_PRODUCTS", products)
    cases = [((8, 128, 512, 1024, 1024), torch.contiguous_format), ((2, 203, 99, 31, 33), LAST)]
    cases += [((1, 3, 4, 2**16, 2**16), torch.contiguous_format)]
    grad = torch.empty((), device="meta")
    with aot.captured(capability) as compiled_kernels:
        for (batch, students, teachers, height, width), layout in cases:
            maps = [(batch, channels, height, width) for channels in (students, teachers)]
            student, teacher = (torch.empty(m, device="meta", dtype=dtype, memory_format=layout) for m in maps)
            weight = torch.empty((teachers, students), device="meta", dtype=dtype)
            bias = torch.empty(teachers, device="meta", dtype=dtype)
            for gradients in (True, False):
                kernels.linear_embedding(student, teacher, weight, bias, gradients)
            kernels.linear_embedding_teacher(grad, student, teacher, weight, bias)
    assert {kernel.name for kernel in compiled_kernels} == {name for name in vars(kernels) if name.endswith("_kernel")}
    for kernel in compiled_kernels:
        assert_sound(kernel)
        with_tensor_cores = "mma" in kernel.ptx
        assert with_tensor_cores == (dtype != torch.float32 or products == "tf32x3")
