"""Whether a Resize or Upsample of ONNX by 2 shows each pixel twice."""

from __future__ import annotations

import math
from collections.abc import Callable

from fastnst.format.onnxreading import OnnxNode

PLACES: dict[str, Callable[[int], float]] = {
    "half_pixel": lambda x: (x + 0.5) / 2 - 0.5,
    "half_pixel_symmetric": lambda x: (x + 0.5) / 2 - 0.5,
    "pytorch_half_pixel": lambda x: (x + 0.5) / 2 - 0.5,
    "asymmetric": lambda x: x / 2,
}
"""Where a pixel of the larger map lies in the smaller one."""
NEAREST: dict[str, Callable[[float], int]] = {
    "floor": math.floor,
    "ceil": math.ceil,
    "round_prefer_floor": lambda x: math.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: math.floor(x + 0.5),
}


def doubles(node: OnnxNode, opset: int) -> bool:
    """Whether pixel x of the larger map is pixel x // 2 of the smaller one, if it is twice as large."""
    if node.word("mode", "nearest") != "nearest":
        return False
    if node.operator == "Upsample" or opset < 11:
        return True
    place = PLACES.get(node.word("coordinate_transformation_mode", "half_pixel"))
    nearest = NEAREST.get(node.word("nearest_mode", "round_prefer_floor"))
    if place is None or nearest is None:
        return False
    return all(max(nearest(place(x)), 0) == x // 2 for x in range(8))
