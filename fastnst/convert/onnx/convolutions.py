"""Convolutions of ONNX in the forms that the engine has: kernels within larger ones, groups as zeros, means as weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from fastnst.convert.onnx.values import NOTHING, Border, Pads, Part, Value
from fastnst.convert.onnx.walk import DOUBLED, Walk, within
from fastnst.convert.tensors import LayoutError
from fastnst.format.onnxreading import OnnxNode

KERNELS = {1: (1, 3, 7, 9), 2: (3, 4)}
"""Of full convolutions, by their strides; see :mod:`fastnst.format.graphfile`."""


def convolution(walk: Walk, node: OnnxNode) -> Value:
    weight, x = walk.tensor(node, 1, 4), walk.value(node, 0, plain=False)
    bias = walk.tensor(node, 2, 1) if walk.constant(node, 2) is not None else None
    sides, group, stride = list(weight.shape[2:]), node.get("group", 1), square(node, "strides", 1)
    if not weight.numel() or node.get("kernel_shape", sides) != sides:
        raise LayoutError(f"{node}: a kernel of {sides}, expected what its kernel_shape says")
    weight = _dilated(node, weight, square(node, "dilations", 1))
    pads = _pads(node, list(weight.shape[2:]), stride)
    if node.operator == "ConvTranspose":
        weight = _turned(node, weight, group)
    _check_shapes(node, x, weight, bias, group)
    if node.operator != "ConvTranspose":
        return plain(walk, node, x, weight, bias, group, stride, pads)
    if stride == 1:  # the same as a convolution of the kernel turned round
        top, left, bottom, right = (side - 1 - pad for side, pad in zip([*weight.shape[2:]] * 2, pads, strict=True))
        return plain(walk, node, x, weight.flip(2, 3), bias, group, stride, (top, left, bottom, right))
    return _transposed(walk, node, x, _dense(node, weight, group), bias, stride, pads)


def average(walk: Walk, node: OnnxNode) -> Value:
    """A mean of pixels: a convolution of equal weights, a group for each channel."""
    x, sides, stride = walk.value(node, 0, plain=False), node.get("kernel_shape", [0]), square(node, "strides", 1)
    if len(sides) != 2 or not 0 < min(sides) <= max(sides) <= KERNELS[1][-1]:
        raise LayoutError(f"{node}: a window of {sides[:4]}, expected two sides of up to {KERNELS[1][-1]}")
    if node.get("ceil_mode", 0) or square(node, "dilations", 1) != 1:
        raise LayoutError(f"{node}: ceil_mode or dilations, which the engine does not have")
    pads = _pads(node, sides, stride)
    if pads != NOTHING and not node.get("count_include_pad", 0):
        raise LayoutError(f"{node}: means of fewer pixels at the edges (count_include_pad 0), which the engine does not have")
    weight = torch.full((x.channels, 1, *sides), 1 / (sides[0] * sides[1]), dtype=torch.float64)
    return plain(walk, node, x, weight, None, x.channels, stride, pads)


def plain(
    walk: Walk, node: OnnxNode, x: Value, weight: Tensor, bias: Tensor | None, group: int, stride: int, pads: Pads
) -> Value:
    """A convolution with weights [O, I / group, h, w], and so many zeros around its map beside what a Pad has put there."""
    if NOTHING not in {pads, x.pads} and x.border != "constant":
        raise LayoutError(f"{node}: zeros around what a Pad has put around its map")
    around = tuple(a + b for a, b in zip(pads, x.pads, strict=True))
    border = x.border if x.pads != NOTHING else "constant"
    if x.doubled:
        weight, group = _dense(node, weight, group), 1
        alike = stride == 1 and weight.shape[2] == weight.shape[3] and set(around) == {weight.shape[2] // 2}
        if alike and weight.shape[2] in {1, 3}:
            form = "upsampled" if weight.shape[2] == 3 else "transposed"
            if form == "transposed":
                weight = weight * torch.outer(*[torch.tensor(DOUBLED, dtype=torch.float64)] * 2)
            return convolved(walk, node, x, weight, bias, 2, form, border, x.halvings - 1)
        x = walk.spread(node, replace(x, pads=NOTHING), DOUBLED)
    weight = _embedded(node, weight, stride, around)
    if group > 1 and group == len(weight) == x.channels and (weight.shape[2], stride) == (3, 1):
        return convolved(walk, node, x, weight, bias, 1, "depthwise", border, x.halvings)
    return convolved(walk, node, x, _dense(node, weight, group), bias, stride, "full", border, x.halvings + stride - 1)


def convolved(
    walk: Walk,
    node: OnnxNode,
    x: Value,
    weight: Tensor,
    bias: Tensor | None,
    stride: int,
    form: str,
    border: str,
    halvings: int,
) -> Value:
    """A convolution that the engine has. What the picture is multiplied by and shifted first, its weights do."""
    if halvings < 0:
        raise LayoutError(f"{node}: a map that is larger than the picture")
    reaches, parts = form in {"transposed", "upsampled"} or weight.shape[-1] > 1, x.parts
    around: Border | None = (border, 0.0) if reaches else None
    if len(parts) == 1 and parts[0].raw.number == 0 and parts[0].linear and not parts[0].styled and form == "full":
        (part,), beyond = parts, walk.beyond(parts[0])
        direct = around if around != ("constant", 0.0) else (border, beyond) if beyond is not None else ("none", 0.0)
        if walk.may_read_picture(direct):
            shift = None if part.shift is None else (weight * part.shift[:, None, None]).sum((1, 2, 3))
            bias = shift if bias is None else bias if shift is None else bias + shift
            weight = weight if part.gain is None else weight * part.gain[:, None, None]
            around, parts = direct, (Part(part.raw),)
    level = walk.level(node, replace(x, parts=parts, pads=NOTHING, doubled=False), around, form == "depthwise")
    outside = around[1] if around else 0.0
    raw = walk.build.convolve(level, weight, bias, stride=stride, form=form, border=border, outside=outside)
    return Value((Part(raw),), halvings, last=x.last)


def square(node: OnnxNode, name: str, default: int) -> int:
    """An attribute that has to be the same in both directions."""
    values = node.get(name, [default, default])
    if len(values) != 2 or values[0] != values[1] or values[0] < 1:
        raise LayoutError(f"{node}: {name} {values[:4]}, expected two that are equal")
    return int(values[0])


def _pads(node: OnnxNode, sides: Sequence[int], stride: int) -> Pads:
    """Pixels of zeros that a node puts around its map itself, or a transposed one cuts off."""
    auto, pads = node.word("auto_pad", "NOTSET"), node.get("pads", [0, 0, 0, 0])
    if auto.startswith("SAME_") and stride == 1 and all(side % 2 for side in sides) and node.operator != "ConvTranspose":
        pads = [side // 2 for side in (*sides, *sides)]
    elif auto not in {"NOTSET", "VALID"}:
        raise LayoutError(
            f"{node}: auto_pad {auto} with kernel {sides[0]} and stride {stride} depends on the size of the picture"
        )
    if len(pads) != 4 or min(pads) < 0:
        raise LayoutError(f"{node}: pads {pads[:8]}, expected four from 0 on")
    top, left, bottom, right = map(int, pads)
    return NOTHING if auto == "VALID" else (top, left, bottom, right)


def _dilated(node: OnnxNode, weight: Tensor, dilation: int) -> Tensor:
    """The kernel with its gaps as zeros."""
    sides = [(side - 1) * dilation + 1 for side in weight.shape[2:]]
    if max(sides) > KERNELS[1][-1]:
        raise LayoutError(f"{node}: a kernel that reaches over {sides} pixels; {KERNELS[1][-1]} are the most")
    whole = weight.new_zeros(*weight.shape[:2], *sides)
    whole[:, :, ::dilation, ::dilation] = weight
    return whole


def _turned(node: OnnxNode, weight: Tensor, group: int) -> Tensor:
    """Weights [I, O / group, h, w] of a transposed convolution as [O, I / group, h, w]."""
    if group < 1 or len(weight) % group:
        raise LayoutError(f"{node}: {group} groups of {len(weight)} channels")
    return torch.cat([each.transpose(0, 1) for each in torch.split(weight, len(weight) // group)])


def _check_shapes(node: OnnxNode, x: Value, weight: Tensor, bias: Tensor | None, group: int) -> None:
    if group < 1 or x.channels % group or len(weight) % group:
        raise LayoutError(f"{node}: {group} groups from {x.channels} channels to {len(weight)}")
    if weight.shape[1] * group != x.channels:
        wanted = ", ".join(map(str, (x.channels // group, *weight.shape[2:])))
        raise LayoutError(f"{node}.weight has shape {list(weight.shape)}, expected [any, {wanted}]")
    if bias is not None and len(bias) != len(weight):
        raise LayoutError(f"{node}.bias has shape {list(bias.shape)}, expected [{len(weight)}]")


def _dense(node: OnnxNode, weight: Tensor, group: int) -> Tensor:
    """Weights [O, I / group, h, w] as [O, I, h, w], with zeros between the groups."""
    if group == 1:
        return weight
    outputs, inputs, *sides = weight.shape
    whole = weight.new_zeros(within(node, outputs, inputs * group, *sides))
    for part in range(group):
        rows = slice(part * (outputs // group), (part + 1) * (outputs // group))
        whole[rows, part * inputs : (part + 1) * inputs] = weight[rows]
    return whole


def _embedded(node: OnnxNode, weight: Tensor, stride: int, around: Sequence[int]) -> Tensor:
    """The kernel within the least one of the engine's whose windows lie as its own do.

    Those of the engine begin (kernel - 1) // 2 pixels before theirs. With stride 2, kernel 3 rounds odd sides up, 4 down.
    """
    sides = weight.shape[2:]
    before, more = around[:2], {around[i] + around[i + 2] - side for i, side in enumerate(sides)}
    if stride in KERNELS:
        for kernel in KERNELS[stride]:
            wanted = {-1} if stride == 1 or kernel % 2 else {-2}
            front = [(kernel - 1) // 2 - pad for pad in before]
            back = [kernel - side - begin for side, begin in zip(sides, front, strict=True)]
            if more == wanted and min(*front, *back) >= 0:
                return F.pad(weight, (front[1], back[1], front[0], back[0]))
    known = "; ".join(f"stride {each}: up to {max(kernels)}" for each, kernels in KERNELS.items())
    raise LayoutError(
        f"{node}: kernel {list(sides)} with stride {stride} and {list(around)} pixels around its map; the engine takes kernels "
        f"({known}) that leave sides as they are, or halve them, and reach as far on both sides"
    )


def _transposed(walk: Walk, node: OnnxNode, x: Value, weight: Tensor, bias: Tensor | None, stride: int, cut: Pads) -> Value:
    """A transposed convolution that doubles, within kernel 3 or 4 of the engine, whose first tap is the row before."""
    sides, extra = weight.shape[2:], node.get("output_padding", [0, 0])
    if "output_shape" in node.attributes or x.pads != NOTHING or len(extra) != 2:
        raise LayoutError(f"{node}: an output_shape, or a Pad before it")
    fits = all(sides[i] - cut[i] - cut[i + 2] + extra[i] == 2 and cut[i] <= 1 for i in (0, 1))
    kernel = max(3, *(1 - cut[i] + side for i, side in enumerate(sides)))
    if stride != 2 or not fits or kernel > 4:
        how = f"kernel {list(sides)}, stride {stride}, pads {list(cut)}, output padding {extra}"
        raise LayoutError(f"{node}: {how}; the engine doubles, by kernels of up to 4")
    front = [1 - cut[i] for i in (0, 1)]
    back = [kernel - side - begin for side, begin in zip(sides, front, strict=True)]
    weight = F.pad(weight, (front[1], back[1], front[0], back[0]))
    x = walk.spread(node, x, DOUBLED) if x.doubled else x
    return convolved(walk, node, x, weight, bias, 2, "transposed", "constant", x.halvings - 1)
