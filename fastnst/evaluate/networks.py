"""Trained networks as training leaves them, in eager PyTorch."""

from __future__ import annotations

from contextlib import ExitStack
from copy import deepcopy
from itertools import starmap
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastnst import ops
from fastnst.metrics.cost import LiveParameters, macs, parameters
from fastnst.networks.files import WCT, Networks
from fastnst.networks.vgg import Decoder, Encoder, layers_of
from fastnst.networks.wct import Stage, stylize

from .models import SIDE, Model
from .pictures import Pixels, to_pixels, to_tensor


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
