"""Trained networks as training leaves them, in eager PyTorch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from fastnst import ops
from fastnst.metrics.cost import LiveParameters, macs, parameters
from fastnst.networks.state import decoder_widths, encoder_widths, fill
from fastnst.networks.vgg import Decoder, Encoder, layers_of
from fastnst.networks.wct import Stage, load_published, stylize

from .models import SIDE, Model
from .pictures import Pixels, to_pixels, to_tensor

ADAIN, WCT = "AdaIN", "WCT"
WCT_RECIPES = ("decoder", "collab")
EXPECTED = "encoder.* and decoder.*, the same with stages before them (4.encoder.*), or SEk.* and SDk.*"

Tensors = Mapping[str, Tensor]
Vgg = Callable[[int], Encoder]


@dataclass(frozen=True)
class Networks:
    """What a file holds: a way of transforming features, and the pair of each stage."""

    kind: str
    stages: Mapping[int, Stage]
    on_vgg: bool = False  # VGG-19 encodes; it is not in the file


def read_networks(path: Path, vgg: Vgg) -> Networks:
    """The networks in a safetensors file of one of these forms.

    * ``encoder.*`` and ``decoder.*``: an AdaIN pair, as recipes `adain` and `prune` leave it. It is one stage of WCT where
      there are ``heads.*`` too, or the file's facts name recipe `collab` or `decoder`.
    * ``k.encoder.*`` and ``k.decoder.*``: WCT, stages k of 1 to 5.
    * ``SEk.*`` and ``SDk.*``: the published small WCT networks.

    Layers may have any widths. Where there is no encoder, it is VGG-19.

    Raises:
        ValueError: one line that names the file and says what is wrong.
    """
    tensors, facts = _read(path)
    if any(name.startswith("SE") for name in tensors):
        try:
            return Networks(WCT, load_published(path))
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"{path}: not the published networks: {' '.join(str(error).split())}") from None
    groups: dict[str, dict[str, dict[str, Tensor]]] = {}
    for name, tensor in tensors.items():
        match = re.fullmatch(r"(?:([1-5])\.)?(encoder|decoder|heads)\.(.+)", name)
        if match is None:
            raise ValueError(f"{path}: unexpected tensor {name}; expected {EXPECTED}")
        groups.setdefault(match[1] or "", {}).setdefault(match[2], {})[match[3]] = tensor
    if not groups or ("" in groups and len(groups) > 1):
        raise ValueError(f"{path}: not a trained model: expected {EXPECTED}")
    alone = groups.get("")
    of_wct = alone is None or "heads" in alone or facts.get("recipe") in WCT_RECIPES
    try:
        stages = {}
        for number, parts in groups.items():
            stage = _stage(parts, vgg, last_relu=of_wct)
            if number not in ("", str(stage.number)):
                raise ValueError(f"stage {number} has the layers of stage {stage.number}")
            stages[stage.number] = stage
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return Networks(WCT if of_wct else ADAIN, stages, any("encoder" not in parts for parts in groups.values()))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - not a dict
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
    except (SafetensorError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a safetensors file: {error}") from None
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{path}: {name} holds NaN or infinity")
    return tensors, facts if isinstance(facts, dict) else {}


def _stage(parts: Mapping[str, Tensors], vgg: Vgg, last_relu: bool) -> Stage:
    """Both sides have widths of their own: channels that were dead on one side need not have been on the other."""
    if "decoder" not in parts:
        raise ValueError("there is no decoder")
    decoder = Decoder(decoder_widths(parts["decoder"]), last_relu)
    fill(decoder, parts["decoder"], "decoder")
    if "encoder" in parts:
        encoder = Encoder(encoder_widths(parts["encoder"]))
        fill(encoder, parts["encoder"], "encoder")
    else:
        encoder = vgg(decoder.stage)
    given, taken = encoder.widths[-1], _layers(decoder)[0].in_channels
    if (encoder.stage, given) != (decoder.stage, taken):
        raise ValueError(
            f"the encoder gives {given} channels of stage {encoder.stage}, the decoder takes {taken} of stage {decoder.stage}"
        )
    stage = Stage(encoder.widths)
    stage.encoder, stage.decoder = encoder, decoder
    return stage.eval().requires_grad_(False)


def _layers(network: Encoder | Decoder) -> list[nn.Conv2d]:
    """The 3x3 convolutions in the order in which they run."""
    names = layers_of(network.stage)
    return [getattr(network, name) for name in (names if isinstance(network, Encoder) else reversed(names))]


class FloatModel(Model):
    """Trained networks in eager PyTorch, float32. What they are fed is extended to whole strides as in the engine."""

    def __init__(self, name: str, path: Path, networks: Networks) -> None:
        self.name, self.path, self.networks = name, path, networks
        stages = networks.stages
        numbers = ", ".join(map(str, sorted(stages)))
        self.what = f"float {networks.kind}, stage{'s' * (len(stages) > 1)} {numbers}{', encoded by VGG-19' * networks.on_vgg}"
        self.parameters = sum(parameters(stage.encoder) + parameters(stage.decoder) for stage in stages.values())
        self.macs = sum(starmap(_macs, stages.items()))
        self.counters = [LiveParameters(_layers(stage.encoder) + _layers(stage.decoder)) for stage in stages.values()]

    @torch.no_grad()
    def __call__(self, content: Pixels, style: Pixels) -> Pixels:
        stages = self.networks.stages
        stride = 2 ** (max(stages) - 1)
        photograph, painting = (_extended(to_tensor(each), stride) for each in (content, style))
        if self.networks.kind == WCT:
            image = stylize(stages, photograph, painting)
        else:
            (stage,) = stages.values()
            feature = ops.adaptive_instance_normalization(stage.encoder(photograph), stage.encoder(painting))
            image = stage.decoder(feature)
        return to_pixels(image[..., : content.shape[0], : content.shape[1]])

    @torch.no_grad()
    def reconstructions(self, content: Pixels) -> dict[int, Pixels]:
        made = {}
        for number, stage in sorted(self.networks.stages.items()):
            image = stage.decoder(stage.encoder(_extended(to_tensor(content), 2 ** (number - 1))))
            made[number] = to_pixels(image[..., : content.shape[0], : content.shape[1]])
        return made

    def watched(self) -> ExitStack:
        stack = ExitStack()
        for counter in self.counters:
            stack.enter_context(counter)
        return stack

    @property
    def live_parameters(self) -> int:
        fixed = sum(parameters(stage.encoder.conv0) for stage in self.networks.stages.values())
        return fixed + sum(counter.count() for counter in self.counters)


def _extended(image: Tensor, stride: int) -> Tensor:
    """``image`` [1, 3, H, W] with its last row and column repeated until both sides are multiples of ``stride``."""
    right, bottom = (-side % stride for side in (image.shape[3], image.shape[2]))
    return F.pad(image, (0, right, 0, bottom), mode="replicate") if right or bottom else image


def _macs(number: int, stage: Stage) -> int:
    """Of encoding a content and a style and decoding the result, counted on shapes alone."""
    encoder, decoder = (deepcopy(part).to("meta") for part in (stage.encoder, stage.decoder))
    picture = torch.empty(1, 3, SIDE, SIDE, device="meta")
    side = SIDE >> (number - 1)
    feature = torch.empty(1, stage.encoder.widths[-1], side, side, device="meta")
    return 2 * macs(encoder, picture) + macs(decoder, feature)
