"""The normalised VGG-19 that scores stylised pictures."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from fastnst.networks.adain import LAYERS, WIDTHS, Encoder


def load_normalised_vgg19(path: str | Path, ceil_pooling: bool = False) -> Encoder:
    """VGG-19 to relu4_1, frozen, each channel scaled to mean activation 1 over photographs.

    Args:
        path: safetensors file with ``conv0``, ``convX_Y.weight``/``.bias`` of the original (Caffe) VGG-19 and, per layer,
            ``norm_scale.convX_Y``: the positive factors that turn its ReLU outputs into the normalised network's.
        ceil_pooling: see :class:`fastnst.networks.adain.Encoder`.

    Raises:
        KeyError: a tensor is missing.
    """
    tensors = {name: value.float() for name, value in load_file(path).items()}
    encoder = Encoder(WIDTHS["original"], ceil_pooling, input_scale=1.0)
    state = {"conv0.weight": tensors["conv0.weight"], "conv0.bias": tensors["conv0.bias"]}
    before = torch.ones(3)
    for name in LAYERS:
        # ReLU commutes with positive factors, so they move into the weights: by the layer's own, over those of its inputs.
        scale = tensors[f"norm_scale.{name}"]
        state[f"{name}.weight"] = tensors[f"{name}.weight"] * scale[:, None, None, None] / before[None, :, None, None]
        state[f"{name}.bias"] = tensors[f"{name}.bias"] * scale
        before = scale
    encoder.load_state_dict(state)
    return encoder.eval().requires_grad_(False)
