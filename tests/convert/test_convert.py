"""From trained weights to an engine model: nothing but rounding may change, and what cannot work is refused in one line."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy_engine as reference
import pytest
import torch
import torch.nn.functional as F
from numpy_engine import Lcg, random_layer
from PIL import Image
from safetensors.torch import load_file, save_file
from skimage import data
from torch import Tensor
from trained_pair import FACTS, SMALL, Trained, as_picture, as_tensor, content_photograph, style_photograph

from fastnst.convert import convert, macs_per_pixel, widths_of
from fastnst.convert.arithmetic import Grid, convolve, float_sums, layer_bound, simulate, simulate_layer
from fastnst.convert.dead import alive, without_dead
from fastnst.convert.equalisation import equalise, float_layer
from fastnst.convert.pair import Conv, Pair, engine_form, load_pair, phases_of
from fastnst.convert.pictures import LONGEST, PICTURES, SHORT_SIDE, STRIDE, calibration_pairs, read_picture
from fastnst.convert.quantisation import (
    SAMPLES,
    Fit,
    Moments,
    best_grid,
    grid_of,
    prove_safe,
    quantise_weights,
)
from fastnst.engine import Engine
from fastnst.format.modelfile import AdainFile, Layer
from fastnst.networks.adain import LAYERS, WIDTHS
from fastnst.networks.vgg import Decoder, Encoder
from fastnst.reference.adain import adaptive_instance_normalization

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def trained() -> Trained:
    return Trained()


@pytest.fixture(scope="module")
def source(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained.saved(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs for calibration: none of those that the tests stylize, though other parts of the same."""
    folder = tmp_path_factory.mktemp("pictures")
    photographs = {
        "astronaut": data.astronaut()[256:],
        "cat": data.chelsea(),
        "coffee": data.coffee()[150:, 340:],
        "motorcycle": data.stereo_motorcycle()[0],
        "rocket": data.rocket(),
    }
    for name, picture in photographs.items():
        Image.fromarray(picture).save(folder / f"{name}.png")
    (folder / "notes.txt").write_text("not a picture")
    return folder


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


# --- quantising -------------------------------------------------------------------------------------------------------------


def psnr(out: np.ndarray, wanted: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / ((out.astype(np.float64) - wanted) ** 2).mean()))


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


def test_the_bias_makes_the_means_equal() -> None:
    """Bias correction: over the pictures it was fitted to, a layer's mean sums are the float layer's, zero point and all."""
    generator = torch.Generator().manual_seed(4)
    weight = torch.randn((1, 6, 5, 3, 3), generator=generator, dtype=torch.float64)
    conv = Conv(weight, torch.linspace(-2, 2, 6, dtype=torch.float64), relu=False)
    inputs, outputs = Grid(0.05, 77), Grid(1.2, 128)
    real = torch.rand((1, 5, 32, 32), generator=generator) * 12.5 - 3.8
    q = (real / inputs.scale + inputs.zero).round().clamp(0, 255).to(torch.uint8)
    sums = float_sums(real, conv)
    fit = Fit(conv, inputs)
    fit.add(q, sums)
    layer = fit.layer(outputs)
    out = (simulate_layer(q, layer).double() - outputs.zero) * outputs.scale
    assert (out.mean((0, 2, 3)) - sums.mean((0, 2, 3))).abs().max() < 0.05 * outputs.scale
    assert (out - sums).square().mean().sqrt() < outputs.scale


def test_fitting_beats_rounding_to_nearest() -> None:
    """On correlated inputs the fitted weights' sums are nearer to the true ones than those of plain rounding."""
    generator = torch.Generator().manual_seed(5)
    basis = torch.randn((40, 12), generator=generator, dtype=torch.float64)
    x = basis @ torch.randn((12, 3000), generator=generator, dtype=torch.float64)
    weight = torch.randn((8, 40), generator=generator, dtype=torch.float64)
    moments = Moments()
    moments.add(x, weight @ x)
    xx, _ = moments.covariances()
    (q,), scale = quantise_weights([weight], torch.zeros(8, dtype=torch.float64), [xx])
    assert q.abs().max() <= 127
    top = weight.abs().amax(1, keepdim=True) / 127
    plain = (weight / top).round() * top

    def error(candidate: Tensor) -> float:
        return ((candidate - weight) @ x).square().mean().item()

    assert error(q * scale[:, None]) < 0.5 * error(plain)


