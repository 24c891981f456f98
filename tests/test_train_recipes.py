"""Each recipe from end to end on a few crops, with a scoring network of random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from fastnst.convert.pair import load_pair
from fastnst.networks.adain import LAYERS, WIDTHS
from fastnst.networks.pruning import encoder_widths
from fastnst.networks.vgg import ALL_LAYERS, VGG19, Decoder, Encoder
from fastnst.networks.wct import widths_of
from fastnst.train import adain, collab, decoder, prune
from fastnst.train.data import CropSource
from fastnst.train.pool import GROUP, FeaturePool
from fastnst.train.world import World


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as recipes expect one."""
    folder = tmp_path_factory.mktemp("data")
    pictures = {"content-train": (skimage.data.astronaut(), skimage.data.chelsea()), "style-train": (skimage.data.coffee(),)}
    for kind, photographs in pictures.items():
        (folder / kind).mkdir()
        for i, pixels in enumerate(photographs):
            Image.fromarray(pixels[:200, :200]).save(folder / kind / f"{i}.png")
    torch.manual_seed(0)
    tensors = dict(Encoder(VGG19[: len(LAYERS)], input_scale=1.0).state_dict())
    tensors |= {f"norm_scale.{name}": torch.rand(tensors[f"{name}.bias"].shape) + 0.5 for name in LAYERS}
    (folder / "weights").mkdir()
    save_file(tensors, folder / "weights" / decoder.VGG_FILE)
    return folder


