"""The trained stages of WCT, each a pair in the engine's form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fastnst.convert.pair import Pair, check_shapes, engine_form, expected_shapes
from fastnst.convert.tensors import LayoutError
from fastnst.networks.vgg import layers_of
from fastnst.networks.wct import STAGES


@dataclass(frozen=True)
class Stages:
    """Pairs by the number of their stage, and what their file says about its making."""

    pairs: Mapping[int, Pair]
    facts: dict[str, Any]

    @property
    def parameters(self) -> int:
        return sum(pair.parameters for pair in self.pairs.values())

    def __str__(self) -> str:
        numbers = ", ".join(str(number) for number in sorted(self.pairs, reverse=True))
        return f"stage{'s' * (len(self.pairs) > 1)} {numbers} of WCT, {self.parameters:,} parameters"


def stages_of(tensors: Mapping[str, Tensor], facts: dict[str, Any]) -> Stages:
    """The stages of tensors ``{stage}.encoder.{layer}.weight``, ``{stage}.decoder.{layer}.bias`` and so on; LayoutError if they
    are none."""
    by_stage: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        text, _, rest = name.partition(".")
        by_stage.setdefault(text, {})[rest] = tensor
    numbers = {str(number): number for number in STAGES}
    pairs: dict[int, Pair] = {}
    for text, mine in sorted(by_stage.items()):
        if text not in numbers:
            raise LayoutError(f"unexpected tensor {text}.{next(iter(mine))}: no stage of WCT")
        number = numbers[text]
        layers = layers_of(number)
        check_shapes(mine, expected_shapes(layers, mine), f"stage {number}: ")
        pairs[number] = engine_form(mine, layers, facts, last_relu=True)
    return Stages(pairs, facts)
