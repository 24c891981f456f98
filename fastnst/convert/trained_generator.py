"""A trained generator, and the pictures that its conversion is fitted to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from fastnst.convert.graph import FloatAffine, FloatConv, FloatNode, halvings_of, step_of
from fastnst.convert.pictures import PICTURES, SHORT_SIDE, evenly, find_pictures, read_picture
from fastnst.convert.tensors import LayoutError
from fastnst.format.graphfile import MAX_NODES


@dataclass(frozen=True)
class TrainedGenerator:
    """A generator's graph; LayoutError if it has more nodes than a file may.

    Attributes:
        kind: one of :data:`fastnst.networks.gan.KINDS`, ``transformer``, or ``graph`` from an ONNX file.
        width: of its first layer.
    """

    nodes: list[FloatNode]
    kind: str
    width: int
    parameters: int
    facts: dict[str, Any]

    def __post_init__(self) -> None:
        if len(self.nodes) > MAX_NODES:
            raise LayoutError(f"it would take {len(self.nodes)} nodes of the engine's, {MAX_NODES} are the most")

    @property
    def styles(self) -> int:
        """How many can be chosen and mixed; 0 if it has one look."""
        return max((node.styles for node in self.nodes if isinstance(node, FloatAffine)), default=0)

    @property
    def step(self) -> int:
        """What the sides of pictures must be multiples of."""
        return step_of(self.nodes)

    @property
    def macs_per_pixel_by_node(self) -> dict[int, tuple[FloatConv, float]]:
        """The convolutions by their places, and their multiply-accumulates for one pixel of the picture; a transposed one's
        kernel is applied at every input."""
        halvings, found = halvings_of(self.nodes), {}
        for place, node in enumerate(self.nodes):
            if isinstance(node, FloatConv):
                places = node.source if node.form == "transposed" else node.target
                outputs, inputs, *taps = node.weight.shape
                found[place] = node, outputs * (inputs - node.gap) * taps[0] * taps[1] * 0.25 ** halvings[places]
        return found

    @property
    def macs_per_pixel(self) -> float:
        """Multiply-accumulates for one pixel of the picture."""
        return sum(macs for _, macs in self.macs_per_pixel_by_node.values())


def source_pictures(folder: Path, step: int) -> list[Tensor]:
    """At most 32 of a folder's pictures to be translated, uint8 [1, 3, H, W] with sides that are multiples of ``step``.

    Raises:
        NotADirectoryError, FileNotFoundError: no such folder.
        ValueError: no pictures, or a network that needs larger ones.
        ImageError: one that cannot be read.
    """
    if step > SHORT_SIDE:
        raise ValueError(f"a network that takes pictures of {step} pixels at least; {SHORT_SIDE} are the most for calibration")
    return [read_picture(path, step) for path in evenly(find_pictures(folder), PICTURES)]
