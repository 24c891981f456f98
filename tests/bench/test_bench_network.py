"""Rivals are given the network of the model that they are measured beside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import SHIPPED
from torch import Tensor

from fastnst import Stylizer
from fastnst.bench.stylize.network import Conv, from_fnst
from fastnst.networks.padding import reflection_pad
from fastnst.reference.adain import adaptive_instance_normalization

ADAIN = [path for path in SHIPPED if path.stem.startswith("adain")]


def run(x: Tensor, layers: list[Conv]) -> Tensor:
    for conv in layers:
        x = F.interpolate(x, scale_factor=2.0) if conv.upsample else x
        margin = conv.weights.shape[-1] // 2
        x = F.conv2d(reflection_pad(x, margin) if margin else x, torch.tensor(conv.weights), torch.tensor(conv.bias))
        x = F.relu(x) if conv.relu else x
        x = F.max_pool2d(x, 2) if conv.pool else x
    return x


@pytest.mark.parametrize("path", ADAIN, ids=[path.stem for path in ADAIN])
def test_the_float_network_makes_the_engines_picture(path: Path, photos: dict[str, np.ndarray]) -> None:
    network = from_fnst(path.read_bytes())
    pictures = [np.ascontiguousarray(photos[name][:128, :128]) for name in ("astronaut", "coffee")]
    features = [run(torch.tensor(each).permute(2, 0, 1)[None] / 255, list(network.encoder)) for each in pictures]
    made = run(adaptive_instance_normalization(*features), list(network.decoder)).clamp(0, 1)[0].permute(1, 2, 0).numpy()
    error = np.square(Stylizer(str(path))(*pictures, palette=0) / 255 - made).mean()
    assert -10 * np.log10(error) > 28
