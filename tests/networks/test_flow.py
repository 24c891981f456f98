"""Steadiness of clips by optical flow: what moves along counts nothing, what stays behind or flickers does."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import torch

from fastnst.metrics.flow import Flow, flows, warping_error

PHOTO = skimage.data.astronaut()[100:260, 100:300]
SIZE = slice(20, 116), slice(20, 148)


def panned(picture: np.ndarray, step: int, count: int = 3) -> list[np.ndarray]:
    """Frames of a camera that moves to the right by ``step`` pixels."""
    return [np.ascontiguousarray(np.roll(picture, -step * i, axis=1)[SIZE]) for i in range(count)]


def test_a_picture_that_moves_along_has_next_to_no_error() -> None:
    frames = panned(PHOTO, 3)
    motion = flows(frames)
    assert all(flow.seen.float().mean() > 0.7 for flow in motion)
    moved = panned(255 - PHOTO, 3)  # another picture that moves alike
    still = [moved[0]] * 3
    assert warping_error(moved, motion) < 0.1 * warping_error(still, motion)


def test_flicker_is_an_error_of_its_own_size() -> None:
    frames = panned(PHOTO, 2)
    motion = flows(frames)
    bright = [np.full_like(frame, level) for frame, level in zip(frames, (100, 151, 100), strict=True)]
    assert warping_error(bright, motion) == pytest.approx((51 / 255) ** 2, rel=1e-5)


def test_still_frames_have_no_motion_and_no_error() -> None:
    frames = panned(PHOTO, 0)
    motion = flows(frames)
    assert all(bool(flow.seen.all()) for flow in motion)
    assert warping_error(frames, motion) == pytest.approx(0, abs=1e-9)


def test_what_comes_into_view_is_left_out() -> None:
    """The flow of a square that moves over a texture does not cancel where the texture comes out behind it."""
    ground = np.repeat(skimage.data.coins()[:80, :120, None], 3, 2)
    frames = []
    for x in (40, 48):
        frame = ground.copy()
        frame[20:60, x : x + 30] = PHOTO[:40, :30]
        frames.append(frame)
    (flow,) = flows(frames)
    hidden = ~flow.seen[20:60, 40:48].numpy()
    elsewhere = ~flow.seen[:, 100:].numpy()
    assert hidden.mean() > 2 * elsewhere.mean()


def test_frames_that_do_not_go_together() -> None:
    with pytest.raises(ValueError, match="two frames or more of one size are needed: 1 frames"):
        flows([PHOTO])
    with pytest.raises(ValueError, match="two frames or more of one size are needed: 2 frames"):
        flows([PHOTO, PHOTO[:-8]])
    nothing = Flow(torch.zeros(1, 160, 200, 2), torch.zeros(160, 200, dtype=torch.bool))
    with pytest.raises(ValueError, match="share no pixels"):
        warping_error([PHOTO, PHOTO], [nothing])
    with pytest.raises(ValueError, match="3 frames do not match 1 flows"):
        warping_error([PHOTO] * 3, [nothing])
