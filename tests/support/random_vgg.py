"""VGG-19 of random weights that are normalised as the published one's, in the forms that files of it have."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from fastnst.networks.vgg import VGG19, Encoder, layers_of
from fastnst.networks.vgg_files import INPUT_LAYER, NAMES, normalise, probe


@cache
def random_vgg19(stage: int) -> Encoder:
    """With mean activation 1 on the picture that files are checked with.

    One factor a layer: among so many random channels some are hardly ever active, and brought to mean 1 each for itself they
    would drown all others in any loss.
    """
    torch.manual_seed(0)
    return normalise(Encoder(VGG19[: len(layers_of(stage))], input_scale=1.0), [probe()], per_channel=False)


def as_file(encoder: Encoder, variant: str) -> dict[str, Tensor]:
    """The tensors that a file of this variant holds for ``encoder``."""
    tensors = {}
    before = torch.ones(3)
    for name in layers_of(encoder.stage):
        conv, source = getattr(encoder, name), NAMES[variant][name]
        scale = torch.ones(conv.out_channels)
        if variant == "caffe":
            scale = torch.rand(conv.out_channels) + 0.5
            tensors[f"norm_scale.{name}"] = scale
        tensors[f"{source}.weight"] = conv.weight * before[None, :, None, None] / scale[:, None, None, None]
        tensors[f"{source}.bias"] = conv.bias / scale
        before = scale
    if variant in INPUT_LAYER:
        tensors |= {f"{INPUT_LAYER[variant]}.{kind}": value.clone() for kind, value in encoder.conv0.state_dict().items()}
    return tensors
