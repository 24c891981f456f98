"""Every operation under default types and devices, on meta tensors, in second derivatives and in ``torch.func``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from op_cases import CASES, Case, evaluate, features
from torch import Tensor

from fastnst import ops, reference
from fastnst.ops.operators import DEFINED

# The second derivative of a relation loss is a sum of thousands of terms that almost cancel.
CLOSE = 2e-3


def perceptual(module: Any, tensors: Any) -> Tensor:
    result: Tensor = module.perceptual_loss([tensors[0]], [tensors[1]], 0.5, 3.0)
    return result


class Perceptual(Case):
    """Its levels come in lists."""

    def __call__(self, module: Any, tensors: Any) -> Tensor:
        return perceptual(module, tensors)


EVERY = [
    *CASES,
    pytest.param(Perceptual("perceptual_loss", (features(2, 5, 7, 9), features(2, 5, 7, 9, seed=1)), {}), id="perceptual_loss"),
]


def close(actual: Tensor, expected: Tensor, tolerance: float = CLOSE) -> None:
    assert actual.shape == expected.shape
    assert torch.isfinite(actual).all()
    assert (actual.double() - expected.double()).norm() <= tolerance * expected.double().norm().clamp(min=1e-6)


def curved(result: Tensor) -> Tensor:
    """A scalar that has second derivatives; not the plain sum of squares, which statistics alone may fix."""
    weights = torch.linspace(0.5, 1.5, result.numel(), dtype=result.dtype).view(result.shape)
    return (result * weights).square().sum()


def scalar(each: Case, module: Any, tensors: list[Tensor]) -> Callable[[Tensor], Tensor]:
    """The operation as a curved scalar function of its first tensor."""
    return lambda x: curved(each(module, [x, *tensors[1:]]))


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


SURROUNDINGS = {
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "float16": lambda: default_dtype(torch.float16),
    "float64": lambda: default_dtype(torch.float64),
    "meta": lambda: torch.device("meta"),
}


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
@pytest.mark.parametrize("each", EVERY)
def test_default_types_and_devices_change_nothing(each: Case, surroundings: str) -> None:
    tensors = [x.float() for x in each.tensors]
    leaves = [x.clone().requires_grad_(i in each.trained) for i, x in enumerate(tensors)]
    wanted, wanted_gradients = evaluate(ops, each, tensors)
    weights = torch.linspace(0.5, 1.5, wanted.numel()).bfloat16().float().view(wanted.shape)
    with SURROUNDINGS[surroundings]():
        result = each(ops, leaves)
        (result * weights).sum().backward()
    assert torch.equal(result.detach(), wanted)
    for i, expected in zip(each.trained, wanted_gradients, strict=True):
        assert torch.equal(leaves[i].grad, expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("each", EVERY)
def test_meta_tensors_have_the_shapes_and_types_of_results(each: Case) -> None:
    tensors = [x.float() for x in each.tensors]
    wanted = each(ops, tensors)
    leaves = [x.to("meta").requires_grad_(i in each.trained) for i, x in enumerate(tensors)]
    result = each(ops, leaves)
    assert (result.device.type, result.shape, result.dtype) == ("meta", wanted.shape, wanted.dtype)
    result.sum().backward()
    for i in each.trained:
        assert leaves[i].grad is not None
        assert leaves[i].grad.shape == tensors[i].shape


@pytest.mark.parametrize("each", EVERY)
def test_second_derivatives_are_the_formulas(each: Case) -> None:
    def second(module: Any, tensors: list[Tensor]) -> list[Tensor]:
        leaves = [x.clone().requires_grad_(i in each.trained) for i, x in enumerate(tensors)]
        trained = [leaves[i] for i in each.trained]
        first = torch.autograd.grad(curved(each(module, leaves)), trained, create_graph=True)
        total = sum((gradient.square().sum() for gradient in first), torch.zeros((), dtype=leaves[0].dtype))
        return list(torch.autograd.grad(total, trained))

    found = second(ops, [x.float() for x in each.tensors])
    for actual, expected in zip(found, second(reference, list(each.tensors)), strict=True):
        close(actual, expected)


@pytest.mark.parametrize("each", EVERY)
def test_functional_gradients_and_vmap(each: Case) -> None:
    tensors = [x.float() for x in each.tensors]
    f = scalar(each, ops, tensors)
    examples = torch.stack([tensors[0], tensors[0].flip(-1) * 1.25 + 0.1, tensors[0] * 0.75])
    gradient = torch.func.grad(f)
    wanted = []
    for x in examples:
        leaf = x.clone().requires_grad_()
        f(leaf).backward()
        wanted.append(leaf.grad)
    expected = torch.stack(wanted)  # type: ignore[arg-type]
    close(gradient(examples[0]), expected[0], 1e-5)
    close(torch.vmap(gradient)(examples), expected, 1e-4)
    close(torch.func.grad(lambda xs: torch.vmap(f)(xs).sum())(examples), expected, 1e-4)
    values = torch.vmap(lambda x: each(ops, [x, *tensors[1:]]))(examples)
    close(values, torch.stack([each(ops, [x, *tensors[1:]]) for x in examples]), 1e-5)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # PyTorch's own, at its first forward mode
@pytest.mark.parametrize("each", EVERY)
def test_forward_mode_is_the_formulas(each: Case) -> None:
    """Against the gradient of the formula, along the same direction."""
    tensors = [x.float() for x in each.tensors]
    direction = features(*tensors[0].shape, seed=9)
    value, tangent = torch.func.jvp(scalar(each, ops, tensors), (tensors[0],), (direction.float(),))
    exact = each.tensors[0].clone().requires_grad_()
    expected = scalar(each, reference, list(each.tensors))(exact)
    expected.backward()
    assert exact.grad is not None
    close(value, expected.detach())
    scale = exact.grad.norm() * direction.norm()
    assert abs(tangent.double() - (exact.grad * direction).sum()) <= CLOSE * scale


def test_a_compiled_functional_gradient_is_the_eager_one() -> None:
    x = features(2, 5, 4, 3).float()
    f = torch.func.grad(lambda x: ops.gram_matrix(x).square().sum())
    torch.compiler.reset()
    close(torch.compile(f, fullgraph=True, backend="aot_eager")(x), f(x), 1e-5)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_a_compiled_function_refuses_a_second_derivative() -> None:
    torch.compiler.reset()
    x = features(2, 5, 4, 3).float().requires_grad_()
    compiled = torch.compile(ops.gram_matrix, fullgraph=True, backend="aot_eager")
    with pytest.raises(RuntimeError, match=r"create_graph|double backward"):  # noqa: PT012 - either may notice
        (first,) = torch.autograd.grad(compiled(x).square().sum(), x, create_graph=True)
        torch.autograd.grad(first.square().sum(), x)


def test_an_operator_asked_for_a_derivative_raises() -> None:
    assert "gram" in DEFINED
    with pytest.raises(RuntimeError, match=r"^fastnst::gram has no derivative: call the function of fastnst.ops, or detach"):
        torch.ops.fastnst.gram("cpu", features(2, 5, 4, 3).float().requires_grad_())


def test_the_third_derivative_of_a_root_is_refused() -> None:
    x, style = features(1, 4, 3, 5).requires_grad_(), features(1, 4, 4, 4, seed=1)
    (first,) = torch.autograd.grad(ops.wct(x, style).square().sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match=r"the roots of covariances .* have no third derivative"):
        torch.autograd.grad(second.square().sum(), x)


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("spectrum", [(3.0, 2.0, 2.0, 0.5), (3.0, 2.0, 1e-7, 1e-7), (2.0, 2.0, 2.0, 0.0)])
def test_the_second_derivative_of_a_root(spectrum: tuple[float, ...], inverse: bool) -> None:
    """By differences, where eigenvalues coincide and where some are cut off."""
    from fastnst.reference.linalg import symmetric_inverse_sqrt, symmetric_sqrt

    basis = torch.linalg.qr(features(4, 4)).Q
    matrix = basis @ torch.diag(torch.tensor(spectrum, dtype=torch.float64)) @ basis.mT
    root = symmetric_inverse_sqrt if inverse else symmetric_sqrt
    weight = features(4, 4, seed=2)

    def slope(at: Tensor) -> Tensor:
        leaf = at.clone().requires_grad_()
        (gradient,) = torch.autograd.grad((root(leaf, 1e-3) * weight).sum(), leaf, create_graph=True)
        return gradient

    direction = features(4, 4, seed=3)
    direction = direction + direction.mT
    leaf = matrix.clone().requires_grad_()
    (first,) = torch.autograd.grad((root(leaf, 1e-3) * weight).sum(), leaf, create_graph=True)
    probe = features(4, 4, seed=4)
    (second,) = torch.autograd.grad((first * probe).sum(), leaf)
    step = 1e-4
    expected = ((slope(matrix + step * direction) - slope(matrix - step * direction)) * probe).sum().detach() / (2 * step)
    assert abs((second * direction).sum() - expected) <= 1e-5 * max(1.0, abs(expected).item())


BEYOND = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("value", BEYOND)
def test_what_is_not_finite_reaches_what_the_formula_says(value: str, squared: bool) -> None:
    """Distances and gradients of the items beside it stay as they are."""
    items = features(6, 5).float()
    items[1, 2] = BEYOND[value]
    found = []
    for module in (ops, reference):
        leaf = items.clone().requires_grad_()
        distances = module.pdist(leaf, squared)
        distances.sum().backward()
        found.append((distances.detach(), leaf.grad))
    for actual, expected in zip(*found, strict=True):
        torch.testing.assert_close(actual, expected, equal_nan=True)
    assert found[0][0].isfinite().sum() == 5 * 5 + 1


@pytest.mark.parametrize("module", [ops, reference])
@pytest.mark.parametrize("loss", ["rkd_distance_loss", "rkd_angle_loss"])
@pytest.mark.parametrize("value", BEYOND)
def test_a_relation_loss_of_what_is_not_finite_is_nan(value: str, loss: str, module: Any) -> None:
    items, others = features(6, 5).float(), features(6, 4, seed=1).float()
    broken = items.clone()
    broken[1, 2] = BEYOND[value]
    assert getattr(module, loss)(broken, others).isnan()
    assert getattr(module, loss)(others, broken).isnan()


def test_distances_whose_squares_overflow_are_infinite() -> None:
    items = features(4, 5).float() * 1e20
    distances = ops.pdist(items)
    assert torch.equal(distances, reference.pdist(items))
    assert torch.equal(distances.isinf(), ~torch.eye(4, dtype=torch.bool))


# Dynamo itself instantiates the autograd functions that it traces, against PyTorch's own advice.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("each", CASES)
def test_a_compiled_call_without_gradients_is_the_eager_one(each: Case) -> None:
    """Dynamo takes another way where nothing is to be differentiated."""
    torch.compiler.reset()
    tensors = [x.float() for x in each.tensors]
    compiled = torch.compile(lambda *given: each(ops, given), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*tensors), each(ops, tensors), rtol=1e-5, atol=1e-6)
