"""Conversion that gives layers Winograd form: which ones, with what loss, and the engine computes what was simulated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor
from trained_pair import as_picture, as_tensor

from fastnst import cli
from fastnst.convert import convert, forms
from fastnst.convert.arithmetic import simulate
from fastnst.convert.choosing import Chooser
from fastnst.convert.equalisation import float_adain, float_layer
from fastnst.convert.forms import LayerReport, choices, possible
from fastnst.convert.pair import Pair, kernel_of, load_pair, phases_of
from fastnst.convert.quantisation import quantise
from fastnst.engine import Engine
from fastnst.format.modelfile import AdainFile, to_bytes

CONTENT, STYLE = as_tensor(data.astronaut()[:96, 100:228]), as_tensor(data.coffee()[50:178, 100:196])


@pytest.fixture(scope="module")
def pair(source: Path) -> Pair:
    return load_pair(source)


def quantised(pair: Pair, winograd: str) -> tuple[AdainFile, list[LayerReport]]:
    chooser = Chooser(iter(choices(pair, winograd)), [])
    return quantise(pair, [CONTENT], [STYLE], choose=chooser), chooser.reports


def noise(model: AdainFile, wanted: Tensor) -> float:
    made = simulate(model, CONTENT, STYLE).double() / 255
    return (made - wanted).square().mean().item()


def test_kernels_come_back_from_their_phases() -> None:
    kernel = torch.randn((5, 4, 3, 3), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(kernel_of(phases_of(kernel)), kernel, rtol=1e-12, atol=1e-12)


def test_the_engine_computes_what_was_simulated_and_little_is_lost(pair: Pair) -> None:
    """Every layer that can have the form: noise within 10 dB of direct layers' for maps of six to sixteen channels."""
    features = [CONTENT.float() / 255, STYLE.float() / 255]
    for conv in pair.encoder:
        features = [float_layer(x, conv) for x in features]
    wanted = float_adain(*features)
    for conv in pair.decoder:
        wanted = float_layer(wanted, conv)
    wanted = wanted.double().clamp(0, 1)
    (direct, _), (model, reports) = quantised(pair, "never"), quantised(pair, "always")
    layers = [*model.encoder, *model.decoder]
    assert [layer.scales is not None for layer in layers] == possible(pair)
    assert [report.layer for report in reports] == layers
    assert noise(direct, wanted) < noise(model, wanted) < 10 * noise(direct, wanted)
    assert all(report.decibels[1] is not None for report in reports[1:-1])
    engine = Engine(to_bytes(model))
    look = engine.look(as_picture(STYLE), 1)
    made = engine.decode(engine.encode(as_picture(CONTENT), 1), look, 1.0, 1)
    np.testing.assert_array_equal(made, as_picture(simulate(model, CONTENT, STYLE)))


@pytest.mark.usefixtures("small_calibration")
def test_models_without_the_form_are_what_they_were(pair: Pair) -> None:
    assert to_bytes(quantised(pair, "never")[0]) == to_bytes(quantise(pair, [CONTENT], [STYLE]))


def test_layers_are_chosen_by_number(pair: Pair) -> None:
    model, _ = quantised(pair, "3,11")
    chosen = [i + 1 for i, layer in enumerate([*model.encoder, *model.decoder]) if layer.scales is not None]
    assert chosen == [3, 11]


@pytest.mark.parametrize("winograd", ["some", "", "1", "18", "19", "0", "2,x", "-2"])
def test_layers_that_cannot_be_chosen(pair: Pair, winograd: str) -> None:
    with pytest.raises(ValueError, match="winograd"):
        choices(pair, winograd)


def test_automatic_choice_is_by_time_and_loss(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers 2 to 9 are said to be faster by the form, 10 to 18 slower; then layer 2, which loses most, is given no room."""
    times = [(1.0, 0.5)] * 9 + [(1.0, 0.96)] * 9
    monkeypatch.setattr(forms, "seconds_of", lambda _: times)
    monkeypatch.setattr(forms, "LOSS", 1e9)
    _, reports = quantised(pair, "auto")
    assert [report.layer.scales is not None for report in reports] == [False] + [True] * 8 + [False] * 9
    lost = reports[1].decibels[0] - (reports[1].decibels[1] or 0)
    monkeypatch.setattr(forms, "LOSS", lost - 0.01)
    _, reports = quantised(pair, "auto")
    assert reports[1].layer.scales is None
    assert reports[1].decibels[1] is not None


@pytest.mark.usefixtures("small_calibration")
def test_dead_channels_are_counted(pair: Pair) -> None:
    """A channel whose bias keeps it below 0, and one that reaches a single step of its map."""
    biases = pair.encoder[2].bias.clone()
    biases[3] = -1e3
    cut = replace(pair, encoder=[*pair.encoder[:2], replace(pair.encoder[2], bias=biases), *pair.encoder[3:]])
    _, reports = quantised(cut, "never")
    assert reports[2].dead == 1
    assert quantised(pair, "never")[1][2].dead == 0


def test_times_are_of_both_forms(pair: Pair) -> None:
    times = forms.seconds_of(pair, threads=1)
    assert len(times) == len(pair.encoder) + len(pair.decoder)
    assert all(0 < second < np.inf for both in times for second in both)


@pytest.mark.usefixtures("small_calibration")
def test_command_reports_every_layer(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, output = tmp_path / "pictures", tmp_path / "out.fnst"
    folder.mkdir()
    for name, picture in (("a", data.astronaut()[:64, :80]), ("b", data.coffee()[:64, :80])):
        Image.fromarray(picture).save(folder / f"{name}.png")
    arguments = ["convert", str(source), "-o", str(output), "--calibrate", str(folder)]
    assert cli.main([*arguments, "--winograd", "3,4", "--report"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:20]] == [str(i + 1) for i in range(18)]
    assert [("winograd" in line) for line in lines[2:20]] == [i in {2, 3} for i in range(18)]
    assert cli.main([*arguments, "--overwrite", "--winograd", "no"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    convert(source, folder, tmp_path / "plain.fnst")
    assert output.read_bytes() != (tmp_path / "plain.fnst").read_bytes()
