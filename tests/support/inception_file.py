"""A feature extractor of the real one's shape with few channels and random weights, for tests."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from fastnst.networks.inception import CHAINS, MIDDLE

CHANNELS = {64: 4, 192: 5, 768: 16}
"""What the features of each dimension have here."""
PLAIN = {"1a_3x3": (3, 4), "2a_3x3": (4, 4), "2b_3x3": (4, 4), "3b_1x1": (4, 4), "4a_3x3": (4, 5)}
KERNELS = {"branch5x5_2": (5, 5), "branch7x7_2": (1, 7), "branch7x7_3": (7, 1), "branch7x7dbl_2": (7, 1),
           "branch7x7dbl_3": (1, 7), "branch7x7dbl_4": (7, 1), "branch7x7dbl_5": (1, 7), "branch3x3": (3, 3),
           "branch3x3dbl_2": (3, 3), "branch3x3dbl_3": (3, 3)}  # fmt: skip
HALVING = (("branch3x3",), ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"))


def write(path: Path, seed: int = 0) -> Path:
    """Every layer of the real file up to Mixed_6e; a branch has four channels."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}

    def layer(name: str, inputs: int, outputs: int, kernel: tuple[int, int]) -> None:
        scale = (2 / (inputs * kernel[0] * kernel[1])) ** 0.5
        tensors[f"{name}.weight"] = (torch.randn(outputs, inputs, *kernel, generator=generator) * scale).half()
        tensors[f"{name}.bias"] = torch.rand(outputs, generator=generator) * 0.1

    for name, (inputs, outputs) in PLAIN.items():
        layer(f"Conv2d_{name}", inputs, outputs, (3, 3) if name.endswith("3x3") else (1, 1))
    channels = 5
    for block in MIDDLE:
        chains = HALVING if block == "Mixed_6a" else (*CHAINS[block[:-1]], ("branch_pool",))
        for chain in chains:
            for i, name in enumerate(chain):
                layer(f"{block}.{name}", 4 if i else channels, 4, KERNELS.get(name, (1, 1)))
        channels = 4 * len(chains) + (channels if block == "Mixed_6a" else 0)
    save_file(tensors, path)
    return path
