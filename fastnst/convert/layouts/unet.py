"""The U-Net generator of pix2pix, as its own code names it, one block within the other, and as recipe `crd` does."""

from __future__ import annotations

from collections.abc import Sequence

from fastnst.convert.builder import Builder
from fastnst.convert.tensors import LayoutError, Source, Tensors, only
from fastnst.convert.trained_generator import TrainedGenerator

TITLE = "a U-Net generator of pix2pix (model.model.1.model) or of recipe crd (down, up)"
NAMES = r"model\.model\.[\d.]|down\.\d+\.(?:weight|bias)$|up\.\d+\.(?:weight|bias)$|(?:down|up)_norms\.\d+\."
DEEPEST = 12

Names = list[tuple[str, str]]


def read(sources: Sequence[Source]) -> tuple[TrainedGenerator, str]:
    """The generator; LayoutError says what is wrong with it."""
    source = only(sources)
    tensors = Tensors(source.tensors)
    downs, ups = _own(tensors) if "down.0.weight" in tensors else _published(tensors)
    graph, last = Builder(tensors), len(downs) - 1
    raws, level = [], graph.picture
    for depth, (conv, norm) in enumerate(downs):
        inside = 0 < depth < last  # neither the first nor the innermost map is normalised on the way down
        raws.append(graph.conv(level, conv, 4, stride=2, norm=norm if inside else None))
        level = graph.affine(raws[-1], 0.0 if depth == last else 0.2)
    for depth in range(last, 0, -1):
        conv, norm = ups[depth]
        raw = graph.conv(level, conv, 4, form="transposed", stride=2, norm=norm)
        level = graph.affine(raw, 0.0, behind=graph.affine(raws[depth - 1], 0.0))
    nodes = graph.paint(graph.conv(level, ups[0][0], 4, form="transposed", stride=2, outputs=3), "tanh")
    tensors.finish()
    filters = raws[0].channels
    trained = TrainedGenerator(nodes, "unet", filters, tensors.parameters, source.facts)
    norms = "instance" if any(raw.norm for raw in raws) else "batch"
    return trained, f"pix2pix U-Net generator, {len(downs)} halvings, {filters} filters, {norms} norm"


def _own(tensors: Tensors) -> tuple[Names, Names]:
    count = tensors.count(r"down\.(\d+)\.")
    downs = [(f"down.{i}", f"down_norms.{i - 1}") for i in range(count)]
    return _deep(downs), [(f"up.{i}", f"up_norms.{i - 1}") for i in range(count)]


def _published(tensors: Tensors) -> tuple[Names, Names]:
    """Block within block: the outermost has its convolutions at 0 and 3, the next at 1 and 5, the innermost at 1 and 3."""
    prefix = "model.model."
    downs, ups = [(f"{prefix}0", "")], [(f"{prefix}3", "")]
    prefix += "1.model."
    while f"{prefix}5.weight" in tensors and len(downs) < DEEPEST:
        downs.append((f"{prefix}1", f"{prefix}2"))
        ups.append((f"{prefix}5", f"{prefix}6"))
        prefix += "3.model."
    downs.append((f"{prefix}1", ""))
    ups.append((f"{prefix}3", f"{prefix}4"))
    return _deep(downs), ups


def _deep(downs: Names) -> Names:
    if not 2 <= len(downs) <= DEEPEST:
        raise LayoutError(f"it halves {len(downs)} times, expected 2 to {DEEPEST}")
    return downs
