"""The contract of ``fastnst.ops``: every operation against its formula in float64, and all that PyTorch asks of one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from op_cases import CASES, Case, assert_near, evaluate, features
from torch import Tensor

from fastnst import dispatch, ops, reference
from fastnst.ops.operators import DEFINED
from fastnst.testing import assert_close_to_reference

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# What rounding the arguments, results and gradients to a type costs, relative to the largest value: a few of its steps.
ROUNDING = {torch.float32: 2e-4, torch.bfloat16: 3e-2, torch.float16: 5e-3}


BACKENDS = [name for name in ("cpu",) if dispatch.HAS_LIBRARY]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("each", CASES)
def test_value_and_gradients_are_the_formulas(each: Case, dtype: torch.dtype, backend: str) -> None:
    tensors = [x.to(dtype) for x in each.tensors]
    wanted, wanted_gradients = evaluate(reference, each, [x.double() for x in tensors])
    with ops.backend("auto" if each.name == "coral" else backend):
        result, gradients = evaluate(ops, each, tensors)
    assert result.dtype == each(reference, tensors).dtype
    assert_near(result, wanted, ROUNDING[dtype])
    for x, gradient, expected in zip([tensors[i] for i in each.trained], gradients, wanted_gradients, strict=True):
        assert gradient.dtype == x.dtype
        assert_near(gradient, expected, 5 * ROUNDING[dtype])


@pytest.mark.parametrize("each", CASES)
def test_float64_is_the_reference(each: Case) -> None:
    result, gradients = evaluate(ops, each, each.tensors)
    wanted, wanted_gradients = evaluate(reference, each, each.tensors)
    for actual, expected in zip([result, *gradients], [wanted, *wanted_gradients], strict=True):
        assert torch.equal(actual, expected)


@pytest.mark.parametrize("each", CASES)
def test_gradcheck(each: Case) -> None:
    leaves = [x.clone().requires_grad_(i in each.trained) for i, x in enumerate(each.tensors)]
    # Along random directions where there is a Jacobian of a million numbers otherwise.
    large = max(x.numel() for x in leaves) > 1000
    assert torch.autograd.gradcheck(lambda *x: each(ops, x), leaves, check_batched_grad=False, fast_mode=large)


# Dynamo itself instantiates the autograd functions that it traces, against PyTorch's own advice.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("each", CASES)
def test_compiled_is_eager(each: Case) -> None:
    tensors = [x.float() for x in each.tensors]
    torch.compiler.reset()  # all cases share the code object of one lambda
    compiled = torch.compile(lambda *x: each(ops, x), fullgraph=True, backend="aot_eager")

    def run(function: Callable[..., Tensor]) -> list[Tensor]:
        leaves = [x.clone().requires_grad_(i in each.trained) for i, x in enumerate(tensors)]
        result = function(*leaves)
        result.square().sum().backward()
        return [result.detach(), *(leaves[i].grad for i in each.trained)]  # type: ignore[list-item]

    for actual, expected in zip(run(compiled), run(lambda *x: each(ops, x)), strict=True):
        torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("each", CASES)
def test_strides_do_not_matter(each: Case) -> None:
    tensors = [x.float() for x in each.tensors]
    wanted, wanted_gradients = evaluate(ops, each, tensors)
    for layout in (sliced, last_axis_first, channels_last):
        result, gradients = evaluate(ops, each, [layout(x) for x in tensors])
        for actual, expected in zip([result, *gradients], [wanted, *wanted_gradients], strict=True):
            torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def sliced(x: Tensor) -> Tensor:
    """The same values, every other one of a larger tensor."""
    return torch.stack((x, -x), -1)[..., 0]


def last_axis_first(x: Tensor) -> Tensor:
    """The same values, dense, in reversed order of axes."""
    return x.permute(*reversed(range(x.dim()))).contiguous().permute(*reversed(range(x.dim())))


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


@pytest.mark.parametrize("each", CASES)
def test_autocast_changes_nothing(each: Case) -> None:
    tensors = [x.float() for x in each.tensors]
    wanted, _ = evaluate(ops, each, tensors)
    with torch.autocast("cpu", torch.bfloat16):
        result = each(ops, tensors)
    assert torch.equal(result, wanted)


@pytest.mark.parametrize("each", CASES)
def test_used_twice_in_a_graph(each: Case) -> None:
    leaves = [x.float().requires_grad_(i in each.trained) for i, x in enumerate(each.tensors)]
    once = each(ops, leaves)
    (once.sum() + (2 * each(ops, leaves)).sum()).backward()
    both = [leaves[i].grad for i in each.trained]
    again = torch.autograd.grad(each(ops, leaves).sum(), [leaves[i] for i in each.trained])
    for actual, expected in zip(both, again, strict=True):
        torch.testing.assert_close(actual, 3 * expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("each", [param for param in CASES if param.values[0].tensors[0].dim() == 4 and "loss" not in param.id])
def test_empty_batch(each: Case) -> None:
    tensors = [x.float()[: 1 if x.shape[0] == 1 else 0].requires_grad_() for x in each.tensors]
    result = each(ops, tensors)
    result.sum().backward()
    assert result.numel() == 0
    assert tensors[0].grad is not None


def test_every_operation_has_a_case_and_the_signature_of_its_reference() -> None:
    functions = {name for name in ops.__all__ if inspect.isfunction(getattr(ops, name)) and hasattr(reference, name)}
    assert functions == {name for name in reference.__all__ if inspect.isfunction(getattr(reference, name))}
    assert functions - {param.values[0].name for param in CASES} == {"perceptual_loss"}
    for name in functions:
        mine, wanted = getattr(ops, name), getattr(reference, name)
        assert inspect.signature(mine) == inspect.signature(wanted)
        assert mine.__doc__ == wanted.__doc__


def raw_calls() -> dict[str, tuple[Any, ...]]:
    """One call of every operator, on detached dense tensors."""
    x, y = features(2, 4, 5, 6).float(), features(2, 4, 3, 7, seed=1).float()
    stat = [features(2, 4, 1, 1, seed=i).float().abs() + 0.5 for i in range(4)]
    items, wanted = features(2, 5, 6).float(), features(2, 5, 3, seed=1).float()
    image, other = features(2, 3, 8, 6).float(), features(2, 3, 8, 6, seed=1).float()
    teacher, weight, bias = features(2, 7, 5, 6, seed=2).float(), features(7, 4, seed=3).float(), features(7, seed=4).float()
    one, two, square = torch.ones(()), torch.ones(2), features(2, 5, 5, seed=5).float()
    columns, small = features(2, 3, 9).float(), features(2, 3, 3, seed=6)
    root, mean, vectors, values, *_ = torch.ops.fastnst.covariance_roots("cpu", columns, columns, 0.0, 0.0, 1e-5)
    moments = torch.ops.fastnst.color_moments("cpu", other)
    transfer = torch.ops.fastnst.color_apply("cpu", image, *moments, 0.5, 0.1)[1:]
    relations = features(2, 8 * 8 + 6 * 6 + 4 * 4, seed=7).float()
    return {
        "channel_stats": (x, 1e-5),
        "channel_stats_backward": (stat[0], stat[1], x, stat[2], stat[3]),
        "adain_apply": (x, stat[0], stat[1], 1e-5),
        "adain_apply_backward": (x, x, *stat[:3]),
        "adain": (x, y, 1e-5),
        "adain_backward": (x, x, y, *stat),
        "color_moments": (image,),
        "color_moments_backward": (*moments, other, moments[0]),
        "color_apply": (image, *moments, 0.5, 0.1),
        "color_apply_backward": (other, image, *transfer, 0.5),
        "pairwise": (items, False, 1e-12),
        "pairwise_backward": (square, items, False, 1e-12),
        "relation": (items, wanted, 1.0, 2.0),
        "relation_backward": (two, square, items),
        "content_relation": (image, other, 3, 1.0, 2.0, 7),
        "content_relation_backward": (two, relations, image, 3, 7),
        "linear_embedding": (x, teacher, weight, bias, True),
        "linear_embedding_teacher": (one, x, teacher, weight, bias),
        "mean_error": (x, x.flip(3), True),
        "mean_error_backward": (one, x, x.flip(3), False),
        "gram": (x,),
        "gram_backward": (features(2, 4, 4).float(), x),
        "covariance_root": (columns, 1.0, 1e-5, True),
        "covariance_roots": (columns, features(2, 3, 2, seed=8).float(), 1.0, 0.0, 1e-5),
        "covariance_root_backward": (small, mean, columns, mean, root, vectors, values, 0.0, 1e-5, True),
        "transform": (columns, small, mean),
        "transform_backward": (columns, columns, small),
    }


@pytest.mark.parametrize("name", DEFINED)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last, None], ids=str)
def test_opcheck(name: str, layout: torch.memory_format | None) -> None:
    def laid_out(x: Any) -> Any:
        if not isinstance(x, Tensor) or x.dim() != 4:
            return x
        return last_axis_first(x) if layout is None else x.contiguous(memory_format=layout)

    arguments = [laid_out(x) for x in raw_calls()[name]]
    torch.library.opcheck(getattr(torch.ops.fastnst, name).default, ("cpu", *arguments))


def test_every_operator_is_checked() -> None:
    assert set(raw_calls()) == set(DEFINED)


def test_half_precision_keeps_the_gradients_of_large_embeddings() -> None:
    student, teacher = (features(4, channels, 64, 64, seed=channels) for channels in (4, 128))
    weight, scale = features(128, 4, seed=3), 65536.0
    tensors = [x.half().requires_grad_() for x in (student, teacher, weight)]
    (scale * ops.linear_embedding_loss(*tensors)).backward()
    exact = [x.detach().double().requires_grad_() for x in tensors]
    (scale * reference.linear_embedding_loss(*exact)).backward()
    for x, wanted in zip(tensors, exact, strict=True):
        assert x.grad is not None
        assert wanted.grad is not None
        assert_near(x.grad, wanted.grad, ROUNDING[torch.float16])


@pytest.mark.parametrize("error", ["l1", "l2"])
@pytest.mark.parametrize("types", [("float32",) * 2, ("bfloat16",) * 2, ("bfloat16", "float32"), ("float64",) * 2], ids=str)
def test_perceptual_loss(types: tuple[str, str], error: str) -> None:
    """Its levels come in lists. Both images get gradients; levels may differ in layout."""
    shapes = [(2, 5, 9, 7), (2, 8, 4, 3)]
    dtypes = [getattr(torch, each) for each in types]
    mine = [features(*shape, seed=i).to(dtypes[0]) for i, shape in enumerate(shapes)]
    theirs = [features(*shape, seed=2 + i).to(dtypes[1], memory_format=torch.channels_last) for i, shape in enumerate(shapes)]

    def gradients(module: Any, dtype: torch.dtype | None) -> tuple[Tensor, ...]:
        leaves = [x.to(dtype or x.dtype).requires_grad_() for x in (*mine, *theirs)]
        loss = module.perceptual_loss(leaves[:2], leaves[2:], [0.5, 0.0], [0.0, 3.0], error)
        return (loss.detach(), *torch.autograd.grad(loss, leaves))

    for actual, expected in zip(gradients(ops, None), gradients(reference, torch.float64), strict=True):
        assert_close_to_reference(actual, expected, "sum", reduction=64)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_linear_embedding_of_bfloat16_maps_with_float32_weights(layout: torch.memory_format) -> None:
    """As under autocast; nothing but the maps' gradients is rounded to bfloat16."""
    maps = [features(2, 5, 7, 9), features(2, 11, 7, 9, seed=1)]
    leaves = [x.to(torch.bfloat16, memory_format=layout).requires_grad_() for x in maps]
    leaves += [x.float().requires_grad_() for x in (features(11, 5, seed=2), features(11, seed=3))]
    exact = [x.detach().double().requires_grad_() for x in leaves]
    loss, expected = ops.linear_embedding_loss(*leaves), reference.linear_embedding_loss(*exact)
    assert_close_to_reference(loss, expected, "sum", reduction=5)
    pairs = zip(torch.autograd.grad(3 * loss, leaves), torch.autograd.grad(3 * expected, exact), leaves, strict=True)
    for actual, wanted, leaf in pairs:
        assert actual.dtype == leaf.dtype
        if leaf.dtype == torch.float32:
            assert_close_to_reference(actual, wanted, "sum", reduction=256)
        else:  # rounded twice: as it is kept, and times 3
            torch.testing.assert_close(actual.double(), wanted, rtol=torch.finfo(leaf.dtype).eps, atol=1e-7)
