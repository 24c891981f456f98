"""The benchmark of stylization: what its options make of it, and what its report says."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from fastnst.bench import worker
from fastnst.bench.stylize import jobs, peers, report
from fastnst.bench.stylize.campaign import Settings


def settings(**given: Any) -> Settings:
    names = ("sizes", "threads", "styles", "runtimes", "rounds", "network", "artefacts", "isa")
    return Settings.from_options(Namespace(**{**dict.fromkeys(names), "quick": True, "cold": False, "patience": 0.0, **given}))


def test_only_runtimes_that_can_be_held_to_an_instruction_set_are() -> None:
    assert "onnxruntime-int8" in settings().runtimes
    held = settings(isa="avx2").runtimes
    assert {"fastnst", "torch-eager", "openvino-fp32", "openvino-int8"} <= set(held)
    assert not set(held) & set(peers.UNLIMITED)
    with pytest.raises(ValueError, match="unknown torch-compile: choose from fastnst, "):
        settings(isa="avx2", runtimes="fastnst,torch-compile")


def test_commands_are_run_cold_alone() -> None:
    assert "fastnst-command" not in settings().runtimes
    assert {"fastnst-command", "fastnst-executable"} <= set(settings(cold=True).runtimes)


def test_a_cold_sample_loads_anew() -> None:
    calls: list[str] = []

    def load() -> jobs.Run:
        calls.append("load")
        return lambda: calls.append("run")

    sample = worker.cold_sample(load)
    assert sample["runs"] == 3 and sample["seconds"] >= 0
    assert calls == ["load", "run"] * 3


@pytest.fixture
def measured() -> dict[str, Any]:
    def row(runtime: str, seconds: float) -> dict[str, Any]:
        info = {"runtime": runtime, "label": runtime, "size": 512, "threads": 2, "style": "given", "visits_seconds": [seconds]}
        info |= {"gmac_per_second": 1.0, "percent_of_int8_roofline": None, "peak_memory_runs": 10**7, "peak_memory_life": 10**7}
        info |= {"memory_before_loading": None, "psnr_db": 40.0, "visits_disturbed": 0, "versions": {}, "details": {}}
        info |= {"best_rival": "openvino-int8", "ratio_to_best_rival": 2 / seconds, "times_as_long_as_fastnst": seconds}
        return {"extra_info": info, "stats": dict.fromkeys(("median", "min", "max"), seconds)}

    campaign = {"network": {"source": "a network", "widths": [3, 4]}, "costs": [], "limits": [], "quick": False, "rounds": 1}
    campaign |= {"isa": None, "cold": False, "patience_seconds": 8.0, "not_installed": {}, "failed": {}, "cores": 2}
    campaign |= {"memory_bytes": 2**33, "kernel": "Linux 6", "python": "3.11.1"}
    rows = [row(name, seconds) for name, seconds in (("fastnst", 1.0), ("openvino-int8", 2.0), ("torch-eager", 8.0))]
    campaign["labels"] = {each["extra_info"]["runtime"]: each["extra_info"]["label"] for each in rows}
    machine = {"cpu": {"brand_raw": "A CPU"}, "processor": "", "machine": "x86_64"}
    return {"benchmarks": rows, "campaign": campaign, "machine_info": machine, "datetime": "2026-01-02T03:04:05"}


@pytest.mark.parametrize(
    ("changed", "name", "said"),
    [
        ({}, "stylize-a-cpu-2-cores.md", "## Against the goals"),
        ({"isa": "avx2"}, "stylize-avx2-a-cpu-2-cores.md", "All runtimes are limited to avx2** (FASTNST_ISA=avx2"),
        ({"cold": True}, "stylize-cold-a-cpu-2-cores.md", "from a file to the first picture"),
    ],
)
def test_report(measured: dict[str, Any], changed: dict[str, Any], name: str, said: str, tmp_path: Path) -> None:
    measured["campaign"] |= changed
    (tmp_path / "stylize.json").write_text(json.dumps(measured))
    page = report.write(tmp_path / "stylize.json", tmp_path / "results")
    assert page.name == name and page.with_suffix(".json").exists() and page.with_suffix(".png").exists()
    text = page.read_text()
    assert said in text and "2.00 times the speed of the best rival, openvino-int8" in text
    assert ("## Against the goals" in text) == (not changed.get("cold"))
