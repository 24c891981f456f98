"""A generator of the published shape, for pictures that no style is for. Weights are random, because neither speed nor memory
depends on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastnst.format.graphfile import Affine, Convolution, GeneratorFile, Node, Paint
from fastnst.format.modelfile import to_bytes


class _Graph:
    """CycleGAN's ResNet generator on its way; the number of the map written last is ``at``."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.nodes: list[Node] = []
        self.at = 0
        self.channels = 3

    def convolution(self, outputs: int, kernel: int, stride: int = 1, form: str = "full", border: str = "constant") -> None:
        weights = self.rng.integers(-127, 128, (outputs, kernel, kernel, self.channels)).astype(np.int8)
        bias = np.zeros((4, outputs) if form == "transposed" else outputs, np.int32)
        multiplier = np.full(outputs, 0.3 / (kernel * kernel * self.channels) ** 0.5, np.float32)
        self._add(Convolution(self.at, self.at + 1, weights, bias, multiplier, stride, form, border), outputs)

    def affine(self, size: float, *, normalises: bool = True, wide: bool = False, addend: int = 0) -> None:
        slope, offset = np.full(self.channels, size, np.float32), np.zeros(self.channels, np.float32)
        epsilon = np.ones(self.channels, np.float32) if normalises else None
        negative = 1.0 if addend or not normalises else 0.0
        self._add(Affine(self.at, self.at + 1, slope, offset, epsilon, negative, 0, wide, addend), self.channels)

    def _add(self, node: Node, channels: int) -> None:
        self.nodes.append(node)
        self.at, self.channels = self.at + 1, channels


def write_cyclegan(path: Path, filters: int = 64, blocks: int = 9) -> None:
    """Write CycleGAN's ResNet generator of so many filters and blocks (Zhu et al., ICCV 2017) to ``path``."""
    graph = _Graph()
    graph.convolution(filters, 7, border="reflected")
    graph.affine(60)
    graph.convolution(2 * filters, 3, 2)
    graph.affine(60)
    graph.convolution(4 * filters, 3, 2)
    graph.affine(4000, wide=True)
    for _ in range(blocks):
        stream = graph.at
        graph.affine(1 / 64, normalises=False)
        graph.convolution(4 * filters, 3, border="reflected")
        graph.affine(60)
        graph.convolution(4 * filters, 3, border="reflected")
        graph.affine(1000, wide=True, addend=stream)
    graph.affine(1 / 64, normalises=False)
    graph.convolution(2 * filters, 3, 2, "transposed")
    graph.affine(60)
    graph.convolution(filters, 3, 2, "transposed")
    graph.affine(60)
    graph.convolution(3, 7, border="reflected")
    nodes = [*graph.nodes, Paint(graph.at, np.linspace(-20000, 20000, 255).astype(np.int16))]
    path.write_bytes(to_bytes(GeneratorFile({"name": path.stem, "kind": "generator"}, nodes)))
