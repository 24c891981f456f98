"""Operations in several streams at once, each with numbers of its own."""

from __future__ import annotations

import threading

import pytest
import torch
from gpu_operations import GPU, OPERATIONS, assert_right, exact, inputs, results
from torch import Tensor

from fastnst import ops
from fastnst.kernels.cuda import wct as cusolver

pytestmark = GPU
ROUNDS = 20


def matrices(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(8, 48, 96, generator=generator, dtype=torch.float64)
    return (values @ values.mT).cuda()


def assert_eigenvectors(given: Tensor, values: Tensor, vectors: Tensor) -> None:
    eye = torch.eye(given.shape[-1], dtype=given.dtype, device=given.device).expand_as(given)
    torch.testing.assert_close((vectors * values.unsqueeze(-2)) @ vectors.mT, given, rtol=1e-10, atol=1e-9)
    torch.testing.assert_close(vectors.mT @ vectors, eye, rtol=0, atol=1e-11)


@pytest.mark.skipif(cusolver.missing() is not None, reason=str(cusolver.missing()))
def test_two_streams_of_one_thread_through_cusolver() -> None:
    """Started in turn, so that each solver runs while the other one does."""
    streams = [torch.cuda.Stream() for _ in range(2)]
    given = [matrices(seed) for seed in range(2)]
    torch.cuda.synchronize()
    solved: list[tuple[int, Tensor, Tensor]] = []
    for _ in range(ROUNDS):
        for which, stream in enumerate(streams):
            with torch.cuda.stream(stream):
                solved.append((which, *cusolver._solve(given[which])))
    torch.cuda.synchronize()
    for which, values, vectors in solved:
        assert_eigenvectors(given[which], values, vectors)


@pytest.mark.skipif(cusolver.missing() is not None, reason=str(cusolver.missing()))
def test_two_threads_with_a_stream_each_through_cusolver() -> None:
    given = [matrices(seed) for seed in range(2)]
    torch.cuda.synchronize()
    solved: list[tuple[int, Tensor, Tensor]] = []

    def work(which: int) -> None:
        with torch.cuda.stream(torch.cuda.Stream()):
            for _ in range(ROUNDS):
                solved.append((which, *cusolver._solve(given[which])))

    threads = [threading.Thread(target=work, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    torch.cuda.synchronize()
    assert len(solved) == 2 * ROUNDS
    for which, values, vectors in solved:
        assert_eigenvectors(given[which], values, vectors)


@pytest.mark.parametrize("name", OPERATIONS)
def test_two_streams_on_triton(name: str) -> None:
    operation = OPERATIONS[name]
    streams = [torch.cuda.Stream() for _ in range(2)]
    given = [inputs(operation, 20, torch.float32, "cuda", seed) for seed in range(2)]
    wanted = [exact(operation, tensors) for tensors in given]
    torch.cuda.synchronize()
    found: list[tuple[int, list[Tensor]]] = []
    with ops.backend("triton"):
        for _ in range(ROUNDS):
            for which, stream in enumerate(streams):
                with torch.cuda.stream(stream):
                    found.append((which, results(operation, given[which])))
    torch.cuda.synchronize()
    for which, mine in found:
        assert_right(operation, mine, wanted[which])
