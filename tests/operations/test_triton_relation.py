"""The relation kernels in Triton's interpreter against the reference in float64, and what they compile to."""

from __future__ import annotations

import re

import pytest
import torch
from compiled import assert_rounded
from interpreted import DEVICE, compiled, interpreted
from torch import Tensor

from fastnst import reference
from fastnst.kernels.triton import aot, relation

GRANULARITIES = {1: "row", 2: "column", 4: "patch"}
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
EPS = torch.finfo(torch.float32).eps
SIZES = pytest.mark.parametrize("size", ["few", "many"])


@pytest.fixture
def forced(monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    """Tiles of this size, whatever the number of items: 16 x 16 or 32 x 32 pairs."""
    monkeypatch.setattr(relation, "_size", lambda *_: size)


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype).to(DEVICE)


def error(got: Tensor, wanted: Tensor) -> float:
    """Relative, as a whole."""
    return float((got.double() - wanted).norm() / wanted.norm())


def chosen(mask: int) -> list[str]:
    return [name for bit, name in GRANULARITIES.items() if mask & bit]


def reference_relation(student: Tensor, teacher: Tensor, weights: tuple[float, float], grad: Tensor) -> tuple[Tensor, Tensor]:
    wide = student.double().requires_grad_()
    losses = reference.rkd_loss(wide, teacher.double(), *weights)
    (gradient,) = torch.autograd.grad((losses * grad.double()).sum(), wide)
    return losses.detach(), gradient


def check_relation(student: Tensor, teacher: Tensor, weights: tuple[float, float], k: float = 4.0) -> None:
    """Value and gradient within k roundings' random walk through the sums: over triangles, and over items' numbers."""
    grad = random(len(student), seed=9)
    wanted, gradient = reference_relation(student, teacher, weights, grad)
    losses, w = relation.relation(student, teacher, *weights)
    assert losses.dtype == w.dtype == torch.float32
    assert torch.equal(w, w.mT) and not w.diagonal(dim1=1, dim2=2).any()
    items, numbers = student.shape[1:]
    assert error(losses, wanted) < k * EPS * items**1.5
    result = relation.relation_backward(grad, w, student)
    assert result.dtype == student.dtype and result.shape == student.shape
    assert error(result, gradient) < max(torch.finfo(student.dtype).eps, k * EPS * (items * numbers) ** 0.5)


# --- sets of items ----------------------------------------------------------------------------------------------------------


@interpreted
@SIZES
@pytest.mark.usefixtures("forced")
@pytest.mark.parametrize(("items", "numbers", "others"), [(5, 7, 4), (17, 33, 40)])
def test_relation_is_the_reference_s(items: int, numbers: int, others: int) -> None:
    check_relation(random(2, items, numbers), random(2, items, others, seed=1), (1.3, 2.1))


@interpreted
@pytest.mark.parametrize("size", ["many"])
@pytest.mark.usefixtures("forced")
def test_relation_over_several_large_tiles() -> None:
    check_relation(random(1, 34, 5), random(1, 34, 3, seed=1), (25.0, 50.0))


@interpreted
@pytest.mark.parametrize("dtype", DTYPES)
def test_relation_of_every_type(dtype: torch.dtype) -> None:
    check_relation(random(2, 6, 10, dtype=dtype), random(2, 6, 10, seed=1, dtype=dtype), (1.0, 2.0))


@interpreted
@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0)])
def test_one_term_alone(weights: tuple[float, float]) -> None:
    check_relation(random(1, 9, 4), random(1, 9, 4, seed=1), weights)


@interpreted
def test_no_term_is_zero() -> None:
    losses, w = relation.relation(random(2, 3, 4), random(2, 3, 4, seed=1), 0.0, 0.0)
    assert not losses.any() and not w.any()


@interpreted
def test_losses_beyond_the_quadratic_part() -> None:
    """Angles that differ by more than 1, and distances far above the mean: 70 times others, which they cost (see below)."""
    student, teacher = random(1, 6, 2), random(1, 6, 2, seed=1)
    student[:, 0] += 50
    check_relation(student, teacher, (1.0, 2.0), k=280.0)


@interpreted
@pytest.mark.parametrize("items", [1, 2])
def test_too_few_items_for_a_relation(items: int) -> None:
    """Two items have one distance, which is its own mean, and no angle."""
    student = random(2, items, 3)
    losses, w = relation.relation(student, random(2, items, 3, seed=1), 1.0, 2.0)
    # Angles between a side and itself are 1 up to rounding, and the law of cosines rounds.
    assert losses.abs().max() < EPS and w.isfinite().all()
    assert relation.relation_backward(losses.new_ones(2), w, student).abs().max() < 4 * EPS


