"""Each recipe from end to end on a few crops, with a scoring network of random weights."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from random_vgg import as_file, random_vgg19
from recipe_runs import SMALL, run, write_data
from safetensors.torch import load_file

from fastnst.cli.commands.train import RECIPES as COMMANDS
from fastnst.convert.pair import load_pair
from fastnst.networks.adain import LAYERS, WIDTHS
from fastnst.networks.state import encoder_widths, part_of
from fastnst.networks.vgg import ALL_LAYERS, VGG19, Decoder, Encoder
from fastnst.train import ablation, adain, cascade, collab, decoder, prune, qat
from fastnst.train.checkpoints import load_checkpoint, save_checkpoint
from fastnst.train.compress.settings import CompressSettings
from fastnst.train.crd.settings import CrdSettings
from fastnst.train.data import CropSource, to_float
from fastnst.train.pool import GROUP, FeaturePool
from fastnst.train.precision import fastest, multiplies_bfloat16
from fastnst.train.process_group import ProcessGroup
from fastnst.train.scoring import CROP, CROPS, scoring_vgg
from fastnst.train.settings import RunOptions, Settings, filled, read, to_toml


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


CONFIGS = Path(adain.__file__).parent / "recipes"
ADAIN = {**SMALL, "finish_batch": 2, "finish_size": 40, "pool": 16, "distil_steps": 2, "style_steps": 2, "finish_steps": 2}


@pytest.mark.parametrize(
    ("cpuinfo", "native"),
    [
        ("flags : fpu avx512f avx512_bf16 pku\n", True),
        ("flags : avx2 avx512bw\n", False),
        ("Features : asimd bf16\n", True),
    ],
)
def test_runs_are_in_bfloat16_where_the_processor_multiplies_it(cpuinfo: str, native: bool) -> None:
    assert multiplies_bfloat16(cpuinfo) is native
    assert fastest("cuda") == "bfloat16"


def test_decoder_undoes_vgg(data: Path, tmp_path: Path) -> None:
    final = run(decoder, data, tmp_path, **SMALL, stage=3, steps=3, precision="bfloat16")
    assert {name: value.shape[1] for name, value in final.items() if name.endswith("weight")} == {
        f"decoder.{name}.weight": width for name, width in zip(ALL_LAYERS, VGG19[:5], strict=False)
    }
    assert decoder.decoder_from(tmp_path / "final.safetensors", last_relu=True).stage == 3


def test_adain_leaves_a_pair_to_convert(data: Path, tmp_path: Path) -> None:
    run(adain, data, tmp_path, **ADAIN, precision="bfloat16")
    assert load_pair(tmp_path / "final.safetensors").widths == list(WIDTHS["16x"])


def test_adain_original_trains_its_decoder_alone(data: Path, tmp_path: Path) -> None:
    final = run(adain, data, tmp_path, **ADAIN, widths="original")
    assert all(name.startswith("decoder.") for name in final)


MOBILE = {**ADAIN, "size": 16, "finish_size": 16, "encoder": "mobilenet"}


def test_adain_trains_an_encoder_of_inverted_residuals(data: Path, tmp_path: Path) -> None:
    numbers = {name: value for name, value in MOBILE.items() if name != "every"}
    settings = adain.AdainSettings(**numbers, precision="float32")  # type: ignore[arg-type]
    recipe = adain.AdainRecipe(settings, RunOptions(data, tmp_path), ProcessGroup())
    trained = {name: p for name, p in recipe.pair.named_parameters() if p.requires_grad}
    before = {name: p.detach().clone() for name, p in trained.items()}
    optimizer = torch.optim.Adam(trained.values(), 3e-4)
    for phase in recipe.phases[:2]:
        seen = []
        for _ in range(16):
            optimizer.zero_grad()
            terms = recipe.losses(phase, 0)  # one batch again and again
            terms["loss"].backward()
            optimizer.step()
            seen.append(terms["loss"].item())
        assert sum(seen[-5:]) / 5 < 0.8 * seen[0], phase.name
    assert not [name for name, p in trained.items() if torch.equal(p, before[name])]


def test_adain_goes_on_from_an_encoder_of_inverted_residuals(data: Path, tmp_path: Path) -> None:
    final = run(adain, data, tmp_path, **MOBILE)
    assert final["encoder.levels.2.0.filter.weight"].shape == (256, 1, 3, 3)
    assert final["decoder.conv4_1.weight"].shape[1] == 128
    given = {"widths": "start", "start": str(tmp_path / "final.safetensors")}
    recipe = adain.AdainRecipe(adain.AdainSettings(encoder="mobilenet", **given), RunOptions(data, tmp_path), ProcessGroup())  # type: ignore[arg-type]
    assert all(torch.equal(value, final[name]) for name, value in recipe.final().items())
    with pytest.raises(ValueError, match=r"final.safetensors: not an encoder of VGG's shape"):
        adain.AdainRecipe(adain.AdainSettings(**given), RunOptions(data, tmp_path), ProcessGroup())  # type: ignore[arg-type]


def test_prune_takes_no_other_encoder(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(prune, data, tmp_path, encoder="mobilenet")
    assert stopped.value.code == 2
    assert "encoder: only that of VGG's shape can be pruned, got 'mobilenet'" in capsys.readouterr().err


def test_a_scoring_network_that_is_not_normalised_is_normalised_on_photographs(data: Path, tmp_path: Path) -> None:
    tensors = as_file(random_vgg19(1), "torchvision")
    tensors["features.0.weight"] *= 60
    torch.save(tensors, tmp_path / "vgg.pth")
    run(decoder, data, tmp_path / "run", **SMALL, stage=1, steps=1, vgg=tmp_path / "vgg.pth")
    options = RunOptions(data, tmp_path)
    vgg = scoring_vgg(decoder.DecoderSettings(vgg=str(tmp_path / "vgg.pth")), options, stage=1)
    crops = CropSource(data / "content-train", CROP, (0.95, 1.05), 1).batch(range(CROPS))
    torch.testing.assert_close(vgg(to_float(crops)).mean((0, 2, 3)), torch.ones(64), atol=1e-3, rtol=1e-3)


RECIPES: dict[str, Settings] = {
    "decoder": decoder.DecoderSettings(),
    "collab": collab.CollabSettings(),
    "cascade": cascade.CascadeSettings(),
    "ablation": ablation.AblationSettings(),
    "adain": adain.AdainSettings(),
    "adain-mobilenet": adain.AdainSettings(),
    "prune": prune.PruneSettings(),
    "qat": qat.QatSettings(),
    "crd": CrdSettings().completed(),
    "crd-paired": CrdSettings(task="paired").completed(),
    "crd-tables": CrdSettings().completed(),
    "crd-tables-paired": CrdSettings(task="paired").completed(),
    "compress": CompressSettings(),
}


def test_every_recipe_has_its_file() -> None:
    assert {path.stem for path in CONFIGS.glob("*.toml")} == RECIPES.keys() | {"campaign", "gpu"}  # tables of runs
    assert set(COMMANDS) <= RECIPES.keys() | {"campaign"}


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_files_say_everything_but_paths(name: str) -> None:
    """So that what a file trains does not change with a default."""
    given = read(CONFIGS / f"{name}.toml")
    settings = filled(RECIPES[name], given, name)
    paths = {line.split(" ")[0] for line in to_toml(RECIPES[name]).splitlines() if line.endswith('= ""')}
    assert paths <= {"start", "teacher", "encoder", "vgg", "calibrate", "pictures"}
    assert {each.name for each in fields(settings)} - given.keys() == paths


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
    assert encoder_widths(part_of(pair, "encoder")) == WIDTHS["pruned"]
    assert load_pair(tmp_path / "pruned" / "round-2" / "final.safetensors").widths == list(WIDTHS["pruned"])


def test_dead_channels_go_and_what_is_known_of_the_training_stays(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    pair = {f"encoder.{k}": v for k, v in Encoder((4,) * 9).state_dict().items()}
    pair |= {f"decoder.{k}": v for k, v in Decoder((4,) * 9).state_dict().items()}
    for bias in ("encoder.conv1_2", "decoder.conv2_1"):
        pair[f"{bias}.bias"][1] = -1000.0
    facts = {"recipe": "adain", "step": 7, "training_data": "two cats"}
    save_checkpoint(tmp_path / "pair.safetensors", pair, facts)
    cut = run(prune, data, tmp_path / "live", start=tmp_path / "pair.safetensors", target="live", live_pictures=4)
    for layer, reader in (("encoder.conv1_2", "encoder.conv2_1"), ("decoder.conv2_1", "decoder.conv1_2")):
        assert cut[f"{layer}.weight"].shape[0] == cut[f"{reader}.weight"].shape[1] < 4
    _, told = load_checkpoint(tmp_path / "live" / "final.safetensors")
    assert told == facts | {"dead_channels_removed": {"pictures": 4, "share": 0.0, "seed": 1}}


def test_adain_goes_on_without_dead_channels(data: Path, tmp_path: Path) -> None:
    """Each side has lost channels of its own."""
    pair = {f"encoder.{k}": v for k, v in Encoder((4, 3, 4, 4, 4, 4, 4, 4, 5)).state_dict().items()}
    pair |= {f"decoder.{k}": v for k, v in Decoder((4, 4, 3, 4, 4, 4, 2, 4, 5)).state_dict().items()}
    save_checkpoint(tmp_path / "live.safetensors", pair, {})
    final = run(adain, data, tmp_path / "on", **{**ADAIN, "widths": "start", "start": tmp_path / "live.safetensors"})
    assert final.keys() == pair.keys()
    assert all(final[name].shape == value.shape for name, value in pair.items())
    pair["decoder.conv4_1.weight"] = pair["decoder.conv4_1.weight"][:, :4]
    save_checkpoint(tmp_path / "live.safetensors", pair, {})
    settings = adain.AdainSettings(widths="start", start=str(tmp_path / "live.safetensors"))
    with pytest.raises(ValueError, match="its encoder gives 5 channels, its decoder takes 4"):
        adain.AdainRecipe(settings, RunOptions(data, tmp_path), ProcessGroup())


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
        pool = FeaturePool(network, *sources, ProcessGroup(), capacity=2 * GROUP, renewed=1.5)
        for step in steps:
            pool.advance(step)
        content, style, features, statistics = pool.draw(8, torch.Generator().manual_seed(1))
        return [content, style, features, *(x for pair in statistics for x in pair)]

    for a, b in zip(drawn(0, 5, 6, 11, 20), drawn(20), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(drawn(0)[0], drawn(20)[0])
    assert np.isfinite(drawn(3)[2].float().numpy()).all()


def test_a_decoder_that_ends_with_a_relu_starts_where_it_can_learn() -> None:
    """Outputs below 0 would be black and without a gradient, for ever if all of them are."""
    torch.manual_seed(0)
    network = Decoder(VGG19[:3], last_relu=True)
    decoder.initialise(network)
    picture = network(torch.rand(1, VGG19[2], 8, 8))
    assert 0.3 < picture.min() < picture.max() < 0.7
