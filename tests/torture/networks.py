"""Random networks with random pictures, what the NumPy reference makes of them, and what the engine does.

``python -m torture.networks FOLDER`` reads a seed from each line, runs its network, which lies in the folder, and prints what
came of it: for the checks that start it with an instruction set.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy_engine as reference
import numpy_generator
from numpy.typing import NDArray
from numpy_engine import Lcg, Map, random_cascade, random_model, random_picture

from fastnst import _engine
from fastnst.engine import Engine, Look
from fastnst.engine.wct import WctLook
from fastnst.format.graphfile import Convolution, GeneratorFile, Node
from fastnst.format.modelfile import AdainFile, WctFile

AnyModel: TypeAlias = AdainFile | WctFile | GeneratorFile
KINDS = ("adain", "winograd", "wct", "generator")


@dataclass(frozen=True)
class Pictures:
    """What a network is given, and how."""

    content: Map
    style: Map
    alpha: float
    threads: int


def kind_of(seed: int) -> str:
    return KINDS[seed % len(KINDS)]


def _bounded(model: GeneratorFile) -> GeneratorFile:
    """Sums that no probe moved have multipliers that no file may have: those are made smaller."""
    nodes: list[Node] = []
    for node in model.nodes:
        if isinstance(node, Convolution):
            most = np.abs(node.weights.astype(np.int64)).reshape(node.outputs, -1).sum(1) * 255
            most += np.abs(node.bias.astype(np.int64)).reshape(-1, node.outputs).max(0)
            nodes.append(replace(node, multiplier=np.minimum(node.multiplier, np.float32(2**29) / most).astype(np.float32)))
        else:
            nodes.append(node)
    return replace(model, nodes=nodes)


def network(seed: int) -> AnyModel:
    """Of a kind by turns, with random layers of random widths."""
    lcg, kind = Lcg(7919 * seed + 5), kind_of(seed)
    wide = lcg.below(10) == 0
    if kind == "wct":
        return random_cascade(lcg, widest=70 if wide else 24)
    if kind == "generator":
        width = 1 + lcg.below(24 if wide else 9)
        shape = lcg.below(5)
        if shape < 2:
            return _bounded(numpy_generator.unet_like(lcg, width, levels=2 + lcg.below(3)))
        return _bounded(numpy_generator.resnet_like(lcg, width, blocks=1 + lcg.below(2), separable=shape < 4))
    return random_model(lcg, widest=200 if wide else 40, winograd=kind == "winograd")


def pictures(seed: int) -> Pictures:
    """Noise of random sizes, now and then of a single row or column."""
    lcg = Lcg(104729 * seed + 3)

    def side() -> int:
        return 1 + lcg.below((1, 8, 20, 40, 60, 90, 120)[lcg.below(7)])

    content, style = (random_picture(lcg, side(), side()) for _ in range(2))
    return Pictures(content, style, (1.0, 0.0, 0.6, lcg.below(1001) / 1000)[lcg.below(4)], 1 + lcg.below(9))


def digest(arrays: Iterable[NDArray[Any]]) -> str:
    """Of numbers: two zeros of different signs are equal."""
    return hashlib.sha256(b"".join((np.ascontiguousarray(each) + each.dtype.type(0)).tobytes() for each in arrays)).hexdigest()


def by_reference(model: AnyModel, given: Pictures) -> str:
    """The digest of the style's statistics and of the picture."""
    if isinstance(model, GeneratorFile):
        return digest([numpy_generator.translate(model, given.content)])
    if isinstance(model, WctFile):
        look = reference.wct_look(model, given.style, model.stages)
        kept = [array for level in sorted(look) for array in look[level]]
        return digest([*kept, reference.cascade(model, given.content, look, given.alpha)])
    mean, std = reference.statistics(model, reference.encode(model, given.style))
    features = reference.encode(model, given.content)
    return digest([mean, std, reference.decode(model, features, mean, std, given.alpha, given.content.shape[:2])])


def kept_of(look: Look) -> list[NDArray[np.float64]]:
    """The numbers of a look that the network made, the first level's first."""
    if isinstance(look, WctLook):
        return [array for level in sorted(look.levels) for array in look.levels[level]]
    return list(look.arrays())


def by_engine(model: bytes, given: Pictures) -> str:
    """The same."""
    engine = Engine(model)
    if not engine.takes_style:
        return digest([engine.translate(given.content, given.threads)])
    look = engine.look(given.style, given.threads)
    out = engine.decode(engine.encode(given.content, given.threads), look, given.alpha, given.threads)
    return digest([*kept_of(look), out])


def main(folder: str) -> None:
    for line in sys.stdin:
        seed = int(line)
        try:
            said = by_engine((Path(folder) / f"{kind_of(seed)}.fnst").read_bytes(), pictures(seed))
        except Exception as error:  # a finding of this network; the others can still be run
            said = f"{type(error).__name__}: {error}"
        sys.stdout.write(f"{said}\n")
        sys.stdout.flush()
    assert [path for path, calls in _engine.kernel_calls().items() if calls] in ([], [_engine.instruction_set()])


if __name__ == "__main__":
    main(sys.argv[1])
