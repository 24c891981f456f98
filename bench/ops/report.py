"""Turns the JSON of the operations' benchmarks into pages to read, and compares it with an earlier one.

Writes ``ops-<machine>.md``, its numbers as ``.json`` and its plot as ``.png``. The names for a run of some stems, or of the
quick profile, are different, so that it does not replace a full one.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..machine import file_name, machine_of, sentence, slug, system
from ..stylize.report import milliseconds, number, table
from . import goals, measure, session
from .floors import MODELS
from .names import BOTH, COMPILED, EAGER, FASTNST, FORWARD, LIBRARY, PUBLISHED

Row = dict[str, Any]

DISTURBED = 0.05
"""The share of all cores used by other processes from which on times are marked."""
MODES = (FORWARD, BOTH)

METHOD = """\
All contenders of a workload run in one process and are measured in turn, A B C ... A B C ...: a sample is a call that is not
measured, then the median of the calls of {sample} s, three at least ({less} s where the workload is not a main one). A call of
{long} s or more is a sample by itself. The tables show the median over {rounds} samples ({less_rounds}) and the fastest and
slowest; who has taken {enough:.0f} s is measured {least} times. Compiling comes before and is not counted. Rows are marked as
disturbed where other processes used more than {disturbed:.0%} of the cores meanwhile.

* **forward**: without gradients. **forward+backward**: value and gradients. **backward**: gradients alone, values kept.
* **time / fastnst**: above 1 = slower than fastnst.
* **% of floor**: the floor by the time. The floor is the larger of bytes by copy bandwidth and flops by the speed of a matrix
  product of that type, both measured in this run and given above. What stays in a cache can be faster than its floor.
* **memory**: peak during a call beyond what was there before it, results included. {memory}
* **error**: the largest relative error of value and gradients against the same formula in float64, in the Frobenius norm.

The floors count:

{floors}
"""
CPU_MEMORY = """\
Resident set of a process of its own, in which
  the allocator gives freed blocks back to the system at once."""
CUDA_MEMORY = """\
As PyTorch's allocator counts it. Times
  are by events around many calls, on copies of the inputs that together exceed the level 2 cache three times; captured as one
  CUDA graph where the host does not wait within a call."""


# ---- reading ----------------------------------------------------------------------------------------------------------------


def rows_of(data: dict[str, Any]) -> list[Row]:
    """One row per contender, in the order in which they were measured."""
    rows = []
    for benchmark in data["benchmarks"]:
        if "contender" in benchmark.get("extra_info", {}):
            stats = {f"{key}_seconds": benchmark["stats"][key] for key in ("median", "min", "max")}
            rows.append(benchmark["extra_info"] | stats)
    return rows


def summary_of(data: dict[str, Any]) -> dict[str, Any]:
    """The parts of pytest-benchmark's JSON that are kept."""
    operations = data["operations"]
    return {
        "machine": machine_of(data["machine_info"], operations) | {"accelerator": operations["accelerator"]},
        "date": data["datetime"][:10],
        "commit": data.get("commit_info", {}).get("id"),
        "operations": {key: value for key, value in operations.items() if key not in system()},
        "rows": rows_of(data),
    }


def stem_of(summary: dict[str, Any]) -> str:
    """The file name, without suffix, of a full run on the same machine."""
    machine = summary["machine"]
    return f"ops-{file_name(machine['accelerator']) if machine['accelerator'] else slug(machine)}"


def own_stem_of(summary: dict[str, Any]) -> str:
    """The file name, without suffix, of this run."""
    stems = list(dict.fromkeys(row["stem"] for row in summary["rows"]))
    some = [] if set(stems) == set(MODELS) else stems
    return "-".join(["ops", *(["quick"] if summary["operations"]["quick"] else []), *some, stem_of(summary)[4:]])


# ---- text -------------------------------------------------------------------------------------------------------------------


