"""CUDA graphs of the operations: replayed long after other sizes have used what memory there is."""

from __future__ import annotations

import pytest
import torch
from gpu_operations import GPU, OPERATIONS, assert_right, exact, inputs, results

from fastnst import ops

pytestmark = GPU
OTHERS = 64
"""Sizes that are computed between the capture and the replay: more than any table of the backend ever held."""


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_graph_is_right_after_many_other_sizes(name: str) -> None:
    """Replayed at once, and with other numbers after 64 other sizes, whose memory is given back and overwritten."""
    operation = OPERATIONS[name]
    tensors = inputs(operation, 12, torch.float32, "cuda")
    graph, side = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    with ops.backend("triton"):
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # what compiles and allocates for good does it before
            for _ in range(2):
                results(operation, tensors)
        torch.cuda.current_stream().wait_stream(side)
        with torch.cuda.graph(graph):
            captured = results(operation, tensors)
        graph.replay()
        assert_right(operation, captured, exact(operation, tensors))
        for size in range(13, 13 + OTHERS):
            results(operation, inputs(operation, size, torch.float32, "cuda"))
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    junk = [torch.full((2**18,), 2**31 - 1, dtype=torch.int32, device="cuda") for _ in range(64)]
    for tensor, fresh in zip(tensors, inputs(operation, 12, torch.float32, "cuda", seed=1), strict=True):
        tensor.copy_(fresh)
    graph.replay()
    assert_right(operation, captured, exact(operation, tensors))
    del junk
