"""Fast neural style (Johnson et al., ECCV 2016) as pytorch/examples has it (``TransformerNet``) and as rrmina's code does.

Pictures are 0..255, clamped at the end; rrmina's have blue first. Convolutions reflect. The first kind doubles by nearest
upsampling and a convolution, the second by a transposed one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastnst.convert.builder import Builder, Numbers
from fastnst.convert.tensors import LayoutError, Source, Tensors, only
from fastnst.convert.trained_generator import TrainedGenerator

TITLE = "a fast style network of pytorch/examples (conv1.conv2d, res1.conv1.conv2d) or of rrmina (ConvBlock.0.conv_layer)"
NAMES = r"(?:conv\d|deconv\d|res\d+\.conv\d)\.conv2d\.|(?:res\d+\.)?in\d\.|(?:Conv|Residual|Deconv)Block\.\d+\."

Layer = tuple[str, str]


@dataclass(frozen=True)
class Names:
    """Of convolutions and the norms behind them."""

    whose: str
    numbers: Numbers
    start: Sequence[Layer]
    blocks: Sequence[tuple[Layer, Layer]]
    ups: Sequence[Layer]
    doubles: str  # the form of a doubling
    head: str


def read(sources: Sequence[Source]) -> tuple[TrainedGenerator, str]:
    """The network; LayoutError says what is wrong with it."""
    source = only(sources)
    tensors = Tensors(source.tensors)
    names = _rrmina(tensors) if "ConvBlock.0.conv_layer.weight" in tensors else _examples(tensors)
    if not names.blocks:
        raise LayoutError("there are no residual blocks")
    graph = Builder(tensors, names.numbers)
    stem, *downs = names.start
    raw = graph.conv(graph.picture, stem[0], 9, border="reflected", norm=stem[1])
    filters = raw.channels
    for conv, norm in downs:
        raw = graph.conv(graph.affine(raw, 0.0), conv, 3, stride=2, border="reflected", norm=norm)
    stream = graph.affine(raw, 0.0, wide=True)
    for first, second in names.blocks:
        raw = graph.conv(graph.affine(stream), first[0], 3, border="reflected", norm=first[1])
        raw = graph.conv(graph.affine(raw, 0.0), second[0], 3, border="reflected", norm=second[1], outputs=stream.channels)
        stream = graph.affine(raw, wide=True, addend=stream)
    level = graph.affine(stream)
    for conv, norm in names.ups:
        border = "reflected" if names.doubles == "upsampled" else "constant"
        level = graph.affine(graph.conv(level, conv, 3, form=names.doubles, stride=2, border=border, norm=norm), 0.0)
    nodes = graph.paint(graph.conv(level, names.head, 9, border="reflected", outputs=3), "clamp")
    tensors.finish()
    trained = TrainedGenerator(nodes, "transformer", filters, tensors.parameters, source.facts)
    return trained, f"fast style network as in {names.whose}, {len(names.blocks)} blocks, {filters} filters"


def _examples(tensors: Tensors) -> Names:
    start = [(f"conv{i}.conv2d", f"in{i}") for i in (1, 2, 3)]
    blocks = [
        ((f"res{i}.conv1.conv2d", f"res{i}.in1"), (f"res{i}.conv2.conv2d", f"res{i}.in2"))
        for i in range(1, tensors.count(r"res(\d+)\.") + 1)
    ]
    ups = [("deconv1.conv2d", "in4"), ("deconv2.conv2d", "in5")]
    return Names("pytorch/examples", Numbers(0, 255), start, blocks, ups, "upsampled", "deconv3.conv2d")


def _rrmina(tensors: Tensors) -> Names:
    def layer(name: str) -> Layer:
        return f"{name}.conv_layer", f"{name}.norm_layer"

    start = [layer(f"ConvBlock.{i}") for i in (0, 2, 4)]
    blocks = [
        (layer(f"ResidualBlock.{i}.conv1"), layer(f"ResidualBlock.{i}.conv2"))
        for i in range(tensors.count(r"ResidualBlock\.(\d+)\."))
    ]
    ups = [(f"DeconvBlock.{i}.conv_transpose", f"DeconvBlock.{i}.norm_layer") for i in (0, 2)]
    return Names("rrmina's code", Numbers(0, 255, bgr=True), start, blocks, ups, "transposed", "DeconvBlock.4.conv_layer")