def run(recipe: object, data: Path, out: Path, **settings: object) -> dict[str, torch.Tensor]:
    """What a recipe leaves; settings as on the command line."""
    given = [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    recipe.main(["--data", str(data), "--out", str(out), "--threads", "1", *given])  # type: ignore[attr-defined]
    (*_, final) = sorted(out.rglob("final.safetensors"))
    return load_file(final)


SMALL = {"batch": 2, "size": 32, "every": 2}
ADAIN = {**SMALL, "finish_batch": 2, "finish_size": 40, "pool": 16, "distil_steps": 2, "style_steps": 2, "finish_steps": 2}


def test_decoder_undoes_vgg(data: Path, tmp_path: Path) -> None:
    final = run(decoder, data, tmp_path, **SMALL, stage=3, steps=3)
    assert {name: value.shape[1] for name, value in final.items() if name.endswith("weight")} == {
        f"decoder.{name}.weight": width for name, width in zip(ALL_LAYERS, VGG19[:5], strict=False)
    }
    assert decoder.decoder_from(tmp_path / "final.safetensors", last_relu=True).stage == 3


def test_collab_leaves_encoder_heads_and_decoder(data: Path, tmp_path: Path) -> None:
    run(decoder, data, tmp_path / "big", **SMALL, stage=2, steps=1)
    steps = {"encoder_steps": 2, "decoder_steps": 2}
    final = run(collab, data, tmp_path / "small", **SMALL, stage=2, **steps, teacher=tmp_path / "big" / "final.safetensors")
    assert {name.split(".")[0] for name in final} == {"encoder", "heads", "decoder"}
    assert tuple(final[f"encoder.{name}.weight"].shape[0] for name in ALL_LAYERS[:3]) == widths_of(2, small=True)
    rows = (tmp_path / "small" / "log.csv").read_text()
    assert "\n1,embedding," in rows
    assert "\n3,embedding," not in rows  # the decoder's turn
    assert decoder.encoder_from(tmp_path / "small" / "final.safetensors").stage == 2


@pytest.mark.parametrize(
    ("weights", "terms"),
    [
        ({"pixel_weight": 0, "perceptual_weight": 0}, {"embedding", "loss"}),
        ({"embedding_weight": 0}, {"pixel", "perceptual", "loss"}),
    ],
    ids=["embedding-alone", "collaboration-alone"],
)
def test_collab_ablations_leave_terms_out(weights: dict[str, float], terms: set[str], data: Path, tmp_path: Path) -> None:
    run(decoder, data, tmp_path / "big", **SMALL, stage=1, steps=1)
    settings = {"encoder_steps": 1, "decoder_steps": 1, "teacher": tmp_path / "big" / "final.safetensors"}
    run(collab, data, tmp_path / "small", **SMALL, stage=1, **settings, **weights)
    rows = [row.split(",") for row in (tmp_path / "small" / "log.csv").read_text().splitlines()]
    assert {name for step, name, _ in rows if step == "1"} - {"rate", "samples_per_second"} == terms


def test_collab_needs_its_teacher(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="teacher: the collaboration loss needs the big decoder"):
        run(collab, data, tmp_path, **SMALL, stage=1)


def test_adain_leaves_a_pair_to_convert(data: Path, tmp_path: Path) -> None:
    run(adain, data, tmp_path, **ADAIN)
    assert load_pair(tmp_path / "final.safetensors").widths == list(WIDTHS["16x"])


def test_adain_original_trains_its_decoder_alone(data: Path, tmp_path: Path) -> None:
    final = run(adain, data, tmp_path, **ADAIN, widths="original")
    assert all(name.startswith("decoder.") for name in final)


def test_adain_goes_on_with_the_same_bytes(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(adain, data, tmp_path / "whole", **ADAIN)
    losses = adain.AdainRecipe.losses

    def stopped(self: adain.AdainRecipe, phase: object, batch_index: int) -> object:
        if batch_index == 5:
            raise KeyboardInterrupt
        return losses(self, phase, batch_index)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(adain.AdainRecipe, "losses", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(adain, data, tmp_path / "broken", **ADAIN)
    broken = run(adain, data, tmp_path / "broken", **ADAIN)
    assert all(torch.equal(value, broken[name]) for name, value in whole.items())


def test_prune_comes_to_its_widths_in_rounds(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WIDTHS, "16x", (8, 8, 12, 12, 12, 12, 12, 12, 16))
    monkeypatch.setitem(WIDTHS, "pruned", (8, 8, 12, 12, 9, 10, 10, 10, 11))
    run(adain, data, tmp_path / "first", **ADAIN)
    steps = {"round_steps": 1, "last_steps": 1, "rounds": 2}
    start = tmp_path / "first" / "final.safetensors"
    given = {**{k: v for k, v in ADAIN.items() if "steps" not in k}, **steps, "start": start}
    run(prune, data, tmp_path / "pruned", **given)
    pair = load_file(tmp_path / "pruned" / "round-2" / "final.safetensors")
    assert encoder_widths(pair) == WIDTHS["pruned"]
    assert load_pair(tmp_path / "pruned" / "round-2" / "final.safetensors").widths == list(WIDTHS["pruned"])


def test_pruning_keeps_the_largest_filters_and_every_bias() -> None:
    torch.manual_seed(0)
    pair = {f"encoder.{k}": v for k, v in Encoder((4,) * 9).state_dict().items()}
    pair |= {f"decoder.{k}": v for k, v in Decoder((4,) * 9).state_dict().items()}
    cut = prune.prune(pair, (4, 4, 4, 4, 3, 4, 4, 4, 2))
    kept = pair["encoder.conv3_1.weight"].flatten(1).norm(dim=1).argsort(descending=True)[:3].sort().values
    assert torch.equal(cut["encoder.conv3_1.bias"], pair["encoder.conv3_1.bias"][kept])
    assert torch.equal(cut["encoder.conv3_2.weight"], pair["encoder.conv3_2.weight"][:, kept])
    assert torch.equal(cut["encoder.conv3_2.bias"], pair["encoder.conv3_2.bias"])
    mirrored = pair["decoder.conv3_2.weight"].flatten(1).norm(dim=1).argsort(descending=True)[:3].sort().values
    assert torch.equal(cut["decoder.conv3_2.bias"], pair["decoder.conv3_2.bias"][mirrored])
    assert cut["decoder.conv3_1.weight"].shape[1] == 3
    last = pair["encoder.conv4_1.weight"].flatten(1).norm(dim=1).argsort(descending=True)[:2].sort().values
    assert torch.equal(cut["decoder.conv4_1.weight"], pair["decoder.conv4_1.weight"][:, last])
    with pytest.raises(ValueError, match="conv1_1: cannot prune 4 channels to 5"):
        prune.prune(pair, (5,) * 9)


def test_pruning_zero_channels_changes_no_picture() -> None:
    torch.manual_seed(0)
    encoder, whole = Encoder((6,) * 9), Decoder((6,) * 9)
    for layer in (encoder.conv3_2, whole.conv3_3):
        layer.weight.data[4:] = 0  # type: ignore[union-attr]
        layer.bias.data[4:] = 0  # type: ignore[union-attr]
    pair = {f"encoder.{k}": v for k, v in encoder.state_dict().items()} | {
        f"decoder.{k}": v for k, v in whole.state_dict().items()
    }
    widths = tuple(4 if name == "conv3_2" else 6 for name in LAYERS)
    cut = prune.prune(pair, widths)
    small, mirror = Encoder(widths), Decoder(widths)
    small.load_state_dict({k.removeprefix("encoder."): v for k, v in cut.items() if k.startswith("encoder.")})
    mirror.load_state_dict({k.removeprefix("decoder."): v for k, v in cut.items() if k.startswith("decoder.")})
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(small(image), encoder(image))
    torch.testing.assert_close(mirror(small(image)), whole(encoder(image)))


def test_the_pool_is_a_function_of_the_step(data: Path) -> None:
    torch.manual_seed(0)
    network = Encoder((4,) * 9)
    sources = [CropSource(data / kind, 32, (0.9, 1.1), i) for i, kind in enumerate(("content-train", "style-train"))]

    def drawn(*steps: int) -> list[torch.Tensor]:
        pool = FeaturePool(network, *sources, World(), capacity=2 * GROUP, renewed=1.5)
        for step in steps:
            pool.advance(step)
        content, style, features, statistics = pool.draw(8, torch.Generator().manual_seed(1))
        return [content, style, features, *(x for pair in statistics for x in pair)]

    for a, b in zip(drawn(0, 5, 6, 11, 20), drawn(20), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(drawn(0)[0], drawn(20)[0])
    assert np.isfinite(drawn(3)[2].float().numpy()).all()