@interpreted
@pytest.mark.parametrize("which", ["student", "teacher", "both"])
def test_items_that_coincide_have_no_angle(which: str) -> None:
    student, teacher = random(1, 7, 5), random(1, 7, 5, seed=1)
    for items in (student, teacher):
        if which == "both" or items is (student if which == "student" else teacher):
            items[:, 1] = items[:, 4] = items[:, 6]
    check_relation(student, teacher, (1.0, 2.0))


@interpreted
def test_items_that_all_coincide() -> None:
    student = torch.ones(1, 5, 3, device=DEVICE)
    losses, w = relation.relation(student, random(1, 5, 3), 1.0, 2.0)
    wanted, _ = reference_relation(student, random(1, 5, 3), (1.0, 2.0), losses)
    assert error(losses, wanted) < 40 * EPS
    assert not w.any()


@interpreted
def test_items_that_nearly_coincide() -> None:
    """The law of cosines divides rounding of the long side by the short one, here 1 / 1000: 1000 times the usual bound."""
    student, teacher = random(1, 8, 6), random(1, 8, 6, seed=1)
    student[:, 3] = student[:, 5] + 1e-3 * random(1, 6, seed=2)
    check_relation(student, teacher, (1.0, 2.0), k=4000.0)


@interpreted
def test_what_all_items_share_does_not_matter() -> None:
    """A mean of 1000: the items are rounded to 1000 eps, the differences of what is left are exact."""
    check_relation(random(1, 9, 8) + 1000, random(1, 9, 8, seed=1), (1.0, 2.0))


@interpreted
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # NumPy's, of the interpreter
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_reach_the_loss_of_their_set_alone(value: float) -> None:
    student, teacher = random(2, 4, 3), random(2, 4, 3, seed=1)
    student[1, 2, 0] = value
    losses, w = relation.relation(student, teacher, 1.0, 2.0)
    assert losses.isnan().tolist() == [False, True]
    gradient = relation.relation_backward(torch.ones_like(losses), w, student)
    assert gradient[0].isfinite().all() and gradient[1].isnan().any()


@interpreted
def test_sets_of_a_batch_do_not_mix() -> None:
    student, teacher = random(5, 6, 4), random(5, 6, 4, seed=1)
    losses, w = relation.relation(student, teacher, 1.0, 2.0)
    for n in range(5):
        alone = relation.relation(student[n : n + 1], teacher[n : n + 1], 1.0, 2.0)
        assert torch.equal(losses[n : n + 1], alone[0]) and torch.equal(w[n : n + 1], alone[1])


# --- images -----------------------------------------------------------------------------------------------------------------


