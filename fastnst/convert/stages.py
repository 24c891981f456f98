"""The trained stages of WCT, each a pair in the engine's form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from fastnst.convert.pair import Pair, check_shapes, engine_form, expected_shapes, read_tensors
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


def is_stages(names: Sequence[str]) -> bool:
    """Whether tensors of these names are stages of WCT rather than an AdaIN pair."""
    return any(name.split(".")[0].isdecimal() for name in names)


def load_stages(source: Path) -> Stages:
    """Read the stages that a file holds: tensors ``{stage}.encoder.{layer}.weight``, ``{stage}.decoder.{layer}.bias``, etc.

    Raises:
        FileNotFoundError: no such file.
        ValueError: one line about what is wrong with it.
    """
    tensors, facts = read_tensors(source)
    by_stage: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        text, _, rest = name.partition(".")
        by_stage.setdefault(text, {})[rest] = tensor
    numbers = {str(number): number for number in STAGES}
    pairs: dict[int, Pair] = {}
    for text, mine in sorted(by_stage.items()):
        if text not in numbers:
            raise ValueError(f"{source}: unexpected tensor {text}.{next(iter(mine))}: no stage of WCT")
        number = numbers[text]
        layers = layers_of(number)
        check_shapes(f"{source}: stage {number}", mine, expected_shapes(layers, mine))
        pairs[number] = engine_form(mine, layers, facts, last_relu=True)
    return Stages(pairs, facts)
