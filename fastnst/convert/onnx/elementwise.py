"""What is done to every number of a map: activations, constants that are added or multiplied, sums, and norms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from fastnst.convert.builder import Raw
from fastnst.convert.onnx.values import NOTHING, Part, Value
from fastnst.convert.onnx.walk import Walk
from fastnst.convert.tensors import LayoutError
from fastnst.format.onnxreading import KINDS, OnnxNode

LARGEST = float(np.finfo(np.float32).max)
"""What a Clip has for an end that it does not have."""
ONE, ZERO = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)


def relu(walk: Walk, node: OnnxNode) -> Value:
    negative = node.get("alpha", 0.01) if node.operator == "LeakyRelu" else 0.0
    if not 0 <= negative <= 1:
        raise LayoutError(f"{node}: alpha {negative:g}, expected 0 to 1")
    return walk.activated(walk.value(node, 0, plain=False), negative)


def prelu(walk: Walk, node: OnnxNode) -> Value:
    """A leaky ReLU, or of slopes that differ: x + (1 - slope) relu(-x)."""
    x = walk.value(node, 0, plain=False)
    slopes = walk.channelwise(node, 1, x)
    if slopes is None or slopes.ndim > 1:
        raise LayoutError(f"{node}: its slopes have to be constant")
    walk.trained.add(node.inputs[1])
    if bool((slopes == slopes[0]).all()) and 0 <= slopes[0] <= 1:
        return walk.activated(x, slopes[0].item())
    x = walk.value(node, 0)
    below = walk.activated(walk.scaled(node, x, -ONE, ZERO), 0.0)
    return walk.added(node, x, walk.scaled(node, below, 1 - slopes, ZERO))


def bounds(walk: Walk, node: OnnxNode) -> tuple[float, float]:
    """What a Clip clips to; LayoutError if that is not constant."""
    ends = [-LARGEST, LARGEST]
    for place, name in enumerate(("min", "max")):
        if walk.graph.opset < 11:
            ends[place] = node.get(name, ends[place])
        elif place + 1 < len(node.inputs) and (given := node.inputs[place + 1]):
            if given not in walk.constants or walk.constants[given].size != 1:
                raise LayoutError(f"{node}: its {name} has to be one constant number")
            ends[place] = float(walk.constants[given].reshape(-1)[0])
    if not ends[0] < ends[1]:
        raise LayoutError(f"{node}: from {ends[0]:g} to {ends[1]:g}")
    return ends[0], ends[1]


def clip(walk: Walk, node: OnnxNode) -> Value:
    """A ReLU, or what bytes do anyway; where 0 is not between the ends, around a shift."""
    low, high = bounds(walk, node)
    x = walk.value(node, 0, end=True)
    if x.end:
        before = x.limits or (low, high)
        return replace(x, limits=(max(low, before[0]), min(high, before[1])))
    if (low, high) == (-LARGEST, LARGEST):
        return x
    if low == 0 and high >= LARGEST:
        return walk.activated(x, 0.0)
    if low <= 0 <= high:
        return walk.clipped(x, low, high)
    middle = torch.tensor([low if abs(low) < abs(high) else high], dtype=torch.float64)
    moved = walk.clipped(walk.scaled(node, x, ONE, -middle), low - middle.item(), high - middle.item())
    return walk.scaled(node, moved, ONE, middle)


def end(walk: Walk, node: OnnxNode) -> Value:
    """Tanh; or Sigmoid, which is (tanh(x / 2) + 1) / 2."""
    x = walk.value(node, 0)
    if node.operator == "Tanh":
        return replace(x, end="Tanh")
    return replace(walk.scaled(node, x, ONE / 2, ZERO), end="Sigmoid", gain=0.5, shift=0.5)


def same(walk: Walk, node: OnnxNode) -> Value:
    training = walk.constant(node, 2) if node.operator == "Dropout" else None
    if training is not None and training.any():
        raise LayoutError(f"{node}: dropout in training")
    return walk.value(node, 0, plain=False, end=True)


def cast(walk: Walk, node: OnnxNode) -> Value:
    """Of the picture at the beginning, or at the end; or between floating-point types."""
    x = walk.value(node, 0, plain=False, end=True)
    whole = KINDS.get(node.get("to", 1), ("?",))[0].lstrip("<")[0] != "f"
    if whole and (x.halvings or x.channels != 3 or any(reader.operator != "Cast" for reader in walk.readers(node.outputs[0]))):
        raise LayoutError(f"{node}: rounds, which can only be the end")
    return x


def quantiser(walk: Walk, node: OnnxNode) -> Value:
    """Left out, for the engine has bytes of its own. One whose least byte stands for 0 is a ReLU, which quantisers leave out
    for it."""
    x = walk.value(node, 0, plain=False, end=True)
    if node.operator == "DequantizeLinear":
        return x
    walk.quantisers += 1
    zero = walk.constant(node, 2)
    if zero is None:
        zero = np.zeros(1, np.uint8)
    if zero.dtype not in (np.int8, np.uint8) or walk.constant(node, 1) is None:
        raise LayoutError(f"{node}: a zero point of type {zero.dtype}, expected bytes")
    if x.end or x.parts[0].raw.number == 0 or not (zero == np.iinfo(zero.dtype).min).all():
        return x
    return walk.activated(x, 0.0)


def arithmetic(walk: Walk, node: OnnxNode) -> Value:
    """Two maps added or subtracted, or a map and constants in all four ways."""
    if len(node.inputs) != 2:
        raise LayoutError(f"{node}: {len(node.inputs)} inputs, expected 2")
    turned, sign = walk.is_given(node.inputs[0]), -ONE if node.operator == "Sub" else ONE
    if not turned and not walk.is_given(node.inputs[1]):
        if node.operator not in {"Add", "Sub"}:
            raise LayoutError(f"{node} reads two maps; the engine only adds and subtracts them")
        a, b = (walk.value(node, place) for place in (0, 1))
        return walk.added(node, a, b if node.operator == "Add" else walk.scaled(node, b, sign, ZERO))
    x = walk.value(node, int(turned), plain=False, end=True)
    given = walk.channelwise(node, 1 - turned, x)
    assert given is not None
    if given.numel() > 1:
        walk.trained.add(node.inputs[1 - turned])
    if node.operator in {"Add", "Sub"}:
        return walk.scaled(node, x, sign if turned else ONE, given if turned else sign * given)
    if node.operator == "Div" and (turned or bool((given == 0).any())):
        raise LayoutError(f"{node} divides by a map, or by 0")
    return walk.scaled(node, x, given if node.operator == "Mul" else 1 / given, ZERO)


def total(walk: Walk, node: OnnxNode) -> Value:
    """Any number of maps added."""
    values = [walk.value(node, place) for place in range(len(node.inputs))]
    result, *others = values
    for each in others:
        result = walk.added(node, result, each)
    return result


def negation(walk: Walk, node: OnnxNode) -> Value:
    return walk.scaled(node, walk.value(node, 0, plain=False), -ONE, ZERO)


def batch_norm(walk: Walk, node: OnnxNode) -> Value:
    """Factors and summands."""
    x = walk.value(node, 0, plain=False)
    gain, shift, mean, variance = (_of(walk, node, place, x.channels) for place in (1, 2, 3, 4))
    epsilon = node.get("epsilon", 1e-5)
    if node.get("training_mode", 0) or not epsilon >= 0 or not bool((variance + epsilon > 0).all() and (variance >= 0).all()):
        raise LayoutError(f"{node}: a norm in training, or of negative variances")
    gain = gain / (variance + epsilon).sqrt()
    return walk.scaled(node, x, gain, shift - mean * gain)


def instance_norm(walk: Walk, node: OnnxNode) -> Value:
    """Of the sums of a convolution, which they are or become."""
    x, epsilon = walk.value(node, 0), node.get("epsilon", 1e-5)
    gain, shift = (walk.vector(node, place) for place in (1, 2))
    for place, each in enumerate((gain, shift), 2):
        if each.shape[-1] not in {1, x.channels}:  # 1 if it was spelt out
            raise LayoutError(f"{node}: its input {place} has {each.shape[-1]} numbers for {x.channels} channels")
    if not 0 < epsilon <= 1:
        raise LayoutError(f"{node}: epsilon {epsilon:g}, expected a number above 0 and at most 1")
    raw = x.parts[0].raw
    if len(x.parts) > 1 or not isinstance(raw, Raw) or raw.norm or not x.parts[0].plain:
        x = walk.copied(node, x)
    raw = x.parts[0].raw
    assert isinstance(raw, Raw)
    own = replace(raw, norm=True, epsilon=epsilon)
    if bool((gain != 1).any() or (shift != 0).any()):
        gain, shift = (each.expand(*each.shape[:-1], raw.channels) for each in (gain, shift))
        own = replace(own, gain=gain, shift=shift)
    return replace(x, parts=(Part(own),), pads=NOTHING)


def _of(walk: Walk, node: OnnxNode, place: int, channels: int) -> Tensor:
    tensor = walk.tensor(node, place, 1)
    if len(tensor) != channels:
        raise LayoutError(f"{node}: its input {place + 1} has {len(tensor)} numbers for {channels} channels")
    return tensor
