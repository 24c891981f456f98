"""Networks of random weights as files, for tests of what reads and scores trained ones."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from random_vgg import as_file, random_vgg19
from safetensors.torch import save_file
from torch import Tensor

from fastnst.networks.vgg import Decoder, Encoder

ADAIN_WIDTHS = (4, 4, 5, 5, 6, 6, 6, 6, 7)


def prefixed(**parts: torch.nn.Module) -> dict[str, Tensor]:
    return {f"{part}.{name}": value for part, network in parts.items() for name, value in network.state_dict().items()}


def scoring_weights(folder: Path) -> Path:
    """Write scoring networks of random weights."""
    save_file(as_file(random_vgg19(5), "caffe"), folder / "vgg19_random.safetensors")
    torch.manual_seed(0)
    shapes = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
    tensors = {f"features.{i}.weight": torch.randn(o, c, k, k) / (c * k * k) ** 0.5 for i, (o, c, k) in shapes.items()}
    tensors |= {f"features.{i}.bias": torch.randn(o) * 0.1 for i, (o, _, _) in shapes.items()}
    tensors |= {f"lin{j}.weight": torch.rand(1, o, 1, 1) for j, (o, _, _) in enumerate(shapes.values())}
    save_file(tensors, folder / "lpips_alex_random.safetensors")
    return folder


def adain_pair() -> dict[str, Tensor]:
    """An AdaIN pair of :data:`ADAIN_WIDTHS`."""
    torch.manual_seed(1)
    return prefixed(encoder=Encoder(ADAIN_WIDTHS), decoder=Decoder(ADAIN_WIDTHS))


def no_vgg(_: int) -> Encoder:
    raise ValueError("no VGG-19 here")


def saved(tensors: dict[str, Tensor], path: Path, **facts: object) -> Path:
    save_file({name: value.contiguous() for name, value in tensors.items()}, path, {"facts": json.dumps(facts)})
    return path
