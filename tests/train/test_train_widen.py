"""A trained pair made wider: the same pictures, new channels that learn, and one line for what cannot be widened."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from random_vgg import random_vgg19
from recipe_runs import run, write_data
from safetensors.torch import load_file
from torch import Tensor

from fastnst.networks.adain import LAYERS, WIDTHS
from fastnst.networks.state import part_of
from fastnst.networks.vgg import Decoder, Encoder, input_layer
from fastnst.train import adain
from fastnst.train.adain import Pair
from fastnst.train.checkpoints import load_checkpoint, save_checkpoint
from fastnst.train.data import to_float
from fastnst.train.process_group import ProcessGroup
from fastnst.train.settings import RunOptions
from fastnst.train.widen import _read_through, widen

NARROW = (4, 3, 4, 5, 6, 6, 5, 6, 7)
NARROW_BACK = (4, 4, 3, 5, 4, 6, 2, 6, 7)  # dead channels of each side gone, as of shipped models
WIDE = (8, 8, 9, 9, 10, 10, 10, 10, 12)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


def narrow_pair() -> dict[str, Tensor]:
    torch.manual_seed(3)
    encoder, decoder = Encoder(NARROW), Decoder(NARROW_BACK)
    for name, value in decoder.state_dict().items():
        if name.endswith("bias"):
            value.fill_(1.0)  # no channel of so few is dead
    pair = {f"encoder.{name}": value for name, value in encoder.state_dict().items()}
    return pair | {f"decoder.{name}": value for name, value in decoder.state_dict().items()}


def pictures(pair: Pair, *images: Tensor) -> Tensor:
    with torch.no_grad():
        stylized: Tensor = pair.double()(*(image.double() for image in images))
    return stylized


def test_a_widened_pair_makes_the_same_pictures_and_all_of_it_learns() -> None:
    given = narrow_pair()
    narrow, wide = Pair(Encoder(NARROW), NARROW_BACK), Pair(Encoder(WIDE), WIDE)
    narrow.encoder.load_state_dict(part_of(given, "encoder"))
    narrow.decoder.load_state_dict(part_of(given, "decoder"))
    content, style = torch.rand(2, 3, 40, 48), torch.rand(2, 3, 32, 32)
    widen(wide.encoder, wide.decoder, given, random_vgg19(4), [content], "narrow")
    torch.testing.assert_close(pictures(wide, content, style), pictures(narrow, content, style), rtol=0, atol=1e-12)
    wide(content.double(), style.double()).square().mean().backward()
    # The first step reaches what trained channels may read of new ones; what these are made of, the next.
    opened = {name: getattr(wide.decoder, name).weight.grad[: len(given[f"decoder.{name}.weight"])] for name in LAYERS}
    learns = [name for name in LAYERS if opened[name][:, given[f"decoder.{name}.weight"].shape[1] :].abs().sum() > 0]
    assert len(learns) >= 7  # of so few random channels, those of a layer may all be dead


def test_new_channels_of_the_encoder_are_a_network_of_their_own_with_mean_activation_1() -> None:
    pair, images = Pair(Encoder(WIDE), WIDE), [torch.rand(2, 3, 64, 64)]
    widen(pair.encoder, pair.decoder, narrow_pair(), random_vgg19(4), images, "narrow")
    with torch.no_grad():
        levels = pair.encoder.features(images[0])
    for level, own in zip(levels, (NARROW[0], NARROW[2], NARROW[4], NARROW[8]), strict=True):
        assert level[:, own:].mean().item() == pytest.approx(1, rel=1e-3)


def test_a_network_reads_pictures_through_another_input_layer() -> None:
    """As of a VGG-19 whose input layer divides by torchvision's deviations."""
    torch.manual_seed(5)
    network, other = Encoder(NARROW), input_layer(1.0)
    other.weight.copy_(torch.diag(torch.tensor([4.4, 4.5, 4.3]))[:, :, None, None])
    other.bias.copy_(torch.tensor([-2.1, -2.0, -1.8]))
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        before = network(image)
        _read_through(network, other)
        torch.testing.assert_close(network(image), before, rtol=1e-4, atol=1e-4)
        assert torch.equal(network.conv0.weight, other.weight)


def test_adain_goes_on_from_a_narrower_pair(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WIDTHS, "pruned", WIDE)
    save_checkpoint(tmp_path / "narrow.safetensors", narrow_pair(), {"recipe": "adain", "step": 7})
    given = {"widths": "pruned", "start": str(tmp_path / "narrow.safetensors")}
    wide = adain.AdainRecipe(adain.AdainSettings(**given), RunOptions(data, tmp_path), ProcessGroup())  # type: ignore[arg-type]
    same = adain.AdainRecipe(adain.AdainSettings(**{**given, "widths": "start"}), RunOptions(data, tmp_path), ProcessGroup())  # type: ignore[arg-type]
    content, style = (to_float(source.batch(range(2))) for source in (wide.contents, wide.styles))
    torch.testing.assert_close(pictures(wide.pair, content, style), pictures(same.pair, content, style), rtol=0, atol=1e-6)
    steps = {"distil_steps": 0, "style_steps": 0, "finish_steps": 1, "finish_batch": 1, "finish_size": 32, "pool": 4}
    run(adain, data, tmp_path / "on", **given, **steps)
    tensors = load_file(tmp_path / "on" / "final.safetensors")
    assert tuple(tensors[f"encoder.{name}.weight"].shape[0] for name in LAYERS) == WIDE
    _, facts = load_checkpoint(tmp_path / "on" / "final.safetensors")
    assert facts["started_from"] == {"recipe": "adain", "step": 7}


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ((8, 8, 9, 9, 10, 10, 5, 10, 12), "narrow: layer conv3_3 of its encoder is not narrower than the new one"),
        ((8, 8, 9, 9, 10, 5, 10, 10, 12), "narrow: layer conv3_2 of its encoder is not narrower than the new one"),
    ],
)
def test_what_is_not_narrower_is_refused(widths: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        widen(Encoder(widths), Decoder(widths), narrow_pair(), random_vgg19(4), [torch.rand(1, 3, 32, 32)], "narrow")


def test_a_decoder_that_is_wider_than_the_new_one_is_refused() -> None:
    pair = narrow_pair()
    pair["decoder.conv3_3.weight"] = torch.zeros(11, 5, 3, 3)
    pair["decoder.conv3_3.bias"] = torch.zeros(11)
    with pytest.raises(ValueError, match=r"narrow: a layer 5 to 11 channels wide, where the new one has"):
        widen(Encoder(WIDE), Decoder(WIDE), pair, random_vgg19(4), [torch.rand(1, 3, 32, 32)], "narrow")
