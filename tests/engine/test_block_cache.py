"""Memory of large results: used again once they are gone, and never before."""

from __future__ import annotations

import copy
import gc
import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from fastnst import ops
from fastnst.kernels.cpu import memory

SHAPE = (2, 4, 64, 64)
BYTES = 2 * 4 * 64 * 64 * 4


@pytest.fixture(autouse=True)
def small_results_are_large(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(memory, "LARGE", BYTES)
    ops.empty_cache()
    yield
    ops.empty_cache()


def maps() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(SHAPE, generator=generator) for _ in range(2))  # type: ignore[return-value]


def test_results_that_are_gone_make_room() -> None:
    content, style = maps()
    expected = ops.adaptive_instance_normalization(content, style).clone()
    gc.collect()
    with ops.backend("cpu"):
        first = ops.adaptive_instance_normalization(content, style)
        place = first.data_ptr()
        del first
        again = ops.adaptive_instance_normalization(content, style)
    assert again.data_ptr() == place
    assert torch.equal(again, expected)
    assert ops.empty_cache() == 0  # the only block is in use
    del again
    assert ops.empty_cache() == BYTES


def test_no_result_that_something_still_needs_is_overwritten() -> None:
    """A view of it, a graph that saved it, its storage."""
    content, style = maps()
    content.requires_grad_()
    out = ops.adaptive_instance_normalization(content, style)
    view, before = out[1:, 2:], out.detach()[1:, 2:].clone()
    squared = out.square()
    storage = out.untyped_storage()
    del out
    for _ in range(6):
        ops.adaptive_instance_normalization(content.detach(), 3 * style)
    assert torch.equal(view, before)
    wanted = torch.autograd.grad(squared.sum(), content)[0]
    assert torch.isfinite(wanted).all()
    assert storage.nbytes() == BYTES


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_results_are_ordinary_tensors(layout: torch.memory_format) -> None:
    content, style = (x.contiguous(memory_format=layout) for x in maps())
    out = ops.adaptive_instance_normalization(content, style)
    assert out.stride() == content.stride() and not out._is_view() and out.is_contiguous(memory_format=layout)
    assert torch.equal(copy.deepcopy(out), out)
    out.add_(1).resize_(3)
    assert out.shape == (3,)


def test_few_blocks_stay_idle() -> None:
    blocks = [memory.empty_like(torch.empty(SHAPE)) for _ in range(9)]
    blocks.clear()
    assert ops.empty_cache() == 4 * BYTES
    assert ops.empty_cache() == 0


def test_threads_never_share_a_block() -> None:
    x = torch.empty(SHAPE)
    wrong = []

    def work(number: int) -> None:
        for _ in range(200):
            own = memory.empty_like(x).fill_(number)
            if not bool((own == number).all()):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong
