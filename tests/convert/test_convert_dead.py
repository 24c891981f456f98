"""Channels that never speak are removed from a pair, and those that stay do no harm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from trained_pair import (
    SMALL,
    Trained,
    content_photograph,
    psnr,
    style_photograph,
)

from fastnst.convert import convert, widths_of
from fastnst.convert.dead import alive, without_dead
from fastnst.convert.equalisation import float_layer
from fastnst.convert.pair import load_pair
from fastnst.convert.pictures import calibration_pairs
from fastnst.engine import Engine
from fastnst.reference.adain import adaptive_instance_normalization


@pytest.fixture(scope="module")
def with_dead(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pair with five channels that never speak: some of either side, and one where the two meet."""
    tensors = trained.tensors()
    for name, count in (("encoder.conv2_2", 2), ("encoder.conv4_1", 1), ("decoder.conv3_1", 2)):
        tensors[f"{name}.bias"][:count] = -1e4
    path = tmp_path_factory.mktemp("dead") / "dead.safetensors"
    save_file(tensors, path)
    return path


@pytest.mark.usefixtures("small_calibration")
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


@pytest.mark.usefixtures("small_calibration")
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


@pytest.mark.usefixtures("small_calibration")
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
