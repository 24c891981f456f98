"""Two halvings, residual blocks and two doublings: the generator of CycleGAN, and that of GAN Compression, OMGD and our recipe
`crd`, whose blocks may have separable convolutions ("mobile") and a width each ("sub-mobile").

Published names are places in ``nn.Sequential``: those within a block shift where there is dropout, or no padding of its own. A
block calls its layers ``conv_block``, as CycleGAN does, or anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastnst.convert.builder import Builder, Level, Raw
from fastnst.convert.tensors import LayoutError, Source, Tensors, only
from fastnst.convert.trained_generator import TrainedGenerator

TITLE = "a ResNet generator of CycleGAN, GAN Compression or OMGD (model.1, model.10.conv_block) or of recipe crd (stem, blocks)"
NAMES = (
    r"model\.\d+\.(?:weight|bias|running_\w+|num_batches_tracked)$"
    r"|model\.\d+\.[a-z_]+\.\d+\.|(?:stem|head)\.(?:weight|bias)$|blocks\.\d+\.(?:first|second)\."
)


@dataclass(frozen=True)
class Half:
    """Half a block: the names of its convolution, or of its depthwise one, the norm behind that and the pointwise one."""

    convs: tuple[str, ...]
    norm: str


@dataclass(frozen=True)
class Names:
    """Of tensors: convolutions with the norms behind them."""

    stem: tuple[str, str]
    downs: Sequence[tuple[str, str]]
    blocks: Sequence[tuple[Half, Half]]
    ups: Sequence[tuple[str, str]]
    head: str
    border: str = "reflected"  # of blocks


def read(sources: Sequence[Source]) -> tuple[TrainedGenerator, str]:
    """The generator; LayoutError says what is wrong with it."""
    source = only(sources)
    tensors = Tensors(source.tensors)
    names = _own(tensors) if "stem.weight" in tensors else _published(tensors)
    graph = Builder(tensors)

    def relu(raw: Raw, *, wide: bool = False) -> Level:
        return graph.affine(raw, 0.0, wide=wide)

    def half(level: Level, part: Half, outputs: int | None = None) -> Raw:
        if len(part.convs) == 1:
            return graph.conv(level, part.convs[0], 3, border=names.border, norm=part.norm, outputs=outputs)
        depthwise, between, pointwise = part.convs
        raw = graph.conv(level, depthwise, 3, form="depthwise", border=names.border, norm=between)
        return graph.conv(graph.affine(raw), pointwise, 1, norm=part.norm, outputs=outputs)

    raw = graph.conv(graph.picture, names.stem[0], 7, border="reflected", norm=names.stem[1])
    filters = raw.channels
    for conv, norm in names.downs:
        raw = graph.conv(relu(raw), conv, 3, stride=2, norm=norm)
    stream, inner = relu(raw, wide=True), []
    for first, second in names.blocks:
        raw = half(graph.affine(stream), first)
        inner.append(raw.channels)
        raw = half(relu(raw), second, stream.channels)
        stream = graph.affine(raw, wide=True, addend=stream)
    level = graph.affine(stream)
    for conv, norm in names.ups:
        level = relu(graph.conv(level, conv, 3, form="transposed", stride=2, norm=norm))
    nodes = graph.paint(graph.conv(level, names.head, 7, border="reflected", outputs=3), "tanh")
    tensors.finish()
    mobile = len(names.blocks[0][0].convs) > 1
    trained = TrainedGenerator(nodes, "mobile_resnet" if mobile else "resnet", filters, tensors.parameters, source.facts)
    title, widths = _title(mobile, set(inner), stream.channels), _widths(filters, inner, stream.channels)
    return trained, f"{title}, {len(names.blocks)} blocks, {widths}"


def _title(mobile: bool, inner: set[int], stream: int) -> str:
    if not mobile:
        return "CycleGAN ResNet generator"
    return f"GAN Compression {'mobile' if inner == {stream} else 'sub-mobile'} ResNet generator"


def _widths(filters: int, inner: Sequence[int], stream: int) -> str:
    if set(inner) == {stream}:
        return f"{filters} filters"
    return f"{filters} filters, blocks of {', '.join(map(str, inner))} within {stream} channels"


def _own(tensors: Tensors) -> Names:
    """As :class:`fastnst.networks.gan.ResnetGenerator` calls them; its norms have no tensors."""

    def half(block: int, part: str) -> Half:
        name = f"blocks.{block}.{part}"
        mobile = f"{name}.depthwise.weight" in tensors
        return Half((f"{name}.depthwise", f"{name}.norm", f"{name}.pointwise") if mobile else (name,), f"blocks.{block}.norm")

    blocks = [(half(i, "first"), half(i, "second")) for i in range(tensors.count(r"blocks\.(\d+)\."))]
    downs = [(f"down.{i}", f"down.{i}.norm") for i in range(2)]
    return Names(("stem", "stem.norm"), downs, _some(blocks), [(f"up.{i}", f"up.{i}.norm") for i in range(2)], "head")


def _published(tensors: Tensors) -> Names:
    layers = tensors.word(r"model\.\d+\.([a-z_]+)\.\d+\.") or "conv_block"
    count = tensors.count(rf"model\.(\d+)\.{layers}\.")
    first = next((place for place in range(4, 40, 3) if tensors.count(rf"model\.({place})\.{layers}\.")), 10)
    last = first + count

    def half(block: int, place: int) -> Half:
        name = f"model.{block}.{layers}.{place}"
        mobile = f"{name}.conv.0.weight" in tensors
        return Half((f"{name}.conv.0", f"{name}.conv.1", f"{name}.conv.2") if mobile else (name,), _after(name))

    def halves(block: int) -> tuple[Half, Half]:
        places = [place for place in range(8) if _convolves(tensors, f"model.{block}.{layers}.{place}")]
        if places not in ([1, 5], [1, 6], [0, 3], [0, 4]):
            raise LayoutError(f"model.{block}.{layers} has convolutions at {places}, expected at 1 and 5, or 6 with dropout")
        return half(block, places[0]), half(block, places[1])

    blocks = _some([halves(block) for block in range(first, last)])
    padded = blocks[0][0].convs[0].split(".")[3] == "1"
    downs = [f"model.{place}" for place in range(4, first, 3)]
    ups = [f"model.{last + 3 * place}" for place in range(len(downs))]
    return Names(
        ("model.1", "model.2"),
        [(name, _after(name)) for name in downs],
        blocks,
        [(name, _after(name)) for name in ups],
        f"model.{last + 3 * len(ups) + 1}",
        "reflected" if padded else "constant",
    )


def _convolves(tensors: Tensors, name: str) -> bool:
    return f"{name}.conv.0.weight" in tensors or tensors.rank(f"{name}.weight") == 4


def _after(name: str) -> str:
    """The name of the next layer."""
    head, _, place = name.rpartition(".")
    return f"{head}.{int(place) + 1}"


def _some(blocks: list[tuple[Half, Half]]) -> list[tuple[Half, Half]]:
    if not blocks:
        raise LayoutError("there are no residual blocks")
    return blocks