def markdown(summary: dict[str, Any], plot: str) -> str:
    """The whole page; ``plot`` is the name of the picture beside it."""
    rows, operations = summary["rows"], summary["operations"]
    device = operations["device"]
    head = ("workload", "quantity", "CPU: goal", "CPU: reached", "GPU: goal", "GPU: reached")
    parts = [
        "# fastnst.ops beside its rivals\n",
        "\n".join(machine_lines(summary)) + "\n",
        "## Goals\n",
        table(head, goals.outcomes(rows, device)),
        f"![Times of the published code by those of the others]({plot})\n",
    ]
    for stem in dict.fromkeys(row["stem"] for row in rows):
        parts += [f"## {stem}\n", *workload_sections([row for row in rows if row["stem"] == stem])]
    parts += ["## Method\n", method(device)]
    return "\n".join(parts)


def machine_lines(summary: dict[str, Any]) -> Iterator[str]:
    machine, operations = summary["machine"], summary["operations"]
    limits = operations["ceilings"]
    accelerator = f"{machine['accelerator']}; " if machine["accelerator"] else ""
    yield f"* Machine: {accelerator}{sentence(machine)}; threads: {operations['threads']}"
    yield f"* Date: {summary['date']}" + (f"; commit {summary['commit'][:12]}" if summary["commit"] else "")
    yield f"* Versions: {', '.join(f'{name} {version}' for name, version in operations['versions'].items())}"
    yield (
        f"* Ceilings: copy {limits['bytes_per_second'] / 1e9:.1f} GB/s (bytes read and written), matrix product "
        f"{limits['flops_per_second'] / 1e9:.0f} GFLOP/s in float32, {limits['double_flops_per_second'] / 1e9:.0f} in float64"
    )
    for what, error in operations["failed"].items():
        yield f"* Failed: {what}: {error.strip().splitlines()[0]}"
    if operations["left_out"]:
        yield f"* Out of time, not measured: {', '.join(operations['left_out'])}"
    if any(row["foreign_share"] > DISTURBED for row in summary["rows"]):
        yield "* **Other processes were at work: rows that are marked as disturbed compare little.**"


HEAD = ("contender", "mode", "median ms (min-max)", "time / fastnst", "% of floor", "memory, MB", "error")


def workload_sections(rows: list[Row]) -> Iterator[str]:
    """A heading and a table per workload."""
    for workload in dict.fromkeys(row["workload"] for row in rows):
        members = [row for row in rows if row["workload"] == workload]
        main = " (main)" if members[0]["main"] else ""
        yield f"### {members[0]['operation']}, {members[0]['size']}{main}\n"
        yield table(HEAD, [row_cells(row, members) for row in members])


def row_cells(row: Row, members: Iterable[Row]) -> list[str]:
    own = next((each for each in members if each["contender"] == FASTNST and each["mode"] == row["mode"]), None)
    strong = "**" if row is own else ""
    times = [milliseconds(row[f"{key}_seconds"]) for key in ("median", "min", "max")]
    disturbed = " (disturbed)" if row["foreign_share"] > DISTURBED else ""
    return [
        f"{strong}{row['label']}{strong}",
        row["mode"],
        f"{strong}{times[0]}{strong} ({times[1]}-{times[2]}){disturbed}",
        number(own and row["median_seconds"] / own["median_seconds"], ".2f"),  # type: ignore[arg-type]
        number(100 * row["floor"]["seconds"] / row["median_seconds"], ".1f"),
        number(None if row["extra_memory"] is None else row["extra_memory"] / 1e6, ".1f"),
        number(row["error"], ".1e"),
    ]


def method(device: str) -> str:
    return METHOD.format(
        sample=session.SAMPLE_SECONDS,
        less=session.LESS_SAMPLE_SECONDS,
        long=measure.LONG_CALL,
        rounds=session.ROUNDS,
        less_rounds=session.LESS_ROUNDS,
        enough=measure.LONG_SAMPLES,
        least=measure.LEAST_SAMPLES,
        disturbed=DISTURBED,
        memory=CUDA_MEMORY if device == "cuda" else CPU_MEMORY,
        floors="\n".join(f"* {stem}: {text}." for stem, text in MODELS.items()),
    )


