"""The benchmark of training steps: that both contenders train alike, and what its report says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from fastnst.bench import run
from fastnst.bench.ops.names import FASTNST, PUBLISHED
from fastnst.bench.training import measure as training
from fastnst.bench.training import report as training_report
from fastnst.bench.training import steps as training_steps
from fastnst.bench.training.steps import Case
from fastnst.train import adain, collab, decoder, transfer
from fastnst.train.crd import distillation


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("training") / "data"
    training_steps.write_data(folder)
    return folder


def test_quick_cases_are_as_the_recipes_run() -> None:
    names = [case.name for case in training_steps.cases(quick=False)]
    quick = ["collab stage 5, bfloat16", "adain, bfloat16", "crd, float32"]
    assert [case.name for case in training_steps.cases(quick=True)] == quick
    assert sorted(names) == sorted([*quick, "collab stage 5, float32", "adain, float32"])
    chosen = {case.recipe: training_steps.SETTINGS[case.recipe].precision for case in training_steps.cases(quick=True)}
    assert chosen == {"collab": "auto", "adain": "auto", "crd": "float32"}  # auto: bfloat16 where that is fast


def test_memory_of_a_step(data: Path) -> None:
    found = training.memory(Case("crd", "float32"), data, batch=1, size=64)
    own, other = found[FASTNST], found[PUBLISHED]
    assert own is not None and other is not None and 0 < own < other


@pytest.mark.parametrize("case", training_steps.cases(quick=False), ids=str)
def test_contenders_train_alike_and_are_sampled_equally_often(case: Case, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "STEPS", 1)
    result = training.measure(case, data, "cpu", rounds=1, patience=0, batch=2, size=32)
    assert {name: len(seconds) for name, seconds in result.seconds.items()} == {FASTNST: 1, PUBLISHED: 1}
    facts = training.facts(case, FASTNST, result, "cpu")
    assert (facts["batch"], facts["size"], facts["recipe"]) == (2, 32, case.recipe)


def test_a_contender_that_computes_something_else_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        training_steps.OPERATIONS, "statistics_loss", lambda *given: 2 * training_steps.published_statistics_loss(*given)
    )
    with pytest.raises(ArithmeticError, match="adain, float32: losses differ"):
        training.measure(Case("adain", "float32"), data, "cpu", rounds=1, patience=0, batch=2, size=32)


def test_published_steps_use_no_operation_of_ours() -> None:
    with training_steps.operations_of(PUBLISHED):
        for module in (adain, collab, decoder, distillation, transfer):
            assert module.ops is training_steps.OPERATIONS  # type: ignore[comparison-overlap]
        assert not training_steps.users_of_operations()
    with training_steps.operations_of(FASTNST):
        assert {adain, collab, decoder, distillation, transfer} <= set(training_steps.users_of_operations())


def canned() -> dict[str, Any]:
    """What pytest-benchmark's JSON would hold: one case, and half of one."""
    benchmarks = []
    for case, contender, seconds in (
        (Case("collab", "bfloat16"), FASTNST, 1.5),
        (Case("collab", "bfloat16"), PUBLISHED, 2.25),
        (Case("adain", "float32"), FASTNST, 0.5),
    ):
        result = training.Result(8, 128, {contender: [seconds]}, {contender: int(2e9 * seconds)}, foreign_share=0.2)
        stats = {"median": seconds, "min": seconds * 0.9, "max": seconds * 1.1}
        benchmarks.append({"extra_info": training.facts(case, contender, result, "cpu"), "stats": stats})
    cpu = {"brand_raw": "Some CPU", "family": 6, "model": 7}
    return {"benchmarks": benchmarks, "machine_info": {"cpu": cpu}, "datetime": "2026-11-20T10:11:12"}


def test_the_page_says_how_many_times_as_fast(tmp_path: Path) -> None:
    source = tmp_path / "benchmark.json"
    source.write_text(json.dumps(canned()))
    page = training_report.write(source, tmp_path / "results")
    text = page.read_text()
    row = "| collab stage 5, bfloat16, 8 x 128 px (disturbed) | 1500 (1350-1650) | 2250 (2025-2475) | 1.50 "
    assert row + "| 3,000 | 4,500 (1.50 times) |" in text
    assert "Some CPU (family 6, model 7)" in text
    assert page.name.startswith("training-some-cpu-f6m7-")
    assert len(json.loads(page.with_suffix(".json").read_text())["rows"]) == 3
    source.write_text(json.dumps({"benchmarks": []}))
    with pytest.raises(ValueError, match="nothing of training was measured"):
        training_report.write(source, tmp_path)


def test_it_is_measured_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    asked: list[tuple[Sequence[str], Sequence[str]]] = []

    def pytest_status(stems: Sequence[str], options: Sequence[str], target: Path) -> int:
        asked.append((stems, options))
        target.write_text(json.dumps(canned()))
        return 0

    monkeypatch.setattr(run, "pytest_status", pytest_status)
    assert run.run(["training"], quick=True, device="cpu", folder=tmp_path) == 0
    assert asked == [(["training"], ["--quick", "--device=cpu"])]
    assert capsys.readouterr().out.startswith(str(tmp_path / "training-"))
