"""One small call of each operation on the Triton backend, by its public function, against the reference in float64."""

from __future__ import annotations

import pytest
import torch
from gpu_operations import OPERATIONS, assert_right, exact, inputs, results
from interpreted import DEVICE, INTERPRETED, interpreted

from fastnst import ops


@interpreted
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", OPERATIONS)
def test_small_call(name: str, dtype: torch.dtype) -> None:
    operation = OPERATIONS[name]
    if dtype == torch.bfloat16 and INTERPRETED and operation.products:
        pytest.skip("the interpreter multiplies bfloat16 wrongly")
    tensors = inputs(operation, 5, dtype, DEVICE)
    with ops.backend("triton"):
        mine = results(operation, tensors)
    if dtype != torch.float32:  # gradients are of the type of what they belong to
        assert {each.dtype for each in mine[-len(operation.trained) :]} == {dtype}
    assert_right(operation, mine, exact(operation, tensors))
