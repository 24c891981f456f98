"""Learned perceptual similarity, LPIPS v0.1 on AlexNet (Zhang et al., CVPR 2018)."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastnst.networks import weights

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""What takes RGB -1..1 to the inputs that the backbone was trained on."""


class Lpips(nn.Module):
    """The distance between pictures; 0 for equal ones.

    Args:
        path: safetensors file with AlexNet's ``features.N.*`` (torchvision's numbering) and the heads ``linN.weight``.

    Raises:
        RuntimeError: tensors are missing or have other shapes.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        for i, channels in enumerate((64, 192, 384, 256, 256)):
            self.add_module(f"lin{i}", nn.Conv2d(channels, 1, 1, bias=False))
        self.load_state_dict({name: value.float() for name, value in weights.read(path).items()})
        self.eval().requires_grad_(False)

    def levels(self, image: Tensor) -> list[Tensor]:
        """ReLU outputs, each place's channels scaled to length 1."""
        x = (image * 2 - 1 - image.new_tensor(SHIFT).view(1, 3, 1, 1)) / image.new_tensor(SCALE).view(1, 3, 1, 1)
        levels = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                levels.append(F.normalize(x, dim=1, eps=1e-10))
        return levels

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Pictures [N, 3, H, W], RGB 0..1, of one size, to their distances [N]."""
        pairs = zip(self.levels(a), self.levels(b), strict=True)
        heads = [getattr(self, f"lin{i}") for i in range(5)]
        return torch.stack([head((x - y).square()).mean((1, 2, 3)) for head, (x, y) in zip(heads, pairs, strict=True)]).sum(0)