def comparison(summary: dict[str, Any], before: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Rows of a table of fastnst's times now and in an earlier summary, for what is in both; first the headings."""
    yield "workload", "mode", f"{before['date']}, ms", "now, ms", "before / now"
    old = {(row["workload"], row["mode"]): row for row in before["rows"] if row["contender"] == FASTNST}
    for row in summary["rows"]:
        other = old.get((row["workload"], row["mode"]))
        if row["contender"] == FASTNST and other is not None:
            seconds = other["median_seconds"], row["median_seconds"]
            yield row["workload"], row["mode"], *map(milliseconds, seconds), f"{seconds[0] / seconds[1]:.2f}"


# ---- plot -------------------------------------------------------------------------------------------------------------------

LOOKS = {
    FASTNST: ("black", "o", "fastnst"),
    COMPILED: ("C0", "s", "torch.compile of it"),
    LIBRARY: ("C1", "^", "library route"),
}


def draw(rows: Sequence[Row], target: Path) -> None:
    """Plot the speed of all contenders relative to the published code: a column per mode, a line per workload."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(row["workload"] for row in rows))
    figure, grid = plt.subplots(1, len(MODES), figsize=(13, 1.8 + 0.3 * len(names)), sharey=True, layout="constrained")
    for axes, mode in zip(grid, MODES, strict=True):
        times = {(row["workload"], row["contender"]): row["median_seconds"] for row in rows if row["mode"] == mode}
        for contender, (color, marker, label) in LOOKS.items():
            known = [name for name in names if (name, contender) in times and (name, PUBLISHED) in times]
            speeds = [times[name, PUBLISHED] / times[name, contender] for name in known]
            axes.plot(speeds, [names.index(name) for name in known], marker, color=color, label=label)
        axes.axvline(1, color="grey", linewidth=1)
        axes.set_xscale("log")
        axes.set_title(mode)
        axes.set_xlabel(f"times as fast as the {EAGER}")
        axes.grid(alpha=0.3)
    grid[0].set_yticks(range(len(names)), names)
    grid[0].invert_yaxis()
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(LOOKS), frameon=False)
    figure.savefig(target, dpi=100)
    plt.close(figure)


# ---- files ------------------------------------------------------------------------------------------------------------------


def read(source: Path) -> dict[str, Any]:
    """The summary of pytest-benchmark's JSON.

    Raises:
        ValueError: ``source`` holds no result of an operation.
    """
    data = json.loads(source.read_text())
    if "operations" not in data or not rows_of(data):
        raise ValueError(f"{source}: no operation was measured")
    return summary_of(data)


def write(summary: dict[str, Any], folder: Path) -> Path:
    """Write the report to ``folder``, and return the path of the Markdown file."""
    stem = own_stem_of(summary)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{stem}.json").write_text(json.dumps(summary, indent=1) + "\n")
    draw(summary["rows"], folder / f"{stem}.png")
    page = folder / f"{stem}.md"
    page.write_text(markdown(summary, f"{stem}.png"))
    return page


def earlier(summary: dict[str, Any], folder: Path) -> dict[str, Any] | None:
    """The summary of an earlier run on the same machine: one of the same kind, or else a full one."""
    return committed(folder, f"{own_stem_of(summary)}.json") or committed(folder, f"{stem_of(summary)}.json")


def committed(folder: Path, name: str) -> dict[str, Any] | None:
    """The summary ``name`` in ``folder`` as committed in git, or else as the file is; None without both."""
    try:
        command = ["git", "show", f"HEAD:./{name}"]
        text = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        file = folder / name
        text = file.read_text() if file.exists() else "null"
    summary: dict[str, Any] | None = json.loads(text)
    return summary
