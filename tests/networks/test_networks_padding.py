"""Padding of networks."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from fastnst.networks.padding import reflection_pad


def test_reflection_padding_keeps_the_type_under_autocast() -> None:
    x = torch.rand(2, 3, 5, 4).bfloat16().contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        padded = reflection_pad(x, 2)
    assert padded.dtype == torch.bfloat16
    assert torch.equal(padded, F.pad(x, (2, 2, 2, 2), mode="reflect"))


def test_reflection_padding_of_shapes_alone() -> None:
    """As when operations are counted."""
    assert reflection_pad(torch.empty(1, 3, 4, 5, device="meta")).shape == (1, 3, 6, 7)
