"""The benchmark of videos: what a clip is, and what its report says."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnst.bench import run
from fastnst.bench.video import measure as video
from fastnst.bench.video import report as video_report
from fastnst.bench.video.measure import Case
from fastnst.video.y4m import Y4mSource


def test_cases_are_both_sizes() -> None:
    assert [case.name for case in video.cases(quick=True)] == ["adain-nano, 512 x 288", "adain-nano, 1280 x 720"]
    assert len(video.cases(quick=False)) == 4


def test_no_frame_of_a_clip_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "PIXELS", 5 * 64 * 36)
    source = Y4mSource(io.BytesIO(video.clip(Case("adain-nano", 64, 36))), "clip")
    frames = list(source.frames())
    assert (len(frames), source.format.width, source.format.height) == (5, 64, 36)
    assert not any(a.looks_like(b) for a, b in itertools.pairwise(frames))
    assert np.std(frames[0].planes[0]) > 20


def test_every_sample_counts_but_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "PIXELS", 5 * 64 * 36)
    result = video.measure(Case("adain-nano", 64, 36), rounds=2, patience=0)
    assert len(result.seconds) == 2 and min(result.seconds) > 0


def row(name: str, **changed: Any) -> dict[str, Any]:
    info = {"case": name, "frames": 81, "threads": 2, "visits_seconds": [0.01] * 3, "foreign_share": 0.0, "cores": 2}
    info |= {"memory_bytes": 2**33, "kernel": "Linux 6", "python": "3.11.1"} | changed
    return {"extra_info": info, "stats": {"median": 0.005, "min": 0.004, "max": 0.01}}


def test_report(tmp_path: Path) -> None:
    data = {
        "benchmarks": [row("adain-nano, 512 x 288"), row("adain-nano, 1280 x 720", foreign_share=0.5), {"extra_info": {}}],
        "machine_info": {"cpu": {"brand_raw": "A CPU"}, "processor": "", "machine": "x86_64"},
        "datetime": "2026-01-02T03:04:05",
        "commit_info": {"id": "0123456789abcdef"},
    }
    (tmp_path / "video.json").write_text(json.dumps(data))
    page = video_report.write(tmp_path / "video.json", tmp_path / "results")
    text = page.read_text()
    assert page.name == "video-a-cpu-2-cores.md" and page.with_suffix(".json").exists()
    assert "commit 0123456789ab" in text and "2026-01-02" in text
    lines = [line for line in text.splitlines() if line.startswith("| adain")]
    assert lines[0].split("|")[1:4] == [" adain-nano, 512 x 288 ", " 200.0 (100.0-250.0) ", " 5.00 "]
    assert "(disturbed)" in lines[1]
    (tmp_path / "none.json").write_text(json.dumps(data | {"benchmarks": []}))
    with pytest.raises(ValueError, match="nothing of video was measured"):
        video_report.write(tmp_path / "none.json", tmp_path)


def test_stem_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(run, "run_stem", lambda *given: asked.append(given) or 0)
    assert run.run(["video", "translate"], quick=True, folder=tmp_path) == 0
    assert asked == [("video", ["--quick"], tmp_path), ("translate", ["--quick"], tmp_path)]
