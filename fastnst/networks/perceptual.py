"""The network that CRD compares pictures in: VGG-16, as far as it is to be had, and VGG-19 beyond."""

from __future__ import annotations

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from fastnst.networks import weights
from fastnst.networks.vgg import ALL_LAYERS, POOL_AFTER, reflected
from fastnst.networks.vgg_files import load_normalised_vgg19

VGG16_LAYERS = {"features.0": (3, 64), "features.2": (64, 64), "features.5": (64, 128), "features.7": (128, 128)}
"""Convolutions to relu2_2, torchvision's names."""
DEEPER = ("conv3_3", "conv4_3")
"""VGG-19's layers whose ReLU outputs stand in for VGG-16's of the same names."""


class PerceptualNetwork(nn.Module):
    """VGG-16's relu1_2 and relu2_2, and relu3_3 and relu4_3 of the normalised VGG-19 in place of VGG-16's; frozen.

    Published code takes all four from VGG-16 (input 0..1, without ImageNet's mean and deviation, as here). The normalised
    VGG-19 has activations of mean 1 over photographs, which are of the same order.

    Args:
        vgg16: safetensors file with torchvision's ``features.N.weight`` and ``.bias`` to relu2_2; more is ignored.
        vgg19: file of :func:`load_normalised_vgg19`; without it there are two levels.

    Raises:
        KeyError: a tensor is missing.
    """

    def __init__(self, vgg16: str | Path, vgg19: str | Path | None = None) -> None:
        super().__init__()
        tensors = weights.read(vgg16)
        self.shallow = nn.ModuleList()
        for name, (inputs, outputs) in VGG16_LAYERS.items():
            conv = nn.Conv2d(inputs, outputs, 3, padding=1)
            conv.load_state_dict({kind: tensors[f"{name}.{kind}"].float() for kind in ("weight", "bias")})
            self.shallow.append(conv)
        self.deep = load_normalised_vgg19(vgg19, stage=5) if vgg19 else None
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Levels [N, C_i, H/2^i, W/2^i] of ``image`` [N, 3, H, W], RGB -1..1, of 16 pixels a side or more."""
        image = (image + 1) / 2
        x, levels = image, []
        for i, conv in enumerate(self.shallow):
            x = F.relu(conv(F.max_pool2d(x, 2) if i == 2 else x))
            if i % 2:
                levels.append(x)
        return levels + (self._deeper(image) if self.deep else [])

    def _deeper(self, image: Tensor) -> list[Tensor]:
        assert self.deep is not None
        x, levels = self.deep.conv0(image), []
        for name in ALL_LAYERS[: ALL_LAYERS.index(DEEPER[-1]) + 1]:
            x = F.relu(reflected(getattr(self.deep, name), x))
            if name in DEEPER:
                levels.append(x)
            if name in POOL_AFTER:
                x = F.max_pool2d(x, 2)
        return levels
