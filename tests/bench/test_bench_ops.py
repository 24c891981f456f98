"""The benchmarks of the operations: that rivals compute the same, that costs are counted right, and what reports say."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from fastnst import cli, ops, reference
from fastnst.bench.clock import Clock
from fastnst.bench.ops import floors, goals, measure, memory, report, rivals
from fastnst.bench.ops.names import BACKWARD, BOTH, COMPILED, FASTNST, FORWARD, LIBRARY, PUBLISHED
from fastnst.bench.ops.session import Session
from fastnst.bench.ops.workload import Cost, Rival, Workload, call_of, correlated, error_of, features, images, weights
from fastnst.bench.stems import OPERATIONS

STEMS = {stem: import_module(f"fastnst.bench.bench_{stem}") for stem in OPERATIONS}
WORKLOADS = [workload for module in STEMS.values() for workload in module.WORKLOADS]

MAPS = features(2, 5, 6, 7), features(2, 5, 6, 7, seed=1)
ITEMS = weights(9, 40), weights(9, 40, seed=1)
PICTURES = images(2, 64)
CORRELATED = correlated(2, 12, 6), correlated(2, 12, 6, seed=1)
EMBEDDED = features(2, 5, 6, 7), features(2, 11, 6, 7, seed=1), weights(11, 5), weights(11)


# ---- rivals -----------------------------------------------------------------------------------------------------------------


def pytorchwct(content: Tensor, style: Tensor) -> Tensor:
    return reference.wct(content, style, preset="pytorchwct")


SAME = [
    ("adain", reference.adaptive_instance_normalization, MAPS, (0, 1)),
    ("mean_variance_norm", reference.mean_variance_norm, MAPS[:1], (0,)),
    ("calc_mean_std", reference.calc_mean_std, MAPS[:1], (0,)),
    ("style_statistics_loss", reference.style_statistics_loss, MAPS, (0,)),
    ("rkd", reference.rkd_loss, ITEMS, (0,)),
    ("pdist", reference.pdist, ITEMS[:1], (0,)),
    ("content_relation", reference.content_relation_loss, PICTURES, (0,)),
    ("wct", pytorchwct, CORRELATED, (0, 1)),
    ("color_transfer", reference.color_transfer, PICTURES, (0, 1)),
    ("linear_embedding", reference.linear_embedding_loss, EMBEDDED, (0, 2, 3)),
    ("gram", reference.gram_matrix, MAPS[:1], (0,)),
]


@pytest.mark.parametrize("kind", ["published", "library"])
@pytest.mark.parametrize(("name", "formula", "tensors", "trained"), SAME, ids=[case[0] for case in SAME])
def test_rivals_compute_the_reference(
    kind: str, name: str, formula: Callable[..., Tensor], tensors: Sequence[Tensor], trained: Sequence[int]
) -> None:
    rival = getattr(rivals, f"{kind}_{name}")
    exact = call_of(formula, [tensor.double() for tensor in tensors], trained, BOTH)()
    results = call_of(rival, tensors, trained, BOTH)()
    assert [result.dtype for result in results] == [torch.float32] * len(exact)
    # Products of items lose the digits that differences of them keep: what distances cost on these rivals' way.
    assert error_of(results, exact) < (1e-4 if name in {"rkd", "pdist", "content_relation"} else 1e-5)
    assert error_of(call_of(rival, [tensor.double() for tensor in tensors], trained, BOTH)(), exact) < 1e-7


def test_published_code_keeps_the_eigenvalues_of_a_rank_deficient_style() -> None:
    tensors = correlated(1, 12, 3), correlated(1, 12, 3, seed=1)
    exact = pytorchwct(*(tensor.double() for tensor in tensors))
    for rival in (rivals.published_wct, rivals.library_wct):
        assert error_of([rival(*tensors)], [exact]) < 1e-5


# ---- workloads --------------------------------------------------------------------------------------------------------------


def test_every_workload_has_a_name_of_its_own_and_runs_a_public_operation() -> None:
    assert len({workload.name for workload in WORKLOADS}) == len(WORKLOADS)
    for stem, module in STEMS.items():
        assert {workload.stem for workload in module.WORKLOADS} == {stem}
    assert all(hasattr(ops, workload.operation) for workload in WORKLOADS)


def test_every_goal_is_about_something_that_is_measured() -> None:
    by_name = {workload.name: workload for workload in WORKLOADS}
    for goal in goals.GOALS:
        workload = by_name[goal.workload]
        assert goal.mode in workload.modes
        assert workload.main
        bounds = {"cpu": goal.cpu, "cuda": goal.cuda}
        assert all(device in workload.devices for device, bound in bounds.items() if bound is not None)


@pytest.mark.parametrize("mode", [FORWARD, BACKWARD, BOTH])
def test_calls_give_values_and_gradients(mode: str) -> None:
    calls = {FORWARD: 1, BACKWARD: 2, BOTH: 3}
    call = call_of(reference.adaptive_instance_normalization, MAPS, (0, 1), mode)
    first, second = call(), call()
    assert len(first) == calls[mode]
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))
    assert not any(tensor.requires_grad for tensor in (*first, *MAPS))


def test_error_is_relative_and_the_largest() -> None:
    exact = [torch.tensor([3.0, 4.0]).double(), torch.ones(1).double()]
    assert error_of([torch.tensor([3.0, 4.5]), torch.tensor([1.01])], exact) == pytest.approx(0.1)


# ---- costs ------------------------------------------------------------------------------------------------------------------


def test_costs_by_hand() -> None:
    by_name = {workload.name: workload for workload in WORKLOADS}
    adain = by_name["adaptive_instance_normalization[1x512x64x64]"]
    assert adain.cost(FORWARD) == Cost(bytes=25_165_824)  # 3 maps of 512 * 4096 * 4
    assert adain.cost(BACKWARD) == Cost(bytes=41_943_040)
    assert adain.cost(BOTH) == Cost(bytes=67_108_864)
    assert floors.pairwise(4, 10) == Cost(bytes=4 * (40 + 16), flops=3 * 10 * 6)
    assert floors.relation(4, 10).flops == 2 * 180 + 12 * 32
    assert floors.relation_backward(4, 10).flops == 10 * 32 + 2 * 16 * 10
    forward, backward = floors.content_relation(2, 3, 8, 4)
    assert forward == Cost(2 * 2 * 3 * 64 * 4, 2 * (2 * (2 * 3 * 24 * 28 + 12 * 256) + 2 * 3 * 48 * 6 + 12 * 32))
    assert backward == Cost(2 * 3 * 64 * 4, 2 * (2 * (10 * 256 + 2 * 64 * 24) + 10 * 32 + 2 * 16 * 48))
    assert floors.embedding(2, 3, 5, 7) == (Cost(4 * 14 * 8, 420), Cost(4 * 14 * 3, 840))
    assert floors.gram(2, 3, 5) == (Cost(120, 90), Cost(240, 180))


def test_cost_of_whitening_is_that_of_the_smaller_side() -> None:
    wide, narrow = floors.wct(1, 3, 10), floors.wct(1, 10, 3)
    assert wide == Cost(4 * 90, 180, pytest.approx(2 * (90 + 126 + 27) + 54))
    assert narrow == Cost(4 * 90, 600, pytest.approx(2 * (90 + 126 + 300) + 2000))


def test_floor_is_the_slower_of_memory_and_arithmetic() -> None:
    ceilings = floors.Ceilings(bytes_per_second=100, flops_per_second=10, double_flops_per_second=5)
    assert ceilings.seconds(Cost(bytes=200, flops=10)) == 2
    assert ceilings.seconds(Cost(bytes=200, flops=10, double_flops=10)) == 3


# ---- measuring --------------------------------------------------------------------------------------------------------------


def workload(published: Callable[..., Any] = rivals.published_calc_mean_std, **changes: Any) -> Workload:
    """A small one that is over in no time."""
    base = Workload(
        "adain",
        "calc_mean_std",
        "tiny",
        lambda: MAPS[:1],
        Rival("published code", published),
        Rival("var_mean", rivals.library_calc_mean_std),
        floors.maps(1, 2, 5, 6, 7),
        floors.maps(2, 2, 5, 6, 7),
        reference.calc_mean_std,
        ours=reference.calc_mean_std,
    )
    return replace(base, **changes)


@pytest.mark.parametrize("mode", [FORWARD, BOTH])
def test_contenders_are_sampled_equally_often(mode: str) -> None:
    results, foreign = measure.compare(workload(), mode, "cpu", rounds=2, sample_seconds=0.001)
    assert list(results) == [FASTNST, PUBLISHED, LIBRARY]
    for result in results.values():
        assert len(result.seconds) == 2
        assert min(result.seconds) > 0
        assert result.error is not None
        assert result.error < 1e-5
    assert 0 <= foreign <= 1


def test_a_rival_that_fails_or_errs_is_named_and_the_others_are_measured() -> None:
    def broken(_feat: Tensor) -> tuple[Tensor, Tensor]:
        raise RuntimeError("no such kernel")

    def wrong(feat: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = rivals.library_calc_mean_std(feat)
        return mean, std * 1.1

    for rival, said in ((broken, "RuntimeError: no such kernel"), (wrong, "away from the exact one")):
        results, _ = measure.compare(workload(rival), FORWARD, "cpu", rounds=1, sample_seconds=0.001)
        assert said in results[PUBLISHED].failure
        assert results[PUBLISHED].seconds == []
        assert len(results[FASTNST].seconds) == len(results[LIBRARY].seconds) == 1


def test_compiled_contenders_are_compiled() -> None:
    def double(x: Tensor) -> Tensor:
        return x * (3 if torch.compiler.is_compiling() else 2)

    with pytest.MonkeyPatch.context() as patch:
        compile_ = torch.compile
        patch.setattr(torch, "compile", lambda function, **options: compile_(function, backend="eager", **options))
        assert measure.prepared(double, COMPILED)(torch.ones(1)).item() == 3
    assert measure.prepared(double, PUBLISHED)(torch.ones(1)).item() == 2


@pytest.mark.skipif(sys.platform != "linux", reason="the resident set is read from /proc")
def test_memory_is_what_a_call_takes_on_top() -> None:
    size = 2**24
    script = f"""
