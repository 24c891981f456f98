"""The benchmark of large pictures: what it runs, and what its report says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fastnst.bench.large import measure as large
from fastnst.bench.large import report as large_report
from fastnst.bench.large.measure import Case
from fastnst.images import open_picture


def test_every_size_is_done_at_once_and_in_tiles() -> None:
    names = [case.name for case in large.cases(quick=True)]
    assert names == [f"adain-16x, 2048 px, {how}" for how in ("at once", "in tiles, 64M", "in tiles, 64M, a region")]
    assert len(large.cases(quick=False)) == 12
    assert large.cases(True, "32768")[0].name == "adain-16x, 32768 px, in tiles, 200M"
    assert [case.name for case in large.cases(False, "4096")] == [
        "cyclegan, 4096 px, at once",
        "cyclegan, 4096 px, in bands, 300M",
    ]
    with pytest.raises(ValueError, match="unknown side 100: choose from 2048, 4096, 8192, 32768"):
        large.cases(True, "2048,100")


def test_every_sample_counts_but_the_first(tmp_path: Path) -> None:
    case = Case("adain-nano", 96, "64M", region=True)
    result = large.measure(case, rounds=1, patience=0, folder=tmp_path)
    assert len(result.seconds) == len(result.reports) == 1
    facts = large.facts(case, result)
    assert facts["case"] == "adain-nano, 96 px, in tiles, 64M, a region" and facts["planned_memory"] > 10**6
    assert open_picture(tmp_path / "out.ppm").rgb.size == (96, 96)
    alone = (tmp_path / "out.ppm").read_bytes()
    large.sample(replace(case, region=False), tmp_path)
    assert (tmp_path / "out.ppm").read_bytes() != alone  # the region was painted


def row(name: str, **changed: Any) -> dict[str, Any]:
    info = {"case": name, "side": 1000, "threads": 2, "visits_seconds": [0.01] * 3, "foreign_share": 0.0, "cores": 2}
    info |= {"planned_memory": 99_400_000, "peak_memory": 101_700_000}
    info |= {"memory_bytes": 2**33, "kernel": "Linux 6", "python": "3.11.1"} | changed
    return {"extra_info": info, "stats": {"median": 0.05, "min": 0.04, "max": 0.1}}


def test_report(tmp_path: Path) -> None:
    data = {
        "benchmarks": [row("one"), row("two", foreign_share=0.5, peak_memory=None), {"extra_info": {}}],
        "machine_info": {"cpu": {"brand_raw": "A CPU"}, "processor": "", "machine": "x86_64"},
        "datetime": "2026-01-02T03:04:05",
        "commit_info": {"id": "0123456789abcdef"},
    }
    (tmp_path / "large.json").write_text(json.dumps(data))
    page = large_report.write(tmp_path / "large.json", tmp_path / "results")
    assert page.name == "large-a-cpu-2-cores.md" and page.with_suffix(".json").exists()
    lines = page.read_text().splitlines()
    assert "| one | 50.0 (40.0-100.0) | 0.05 | 102 | 99 |" in lines
    assert "| two (disturbed) | 50.0 (40.0-100.0) | 0.05 | - | 99 |" in lines
