"""Tables of the recipe crd: every figure is a measured one, every variant differs from ours as it says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fastnst.train.crd import tables
from fastnst.train.crd.settings import CrdSettings
from fastnst.train.process_group import ProcessGroup
from fastnst.train.settings import RunOptions, filled


def quality(fid: float, network: str = "student") -> dict[str, Any]:
    """As a run leaves it, with figures that no other run has."""
    protocol = {"dimension": 192, "extractor": "e", "real": 3, "generated": 4, "statistics": "test"}
    network_figures = {"fid": fid, "kid": fid / 100, "parameters": 137347, "macs": 954700000, "macs_as_published": 1407700000,
                       "milliseconds": 12.5, "protocol": protocol}  # fmt: skip
    timing = {"threads": 1, "device": "cpu", "torch": "0"}
    return {network: network_figures, "timing": timing, "teacher_chosen_by": "held-out", "perceptual": "VGG-16"}


@pytest.mark.parametrize("task", ["unpaired", "paired"])
def test_every_row_is_a_variant_that_differs_from_ours(task: str) -> None:
    known, settings = tables.variants(task), CrdSettings(task=task)
    made = {name: filled(settings, given, name).completed() for name, given in known.items()}
    assert len(set(made.values())) == len(made)
    rows = [row for each in tables.tables(task).values() for row in each]
    assert {row.variant for row in rows} == set(known)
    assert [title[0] for title in tables.tables(task)] == list("123456")


def test_a_given_teacher_is_not_given_to_a_student_without_distillation() -> None:
    settings = replace(CrdSettings(), teacher="last.safetensors")
    changed = tables.variants("unpaired")
    assert filled(settings, changed["ours"], "ours").teacher == "last.safetensors"
    assert filled(settings, changed["no-distillation"], "no-distillation").teacher == ""


def test_figures_are_those_of_the_runs(tmp_path: Path) -> None:
    found = {("ours", 1): quality(10.0), ("ours", 2): quality(12.0), ("no-row", 1): quality(20.25)}
    tables.write_tables(tmp_path, "unpaired", found)
    text = (tmp_path / "tables.md").read_text()
    assert "| all three | 11.00 (10.00, 12.00) | 0.1100 (0.1000, 0.1200) | 137,347 | 1.4077 | 0.9547 | 12.5 |" in text
    assert "| without rows | 20.25 | 0.2025 |" in text
    assert "| without columns | - | - | - | - | - | - |" in text
    assert "FID-192" in text
    assert "- statistics: test" in text
    record = json.loads((tmp_path / "tables.json").read_text())
    (row,) = (each for each in record["tables"]["3. Granularities"] if each["variant"] == "no-row")
    assert row["fid"] == {"1": 20.25}
    assert len(record["runs"]) == 3


def test_what_is_there_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []

    def run(settings: CrdSettings, options: RunOptions, _: ProcessGroup) -> None:
        trained.append((options.out.name, settings.seed, settings.student_batch or settings.batch, settings.granularities))
        options.out.mkdir(parents=True)
        (options.out / "quality.json").write_text(json.dumps(quality(float(len(trained)))))

    monkeypatch.setattr(tables, "run", run)
    options = RunOptions(tmp_path, tmp_path)
    tables.make(CrdSettings(), options, ProcessGroup(), ["ours", "no-row"], [1])
    tables.make(CrdSettings(), options, ProcessGroup(), ["ours", "no-row", "instance-4"], [1, 2])
    assert trained == [
        ("ours-1", 1, 1, "row,column,patch"),
        ("no-row-1", 1, 1, "column,patch"),
        ("instance-4-1", 1, 4, "row,column,patch"),
        ("ours-2", 2, 1, "row,column,patch"),
        ("no-row-2", 2, 1, "column,patch"),
        ("instance-4-2", 2, 4, "row,column,patch"),
    ]
    assert "3.00" in (tmp_path / "tables.md").read_text()
    with pytest.raises(SystemExit, match="2"):
        tables.main(["--data", ".", "--out", ".", "--seeds", "one"])
    with pytest.raises(ValueError, match=r"variants: expected some of .*; got theirs"):
        tables.make(replace(CrdSettings()), options, ProcessGroup(), ["theirs"], [1])
