"""The trained stages of WCT, each a pair in the engine's form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from fastnst.convert.pair import Pair, check_shapes, engine_form, read_tensors
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


def stage_shapes(number: int, tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors of a stage whose layers are as wide as their biases say.

    Widths are free on either side, for channels that never speak may have been removed; only where encoder and decoder meet are
    they the same.
    """
    layers = layers_of(number)

    def width(name: str) -> int:
        return max(tensors[name].numel(), 1) if name in tensors else 1

    shapes: dict[str, tuple[int, ...]] = {"encoder.conv0.weight": (3, 3, 1, 1), "encoder.conv0.bias": (3,)}
    inner = 3
    for side, names in (("encoder", layers), ("decoder", layers[::-1])):
        for name in names:
            outer = 3 if (side, name) == ("decoder", layers[0]) else width(f"{side}.{name}.bias")
            shapes |= {f"{side}.{name}.weight": (outer, inner, 3, 3), f"{side}.{name}.bias": (outer,)}
            inner = outer
    return shapes


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
        check_shapes(f"{source}: stage {number}", mine, stage_shapes(number, mine))
        pairs[number] = engine_form(mine, layers_of(number), facts, last_relu=True)
    return Stages(pairs, facts)
