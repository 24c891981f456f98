"""Published weight files become networks: names and indices mean the layers that they should."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fastnst.networks.vgg import VGG19, Decoder, layers_of
from fastnst.networks.wct import load_published_decoder

INDICES = {1: (1,), 2: (1, 5, 8), 3: (1, 5, 8, 12, 15)}


@pytest.mark.parametrize("stage", INDICES)
def test_decoders_of_wct(stage: int, tmp_path: Path) -> None:
    """In the published files layers have their index among paddings, activations and upsamplings, first to last."""
    torch.manual_seed(stage)
    decoder = Decoder(VGG19[: len(layers_of(stage))])
    layers = dict(zip(reversed(layers_of(stage)), INDICES[stage], strict=True))
    state = decoder.state_dict()
    named = {f"invertor{stage}.{layers[name.split('.')[0]]}.{name.split('.')[1]}": x.half() for name, x in state.items()}
    save_file(named, tmp_path / "decoders.safetensors")
    loaded = load_published_decoder(tmp_path / "decoders.safetensors", stage)
    assert not any(p.requires_grad for p in loaded.parameters())
    for name, x in loaded.state_dict().items():
        torch.testing.assert_close(x, state[name].half().float(), rtol=0, atol=0)


def test_a_file_without_the_stage(tmp_path: Path) -> None:
    save_file({"invertor1.1.bias": torch.zeros(3)}, tmp_path / "decoders.safetensors")
    with pytest.raises(ValueError, match="no decoder of stage 3"):
        load_published_decoder(tmp_path / "decoders.safetensors", 3)
