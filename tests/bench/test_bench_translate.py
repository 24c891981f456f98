"""The benchmark of generators: what is compared, and what its report says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from fastnst.bench import worker
from fastnst.bench.interleave import Case, Result
from fastnst.bench.translate import measure as translate
from fastnst.bench.translate import report as translate_report
from fastnst.bench.translate import translators


def test_cases_have_no_style() -> None:
    assert [str(case) for case in translate.cases(quick=True)] == ["256px-2t-none", "512px-2t-none"]
    assert len(translate.cases(quick=False)) == 4
    assert translators.RUNTIMES.keys() < worker.RUNTIMES.keys()


def test_outputs_compare() -> None:
    output = np.array([-1.5, -1, 0, 1, 1.5], np.float32).reshape(1, 1, 1, 5)
    assert translators.to_unsigned(output).ravel().tolist() == [0, 0, 0.5, 1, 1]


def row(runtime: str, seconds: float, results: dict[str, Result]) -> dict[str, Any]:
    info = translate.facts(Case(256, 2, "none"), results[runtime], results) | {"cores": 2}
    return {"extra_info": info, "stats": {"median": seconds, "min": seconds, "max": seconds}}


def test_report(tmp_path: Path) -> None:
    results = {
        name: Result(name, [seconds], disturbed=disturbed, memory={"runs": 2_000_000}, psnr=psnr)
        for name, seconds, disturbed, psnr in (
            (translators.FASTNST, 0.005, 0, 35.25),
            (translators.TEACHER, 0.25, 1, None),
        )
    }
    data = {
        "benchmarks": [row(name, each.seconds[0], results) for name, each in results.items()],
        "machine_info": {"cpu": {"brand_raw": "A CPU"}, "processor": "", "machine": "x86_64"},
        "datetime": "2026-01-02T03:04:05",
    }
    (tmp_path / "translate.json").write_text(json.dumps(data))
    page = translate_report.write(tmp_path / "translate.json", tmp_path / "results")
    lines = [line for line in page.read_text().splitlines() if line.startswith("| 256")]
    assert lines[0] == "| 256 px, 2, fastnst int8 | 5.00 (5.00-5.00) | 1.00 | 2 | 35.2 |"
    assert lines[1] == "| 256 px, 2, its teacher: PyTorch fp32, eager (disturbed) | 250 (250-250) | 50.00 | 2 | - |"
