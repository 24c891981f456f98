"""Sizes that a graph computes from those of its maps, for several pictures: what does not depend on them is constant."""

from __future__ import annotations

import numpy as np

from fastnst.convert.onnx.constants import COMPUTED, computed
from fastnst.convert.onnx.walk import Walk
from fastnst.format.onnxreading import OnnxNode


def sized(walk: Walk, node: OnnxNode) -> bool:
    """Whether a node computes sizes; they are noted in ``walk``."""
    if node.operator == "Shape" and node.inputs and node.inputs[0] in walk.values:
        part = slice(node.get("start", 0), node.get("end", 4))
        value = walk.value(node, 0, plain=False, end=True)
        found = [walk.shape(value, probe)[part] for probe in walk.probes]
    else:
        names = [name for name in node.inputs if name]
        known = all(name in walk.sizes or name in walk.constants for name in names)
        if not names or not known or node.operator not in COMPUTED:
            return False
        numbers = range(len(walk.probes))
        found = [computed(node, [walk.sizes[n][i] if n in walk.sizes else walk.constants[n] for n in names]) for i in numbers]
    name = node.outputs[0]
    if all(np.array_equal(found[0], each) for each in found):
        walk.constants[name] = found[0]
    else:
        walk.sizes[name] = found
    return True