@pytest.fixture(scope="module")
def with_dead(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pair with five channels that never speak: some of either side, and one where the two meet."""
    tensors = trained.tensors()
    for name, count in (("encoder.conv2_2", 2), ("encoder.conv4_1", 1), ("decoder.conv3_1", 2)):
        tensors[f"{name}.bias"][:count] = -1e4
    path = tmp_path_factory.mktemp("dead") / "dead.safetensors"
    save_file(tensors, path)
    return path


def test_channels_that_never_speak_are_removed(with_dead: Path, source: Path, pictures: Path) -> None:
    calibration = calibration_pairs(pictures)
    whole, (cut, dead) = load_pair(with_dead), without_dead(load_pair(with_dead), *calibration)
    _, before = without_dead(load_pair(source), *calibration)
    assert dead >= 5 > before
    assert widths_of(cut)["encoder"][3] == SMALL[3] - 2
    assert cut.decoder[0].weight.shape[2] == cut.encoder[-1].weight.shape[1] == SMALL[-1] - 1
    shapes = [conv.weight.shape[1:3] for conv in (*cut.encoder, *cut.decoder)]
    assert cut.parameters == 12 + sum(outputs * (9 * inputs + 1) for outputs, inputs in shapes)
    maps = [(p.double() / 255 for p in calibration[kind]) for kind in (0, 1)]
    for content, style in zip(*maps, strict=True):
        for alpha in (0.0, 1.0):
            pictures_made = []
            for pair in (whole, cut):
                features = [content, style]
                for conv in pair.encoder:
                    features = [float_layer(x, conv) for x in features]
                x = alpha * adaptive_instance_normalization(*features) + (1 - alpha) * features[0]
                for conv in pair.decoder:
                    x = float_layer(x, conv)
                pictures_made.append(x)
            torch.testing.assert_close(pictures_made[1], pictures_made[0], rtol=0, atol=2 / 255)


def test_a_channel_that_is_silent_by_little_stays() -> None:
    """64 pictures left channels silent that others needed: removing them cost 1.7 dB."""
    peaks = torch.tensor([[-1.0, -2.0, -2.0, 0.5], [-3.0, -2.1, -2.0, -3.0], [-2.0, -1.9, -2.0, -4.0]])
    sums = [row[None, :, None, None] - torch.linspace(0, 1, 4)[None, None, :, None] for row in peaks]
    assert alive(sums, 0.0).tolist() == [0, 3]
    assert alive([x[:, 1:3] for x in sums], 0.0).tolist() == [0]  # one channel at least: the highest


def test_more_are_removed_where_nearly_dead_ones_are_meant_too(source: Path, pictures: Path, tmp_path: Path) -> None:
    calibration = calibration_pairs(pictures)
    removed = [without_dead(load_pair(source), *calibration, share)[1] for share in (0.0, 0.1, 0.5)]
    assert removed == sorted(removed)
    assert removed[-1] > removed[0]
    with pytest.raises(ValueError, match="nearly_dead: expected a share from 0 to below 1, got 1"):
        convert(source, pictures, tmp_path / "out.fnst", nearly_dead=1.0)


def test_removing_them_is_told_and_can_be_declined(with_dead: Path, pictures: Path, tmp_path: Path) -> None:
    card = convert(with_dead, pictures, tmp_path / "cut.fnst")
    kept = convert(with_dead, pictures, tmp_path / "kept.fnst", keep_dead=True)
    assert "dead_channels_removed" not in kept
    assert kept["widths"]["encoder"] == list(SMALL)
    assert card["dead_channels_removed"] == sum(
        before - after
        for side in kept["widths"]
        for before, after in zip(kept["widths"][side], card["widths"][side], strict=True)
    )
    content, style = (np.ascontiguousarray(picture) for picture in (content_photograph(), style_photograph()))
    engines = [Engine(tmp_path / name) for name in ("cut.fnst", "kept.fnst")]
    made = [engine.decode(engine.encode(content), engine.look(style)) for engine in engines]
    assert psnr(*made) > 30


def test_channels_that_are_dead_stay_sound(trained: Trained, pictures: Path, tmp_path: Path) -> None:
    """Outputs with neither weights nor a positive bias occur in trained networks; they too need scales that are numbers."""
    tensors = trained.tensors()
    for name in ("encoder.conv1_1", "encoder.conv4_1", "decoder.conv3_4"):
        tensors[f"{name}.weight"][:2] = 0
        tensors[f"{name}.bias"][:2] = torch.tensor([0.0, -1.0])
    save_file(tensors, tmp_path / "dead.safetensors")
    convert(tmp_path / "dead.safetensors", pictures, tmp_path / "dead.fnst", keep_dead=True)
    picture = np.ascontiguousarray(content_photograph())
    engine = Engine(tmp_path / "dead.fnst")
    assert engine.decode(engine.encode(picture), engine.look(picture)).std() > 10


# --- ranges -----------------------------------------------------------------------------------------------------------------


def grid_error(grid: Grid, x: Tensor) -> float:
    q = (x / grid.scale + grid.zero).round().clamp(0, 255)
    return (grid.real(q) - x).square().mean().item()


def test_best_grid_has_the_least_error_and_holds_zero() -> None:
    x = torch.randn((1, 2, 64, 64), generator=torch.Generator().manual_seed(2)).exp() - 0.5
    grid = best_grid([x], relu=False, ranges="mse")
    assert np.float32(grid.scale) == grid.scale
    assert 0 < grid.zero < 60
    assert x.numel() == SAMPLES  # so that every value counts, and counts once
    widest = grid_of(x.min().item(), x.max().item())
    assert grid_error(grid, x) <= grid_error(widest, x)
    assert grid_error(grid, x) < 1.02 * min(grid_error(grid_of(a * x.min().item(), b * x.max().item()), x)
                                           for a in (0.5, 0.8, 1) for b in np.linspace(0.1, 1, 40))  # fmt: skip


def test_a_range_after_relu_begins_at_zero() -> None:
    grid = best_grid([torch.tensor([[[[-50.0, 0.0, 255.0]]]])], relu=True, ranges="mse")
    assert grid.zero == 0
    assert grid.scale == pytest.approx(1, rel=1e-3)


def test_percentile_leaves_outliers_out() -> None:
    x = torch.linspace(0, 1, 100_000).reshape(1, 1, 100, 1000).clone()
    x[0, 0, 0, 0] = 3.0
    clean = torch.linspace(0, 1, 100_000).reshape(1, 1, 100, 1000)
    assert best_grid([x, clean, clean], relu=True, ranges="percentile").scale * 255 == pytest.approx(1, rel=2e-3)


def test_one_picture_of_huge_values_does_not_set_the_range() -> None:
    """Least squared error alone would take a range that reduces all other pictures to two or three steps."""
    usual = torch.rand((1, 1, 64, 128), generator=torch.Generator().manual_seed(7))
    grid = best_grid([usual] * 9 + [100 * usual], relu=True, ranges="mse")
    assert grid_error(grid, usual) < 0.02 * usual.square().mean()


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_a_map_that_is_always_zero_has_a_grid(value: float) -> None:
    grid = best_grid([torch.full((1, 1, 4, 4), value)], relu=True, ranges="mse")
    assert grid.scale > 0


# --- the file and its card --------------------------------------------------------------------------------------------------


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


def test_card_names_no_folder_of_whoever_trained(trained: Trained, pictures: Path, tmp_path: Path) -> None:
    settings = {"start": str(tmp_path / "home" / "start.safetensors"), "pictures": "gan/photos", "step": 3}
    save_file(trained.tensors(), tmp_path / "pair.safetensors", {"facts": json.dumps({"settings": settings})})
    card = convert(tmp_path / "pair.safetensors", pictures, tmp_path / "out.fnst")
    assert card["trained_with"] == {"settings": settings | {"start": "start.safetensors"}}


def test_channels_may_be_missing_on_either_side(source: Path, tmp_path: Path) -> None:
    """As they are once dead ones are removed; but not where encoder and decoder meet."""
    tensors = load_file(source)
    for name in ("decoder.conv2_2.weight", "decoder.conv2_2.bias"):
        tensors[name] = tensors[name][:5].contiguous()
    tensors["decoder.conv2_1.weight"] = tensors["decoder.conv2_1.weight"][:, :5].contiguous()
    save_file(tensors, tmp_path / "cut.safetensors")
    pair = load_pair(tmp_path / "cut.safetensors")
    assert pair.widths == list(SMALL)
    assert [conv.weight.shape[1] for conv in pair.decoder][-4:] == [5, SMALL[1], SMALL[0], 3]
    tensors["decoder.conv4_1.weight"] = tensors["decoder.conv4_1.weight"][:, :5].contiguous()
    save_file(tensors, tmp_path / "torn.safetensors")
    with pytest.raises(ValueError, match=r"decoder.conv4_1.weight has shape \[11, 5, 3, 3\], expected \[11, 16, 3, 3\]"):
        load_pair(tmp_path / "torn.safetensors")


def test_cost_of_the_published_small_pair() -> None:
    """15.4 kMAC per pixel on either side and 439,471 parameters (Wang et al., CVPR 2020, at the widths 16 to 128)."""
    networks = {"encoder": Encoder(WIDTHS["16x"]), "decoder": Decoder(WIDTHS["16x"])}
    pair = engine_form(
        {f"{side}.{name}": x for side, net in networks.items() for name, x in net.state_dict().items()}, LAYERS, {}
    )
    assert macs_per_pixel(pair) == {"encoder": pytest.approx(15400, rel=0.01), "decoder": pytest.approx(15400, rel=0.01)}
    assert pair.parameters == 439_471


def test_same_input_gives_the_same_file(source: Path, pictures: Path, converted: Path, tmp_path: Path) -> None:
    again = tmp_path / converted.name
    convert(source, pictures, again)
    assert again.read_bytes() == converted.read_bytes()


def test_output_that_exists_is_kept_unless_told_otherwise(source: Path, pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.fnst"
    output.write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        convert(source, pictures, output)
    assert output.read_bytes() == b"precious"
    convert(source, pictures, output, overwrite=True, ranges="percentile")
    assert Engine(output).card["name"] == "out"
    assert list(tmp_path.iterdir()) == [output]


def test_a_failed_write_leaves_nothing(source: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: AdainFile) -> bytes:
        raise MemoryError

    monkeypatch.setattr("fastnst.convert.to_bytes", broken)
    with pytest.raises(MemoryError):
        convert(source, pictures, tmp_path / "out.fnst")
    assert list(tmp_path.iterdir()) == []


# --- calibration pictures ---------------------------------------------------------------------------------------------------


def test_pictures_are_cut_to_whole_strides() -> None:
    folder = Path(data.__file__).parent
    picture = read_picture(folder / "coffee.png")
    assert picture.dtype == torch.uint8
    assert min(picture.shape[2:]) == SHORT_SIDE
    assert all(side % STRIDE == 0 and side <= LONGEST for side in picture.shape[2:])


def test_content_and_style_folders_are_used(tmp_path: Path) -> None:
    for kind, colour in (("content", 10), ("style", 200)):
        (tmp_path / kind).mkdir()
        for i in range(2 if kind == "content" else 3):
            Image.new("RGB", (300, 260), (colour, i, 0)).save(tmp_path / kind / f"{i}.png")
    contents, styles = calibration_pairs(tmp_path)
    assert [int(p[0, 0, 0, 0]) for p in contents] == [10] * 3
    assert [int(p[0, 1, 0, 0]) for p in contents] == [0, 1, 0]
    assert [int(p[0, 1, 0, 0]) for p in styles] == [0, 1, 2]


def test_choice_is_even_and_limited(tmp_path: Path) -> None:
    for i in range(50):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / f"{i:02}.png")
    contents, styles = calibration_pairs(tmp_path)
    seen = [int(p[0, 0, 0, 0]) for p in contents]
    assert len(seen) == len(styles) == PICTURES
    assert seen == sorted(set(seen))
    assert seen[0] == 0
    assert seen[-1] >= 48
    assert all(not torch.equal(a, b) for a, b in zip(contents, styles, strict=True))


@pytest.mark.parametrize("kind", ["empty", "absent", "file", "broken picture"])
def test_folders_that_cannot_calibrate(source: Path, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "folder"
    if kind == "file":
        folder.write_bytes(b"")
    elif kind != "absent":
        folder.mkdir()
        if kind == "broken picture":
            (folder / "a.png").write_bytes(b"no picture")
    with pytest.raises((ValueError, OSError), match="folder"):
        convert(source, folder, tmp_path / "out.fnst")
    assert not (tmp_path / "out.fnst").exists()


# --- weights that are refused -----------------------------------------------------------------------------------------------


def spoil(tensors: dict[str, Tensor], how: str) -> dict[str, Tensor]:
    name = "decoder.conv2_1.weight"
    if how == "missing":
        del tensors[name]
    elif how == "first missing":
        del tensors["encoder.conv1_1.weight"]
    elif how == "extra":
        tensors["decoder.conv5_1.weight"] = torch.zeros(1)
    elif how == "nan":
        tensors[name][0, 0, 0, 0] = torch.nan
    elif how == "infinite":
        tensors["encoder.conv0.bias"][0] = torch.inf
    elif how == "shape":
        tensors[name] = tensors[name][:, 1:].contiguous()
    elif how == "flat":
        tensors["encoder.conv1_2.weight"] = tensors["encoder.conv1_2.weight"].flatten()
    elif how == "checkpoint":
        tensors = {f"model.{key}": value for key, value in tensors.items()}
    return tensors


@pytest.mark.parametrize("how", ["missing", "first missing", "extra", "nan", "infinite", "shape", "flat", "checkpoint"])
def test_tensors_that_are_no_pair(trained: Trained, tmp_path: Path, how: str) -> None:
    path = tmp_path / "bad.safetensors"
    save_file(spoil(trained.tensors(), how), path)
    with pytest.raises(ValueError, match=r"bad\.safetensors") as caught:
        load_pair(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("how", ["pickle", "empty", "cut", "html"])
def test_files_that_are_no_safetensors(source: Path, tmp_path: Path, how: str) -> None:
    path = tmp_path / "bad.safetensors"
    if how == "pickle":
        path.write_bytes(pickle.dumps({"encoder.conv0.weight": 1}))
    else:
        path.write_bytes({"empty": b"", "cut": source.read_bytes()[:5000], "html": b"<html>" * 100}[how])
    with pytest.raises(ValueError, match=r"bad\.safetensors") as caught:
        load_pair(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.safetensors"):
        load_pair(tmp_path / "gone.safetensors")


def test_half_precision_weights_are_read(trained: Trained, tmp_path: Path) -> None:
    save_file({name: value.half() for name, value in trained.tensors().items()}, tmp_path / "half.safetensors")
    assert load_pair(tmp_path / "half.safetensors").encoder[0].weight.dtype == torch.float64


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bias": np.array([2**31 - 1], np.int32)}, "accumulator"),
        ({"bias": np.array([-(2**31)], np.int32)}, "accumulator"),
        ({"multiplier": np.array([1e6], np.float32)}, "output"),
    ],
)
def test_layers_that_could_overflow(change: dict[str, np.ndarray], words: str) -> None:
    layer = Layer(np.full((1, 3, 3, 20), 127, np.int8), np.zeros(1, np.int32), np.full(1, 1e-4, np.float32))
    prove_safe(layer)
    with pytest.raises(ValueError, match=words):
        prove_safe(replace(layer, **change))


def test_reading_leaves_the_trained_file_as_it_was(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    shutil.copy(source, copy)
    load_pair(copy)
    assert copy.read_bytes() == source.read_bytes()
