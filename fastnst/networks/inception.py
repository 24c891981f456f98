"""The Inception network of the Frechet inception distance, up to Mixed_6e, from a file."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastnst.networks import weights

DIMENSIONS = (64, 192, 768)
"""Channels of the maps that features are taken from: behind the two maximum pools, and Mixed_6e."""
SIDE = 299
CHAINS = {
    "Mixed_5": (("branch1x1",), ("branch5x5_1", "branch5x5_2"), ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")),
    "Mixed_6": (
        ("branch1x1",),
        ("branch7x7_1", "branch7x7_2", "branch7x7_3"),
        ("branch7x7dbl_1", "branch7x7dbl_2", "branch7x7dbl_3", "branch7x7dbl_4", "branch7x7dbl_5"),
    ),
}  # fmt: skip
"""Branches of the blocks that keep the size, beside that of the average pool."""
MIDDLE = ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e")


class Inception(nn.Module):
    """Features of pictures in the network of December 2015 that FID is defined by (Heusel et al., NeurIPS 2017), frozen.

    Args:
        path: safetensors file with ``Conv2d_*`` and ``Mixed_*``, named as in torchvision, batch norm folded into ``weight``
            and ``bias``; layers beyond Mixed_6e are ignored.

    Raises:
        ValueError: a tensor is missing.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        tensors = weights.read(path)
        self.convs = nn.ModuleDict()
        for name in (each.removesuffix(".weight") for each in tensors if each.endswith(".weight")):
            weight, bias = tensors[f"{name}.weight"], tensors.get(f"{name}.bias")
            if bias is None:
                raise ValueError(f"{path}: no tensor {name}.bias")
            conv = nn.Conv2d(weight.shape[1], weight.shape[0], tuple(weight.shape[2:]))  # type: ignore[arg-type]
            conv.load_state_dict({"weight": weight.float(), "bias": bias.float()})
            self.convs[name.replace(".", "/")] = conv
        self.path = Path(path)
        self.eval().requires_grad_(False)

    def _conv(self, name: str, x: Tensor, stride: int = 1, padded: bool = True) -> Tensor:
        key = name.replace(".", "/")
        if key not in self.convs:
            raise ValueError(f"{self.path}: no tensor {name}.weight")
        conv = self.convs[key]
        assert isinstance(conv, nn.Conv2d)
        padding = (conv.kernel_size[0] // 2, conv.kernel_size[1] // 2) if padded else (0, 0)
        return F.relu(F.conv2d(x, conv.weight, conv.bias, stride, padding))

    def _block(self, name: str, x: Tensor) -> Tensor:
        if name == "Mixed_6a":
            y = self._conv(f"{name}.branch3x3dbl_2", self._conv(f"{name}.branch3x3dbl_1", x))
            halved = [self._conv(f"{name}.branch3x3", x, 2, False), self._conv(f"{name}.branch3x3dbl_3", y, 2, False)]
            return torch.cat([*halved, F.max_pool2d(x, 3, 2)], 1)
        outputs = []
        for chain in CHAINS[name[:-1]]:
            y = x
            for layer in chain:
                y = self._conv(f"{name}.{layer}", y)
            outputs.append(y)
        pooled = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return torch.cat([*outputs, self._conv(f"{name}.branch_pool", pooled)], 1)

    @torch.no_grad()
    def forward(self, image: Tensor, dimension: int) -> Tensor:
        """Mean over the places of the map with ``dimension`` channels.

        Args:
            image: [N, 3, H, W], RGB 0..1, any size: resized to 299 x 299, bilinearly, without aligned corners and without
                smoothing first, as FID's PyTorch port does.
            dimension: one of ``DIMENSIONS``.

        Returns:
            [N, dimension].

        Raises:
            ValueError: no such dimension, or the file lacks a layer.
        """
        if dimension not in DIMENSIONS:
            raise ValueError(f"dimension: expected {', '.join(map(str, DIMENSIONS))}, got {dimension}")
        x = F.interpolate(image, (SIDE, SIDE), mode="bilinear", align_corners=False) * 2 - 1
        x = self._conv("Conv2d_1a_3x3", x, 2, False)
        x = F.max_pool2d(self._conv("Conv2d_2b_3x3", self._conv("Conv2d_2a_3x3", x, padded=False)), 3, 2)
        if dimension > DIMENSIONS[0]:
            x = F.max_pool2d(self._conv("Conv2d_4a_3x3", self._conv("Conv2d_3b_1x1", x), padded=False), 3, 2)
        if dimension > DIMENSIONS[1]:
            for name in MIDDLE:
                x = self._block(name, x)
        return x.mean((2, 3))