import torch
from fastnst.bench.ops.memory import extra_memory
kept = torch.ones({size})
print(extra_memory(lambda: kept + 1), extra_memory(lambda: (kept + 1).sum()), extra_memory(lambda: None))
"""
    environment = {"MALLOC_MMAP_THRESHOLD_": str(memory.THRESHOLD), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    kept, passing, nothing = map(int, done.stdout.split())
    # Counters of a process lag behind by some pages a thread.
    assert kept == pytest.approx(4 * size, rel=0.02)
    assert passing == pytest.approx(4 * size, rel=0.02)
    assert nothing < 0.02 * 4 * size


def test_a_clock_shows_what_it_is_told() -> None:
    clock = Clock()
    clock.advance(1.5)
    clock.advance(0.25)
    assert clock() == 1.75


# ---- the report -------------------------------------------------------------------------------------------------------------


def canned(device: str = "cpu", quick: bool = False) -> dict[str, Any]:
    """What pytest-benchmark's JSON would hold: one workload with three contenders, forward."""
    times = {FASTNST: 0.001, PUBLISHED: 0.021, LIBRARY: 0.004}
    chosen = next(each for each in WORKLOADS if each.name == goals.ADAIN)
    session = Session("cpu", quick, None, 0, None)
    session.__dict__["ceilings"] = floors.Ceilings(50e9, 2e11, 1e11)
    session.foreign[chosen.name, FORWARD] = 0.01
    benchmarks = []
    for contender, seconds in times.items():
        result = measure.Result(contender, contender.title(), [seconds], memory=8_388_608, error=1e-7)
        info = session.facts(chosen, FORWARD, result)
        stats = {"median": seconds, "min": seconds * 0.9, "max": seconds * 1.1}
        benchmarks.append({"extra_info": info, "stats": stats})
    operations = session.summary() | {"device": device, "accelerator": "Some GPU" if device == "cuda" else None}
    operations["failed"] = {"gram_matrix[1x2x3x4] forward, torch.compile": "RuntimeError: first line\nsecond line"}
    return {
        "benchmarks": benchmarks,
        "machine_info": {"cpu": {"brand_raw": "Some CPU", "family": 6, "model": 7}},
        "operations": operations,
        "datetime": "2026-11-20T10:11:12",
        "commit_info": {"id": "0123456789abcdef"},
    }


