"""``torch.compile(mode="reduce-overhead")``, which captures CUDA graphs of its own, at several sizes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from gpu_operations import GPU, OPERATIONS, assert_right, exact, inputs, results
from torch import Tensor

from fastnst import ops

pytestmark = GPU
SIZES = (8, 13, 24)
CALLS = 4
"""For each size: the first warms up, the second captures, the others replay."""


@pytest.mark.parametrize("name", ["adain", "content relation", "wct", "color", "embedding", "gram", "relation"])
def test_compiled_with_graphs_at_several_sizes(name: str) -> None:
    from torch._dynamo.utils import counters  # takes seconds, which machines without a GPU need not spend

    operation = OPERATIONS[name]
    torch._dynamo.reset()
    counters.clear()
    function: Any = torch.compile(operation.function, mode="reduce-overhead", fullgraph=True, dynamic=False)
    compiled = operation._replace(function=function)
    kept: list[tuple[list[Tensor], list[Tensor]]] = []
    for _ in range(2):  # sizes come back
        for size in SIZES:
            for seed in range(CALLS):
                tensors = inputs(operation, size, torch.float32, "cuda", seed)
                with ops.backend("triton"):
                    torch.compiler.cudagraph_mark_step_begin()
                    mine = [each.clone() for each in results(compiled, tensors)]
                kept.append((tensors, mine))
    for tensors, mine in kept:
        assert_right(operation, mine, exact(operation, tensors))
    skipped = counters["inductor"]["cudagraph_skips"]
    assert skipped == 0, f"{skipped} graphs were not captured"
