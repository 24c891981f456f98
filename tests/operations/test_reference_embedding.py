"""The linear embedding loss against loops over channels in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fastnst.reference import linear_embedding_loss


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def arguments(batch: int = 2, height: int = 3, width: int = 4, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Student with 3 channels, teacher with 5, weight and bias."""
    return [
        random(batch, 3, height, width, dtype=dtype),
        random(batch, 5, height, width, seed=1, dtype=dtype),
        random(5, 3, seed=2, dtype=dtype),
        random(5, seed=3, dtype=dtype),
    ]


def loss_by_loops(student: Tensor, teacher: Tensor, weight: Tensor, bias: Tensor | None = None) -> float:
    total = 0.0
    for t in range(teacher.shape[1]):
        lifted = sum(float(weight[t, s]) * student[:, s].numpy() for s in range(student.shape[1]))
        lifted = lifted + (0.0 if bias is None else float(bias[t]))
        total += float(np.sum((lifted - teacher[:, t].numpy()) ** 2))
    return total / teacher.numel()


@pytest.mark.parametrize("batch", [1, 17])
@pytest.mark.parametrize("size", [(1, 1), (3, 4)])
def test_loss_equals_loops(batch: int, size: tuple[int, int]) -> None:
    student, teacher, weight, bias = arguments(batch, *size)
    with_bias, without = loss_by_loops(student, teacher, weight, bias), loss_by_loops(student, teacher, weight)
    assert linear_embedding_loss(student, teacher, weight, bias).item() == pytest.approx(with_bias, rel=1e-13)
    assert linear_embedding_loss(student, teacher, weight).item() == pytest.approx(without, rel=1e-13)


def test_weight_may_be_that_of_a_convolution() -> None:
    student, teacher, weight, bias = arguments()
    head = torch.nn.Conv2d(3, 5, 1, dtype=torch.float64)
    head.load_state_dict({"weight": weight.view(5, 3, 1, 1), "bias": bias})
    wanted = F.mse_loss(head(student), teacher)
    torch.testing.assert_close(linear_embedding_loss(student, teacher, head.weight, head.bias), wanted)
    torch.testing.assert_close(linear_embedding_loss(student, teacher, weight, bias), wanted.detach())


def test_teacher_s_own_lifting_gives_zero() -> None:
    student, _, weight, bias = arguments()
    teacher = F.conv2d(student, weight.view(5, 3, 1, 1), bias)
    assert linear_embedding_loss(student, teacher, weight, bias).item() == 0


def test_gradients_of_all_arguments() -> None:
    inputs = [each.requires_grad_() for each in arguments(2, 2, 2)]
    assert torch.autograd.gradcheck(linear_embedding_loss, inputs, atol=1e-6, rtol=1e-6)
    assert torch.autograd.gradcheck(linear_embedding_loss, inputs[:3], atol=1e-6, rtol=1e-6)


def test_layout_of_memory_does_not_matter() -> None:
    student, teacher, weight, bias = arguments()
    wanted = linear_embedding_loss(student, teacher, weight, bias)
    last = [feat.to(memory_format=torch.channels_last) for feat in (student, teacher)]
    torch.testing.assert_close(linear_embedding_loss(*last, weight.T.contiguous().T, bias), wanted)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_are_computed_in_float32(dtype: torch.dtype) -> None:
    given = arguments(dtype=dtype)
    result = linear_embedding_loss(*given)
    assert result.dtype == torch.float32
    assert torch.equal(result, linear_embedding_loss(*(each.float() for each in given)))
    assert linear_embedding_loss(given[0].double(), *given[1:]).dtype == torch.float64


def test_errors_beyond_float16_do_not_overflow() -> None:
    student = torch.full((1, 1, 2, 2), 300.0, dtype=torch.float16)
    weight = torch.ones(1, 1, dtype=torch.float16)
    assert linear_embedding_loss(student, torch.zeros_like(student), weight).item() == 9e4


def test_autocast_changes_nothing() -> None:
    given = arguments(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        result = linear_embedding_loss(*given)
    assert torch.equal(result, linear_embedding_loss(*given))


STUDENT, TEACHER, WEIGHT, BIAS = torch.ones(2, 3, 4, 4), torch.ones(2, 5, 4, 4), torch.ones(5, 3), torch.ones(5)
ERRORS: list[tuple[Callable[[], object], str]] = [
    (lambda: linear_embedding_loss(STUDENT[0], TEACHER, WEIGHT), "^student_feat: "),
    (lambda: linear_embedding_loss(STUDENT[:0], TEACHER[:0], WEIGHT), "^student_feat: "),
    (lambda: linear_embedding_loss(STUDENT, TEACHER.long(), WEIGHT), "^teacher_feat: .* torch.int64"),
    (lambda: linear_embedding_loss(STUDENT, TEACHER[..., :3], WEIGHT), "^batch, height and width of student and teacher "),
    (lambda: linear_embedding_loss(STUDENT, TEACHER, WEIGHT.T), "^weight: expected .5, 3. .* got .3, 5.$"),
    (lambda: linear_embedding_loss(STUDENT, TEACHER, WEIGHT.view(5, 3, 1)), "^weight: "),
    (lambda: linear_embedding_loss(STUDENT, TEACHER, WEIGHT, BIAS[:3]), "^shapes of bias and teacher's channels "),
]


@pytest.mark.parametrize(("call", "message"), ERRORS)
def test_arguments_that_cannot_be_meant(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
