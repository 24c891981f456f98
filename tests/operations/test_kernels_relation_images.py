"""Kernels of the relation losses of images against the reference in float64, in every backend that can run here."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from relation_checks import (
    CPU,
    KINDS,
    LAYOUTS,
    check_images,
    every_backend,
    every_dtype,
    random,
)
from test_reference_relation import GOLDEN, golden_pictures

from fastnst import _engine
from fastnst.testing import Backend

# Images, channels of student and teacher, height and width, patch size: also patches that leave a remainder, one patch alone,
# images of one pixel and of one line.
IMAGES = [(1, 3, 3, 12, 12, 4), (17, 2, 1, 8, 6, 2), (1, 3, 2, 7, 9, 3), (2, 1, 4, 33, 35, 5), (1, 3, 3, 64, 48, 16),
          (2, 4, 4, 16, 16, 16), (3, 2, 2, 1, 1, 1), (1, 2, 3, 1, 9, 1), (1, 1, 1, 40, 3, 1)]  # fmt: skip

every_image = pytest.mark.parametrize("sizes", IMAGES, ids=lambda sizes: "x".join(map(str, sizes)))


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


@every_backend
@pytest.mark.parametrize("noise", [0.3, 0.02])
def test_students_close_to_their_teacher(backend: Backend, noise: float) -> None:
    """Rows of a picture that changes slowly, where neighbours are alike: what training ends with."""
    teacher = random(backend, 2, 3, 40, 36).cumsum(2).cumsum(3) / 40
    check_images(backend, teacher + noise * random(backend, 2, 3, 40, 36, seed=1), teacher, 8)


@every_backend
def test_letterboxed_and_saturated_images(backend: Backend) -> None:
    student, teacher = random(backend, 2, 3, 36, 40), random(backend, 2, 3, 36, 40, seed=1)
    for images in (student, teacher):
        images[..., :9, :] = images[..., 27:, :] = -1
        images[1] = (images[1] * 1e6).clamp(-1, 1)
        images[1, :, :, 20:] = 1
    check_images(backend, student, teacher, 4)


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
