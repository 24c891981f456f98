"""Stages of WCT: those of our recipes, and the small networks of Collaborative Distillation, in one file or a file for each."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import Tensor

from fastnst.convert.stages import Stages, stages_of
from fastnst.convert.tensors import LayoutError, Source
from fastnst.networks.wct import renamed

TITLE = (
    "stages of WCT (4.encoder, 4.decoder), or Collaborative Distillation's networks (SE4, SD4; or files with conv0, conv11 ..)"
)
NAMES = r"[1-5]\.(?:encoder|decoder)\.|S[ED][1-5]\.|conv(?:0|[1-5][1-4](?:_aux)?)\.(?:weight|bias)$"


def read(sources: Sequence[Source]) -> tuple[Stages, str]:
    """The stages; LayoutError says what is wrong with them."""
    tensors: dict[str, Tensor] = {}
    for source in sources:
        part = _numbered(source)
        if again := sorted(tensors.keys() & part.keys()):
            raise LayoutError(f"{again[0]} is in two files")
        tensors |= part
    stages = stages_of(tensors, sources[0].facts if len(sources) == 1 else {})
    return stages, str(stages)


def _numbered(source: Source) -> dict[str, Tensor]:
    """Under our recipes' names, each with the number of its stage; embeddings, which only training uses, are left out."""
    names = {name: name for name in source.tensors}
    if alone := [name for name in names if re.match(r"conv\d", name)]:
        side, stage = "SE" if "conv0.weight" in names else "SD", max(name[4] for name in alone)
        names = {name: f"{side}{stage}.{name}" for name in names}
    published = {
        name: whole for name, whole in names.items() if re.match(r"S[ED]\d\.conv(?:0|[1-5][1-4](?:_aux)?)\.\w+$", whole)
    }
    names |= {name: f"{whole[2]}.{renamed(whole)}" for name, whole in published.items()}
    return {named: source.tensors[name].double() for name, named in names.items() if ".heads." not in named}