def check_images(student: Tensor, teacher: Tensor, mask: int, patch_size: int) -> None:
    grad = random(len(student), seed=9)
    wide = student.double().requires_grad_()
    settings = patch_size, 1.0, 2.0, chosen(mask), "none"
    wanted = reference.content_relation_loss(wide, teacher.double(), *settings)
    (gradient,) = torch.autograd.grad((wanted * grad.double()).sum(), wide)
    losses, w = relation.content_relation(student, teacher, patch_size, 1.0, 2.0, mask)
    _, _, height, width = student.shape
    counts = {1: height, 2: width, 4: (height // patch_size) * (width // patch_size)}
    assert w.shape == (len(student), sum(count**2 for bit, count in counts.items() if mask & bit))
    assert error(losses, wanted.detach()) < 4 * EPS * max(counts.values()) ** 1.5
    result = relation.content_relation_backward(grad, w, student, patch_size, mask)
    assert result.stride() == student.stride() and result.dtype == student.dtype
    assert error(result, gradient) < max(torch.finfo(student.dtype).eps, 4 * EPS * student[0].numel() ** 0.5)


@interpreted
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("mask", range(1, 8))
def test_content_relation_is_the_reference_s(mask: int, layout: torch.memory_format) -> None:
    """Neither side is a multiple of the patches': what fills no patch belongs to none."""
    student, teacher = random(2, 3, 7, 5), random(2, 2, 7, 5, seed=1)
    check_images(student.to(memory_format=layout), teacher, mask, 2)


@interpreted
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_content_relation_rounds_the_gradient_once(dtype: torch.dtype) -> None:
    student, teacher = random(1, 3, 4, 6, dtype=dtype), random(1, 3, 4, 6, seed=1, dtype=dtype)
    check_images(student, teacher.to(memory_format=torch.channels_last), 7, 2)


@interpreted
def test_one_patch_is_no_relation() -> None:
    student = random(2, 3, 4, 5)
    losses, w = relation.content_relation(student, random(2, 3, 4, 5, seed=1), 4, 1.0, 2.0, 4)
    assert not losses.any() and w.shape == (2, 1) and not w.any()
    assert not relation.content_relation_backward(losses, w, student, 4, 4).any()


# --- distances --------------------------------------------------------------------------------------------------------------


@interpreted
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("eps", [1e-12, 4.0])
@pytest.mark.parametrize("squared", [False, True])
def test_pairwise_is_the_reference_s(squared: bool, eps: float, dtype: torch.dtype) -> None:
    items, grad = random(2, 19, 5, dtype=dtype), random(2, 19, 19, seed=1, dtype=dtype)
    items[:, 3] = items[:, 7]
    wide = items.double().requires_grad_()
    wanted = reference.pdist(wide, squared, eps)
    (gradient,) = torch.autograd.grad((wanted * grad.double()).sum(), wide)
    distances = relation.pairwise(items, squared, eps)
    assert distances.dtype == dtype
    assert not distances.diagonal(dim1=1, dim2=2).any() and torch.equal(distances, distances.mT)
    rounding = torch.finfo(dtype).eps
    assert error(distances, wanted.detach()) < 4 * rounding
    # float16 can't hold a distance of 1e-6 in full.
    torch.testing.assert_close(distances.double(), wanted.detach(), rtol=8 * rounding, atol=1e-7)
    assert error(relation.pairwise_backward(grad, items, squared, eps), gradient) < max(rounding, 20 * EPS)


@interpreted
def test_pairwise_hands_on_what_is_not_finite() -> None:
    items = random(1, 4, 3)
    items[0, 2, 1] = float("nan")
    distances = relation.pairwise(items, False, 1e-12)[0]
    assert distances.isnan().tolist() == [[i != j and 2 in (i, j) for j in range(4)] for i in range(4)]


@interpreted
def test_offsets_beyond_32_bits() -> None:
    """Sets that lie 2^31 numbers apart, of which memory holds what is touched alone."""
    far = torch.empty(2**31 + 100, dtype=torch.float16, device=DEVICE).as_strided((2, 5, 3), (2**31, 3, 1))
    near = random(2, 5, 3, dtype=torch.float16)
    far.copy_(near)
    assert torch.equal(relation.pairwise(far, False, 1e-12), relation.pairwise(near, False, 1e-12))


# --- compilation ------------------------------------------------------------------------------------------------------------


def compile_images(capability: int, batch: int, dtype: torch.dtype, layout: torch.memory_format) -> list[aot.Compiled]:
    with aot.captured(capability) as kernels:
        images = torch.empty(batch, 3, 256, 256, device="meta", dtype=dtype).to(memory_format=layout)
        losses, w = relation.content_relation(images, images, 32, 1.0, 2.0, 7)
        relation.content_relation_backward(losses, w, images, 32, 7)
        items = images.flatten(2).transpose(1, 2).contiguous()
        distances = relation.pairwise(items, False, 1e-12)
        relation.pairwise_backward(distances, items, False, 1e-12)
    return kernels


@compiled
@pytest.mark.parametrize(
    ("batch", "dtype", "layout"),
    [(1, torch.float32, torch.contiguous_format), (16, torch.bfloat16, torch.channels_last)],
    ids=["one", "many"],
)
@pytest.mark.parametrize("capability", [80, 90])
def test_kernels_compile(capability: int, batch: int, dtype: torch.dtype, layout: torch.memory_format) -> None:
    kernels = compile_images(capability, batch, dtype, layout)
    assert {kernel.name for kernel in kernels} == {"pairwise_kernel", "lengths_kernel", "triangles_kernel", "spread_kernel"}
    for kernel in kernels:
        assert kernel.local == 0, kernel.name  # nothing spilt
        assert kernel.shared <= 48 * 1024, kernel.name
        assert ".f64" not in kernel.ptx, kernel.name
        assert_rounded(kernel)
        # No tensor core: neither TF32 nor bfloat16 has the digits that small differences are made of.
        assert not re.search(r"\bw?gmma|\bmma\.", kernel.ptx), kernel.name
        # Every address of a number is reckoned in 64 bits.
        numbers = [line for line in kernel.ttir.splitlines() if "tt.addptr" in line and re.search(r"ptr<b?f\d+>", line)]
        assert numbers and all("i64" in line for line in numbers), kernel.name
    assert {kernel.grid[1:] for kernel in kernels} == {()}  # a first size alone can exceed 65,535