def summary(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    source = tmp_path / "benchmark.json"
    source.write_text(json.dumps(canned(**changes)))
    return report.read(source)


def test_page_says_how_fast_and_whether_goals_are_met(tmp_path: Path) -> None:
    text = report.markdown(summary(tmp_path), "plot.png")
    published = f"| {goals.ADAIN}, forward | as fast as the published code, eager |"
    assert f"{published} at least 20 times | 21 times: met | - | - |" in text
    compiled = f"| {goals.ADAIN}, forward | as fast as torch.compile of it |"
    assert f"{compiled} - | - | at least 1.2 times | not measured |" in text
    # 25.2 MB at 50 GB/s are 0.503 ms.
    assert "| **Fastnst** | forward | **1.00** (0.90-1.10) | 1.00 | 50.3 | 8.4 | 1.0e-07 |" in text
    assert "| Published | forward | 21.0 (18.9-23.1) | 21.00 | 2.4 | 8.4 | 1.0e-07 |" in text
    assert "* Failed: gram_matrix[1x2x3x4] forward, torch.compile: RuntimeError: first line\n" in text
    assert "Some CPU (family 6, model 7)" in text
    assert "2026-11-20; commit 0123456789ab" in text
    assert "(disturbed)" not in text
    assert "rkd_loss" not in text  # a goal of a stem that was not run


def test_missed_goals_and_disturbed_rows_are_marked(tmp_path: Path) -> None:
    given = summary(tmp_path)
    for row in given["rows"]:
        row["median_seconds"] = 0.01
        row["foreign_share"] = 0.5
    text = report.markdown(given, "plot.png")
    assert "1 times: **missed**" in text
    assert text.count("(disturbed)") == 3
    assert "Other processes were at work" in text


def test_goals_of_a_gpu_are_reached_on_a_gpu(tmp_path: Path) -> None:
    text = report.markdown(summary(tmp_path, device="cuda"), "plot.png")
    assert (
        f"| {goals.ADAIN}, forward | as fast as the published code, eager | at least 20 times | not measured | - | - |" in text
    )
    assert "Some GPU" in text


def test_files_are_named_after_machine_and_extent(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    cores = canned()["operations"]["cores"]
    for changes, name in (
        ({}, f"ops-adain-some-cpu-f6m7-{cores}-cores"),
        ({"quick": True}, f"ops-quick-adain-some-cpu-f6m7-{cores}-cores"),
        ({"device": "cuda"}, "ops-adain-some-gpu"),
    ):
        given = summary(tmp_path, **changes)
        page = report.write(given, tmp_path / "results")
        assert page.name == f"{name}.md"
        assert f"]({name}.png)" in page.read_text()
        assert page.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
        assert json.loads(page.with_suffix(".json").read_text()) == given


def test_comparison_is_with_what_is_committed(tmp_path: Path) -> None:
    given = summary(tmp_path)
    assert report.earlier(given, tmp_path) is None
    old = json.loads(json.dumps(given))
    old["rows"][0]["median_seconds"] = 0.003
    file = tmp_path / f"{report.stem_of(given)}.json"
    file.write_text(json.dumps(old))
    before = report.earlier(given, tmp_path)
    assert before == old
    lines = list(report.comparison(given, before))
    assert lines[1:] == [(goals.ADAIN, FORWARD, "3.00", "1.00", "3.00")]
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@y"]
    for command in (["init", "-q"], ["add", file.name], ["commit", "-qm", "results"]):
        subprocess.run([*git, *command], check=True)
    file.write_text(json.dumps(given))
    assert report.earlier(given, tmp_path) == old


def test_a_file_without_operations_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "x.json"
    source.write_text(json.dumps({"benchmarks": []}))
    with pytest.raises(ValueError, match="no operation was measured"):
        report.read(source)


# ---- the command ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "code"), [(0, 0), (1, 1), (2, 130), (4, 1)])
def test_bench_passes_its_arguments_on(monkeypatch: pytest.MonkeyPatch, status: int, code: int) -> None:
    calls = []

    def run(stems: Sequence[str], **options: Any) -> int:
        calls.append((stems, options))
        return status

    module = ModuleType("fastnst.bench.run")
    vars(module)["run"] = run
    monkeypatch.setitem(sys.modules, "fastnst.bench.run", module)
    options = ["--quick", "--compare", "--device", "cpu", "--limit", "9", "-o", "out"]
    assert cli.main(["bench", "wct", "adain", *options]) == code
    assert cli.main(["bench"]) == code
    wanted = {"quick": True, "compare": True, "device": "cpu", "limit": 9.0, "folder": Path("out")}
    nothing = {"quick": False, "compare": False, "device": None, "limit": None, "folder": None}
    assert calls == [(["wct", "adain"], wanted), ([], nothing)]


def test_bench_help_and_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, code in ((["--help"], 0), (["painting"], 2), (["--limit", "0"], 2)):
        with pytest.raises(SystemExit) as stop:
            cli.main(["bench", *arguments])
        assert stop.value.code == code
    out, err = capsys.readouterr()
    for word in (*OPERATIONS, "stylize", "--quick", "--compare", "--device", "--limit"):
        assert word in out
    assert "got 'painting'" in err
    assert "0 is not above 0" in err


def test_bench_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run = import_module("fastnst.bench.run")
    monkeypatch.setattr(run, "find_spec", lambda name: None if name == "matplotlib" else object())
    assert cli.main(["bench"]) == 1
    assert capsys.readouterr().err == "fastnst: error: fastnst bench needs matplotlib: pip install 'fastnst[bench]'\n"
