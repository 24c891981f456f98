"""Which models ``fastnst evaluate`` reads, what it takes them for, and which it refuses in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from random_networks import ADAIN_WIDTHS, adain_pair, no_vgg, prefixed, saved, scoring_weights
from torch import Tensor

from fastnst.evaluate.loading import load_model, named
from fastnst.evaluate.networks import FloatModel
from fastnst.evaluate.pictures import Pixels, to_tensor
from fastnst.networks.files import ADAIN, WCT, read_networks
from fastnst.networks.vgg import VGG19, Decoder, Encoder
from fastnst.networks.vgg_files import load_normalised_vgg19
from fastnst.networks.wct import STAGES, Stage, stylize, widths_of
from fastnst.reference.adain import adaptive_instance_normalization
from fastnst.system.errors import UsageError

SIZE = 40  # not a multiple of stage 5's stride


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scoring_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def pair() -> dict[str, Tensor]:
    return adain_pair()


@pytest.fixture(scope="module")
def stages() -> dict[int, Stage]:
    """WCT in three stages."""
    torch.manual_seed(2)
    return {k: Stage((5,) * len(widths_of(k, small=True))).eval().requires_grad_(False) for k in (1, 2, 5)}


def noise(seed: int, height: int = SIZE, width: int = 56) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_an_adain_pair_is_its_formula(pair: dict[str, Tensor], tmp_path: Path) -> None:
    model = load_model("a", saved(pair, tmp_path / "pair.safetensors", recipe="adain"), 1, no_vgg)
    encoder, decoder = Encoder(ADAIN_WIDTHS), Decoder(ADAIN_WIDTHS)
    for part, network in (("encoder.", encoder), ("decoder.", decoder)):
        network.load_state_dict({k.removeprefix(part): v for k, v in pair.items() if k.startswith(part)})
    content, style = noise(0), noise(1, 48, 40)
    with torch.no_grad():
        features = [encoder(to_tensor(x)) for x in (content, style)]
        wanted = decoder(adaptive_instance_normalization(*features))[0].clamp(0, 1)
        rebuilt = decoder(features[0])[0].clamp(0, 1)
    for made, exact in ((model(content, style), wanted), (model.reconstructions(content)[4], rebuilt)):
        assert made.shape == content.shape
        assert np.abs(made - 255 * exact.permute(1, 2, 0).numpy()).max() < 0.51
    assert model.parameters == sum(value.numel() for value in pair.values())
    # Layer by layer, by hand: outputs x inputs x 9 at each scale, and conv0.
    planes = (1, 1, 4, 4, 16, 16, 16, 16, 64)
    chain = zip((3, *ADAIN_WIDTHS), ADAIN_WIDTHS, planes, strict=False)
    convolutions = sum(9 * a * b * 512 * 512 // plane for a, b, plane in chain)
    assert model.macs == 3 * convolutions + 2 * 9 * 512 * 512


def test_stages_are_the_cascade_and_keep_the_size(stages: dict[int, Stage], tmp_path: Path) -> None:
    tensors = {f"{k}.{name}": value for k, stage in stages.items() for name, value in stage.state_dict().items()}
    networks = read_networks(saved(tensors, tmp_path / "wct.safetensors"), no_vgg)
    assert (networks.kind, sorted(networks.stages), networks.on_vgg) == (WCT, [1, 2, 5], False)
    model = FloatModel("w", tmp_path / "wct.safetensors", networks)
    content, style = noise(0, 48, 64), noise(1, 64, 48)
    made, wanted = model(content, style), stylize(stages, to_tensor(content), to_tensor(style))
    assert np.abs(made - 255 * wanted[0].clamp(0, 1).permute(1, 2, 0).numpy()).max() < 0.51
    odd = noise(0)
    assert model(odd, noise(1)).shape == odd.shape
    extended = np.pad(odd, ((0, 8), (0, 8), (0, 0)), "edge")
    assert np.array_equal(model.reconstructions(odd)[5], model.reconstructions(extended)[5][:SIZE, :56])
    assert sorted(model.reconstructions(odd)) == [1, 2, 5]


def test_sides_of_a_stage_may_differ_in_width(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder, decoder = Encoder((4, 5, 6)), Decoder((3, 2, 6), last_relu=True)
    tensors = {f"2.{name}": value for name, value in prefixed(encoder=encoder, decoder=decoder).items()}
    networks = read_networks(saved(tensors, tmp_path / "slim.safetensors"), no_vgg)
    feature = torch.rand(1, 6, 8, 8)
    assert torch.equal(networks.stages[2].decoder(feature), decoder(feature))


@pytest.mark.parametrize(("heads", "recipe", "kind"), [(True, "", WCT), (False, "decoder", WCT), (False, "adain", ADAIN)])
def test_what_one_stage_alone_is(heads: bool, recipe: str, kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    tensors = Stage((4, 4, 5, 5, 6), heads).state_dict()
    networks = read_networks(saved(tensors, tmp_path / "stage.safetensors", recipe=recipe), no_vgg)
    assert networks.kind == kind
    assert networks.stages[3].decoder.last_relu is (kind == WCT)


def test_a_decoder_alone_undoes_vgg(weights: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    file = saved(prefixed(decoder=Decoder(VGG19[:3])), tmp_path / "decoder.safetensors")
    vgg = load_normalised_vgg19(weights / "vgg19_random.safetensors", stage=2)
    networks = read_networks(file, {2: vgg}.__getitem__)
    assert networks.stages[2].encoder is vgg
    assert FloatModel("d", file, networks).what == "float AdaIN, stage 2, encoded by VGG-19"


def test_the_published_networks_by_their_names(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tensors, last = {}, {}
    for k in STAGES:
        last[k] = Stage(widths_of(k, small=True), heads=True)
        for name, value in last[k].state_dict().items():
            part, layer, kind = name.split(".")
            side, suffix = ("SD", "") if part == "decoder" else ("SE", "_aux" * (part == "heads"))
            tensors[f"{side}{k}.{layer.replace('_', '')}{suffix}.{kind}"] = value
    networks = read_networks(saved(tensors, tmp_path / "published.safetensors"), no_vgg)
    assert sorted(networks.stages) == list(STAGES)
    picture = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(networks.stages[5].encoder(picture), last[5].encoder(picture))
    assert FloatModel("p", tmp_path / "published.safetensors", networks).parameters == 2_146_003


Change = Callable[[dict[str, Tensor]], object]
BROKEN: list[tuple[str, Change, str]] = [
    ("nothing", lambda t: t.clear(), "not a trained model: expected encoder"),
    ("extra", lambda t: t.update(adam=torch.zeros(1)), "unexpected tensor adam; expected"),
    ("foreign", lambda t: t.update({"decoder.conv9.bias": torch.zeros(1)}), "decoder: unexpected tensor conv9.bias"),
    ("missing", lambda t: t.pop("decoder.conv3_1.bias"), "decoder: tensor conv3_1.bias is missing"),
    ("short", lambda t: t.pop("encoder.conv4_1.weight"), "widths: expected 1, 3, 5, 9, 13 numbers, got 8"),
    ("shape", lambda t: t.update({"encoder.conv1_2.bias": torch.zeros(9)}), r"encoder: conv1_2.bias has shape \[9\]"),
    ("nan", lambda t: t["encoder.conv1_2.bias"].fill_(float("nan")), "encoder.conv1_2.bias holds NaN or infinity"),
    ("one side", lambda t: [t.pop(k) for k in list(t) if k.startswith("decoder")], "there is no decoder"),
    ("no encoder", lambda t: [t.pop(k) for k in list(t) if k.startswith("encoder")], "no VGG-19 here"),
    (
        "bottleneck",
        lambda t: t.update({f"decoder.{k}": v for k, v in Decoder((*ADAIN_WIDTHS[:-1], 3)).state_dict().items()}),
        "the encoder gives 7 channels of stage 4, the decoder takes 3 of stage 4",
    ),
    ("number", lambda t: [t.update({f"3.{k}": t.pop(k)}) for k in list(t)], "stage 3 has the layers of stage 4"),
    ("mixed", lambda t: t.update({"2.decoder.conv1_1.bias": torch.zeros(3)}), "not a trained model"),
    ("published", lambda t: t.update({"SE1.conv0.bias": torch.zeros(3)}), "not the published networks"),
]


@pytest.mark.parametrize(("change", "message"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_broken_file_is_refused_in_one_line(change: Change, message: str, pair: dict[str, Tensor], tmp_path: Path) -> None:
    tensors = {name: value.clone() for name, value in pair.items()}
    change(tensors)
    with pytest.raises(ValueError, match=message) as caught:
        read_networks(saved(tensors, tmp_path / "broken.safetensors"), no_vgg)
    assert str(caught.value).startswith(f"{tmp_path / 'broken.safetensors'}: ")
    assert "\n" not in str(caught.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("not a model at all")
    with pytest.raises(ValueError, match="not a safetensors file"):
        load_model("t", tmp_path / "text.safetensors", 1, no_vgg)
    (tmp_path / "model.onnx").write_bytes(bytes(range(64)))
    with pytest.raises(ValueError, match=r"model.onnx: is an ONNX graph, which fastnst does not read"):
        load_model("o", tmp_path / "model.onnx", 1, no_vgg)
    with pytest.raises(FileNotFoundError, match="no such model"):
        load_model("n", tmp_path / "absent.fnst", 1, no_vgg)


def test_rows_have_names_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a=b.fnst").touch()
    rows = named(["adain-16x", "again=adain-16x", "x/final.safetensors", "a=b.fnst", "mine=a=b.fnst"])
    assert list(rows) == ["adain-16x", "again", "final", "a=b", "mine=a"]
    assert rows["again"] == rows["adain-16x"]
    assert rows["again"].is_file()
    assert rows["a=b"] == Path("a=b.fnst")
    with pytest.raises(UsageError, match=r"another model is named 'final'; NAME=y/final.safetensors"):
        named(["x/final.safetensors", "y/final.safetensors"])
