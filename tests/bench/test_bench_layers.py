"""The report of where a model's time goes: every layer, its shape and form, and what the machine could do."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest
from numpy_engine import Lcg, Shape, model_of

from fastnst.engine import Engine, instruction_set, instruction_sets
from fastnst.format.modelfile import to_bytes

layers = pytest.importorskip("fastnst.bench.stylize.layers")
roofline = pytest.importorskip("fastnst.bench.stylize.roofline")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    shapes = [Shape(5), Shape(7, resizes=True, winograd=True)], [Shape(6, resizes=True), Shape(3)]
    path = tmp_path / "small.fnst"
    path.write_bytes(to_bytes(model_of(Lcg(5), *shapes)))
    return path


def test_layers_are_described(model: Path) -> None:
    times = Engine(model).layer_times(30, 20, 2, 1)
    assert [each[:8] for each in times] == [
        (3, 5, 3, False, False, False, 30, 20),
        (5, 7, 3, False, True, True, 30, 20),
        (7, 6, 3, True, False, False, 30, 20),
        (6, 3, 3, False, False, False, 30, 20),
    ]
    assert [each.kind for each in times] == ["3x3", "3x3 pool", "3x3 up", "3x3"]
    assert times[1].macs == 5 * 7 * 9 * 600
    assert all(each.seconds > 0 for each in times)


def test_sizes_that_are_none(model: Path) -> None:
    engine = Engine(model)
    for height, width, threads, repeats in ((0, 4, 1, 1), (4, -1, 1, 1), (4, 4, -1, 1), (4, 4, 1, 0)):
        with pytest.raises(ValueError, match=r".+"):
            engine.layer_times(height, width, threads, repeats)


def test_the_report_has_a_line_for_each_layer(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pytest_benchmark")
    monkeypatch.setattr(layers, "measure", lambda threads, **_: roofline.Peak(threads, 1e12, None, "imagined"))
    page = layers.write(str(model), 16, tmp_path)
    text, facts = page.read_text(), json.loads(page.with_suffix(".json").read_text())
    assert "imagined" in text
    assert instruction_set() in text
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert [row.split("|")[5].strip() for row in rows[1:5]] == ["direct", "Winograd", "direct", "direct"]
    assert rows[-1].startswith("| all")
    for row in facts["rows"]:
        assert row["share"] == pytest.approx(row["macs"] / row["seconds"] / 1e12)


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="the probe has instructions of x86 alone")
def test_the_probe_measures_no_wider_instructions_than_the_set_has(tmp_path: Path) -> None:
    if not any(runs for name, runs in instruction_sets() if name == "avx2"):
        pytest.skip("no AVX2 here")
    try:
        program = roofline.build_probe(tmp_path)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    found = roofline.run_probe(program, 1, lambda: None, "avx2")
    assert found["instruction"] == "AVX2 vpmaddubsw, 256 bits"
    assert found["macs_per_second"] > 0
    if any(runs for name, runs in instruction_sets() if name == "amx"):
        assert roofline.run_probe(program, 1, lambda: None, "")["instruction"] == "AMX tdpbusd, tiles of 16 x 64 bytes"


def test_without_a_known_peak_there_is_no_share(model: Path) -> None:
    times = Engine(model).layer_times(8, 8, 1, 1)
    found = layers.Layers("small", 8, 1, times, roofline.Peak(1, None, None, "no probe"))
    assert found.share(10, 1.0) is None
    assert "%" not in "\n".join(layers.lines(found))
    assert "no probe" in layers.page(
        found, {"cpu": "x", "family": 1, "model": 1, "cores": 1, "memory_bytes": 1, "kernel": "", "python": ""}, ""
    )
