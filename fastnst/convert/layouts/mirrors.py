"""The normalised VGG-19 and decoders of its features, each in a file of its own: PytorchWCT's, and pytorch-AdaIN's.

Their layers are named in one of three ways:

* ``seq.conv1_1``, with ``preprocess_weight`` in the encoder: PytorchWCT as it is now;
* ``conv1`` to ``conv27``, running on from an encoder to its decoder: the modules that PytorchWCT makes of Lua Torch's files;
* ``0``, ``2``, ``5`` .. and in decoders ``1``, ``5``, ``8`` ..: their places in an ``nn.Sequential``, as programs that convert
  Lua Torch's files write them, and pytorch-AdaIN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from fastnst.convert.pair import Pair, pair_of
from fastnst.convert.stages import Stages, stages_of
from fastnst.convert.tensors import LayoutError, Source, Tensors
from fastnst.networks.vgg import POOL_AFTER, layers_of
from fastnst.networks.vgg_files import SEQUENTIAL, load_normalised_vgg19
from fastnst.networks.wct import STAGES

TITLE = (
    "the normalised VGG-19 and decoders of its features: PytorchWCT's files (seq.conv1_1 ..; conv1 ..; 0, 2, 5 ..), "
    "or pytorch-AdaIN's decoder.pth (1, 5 ..) with vgg_normalised.pth"
)
NAMES = r"preprocess_|seq\.conv[1-5]_[1-4]\.|(?:net\.)?\d+\.(?:weight|bias)$|conv(?:[1-9]|1\d|2[0-7])\.(?:weight|bias)$"
ADAIN = 4
"""The stage whose decoder, if it is the only one, is AdaIN's."""
VGG = "vgg_normalised.pth"
FIRST = ("preprocess_", "conv1.", "0.")
"""What the names of an encoder's 1x1 layer begin with; of these the first has no number of its own."""
STAGE_OF = {len(layers_of(stage)): stage for stage in STAGES}


@dataclass(frozen=True)
class Part:
    """One file: the encoder that ends with a stage, or its decoder; ``tensors`` are under our names, float64."""

    source: Source
    stage: int
    encodes: bool
    tensors: dict[str, Tensor]


def read(sources: Sequence[Source]) -> tuple[Pair | Stages, str]:
    """The pair or the stages; LayoutError says what is wrong with them."""
    parts = [_part(source) for source in sources]
    encoders = [part for part in parts if part.encodes]
    decoders = {part.stage: part for part in parts if not part.encodes}
    if len(encoders) + len(decoders) < len(parts):
        raise LayoutError("two decoders of one stage are given")
    if not decoders:
        raise LayoutError("encoders are given without a decoder")
    if not encoders:
        raise LayoutError(f"a decoder of VGG-19's features needs that network: fastnst convert decoder.pth {VGG} -o ..")
    if [*decoders] == [ADAIN] and "0.weight" in encoders[0].source.tensors:
        return _adain(encoders, decoders[ADAIN]), "pytorch-AdaIN's decoder on the normalised VGG-19"
    chosen = {stage: _encoder_of(stage, encoders) for stage in decoders}
    idle = [part.source.path.name for part in encoders if not any(part is each for each in chosen.values())]
    if idle:
        raise LayoutError(f"none of the decoders that are given needs the encoder {idle[0]}")
    tensors: dict[str, Tensor] = {}
    for stage, decoder in decoders.items():
        own = ("conv0", *layers_of(stage))
        tensors |= {f"{stage}.encoder.{name}": x for name, x in chosen[stage].tensors.items() if name.split(".")[0] in own}
        tensors |= {f"{stage}.decoder.{name}": x for name, x in decoder.tensors.items()}
    stages = stages_of(tensors, {})
    return stages, f"PytorchWCT's {stages}"


def _adain(encoders: Sequence[Part], decoder: Part) -> Pair:
    """Its encoder is VGG-19 and nothing else, which is checked."""
    if len(encoders) != 1:
        raise LayoutError(f"one encoder is expected, {len(encoders)} are given")
    vgg = load_normalised_vgg19(encoders[0].source.path, stage=ADAIN).state_dict()
    tensors = {f"encoder.{name}": x.double() for name, x in vgg.items()}
    return pair_of(tensors | {f"decoder.{name}": x for name, x in decoder.tensors.items()}, decoder.source.facts)


def _encoder_of(stage: int, encoders: Sequence[Part]) -> Part:
    """The one that ends with this stage, or the shallowest of those that go on behind it."""
    deep = [part for part in encoders if part.stage >= stage]
    if not deep:
        raise LayoutError(f"the decoder of stage {stage} is given without its encoder")
    return min(deep, key=lambda part: part.stage)


def _part(source: Source) -> Part:
    """One file's layers, as many as a stage has. VGG-19 may go on behind the last of them, which nothing here needs."""
    tensors = Tensors({name.removeprefix("net."): x for name, x in source.tensors.items()})
    first = next((name for name in FIRST if f"{name}weight" in tensors), None)
    count = tensors.count(r"((?:seq\.)?(?:conv)?\d+(?:_\d)?)\.") - (first in FIRST[1:])
    stage = STAGE_OF.get(count) if first is None else STAGE_OF.get(min(count, max(STAGE_OF)))
    if stage is None:
        side, *counts = "a decoder" if first is None else "an encoder", *map(str, STAGE_OF)
        raise LayoutError(f"{source.path.name} has {count} layers, {side} has {', '.join(counts[:-1])} or {counts[-1]}")
    layers = layers_of(stage)
    taken: dict[str, Tensor] = {}

    def take(layer: str, name: str, kernel: int) -> None:
        taken[f"{layer}.weight"] = tensors.take(f"{name}weight", None, None, kernel, kernel)
        taken[f"{layer}.bias"] = tensors.take(f"{name}bias", None)

    if first is not None:
        take("conv0", first, 1)
    for layer, name in _names(source, stage, encodes=first is not None).items():
        take(layer, name, 3)
    if count <= len(layers):
        tensors.finish()
    return Part(source, stage, first is not None, taken)


def _names(source: Source, stage: int, encodes: bool) -> dict[str, str]:
    """What the names of a stage's layers begin with in this file, in the order in which the layers run."""
    layers = layers_of(stage) if encodes else layers_of(stage)[::-1]
    if any(name.startswith("seq.") for name in source.tensors):
        return {layer: f"seq.{layer}." for layer in layers}
    if any(name.startswith("conv") for name in source.tensors):
        return {layer: f"conv{number}." for number, layer in enumerate(layers, 2 if encodes else 2 + len(layers))}
    if encodes:
        return {layer: f"{place}." for layer, place in zip(layers, SEQUENTIAL, strict=False)}
    places, place = {}, -2
    for layer in layers:  # padding, convolution and ReLU, and a doubling before those in whose place the encoder pools
        place += 4 if layer in POOL_AFTER else 3
        places[layer] = f"{place}."
    return places
