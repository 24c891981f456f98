"""Kernels of the relation losses against the reference in float64, in every backend that can run here."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from test_reference_relation import GOLDEN, golden_pictures
from torch import Tensor

from fastnst import _engine
from fastnst.reference import content_relation_loss, pdist, rkd_loss
from fastnst.testing import Backend, assert_close_to_reference, backends

EPS = 1e-12
KINDS = {"row": 1, "column": 2, "patch": 4}
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
# Sets, items, numbers of the student's items and of the teacher's.
SETS = [(1, 1, 5, 5), (2, 3, 7, 5), (17, 5, 8, 8), (1, 17, 33, 40), (2, 33, 100, 3), (1, 70, 513, 20),
        (1, 40, 3100, 1), (1, 130, 9, 9), (1, 5, 20000, 9000)]  # fmt: skip
# Images, channels of student and teacher, height and width, patch size: also patches that leave a remainder, one patch alone,
# images of one pixel and of one line.
IMAGES = [(1, 3, 3, 12, 12, 4), (17, 2, 1, 8, 6, 2), (1, 3, 2, 7, 9, 3), (2, 1, 4, 33, 35, 5), (1, 3, 3, 64, 48, 16),
          (2, 4, 4, 16, 16, 16), (3, 2, 2, 1, 1, 1), (1, 2, 3, 1, 9, 1), (1, 1, 1, 40, 3, 1)]  # fmt: skip

BACKENDS = backends("relation")
CPU = next(backend for backend in BACKENDS if backend.name == "cpu")

every_backend = pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=lambda dtype: str(dtype)[6:])
every_set = pytest.mark.parametrize("sizes", SETS, ids=lambda sizes: "x".join(map(str, sizes)))
every_image = pytest.mark.parametrize("sizes", IMAGES, ids=lambda sizes: "x".join(map(str, sizes)))

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
@pytest.mark.parametrize("noise", [0.3, 0.02])
def test_students_close_to_their_teacher(backend: Backend, noise: float) -> None:
    """Rows of a picture that changes slowly, where neighbours are alike: what training ends with."""
    teacher = random(backend, 2, 3, 40, 36).cumsum(2).cumsum(3) / 40
    check_images(backend, teacher + noise * random(backend, 2, 3, 40, 36, seed=1), teacher, 8)


@every_backend
def test_two_items_have_nothing_to_learn(backend: Backend) -> None:
    """They have one distance, which is its own mean, and no angle."""
    student = random(backend, 3, 2, 5)
    losses, w = backend.module.relation(student, random(backend, 3, 2, 4, seed=1), 1.0, 2.0)
    assert losses.abs().max() < 1e-12
    assert backend.module.relation_backward(torch.ones_like(losses), w, student).abs().max() < 1e-6


@every_backend
def test_many_items(backend: Backend) -> None:
    """More than are worked on at once, against the plain formula one vertex after the other: N^3 numbers are too many."""
    student, teacher = random(backend, 1, 645, 40), random(backend, 1, 645, 40, seed=1)
    wide, wanted = student[0].cpu().double().requires_grad_(), teacher[0].cpu().double()
    loss = torch.zeros((), dtype=torch.float64)
    for vertex in range(645):
        units = [F.normalize(items - items[vertex], dim=1) for items in (wide, wanted)]
        part = F.smooth_l1_loss(*(each @ each.mT for each in units)) / 645
        part.backward()
        loss += part.detach()
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


# --- images -----------------------------------------------------------------------------------------------------------------


@every_backend
@every_image
def test_content_relation(backend: Backend, sizes: tuple[int, ...]) -> None:
    images, channels, others, height, width, patch = sizes
    student = random(backend, images, channels, height, width)
    check_images(backend, student, random(backend, images, others, height, width, seed=1), patch)


@every_backend
@pytest.mark.parametrize("kinds", [("row",), ("column",), ("patch",), ("row", "patch"), ("column", "patch")])
def test_granularities(backend: Backend, kinds: Sequence[str]) -> None:
    student, teacher = random(backend, 2, 3, 10, 13), random(backend, 2, 2, 10, 13, seed=1)
    check_images(backend, student, teacher, 3, kinds)


@every_backend
@every_dtype
@pytest.mark.parametrize("student_layout", LAYOUTS)
@pytest.mark.parametrize("teacher_layout", LAYOUTS)
def test_layouts_and_types(backend: Backend, dtype: torch.dtype, student_layout: str, teacher_layout: str) -> None:
    student = random(backend, 2, 3, 18, 14, dtype=dtype).contiguous(memory_format=LAYOUTS[student_layout])
    teacher = random(backend, 2, 4, 18, 14, dtype=dtype, seed=1).contiguous(memory_format=LAYOUTS[teacher_layout])
    check_images(backend, student, teacher, 4)


@every_backend
@pytest.mark.parametrize("kind", ["row", "patch"])
def test_golden_numbers(backend: Backend, kind: str) -> None:
    student, teacher = (picture.float().to(backend.device) for picture in golden_pictures())
    losses, _ = backend.module.content_relation(student, teacher, 16, 1.0, 2.0, KINDS[kind])
    # Eight digits were published; float32 has seven, and the loss is a few tenths.
    assert losses.item() == pytest.approx(GOLDEN[kind][2], abs=1e-7)


@every_backend
def test_golden_number_of_columns(backend: Backend) -> None:
    """Columns x and 30 - x of the teacher lie 6e-8 apart, where others lie ten apart: 15 pairs of 64 without an angle in
    float32. These have 4 * 15 * 64 of the 64^3 triplets, whose cosines may be anything from -1 to 1."""
    student, teacher = (picture.float().to(backend.device) for picture in golden_pictures())
    losses, _ = backend.module.content_relation(student, teacher, 16, 1.0, 2.0, KINDS["column"])
    assert losses.item() == pytest.approx(GOLDEN["column"][2], abs=2e-3)


@every_backend
def test_what_fills_no_patch_has_no_gradient(backend: Backend) -> None:
    student, teacher = random(backend, 2, 2, 11, 8), random(backend, 2, 2, 11, 8, seed=1)
    _, w = backend.module.content_relation(student, teacher, 3, 1.0, 2.0, KINDS["patch"])
    gradient = backend.module.content_relation_backward(torch.ones_like(w[:, 0]), w, student, 3, KINDS["patch"])
    assert gradient[..., :9, :6].ne(0).all()
    assert not gradient[..., 9:, :].any() and not gradient[..., 6:].any()


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
def test_letterboxed_and_saturated_images(backend: Backend) -> None:
    student, teacher = random(backend, 2, 3, 36, 40), random(backend, 2, 3, 36, 40, seed=1)
    for images in (student, teacher):
        images[..., :9, :] = images[..., 27:, :] = -1
        images[1] = (images[1] * 1e6).clamp(-1, 1)
        images[1, :, :, 20:] = 1
    check_images(backend, student, teacher, 4)


@every_backend
@pytest.mark.parametrize("scale", [1e-15, 1e-9, 1e-3, 1e4, 1e15])
def test_any_scale_stays_finite(backend: Backend, scale: float) -> None:
    student, teacher = random(backend, 2, 18, 5) * scale, random(backend, 2, 18, 5, seed=1)
    losses, w = backend.module.relation(student, teacher, 1.0, 2.0)
    gradient = backend.module.relation_backward(torch.ones_like(losses), w, student)
    assert losses.isfinite().all() and gradient.isfinite().all()
    if scale >= 1e-3:
        check_relation(backend, student, teacher)


@every_backend
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_stays_in_its_image(backend: Backend, bad: float) -> None:
    student, teacher = random(backend, 3, 2, 20, 18), random(backend, 3, 2, 20, 18, seed=1)
    student[1, 1, 7, 4] = bad
    losses, w = backend.module.content_relation(student, teacher, 4, 1.0, 2.0, 7)
    gradient = backend.module.content_relation_backward(torch.ones_like(losses), w, student, 4, 7)
    assert losses.isnan().tolist() == [False, True, False]
    assert gradient.isfinite().all((1, 2, 3)).tolist() == [True, False, True]


# --- memory and threads -----------------------------------------------------------------------------------------------------


@every_backend
@every_dtype
@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_around_images_is_not_read(backend: Backend, dtype: torch.dtype, layout: str) -> None:
    """Images inside larger storage, at odd addresses, between NaN."""
    maps = [random(backend, 2, 3, 19, 21, dtype=dtype, seed=seed).contiguous(memory_format=LAYOUTS[layout]) for seed in (0, 1)]
    inside = []
    for offset, x in zip((7, 33), maps, strict=True):
        storage = torch.full((offset + x.numel() + 64,), torch.nan, dtype=dtype, device=x.device)
        inside.append(storage.as_strided(x.shape, x.stride(), offset).copy_(x))
    runs = []
    for student, teacher in (maps, inside):
        losses, w = backend.module.content_relation(student, teacher, 4, 1.0, 2.0, 7)
        runs.append((losses, w, backend.module.content_relation_backward(losses, w, student, 4, 7)))
    assert all(torch.equal(mine, first) for mine, first in zip(*runs, strict=True))


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


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_few_images_at_a_time_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    student, teacher = (random(CPU, 7, 3, 20, 12, seed=seed).contiguous(memory_format=LAYOUTS[layout]) for seed in (0, 1))
    runs = []
    for memory in (2**24, 3 * 4 * _engine.relation_memory(True, (1, 20, 3, 12, 3, 12, 4, 7))[1], 1):
        monkeypatch.setattr(CPU.module, "SCRATCH", memory)
        losses, w = CPU.module.content_relation(student, teacher, 4, 1.0, 2.0, 7)
        runs.append((losses, w, CPU.module.content_relation_backward(losses, w, student, 4, 7)))
    for run in runs[1:]:
        assert all(torch.equal(mine, first) for mine, first in zip(run, runs[0], strict=True))


def test_memory_is_a_hundredth_of_the_formula_s() -> None:
    """The differences between rows alone, of student and teacher, are [256, 256, 768] in float32; they are kept twice."""
    each_thread, each_image, weights = _engine.relation_memory(True, (1, 256, 3, 256, 3, 256, 32, 7))
    assert weights == 256**2 + 256**2 + 64**2
    assert each_image + weights + 8 * each_thread < 2 * 2 * 256 * 256 * 768 / 100


def test_cpu_kernels_have_no_other_types() -> None:
    for call in (
        lambda x: CPU.module.pairwise(x, False, EPS),
        lambda x: CPU.module.pairwise_backward(x, x, False, EPS),
        lambda x: CPU.module.relation(x, x, 1.0, 2.0),
        lambda x: CPU.module.relation_backward(x[:, 0, 0], x, x),
    ):
        with pytest.raises(TypeError, match="float64"):
            call(torch.zeros(1, 2, 2).double())


PATHS = {"scalar": "baseline", "avx2": "avx2"}
"""Values of FASTNST_ISA and the variants that they choose; what is chosen without one, this process has tested."""


@pytest.mark.parametrize("isa", [isa for isa, runs in _engine.instruction_sets() if runs and isa in PATHS])
def test_every_variant(isa: str) -> None:
    """This file once more, in a process of its own: the variant is chosen once per process."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-k", "not every_variant", __file__],
        env=os.environ | {"FASTNST_ISA": isa, "TRITON_INTERPRET": "0", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout


def test_the_chosen_variant_runs() -> None:
    isa = os.environ.get("FASTNST_ISA")
    assert _engine.operations_variant() in ([PATHS[isa]] if isa in PATHS else ["baseline", "avx2", "avx512"])
