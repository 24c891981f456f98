"""From trained weights to an engine model: the engine's form computes the same, the simulation equals the engine, and the
result stays close to the float network; what the file and its card hold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy_engine as reference
import pytest
import torch
import torch.nn.functional as F
from numpy_engine import Lcg, random_layer
from safetensors.torch import load_file, save_file
from torch import Tensor
from trained_pair import (
    FACTS,
    SMALL,
    Trained,
    as_picture,
    as_tensor,
    content_photograph,
    psnr,
    style_photograph,
)

from fastnst.convert import convert, macs_per_pixel
from fastnst.convert.arithmetic import convolve, layer_bound, simulate, simulate_layer
from fastnst.convert.equalisation import equalise, float_layer
from fastnst.convert.pair import Pair, engine_form, load_pair, phases_of
from fastnst.convert.pictures import calibration_pairs
from fastnst.engine import Engine
from fastnst.format.modelfile import AdainFile, Layer
from fastnst.networks.adain import LAYERS, WIDTHS
from fastnst.networks.vgg import Decoder, Encoder
from fastnst.reference.adain import adaptive_instance_normalization


@pytest.fixture(scope="module")
def converted(source: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("converted") / "small.fnst"
    convert(source, pictures, output)
    return output


# --- rewriting the float network --------------------------------------------------------------------------------------------


def test_the_engines_form_of_the_network_computes_the_same(trained: Trained, source: Path) -> None:
    """conv0 folded in, upsampling as phases: equal to rounding in float64."""
    pair = load_pair(source)
    maps = [as_tensor(picture).double() / 255 for picture in (content_photograph(), style_photograph())]
    for conv in pair.encoder:
        maps = [float_layer(x, conv) for x in maps]
    torch.testing.assert_close(maps[0], trained.encoder(as_tensor(content_photograph()).double() / 255), rtol=1e-9, atol=1e-9)
    x = adaptive_instance_normalization(*maps)
    for conv in pair.decoder:
        x = float_layer(x, conv)
    torch.testing.assert_close(x, trained(content_photograph(), style_photograph()), rtol=1e-9, atol=1e-9)


def test_phases_are_the_convolution_after_upsampling() -> None:
    generator = torch.Generator().manual_seed(1)
    weight, bias = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((5, 4, 3, 3), (5,)))
    for size in ((1, 1), (1, 4), (3, 2)):
        x = torch.randn((2, 4, *size), generator=generator, dtype=torch.float64)
        large = F.pad(F.interpolate(x, scale_factor=2.0, mode="nearest"), (1, 1, 1, 1), mode="reflect")
        mine = convolve(x, phases_of(weight), bias.expand(4, -1), upsample=True)
        torch.testing.assert_close(mine, F.conv2d(large, weight, bias), rtol=1e-12, atol=1e-12)


def test_equalising_changes_nothing_but_the_channels(source: Path, pictures: Path) -> None:
    """Without AdaIN between, whose epsilon is of fixed size, the rescaled network is the same to rounding in float64."""
    pair = load_pair(source)
    contents, styles = ([p.double() / 255 for p in side] for side in calibration_pairs(pictures))
    balanced = equalise(pair, contents, styles)

    def run(side: Pair) -> Tensor:
        x = as_tensor(content_photograph()).double() / 255
        for conv in (*side.encoder, *side.decoder):
            x = float_layer(x, conv)
        return x

    for before, after in zip(pair.encoder, balanced.encoder, strict=True):
        assert (before.weight[0, :, 0] / after.weight[0, :, 0]).flatten(1).std(1).max() < 1e-9
        assert not torch.allclose(before.weight, after.weight)
    torch.testing.assert_close(run(pair), run(balanced), rtol=1e-9, atol=1e-9)


# --- the engine in torch ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (7, 1), (9, 12)])
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"kernel": 1, "zero": 100},
        {"pool": "floor"},
        {"pool": "ceil", "zero": 255},
        {"upsample": True},
        {"upsample": True, "zero": 30},
    ],
    ids=str,
)
def test_simulated_layers_equal_the_reference(shape: dict[str, object], size: tuple[int, int]) -> None:
    if shape.get("pool") == "floor":
        size = max(size[0], 2), max(size[1], 2)  # of a single pixel it leaves none, which the engine never asks for
    lcg = Lcg(100 * size[0] + size[1])
    probe = lcg.integers(0, 256, (9, 12, 70)).astype(np.uint8)
    layer = random_layer(lcg, probe, 5, **shape)  # type: ignore[arg-type]
    q = lcg.integers(0, 256, (*size, 70)).astype(np.uint8)
    np.testing.assert_array_equal(as_picture(simulate_layer(as_tensor(q), layer)), reference.run_layer(q, layer))


def test_simulated_sums_beyond_float32_are_exact() -> None:
    """Sums near 2^31: float32 would lose their last bits before the rounding that the engine does."""
    lcg = Lcg(6)
    weights = lcg.integers(100, 128, (4, 3, 3, 400)).astype(np.int8)
    layer = Layer(weights, np.array([0, 1, -1, 10**9], np.int32), np.full(4, 1.1e-6, np.float32))
    q = lcg.integers(128, 256, (6, 6, 400)).astype(np.uint8)
    assert layer_bound(layer).max() > 2**24
    np.testing.assert_array_equal(as_picture(simulate_layer(as_tensor(q), layer)), reference.run_layer(q, layer))


@pytest.mark.parametrize("alpha", [1.0, 0.4, 0.0])
def test_simulation_equals_the_engine_byte_for_byte(converted: Path, alpha: float) -> None:
    engine, model = Engine(converted), reference.parse(converted.read_bytes())
    content, style = content_photograph(), style_photograph()
    out = engine.decode(engine.encode(np.ascontiguousarray(content)), engine.look(np.ascontiguousarray(style)), alpha)
    np.testing.assert_array_equal(as_picture(simulate(model, as_tensor(content), as_tensor(style), alpha)), out)


# --- the converted model -----------------------------------------------------------------------------------------------------


def test_converted_model_stays_close_to_the_float_network(converted: Path, trained: Trained) -> None:
    """34.2 dB measured. Everything that rounding does is amplified as in a trained network, one grey level to about two; a zero
    point, a phase or a scale gone wrong gives less than 20 dB."""
    engine = Engine(converted)
    content, style = (np.ascontiguousarray(p) for p in (content_photograph(), style_photograph()))
    wanted = as_picture((trained(content, style).clamp(0, 1) * 255).round())
    assert wanted.std() > 30
    assert psnr(engine.decode(engine.encode(content), engine.look(style)), wanted) > 31


def test_zero_alpha_reconstructs_as_the_float_network_does(converted: Path, trained: Trained) -> None:
    """40.6 dB measured: without AdaIN between, which raises the noise of channels that have more contrast in the style."""
    engine = Engine(converted)
    content, style = (np.ascontiguousarray(p) for p in (content_photograph(), style_photograph()))
    with torch.no_grad():
        wanted = trained.decoder(trained.encoder(as_tensor(content).double() / 255))
    out = engine.decode(engine.encode(content), engine.look(style), 0.0)
    assert psnr(out, as_picture((wanted.clamp(0, 1) * 255).round())) > 37


def test_statistics_are_those_of_the_float_network_up_to_equalisation(converted: Path, trained: Trained) -> None:
    """Deviation over mean of a channel does not depend on the factor that equalisation put on it."""
    look = Engine(converted).look(np.ascontiguousarray(style_photograph()))
    with torch.no_grad():
        features = trained.encoder(as_tensor(style_photograph()).double() / 255)[0].flatten(1)
    mean, std = features.mean(1).numpy(), features.std(1).numpy()
    lively = mean > 0.1 * mean.max()
    assert lively.sum() > 4
    np.testing.assert_allclose((look.std / look.mean)[lively], (std / mean)[lively], rtol=0.05)


# --- the file and its card --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_calibration")
def test_card_says_what_the_model_is(source: Path, pictures: Path, tmp_path: Path) -> None:
    card = convert(source, pictures, tmp_path / "out.fnst", name="a name")
    assert Engine(tmp_path / "out.fnst").card == card
    assert card["name"] == "a name"
    assert card["kind"] == "adain"
    assert card["widths"] == {"encoder": list(SMALL), "decoder": [*SMALL[-2::-1], 3]}
    assert card["parameters"] == sum(tensor.numel() for tensor in load_file(source).values())
    assert card["bits"] == {"weights": 8, "activations": 8}
    assert card["calibration"] == 10
    assert card["trained_with"] == {key: FACTS[key] for key in ("step", "seconds", "settings")}
    assert card["macs_per_pixel"] == sum(card["macs_per_pixel_by_part"].values())


@pytest.mark.usefixtures("small_calibration")
def test_card_names_no_folder_of_whoever_trained(trained: Trained, pictures: Path, tmp_path: Path) -> None:
    settings = {"start": str(tmp_path / "home" / "start.safetensors"), "pictures": "gan/photos", "step": 3}
    save_file(trained.tensors(), tmp_path / "pair.safetensors", {"facts": json.dumps({"settings": settings})})
    card = convert(tmp_path / "pair.safetensors", pictures, tmp_path / "out.fnst")
    assert card["trained_with"] == {"settings": settings | {"start": "start.safetensors"}}


def test_cost_of_the_published_small_pair() -> None:
    """15.4 kMAC per pixel on either side and 439,471 parameters (Wang et al., CVPR 2020, at the widths 16 to 128)."""
    networks = {"encoder": Encoder(WIDTHS["16x"]), "decoder": Decoder(WIDTHS["16x"])}
    pair = engine_form(
        {f"{side}.{name}": x for side, net in networks.items() for name, x in net.state_dict().items()}, LAYERS, {}
    )
    assert macs_per_pixel(pair) == {"encoder": pytest.approx(15400, rel=0.01), "decoder": pytest.approx(15400, rel=0.01)}
    assert pair.parameters == 439_471


@pytest.mark.usefixtures("small_calibration")
def test_same_input_gives_the_same_file(source: Path, pictures: Path, tmp_path: Path) -> None:
    first, again = tmp_path / "first" / "same.fnst", tmp_path / "again" / "same.fnst"
    for output in (first, again):
        output.parent.mkdir()
        convert(source, pictures, output)
    assert again.read_bytes() == first.read_bytes()


@pytest.mark.usefixtures("small_calibration")
def test_output_that_exists_is_kept_unless_told_otherwise(source: Path, pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.fnst"
    output.write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        convert(source, pictures, output)
    assert output.read_bytes() == b"precious"
    convert(source, pictures, output, overwrite=True, ranges="percentile")
    assert Engine(output).card["name"] == "out"
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.usefixtures("small_calibration")
def test_a_failed_write_leaves_nothing(source: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: AdainFile) -> bytes:
        raise MemoryError

    monkeypatch.setattr("fastnst.convert.to_bytes", broken)
    with pytest.raises(MemoryError):
        convert(source, pictures, tmp_path / "out.fnst")
    assert list(tmp_path.iterdir()) == []
