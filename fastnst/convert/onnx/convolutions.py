"""Convolutions of ONNX in the forms that the engine has, with the norms behind them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from fastnst.convert.builder import Level
from fastnst.convert.graph import EPSILON
from fastnst.convert.onnx.walk import Part, Value, Walk
from fastnst.convert.tensors import LayoutError
from fastnst.format.onnxreading import OnnxNode

FULL = {(1, 1), (3, 1), (7, 1), (9, 1), (3, 2), (4, 2)}
"""Kernels and strides of full convolutions; see :mod:`fastnst.format.graphfile`."""
Formed = tuple[str, Tensor, int]
"""The form of a convolution, the weights in it, and by how much it halves."""


def _square(node: OnnxNode, name: str, default: int) -> int:
    """An attribute that has to be the same in both directions."""
    values = node.get(name, [default, default])
    if len(values) != 2 or values[0] != values[1]:
        raise LayoutError(f"{node}: {name} {values[:4]}, expected two that are equal")
    return int(values[0])


def _padding(node: OnnxNode, kernel: int, stride: int) -> int:
    """Pixels of zeros that a convolution puts on all sides itself."""
    auto, pads = node.word("auto_pad", "NOTSET"), node.get("pads", [0, 0, 0, 0])
    if auto.startswith("SAME_") and stride == 1 and kernel % 2 and node.operator == "Conv":
        return kernel // 2
    if auto not in {"NOTSET", "VALID"}:
        raise LayoutError(
            f"{node}: auto_pad {auto} with kernel {kernel} and stride {stride} depends on the size of the picture"
        )
    if len(pads) != 4 or len(set(pads)) > 1 or pads[0] < 0:
        raise LayoutError(f"{node}: pads {pads[:8]}, expected the same on all four sides")
    return 0 if auto == "VALID" else int(pads[0])


def convolution(walk: Walk, node: OnnxNode) -> Value:
    x, weight = walk.value(node, 0, plain=False), walk.tensor(node, 1, 4)
    bias = walk.tensor(node, 2, 1) if walk.constant(node, 2) is not None else None
    kernel, stride = weight.shape[-1], _square(node, "strides", 1)
    if weight.shape[2] != kernel or not weight.numel() or _square(node, "kernel_shape", kernel) != kernel:
        raise LayoutError(f"{node}: a kernel of {list(weight.shape[2:])}, expected two equal sides, as its kernel_shape says")
    if _square(node, "dilations", 1) != 1:
        raise LayoutError(f"{node}: dilations, which the engine does not have")
    padding = _padding(node, kernel, stride)
    if padding and x.pad and x.border != "constant":
        raise LayoutError(f"{node}: zeros around what a Pad has put around its map")
    found = _transposed if node.operator == "ConvTranspose" else _plain
    form, weight, change = found(node, x, weight, stride, padding)
    reach = 1 if form in {"transposed", "upsampled"} else (weight.shape[-1] - 1) // 2
    border = x.border if x.pad else "constant"
    level = walk.level(node, x, border if reach else None, form == "depthwise")
    return _built(walk, node, level, (weight, bias), form, stride, border, x.halvings - x.doubled + change)


def _transposed(node: OnnxNode, x: Value, weight: Tensor, stride: int, padding: int) -> Formed:
    kernel, extra = weight.shape[-1], _square(node, "output_padding", 0)
    how = f"kernel {kernel}, stride {stride}, padding {padding}, output padding {extra}"
    if node.get("group", 1) != 1 or "output_shape" in node.attributes or x.pad or x.doubled:
        raise LayoutError(f"{node}: groups, an output_shape, or a Pad or upsampling before it")
    if (kernel, stride, padding, extra) == (2, 2, 0, 0):  # the same as the middle of one of kernel 4
        return "transposed", F.pad(weight, (1, 1, 1, 1)), -1
    if (kernel, stride, padding, extra) not in {(3, 2, 1, 1), (4, 2, 1, 0)}:
        raise LayoutError(f"{node}: {how}; the engine doubles by 3, 2, 1, 1 or 4, 2, 1, 0 or 2, 2, 0, 0")
    return "transposed", weight, -1


def _plain(node: OnnxNode, x: Value, weight: Tensor, stride: int, padding: int) -> Formed:
    kernel, group, total = weight.shape[-1], node.get("group", 1), x.pad + padding
    if total != (kernel - 1) // 2:
        raise LayoutError(f"{node}: {total} pixels around its map, with kernel {kernel} the engine takes {(kernel - 1) // 2}")
    if x.doubled:
        if (kernel, stride, group) != (3, 1, 1):
            raise LayoutError(
                f"{node}: kernel {kernel}, stride {stride}, {group} groups behind an upsampling, expected 3, 1 and 1"
            )
        return "upsampled", weight, 0
    if group != 1:
        if group != x.channels or len(weight) != group or (kernel, stride) != (3, 1):
            raise LayoutError(
                f"{node}: {group} groups from {x.channels} channels to {len(weight)} with kernel {kernel} and stride {stride}; "
                "the engine takes a group for each channel, with 3 and 1, or no groups"
            )
        return "depthwise", weight, 0
    if (kernel, stride) == (5, 1):  # the same as the middle of one of kernel 7
        return "full", F.pad(weight, (1, 1, 1, 1)), 0
    if (kernel, stride) not in FULL:
        known = ", ".join(f"{k} with {s}" for k, s in sorted(FULL | {(5, 1)}))
        raise LayoutError(f"{node}: kernel {kernel} with stride {stride}; the engine takes {known}")
    return "full", weight, stride - 1


def _built(
    walk: Walk,
    node: OnnxNode,
    level: Level,
    trained: tuple[Tensor, Tensor | None],
    form: str,
    stride: int,
    border: str,
    halvings: int,
) -> Value:
    """The convolution with the norm that alone reads it."""
    weight, bias = trained
    norm = walk.only_reader(node.outputs[0])
    named, kernel, tensors, behind = str(node), weight.shape[-1], walk.build.tensors, None
    if (
        norm is not None
        and norm.operator in {"InstanceNormalization", "BatchNormalization"}
        and norm.inputs[0] == node.outputs[0]
    ):
        outputs = weight.shape[1] if form == "transposed" else len(weight)
        of_outputs = (1, -1, 1, 1) if form == "transposed" else (-1, 1, 1, 1)
        gain, shift = (_of(walk, norm, place, outputs) for place in (1, 2))
        if norm.operator == "BatchNormalization":
            gain, shift = _folded(walk, norm, gain, shift)
            weight, bias = weight * gain.reshape(of_outputs), shift if bias is None else bias * gain + shift
        else:
            behind = f"{norm}"
            epsilon = norm.get("epsilon", 1e-5)
            if not 0 < epsilon <= 1:
                raise LayoutError(f"{norm}: epsilon {epsilon:g}, expected a number above 0 and at most 1")
            ratio = (EPSILON / epsilon) ** 0.5 if abs(epsilon / EPSILON - 1) > 1e-6 else 1.0
            weight, bias = weight * ratio, None if bias is None else bias * ratio  # of variances that many times as large
            if bool((gain != 1).any() or (shift != 0).any()):
                tensors.add(f"{behind}.weight", gain)
                tensors.add(f"{behind}.bias", shift)
    tensors.add(f"{named}.weight", weight)
    if bias is not None:
        tensors.add(f"{named}.bias", bias)
    raw = walk.build.conv(level, named, kernel, stride=stride, form=form, border=border, norm=behind)
    value = Value((Part(raw),), halvings)
    if halvings < 0:
        raise LayoutError(f"{node}: a map that is larger than the picture")
    if norm is not None and (behind or norm.operator == "BatchNormalization"):
        walk.values[norm.outputs[0]] = value
    return value


def _of(walk: Walk, norm: OnnxNode, place: int, channels: int) -> Tensor:
    tensor = walk.tensor(norm, place, 1)
    if len(tensor) != channels:
        raise LayoutError(f"{norm}: its input {place + 1} has {len(tensor)} numbers for {channels} channels")
    return tensor


def _folded(walk: Walk, norm: OnnxNode, gain: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """What a batch norm multiplies by, and what it then adds."""
    mean, variance = (_of(walk, norm, place, len(gain)) for place in (3, 4))
    epsilon = norm.get("epsilon", 1e-5)
    if norm.get("training_mode", 0) or not epsilon >= 0 or not bool((variance + epsilon > 0).all() and (variance >= 0).all()):
        raise LayoutError(f"{norm}: a norm in training, or of negative variances")
    gain = gain / (variance + epsilon).sqrt()
    return gain, shift - mean * gain
