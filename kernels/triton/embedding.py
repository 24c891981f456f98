"""The linear embedding loss: the mean of the squares of e = Q F_S + b - F_T, and its gradients.

e is computed in tiles, [positions, teacher's channels], which are used at once: neither e nor Q F_S is stored. With gradients
it is computed twice, once for sums over channels and once for sums over positions, because arithmetic is cheaper than memory.

Products of bfloat16 and float16 are exact and summed in float32. In products with e the other factor is widened and the product
is computed in TF32: the other factor is exact, and e is rounded to 11 bits, as in float16.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastnst.kernels.layout import channels_last
from fastnst.kernels.triton import launch
from fastnst.kernels.triton.configs import choose_for
from fastnst.kernels.triton.tiles import factor, offsets

PROGRAMS_PER_PROCESSOR = 2
"""Sums over positions are split into enough parts for so many programs on every multiprocessor."""


@triton.jit
def _student(student, image, channel, position, channels, length, LAST: tl.constexpr):
    """A tile [positions, channels]."""
    inside = (position < length)[:, None] & (channel < channels)[None, :]
    at = offsets(image, channel[None, :], position[:, None], channels, length, LAST)
    return tl.load(student + at, mask=inside, other=0.0)


@triton.jit
def _weight(weight, teacher_channel, student_channel, teachers, students):
    """A tile [student's channels, teacher's channels] of Q transposed."""
    inside = (student_channel < students)[:, None] & (teacher_channel < teachers)[None, :]
    return tl.load(weight + teacher_channel[None, :] * students + student_channel[:, None], mask=inside, other=0.0)


@triton.jit
def _error(
    own,
    student,
    teacher,
    weight,
    bias,
    image,
    position,
    channel,
    students,
    teachers,
    length,
    TRANSPOSED: tl.constexpr,
    WHOLE: tl.constexpr,
    STUDENT_LAST: tl.constexpr,
    TEACHER_LAST: tl.constexpr,
    PRECISION: tl.constexpr,
    POSITIONS: tl.constexpr,
    STEP: tl.constexpr,
    TEACHERS: tl.constexpr,
):
    """A tile of e, [positions, teacher's channels] or its transpose; ``own`` is the student's tile if that is WHOLE."""
    error = tl.zeros([TEACHERS, POSITIONS] if TRANSPOSED else [POSITIONS, TEACHERS], tl.float32)
    lane = tl.arange(0, STEP)
    if WHOLE:
        kernel = _weight(weight, channel, lane, teachers, students)
        if TRANSPOSED:
            error = tl.dot(tl.trans(kernel), tl.trans(own), error, input_precision=PRECISION)
        else:
            error = tl.dot(own, kernel, error, input_precision=PRECISION)
    else:
        for first in range(0, students, STEP):
            student_channel = (first + lane).to(tl.int64)
            part = _student(student, image, student_channel, position, students, length, STUDENT_LAST)
            kernel = _weight(weight, channel, student_channel, teachers, students)
            if TRANSPOSED:
                error = tl.dot(tl.trans(kernel), tl.trans(part), error, input_precision=PRECISION)
            else:
                error = tl.dot(part, kernel, error, input_precision=PRECISION)
    constant = tl.load(bias + channel, mask=channel < teachers, other=0.0).to(tl.float32)
    across = channel[:, None] if TRANSPOSED else channel[None, :]
    along = position[None, :] if TRANSPOSED else position[:, None]
    inside = (along < length) & (across < teachers)
    at = offsets(image, across, along, teachers, length, TEACHER_LAST)
    wanted = tl.load(teacher + at, mask=inside, other=0.0).to(tl.float32)
    error += (constant[:, None] if TRANSPOSED else constant[None, :]) - wanted
    return tl.where(inside, error, 0.0), at, inside


@triton.jit
def embedding_kernel(
    student,
    teacher,
    weight,
    bias,
    losses,
    dstudent,
    students,
    teachers,
    length,
    scale,
    GRADIENTS: tl.constexpr,
    WHOLE: tl.constexpr,
    STUDENT_LAST: tl.constexpr,
    TEACHER_LAST: tl.constexpr,
    PRECISION: tl.constexpr,
    POSITIONS: tl.constexpr,
    STEP: tl.constexpr,
    STUDENTS: tl.constexpr,
    TEACHERS: tl.constexpr,
):
    """scale sum(e^2) of a tile of positions and, with GRADIENTS, its 2 scale Q^T e for a block of the student's channels."""
    program = tl.program_id(0)
    blocks = tl.cdiv(students, STUDENTS) if GRADIENTS else 1
    tile = program // blocks
    tiles = tl.cdiv(length, POSITIONS)
    image = (tile // tiles).to(tl.int64)
    position = (tile % tiles).to(tl.int64) * POSITIONS + tl.arange(0, POSITIONS)
    channel = (program % blocks).to(tl.int64) * STUDENTS + tl.arange(0, STUDENTS)
    own = _student(student, image, channel, position, students, length, STUDENT_LAST)
    loss = tl.zeros([POSITIONS], tl.float32)
    slope = tl.zeros([POSITIONS, STUDENTS], tl.float32)
    for first in range(0, teachers, TEACHERS):
        teacher_channel = (first + tl.arange(0, TEACHERS)).to(tl.int64)
        error, _, _ = _error(
            own,
            student,
            teacher,
            weight,
            bias,
            image,
            position,
            teacher_channel,
            students,
            teachers,
            length,
            False,
            WHOLE,
            STUDENT_LAST,
            TEACHER_LAST,
            PRECISION,
            POSITIONS,
            STEP,
            TEACHERS,
        )
        loss += tl.sum(error * error, 1)
        if GRADIENTS:
            kernel = tl.trans(_weight(weight, teacher_channel, channel, teachers, students)).to(tl.float32)
            slope = tl.dot(factor(error, PRECISION), kernel, slope, input_precision=PRECISION)
    if program % blocks == 0:
        tl.store(losses + tile.to(tl.int64), tl.sum(loss, 0) * scale)
    if GRADIENTS:
        inside = (position < length)[:, None] & (channel < students)[None, :]
        at = offsets(image, channel[None, :], position[:, None], students, length, STUDENT_LAST)
        tl.store(dstudent + at, slope * (2 * scale), mask=inside)


@triton.jit(do_not_specialize=["tiles", "tiles_per_part"])
def embedding_weight_kernel(
    student,
    teacher,
    weight,
    bias,
    dweights,
    dbiases,
    students,
    teachers,
    length,
    scale,
    tiles,
    tiles_per_part,
    WHOLE: tl.constexpr,
    STUDENT_LAST: tl.constexpr,
    TEACHER_LAST: tl.constexpr,
    PRECISION: tl.constexpr,
    POSITIONS: tl.constexpr,
    STEP: tl.constexpr,
    STUDENTS: tl.constexpr,
    TEACHERS: tl.constexpr,
):
    """2 scale e F_S^T and 2 scale e 1 over a part of the tiles of positions, for a block of both's channels, [part, Ct, Cs]."""
    program = tl.program_id(0)
    student_blocks = tl.cdiv(students, STUDENTS)
    teacher_blocks = tl.cdiv(teachers, TEACHERS)
    student_block = program % student_blocks
    part = (program // student_blocks // teacher_blocks).to(tl.int64)
    student_channel = student_block.to(tl.int64) * STUDENTS + tl.arange(0, STUDENTS)
    channel = (program // student_blocks % teacher_blocks).to(tl.int64) * TEACHERS + tl.arange(0, TEACHERS)
    tiles_of_image = tl.cdiv(length, POSITIONS)
    dweight = tl.zeros([TEACHERS, STUDENTS], tl.float32)
    dbias = tl.zeros([TEACHERS], tl.float32)
    for tile in range(part * tiles_per_part, tl.minimum((part + 1) * tiles_per_part, tiles)):
        image = (tile // tiles_of_image).to(tl.int64)
        position = (tile % tiles_of_image).to(tl.int64) * POSITIONS + tl.arange(0, POSITIONS)
        own = _student(student, image, student_channel, position, students, length, STUDENT_LAST)
        error, _, _ = _error(
            own,
            student,
            teacher,
            weight,
            bias,
            image,
            position,
            channel,
            students,
            teachers,
            length,
            True,
            WHOLE,
            STUDENT_LAST,
            TEACHER_LAST,
            PRECISION,
            POSITIONS,
            STEP,
            TEACHERS,
        )
        dweight = tl.dot(factor(error, PRECISION), own.to(tl.float32), dweight, input_precision=PRECISION)
        dbias += tl.sum(error, 1)
    into = part * teachers + channel
    inside = (channel < teachers)[:, None] & (student_channel < students)[None, :]
    tl.store(dweights + into[:, None] * students + student_channel[None, :], dweight * (2 * scale), mask=inside)
    if student_block == 0:
        tl.store(dbiases + into, dbias * (2 * scale), mask=channel < teachers)


@triton.jit
def embedding_teacher_kernel(
    student,
    teacher,
    weight,
    bias,
    grad,
    dteacher,
    students,
    teachers,
    length,
    scale,
    STUDENT_LAST: tl.constexpr,
    TEACHER_LAST: tl.constexpr,
    PRECISION: tl.constexpr,
    POSITIONS: tl.constexpr,
    STEP: tl.constexpr,
    TEACHERS: tl.constexpr,
):
    """-2 scale grad e for a tile of positions and a block of the teacher's channels."""
    program = tl.program_id(0)
    blocks = tl.cdiv(teachers, TEACHERS)
    tiles = tl.cdiv(length, POSITIONS)
    image = (program // blocks // tiles).to(tl.int64)
    position = (program // blocks % tiles).to(tl.int64) * POSITIONS + tl.arange(0, POSITIONS)
    channel = (program % blocks).to(tl.int64) * TEACHERS + tl.arange(0, TEACHERS)
    error, at, inside = _error(
        None,
        student,
        teacher,
        weight,
        bias,
        image,
        position,
        channel,
        students,
        teachers,
        length,
        False,
        False,
        STUDENT_LAST,
        TEACHER_LAST,
        PRECISION,
        POSITIONS,
        STEP,
        TEACHERS,
    )
    tl.store(dteacher + at, error * (-2 * scale * tl.load(grad)), mask=inside)


def linear_embedding(
    student: Tensor, teacher: Tensor, weight: Tensor, bias: Tensor, gradients: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """mean((weight @ student + bias - teacher)^2), float32 [], and its gradients: of student, weight and bias.

    Without ``gradients`` only the loss is computed, and the others have the shape [0]. Maps of a narrower type than weights
    are widened first.
    """
    given = student.dtype
    student, teacher = student.to(weight.dtype), teacher.to(weight.dtype)
    tensors = student, teacher, weight, bias
    sizes = student.shape[1], teacher.shape[1], student.shape[2] * student.shape[3], 1 / teacher.numel()
    options = settings("embedding", student, teacher)
    tiles, blocks = grid(options, student, teacher)
    losses = student.new_empty(tiles, dtype=torch.float32)
    if not gradients:
        launch.start(embedding_kernel, (tiles,), *tensors, losses, None, *sizes, GRADIENTS=False, **options)
        return losses.sum(), student.new_empty(0, dtype=given), weight.new_empty(0), bias.new_empty(0)
    dstudent = torch.empty_like(student)
    launch.start(embedding_kernel, (tiles * blocks[0],), *tensors, losses, dstudent, *sizes, GRADIENTS=True, **options)

    options = settings("embedding_weight", student, teacher)
    tiles, blocks = grid(options, student, teacher)
    wanted = launch.device_of(student).processors * PROGRAMS_PER_PROCESSOR // (blocks[0] * blocks[1])
    per_part = triton.cdiv(tiles, max(1, wanted))
    parts = triton.cdiv(tiles, per_part)
    dweights = weight.new_empty((parts, *weight.shape), dtype=torch.float32)
    dbiases = bias.new_empty((parts, *bias.shape), dtype=torch.float32)
    programs = parts * blocks[0] * blocks[1]
    launch.start(embedding_weight_kernel, (programs,), *tensors, dweights, dbiases, *sizes, tiles, per_part, **options)
    return losses.sum(), dstudent.to(given), dweights.sum(0).to(weight.dtype), dbiases.sum(0).to(bias.dtype)


def linear_embedding_teacher(grad: Tensor, student: Tensor, teacher: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The gradient of ``linear_embedding``'s loss with respect to the teacher, times grad, float32 []; types as there."""
    given = teacher.dtype
    student, teacher = student.to(weight.dtype), teacher.to(weight.dtype)
    sizes = student.shape[1], teacher.shape[1], student.shape[2] * student.shape[3], 1 / teacher.numel()
    options = settings("embedding", student, teacher)
    tiles, blocks = grid(options, student, teacher)
    del options["STUDENTS"], options["WHOLE"]
    dteacher = torch.empty_like(teacher)
    tensors = student, teacher, weight, bias, grad, dteacher
    launch.start(embedding_teacher_kernel, (tiles * blocks[1],), *tensors, *sizes, **options)
    return dteacher.to(given)


def settings(kernel: str, student: Tensor, teacher: Tensor) -> dict[str, Any]:
    """Constants and options of a launch; blocks of the student's channels are no wider than there are channels."""
    sizes = student.shape[1], teacher.shape[1], student.shape[2] * student.shape[3]
    options = choose_for(kernel, launch.device_of(student), student.dtype, *sizes)
    width = max(16, triton.next_power_of_2(student.shape[1]))
    options["STUDENTS"] = min(options["STUDENTS"], width)
    options["WHOLE"] = width <= options["WHOLE"]
    if options["WHOLE"]:
        options["STEP"] = width
    return options | {"STUDENT_LAST": channels_last(student), "TEACHER_LAST": channels_last(teacher)}


def grid(options: dict[str, Any], student: Tensor, teacher: Tensor) -> tuple[int, tuple[int, int]]:
    """Tiles of positions; blocks of the student's and of the teacher's channels."""
    tiles = student.shape[0] * triton.cdiv(student.shape[2] * student.shape[3], options["POSITIONS"])
    return tiles, (triton.cdiv(student.shape[1], options["STUDENTS"]), triton.cdiv(teacher.shape[1], options["TEACHERS"]))
