"""The benchmark of data sets: what it runs, what its report says, and the plan of the docs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fastnst.bench.dataset import measure as dataset
from fastnst.bench.dataset import plan, worker
from fastnst.bench.dataset import report as dataset_report
from fastnst.bench.dataset.measure import Case

DOCS = Path(__file__).parents[2] / "docs" / "datasets.md"


def test_every_kind_is_measured() -> None:
    assert {case.kind for case in dataset.cases(quick=True)} == set(worker.KINDS) == set(dataset.TITLES)
    assert len(dataset.cases(quick=False)) == 10
    assert {Case("engine", 1), Case("engine", 2)} <= set(dataset.cases(quick=True))


def test_workers_report_what_they_did(tmp_path: Path) -> None:
    (result,) = dataset.measure([Case("jpeg", 2)], rounds=1, patience=0, folder=tmp_path, seconds=0.01).values()
    assert len(result.seconds) == 1 and result.peaks[0] > 10**7
    assert dataset.facts(Case("jpeg", 2), result)["case"] == "JPEG in and out, in memory, 2 workers"


def test_cases_are_measured_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    visits: list[Case] = []

    def sample(case: Case, _folder: Path, _seconds: float) -> tuple[float, int]:
        visits.append(case)
        return float(len(visits)), 1

    monkeypatch.setattr(dataset, "sample", sample)
    one, two = Case("engine", 1), Case("engine", 2)
    results = dataset.measure([one, two], rounds=2, patience=0, folder=tmp_path)
    assert visits == [one, two, one, two]
    assert (results[one].seconds, results[two].seconds) == ([1.0, 3.0], [2.0, 4.0])


@pytest.mark.parametrize("kind", ["engine", "job", "calls", "published"])
def test_every_worker_makes_pictures(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "published":
        pytest.importorskip("torch")
    monkeypatch.setattr(dataset, "CONTENTS", 2)
    monkeypatch.setattr(dataset, "STYLES", 1)
    monkeypatch.setattr(dataset, "STYLE", 64)
    monkeypatch.setattr(dataset, "SIDE", 48)
    monkeypatch.setattr(worker, "SIDE", 32)
    dataset.write_inputs(tmp_path)
    assert next(worker.KINDS[kind](tmp_path, 1, 1)) == (2 if kind == "job" else 1)


def row(kind: str, workers: int, seconds: float) -> dict[str, Any]:
    info = {"case": Case(kind, workers).name, "kind": kind, "workers": workers, "threads": 1}
    info["visits_seconds"] = [3 * seconds, seconds, seconds / 2]
    info |= {"peak_memory": 99_000_000, "foreign_share": 0.0, "cores": 2, "memory_bytes": 2**33, "kernel": "L", "python": "3"}
    return {"extra_info": info, "stats": {"median": seconds, "min": seconds, "max": seconds}}


def test_report(tmp_path: Path) -> None:
    rows = [row("engine", 1, 0.004), row("engine", 2, 0.002), row("calls", 2, 0.005), row("loader", 2, 0.0055)]
    data = {
        "benchmarks": [*rows, row("published", 1, 0.4)],
        "machine_info": {"cpu": {"brand_raw": "A CPU"}, "processor": "", "machine": "x86_64"},
        "datetime": "2026-01-02T03:04:05",
    }
    (tmp_path / "dataset.json").write_text(json.dumps(data))
    text = dataset_report.write(tmp_path / "dataset.json", tmp_path / "results").read_text()
    assert "| engine, pictures decoded, 2 workers | 500.0 | 250.0 | 100.0 | 99 |" in text
    assert "| engine, pictures decoded: two workers beside one, pictures a second | 2.00 | >= 1.9 |" in text
    assert "| DataLoader of two workers: cost beside its calls by two workers | 1.10 | <= 1.1 |" in text


def test_ratios_are_of_samples_of_one_round() -> None:
    """The machine was three times as slow in the second round: neither median nor ratio of medians may take that for gain."""
    one = {"kind": "engine", "workers": 1, "visits_seconds": [0.004, 0.012, 0.012]}
    two = {"kind": "engine", "workers": 2, "visits_seconds": [0.002, 0.002, 0.006]}
    assert dataset_report.ratios([one, two])[0][1] == "2.00"


def test_the_plan_of_the_docs_follows_from_its_rates() -> None:
    assert plan.table(plan.Rates()) in DOCS.read_text()
    assert "| core-hours | 1.8 | 1,388.9 |" in plan.table(plan.Rates())
