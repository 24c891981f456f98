"""Turns the benchmark's JSON into pages to read: ``python -m bench.stylize.report FILE.json [-o FOLDER]``.

Writes ``stylize-<machine>.md``, its numbers as ``.json`` and its plot as ``.png``, by default into ``bench/results``; after a
``--quick`` run ``stylize-quick-<machine>``, so that it does not replace the full one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..machine import machine_of, sentence, slug
from .peers import LIMITS

RESULTS = Path(__file__).parents[1] / "results"
FASTNST, EAGER = "fastnst", "torch-eager"
GOAL_CASE = {"size": 512, "threads": 2, "style": "given"}
GOAL_OVER_EAGER, GOAL_MEMORY = 6.0, 0.5
STYLE_TITLES = {"given": "style given (two pictures in)", "cached": "style cached (one picture and statistics in)"}

Row = dict[str, Any]

COLD = """\
**Here a sample is something else**: the shortest of three times from a network's file to its first picture, in a process
that has all libraries imported and the pictures in memory. Commands start a process, and read and write pictures as files.
"""

METHOD = """\
Every runtime has a process of its own. All of one case (size, threads, way of giving the style) are loaded, then measured in
turn, A B C ... A B C ...; a sample is one run that is thrown away, then the median of the runs of 0.2 s. The first of
{samples} rounds does not count; the tables show the median over the others, and the fastest and slowest sample. {quiet}
Thread limits are the same for all. The rivals get float32 pictures ready made and need not deliver bytes; fastnst takes and
delivers bytes.

* **time / fastnst**: above 1 = slower than fastnst.
* **% of roofline**: multiply-adds of the network as published, per second, against the int8 peak of this machine measured in
  the same session; also for the runtimes that compute in fp32. An engine that saves multiplications can pass 100 %.
* **memory**: peak resident set of the process, Python ({baseline:.0f} MB before the runtime is loaded) included: while it
  runs / in its whole life, loading and compiling included. Converting and quantising happen elsewhere and are not counted.
* **PSNR**: of the picture against PyTorch fp32 eager's, both clamped to 0..1: a check that the same network is computed.
"""

QUIET = """\
Before a sample the driver waits until the cores are idle, {patience:.0f} s at most; a sample during which another process used
them is repeated, three times at most, and then marked as disturbed."""


# --- reading ----------------------------------------------------------------------------------------------------------------


def rows_of(data: dict[str, Any]) -> list[Row]:
    """One row per runtime and case, in the order of the tables."""
    rows = []
    for benchmark in data["benchmarks"]:
        if "visits_seconds" in benchmark.get("extra_info", {}):
            stats = {key: benchmark["stats"][key] for key in ("median", "min", "max")}
            rows.append(benchmark["extra_info"] | {f"{key}_seconds": value for key, value in stats.items()})
    return sorted(rows, key=lambda row: (-row["threads"], row["style"] != "given", row["size"], row["median_seconds"]))


def find(rows: Iterable[Row], **wanted: Any) -> Row | None:
    return next((row for row in rows if all(row[key] == value for key, value in wanted.items())), None)


# --- text -------------------------------------------------------------------------------------------------------------------


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table, with numbers aligned to the right."""
    rule = ["---" if i == 0 else "--:" for i in range(len(head))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *lines)) + "\n"


def milliseconds(seconds: float) -> str:
    """Milliseconds with three significant digits."""
    value = seconds * 1e3
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def number(value: float | None, form: str, missing: str = "-") -> str:
    return missing if value is None else format(value, form)


def megabytes(value: int | None) -> str:
    return number(None if value is None else value / 1e6, ".0f")


def row_cells(row: Row) -> list[str]:
    strong = "**" if row["runtime"] == FASTNST else ""
    disturbed = " (disturbed)" if row["visits_disturbed"] else ""
    times = [milliseconds(row[f"{key}_seconds"]) for key in ("median", "min", "max")]
    return [
        f"{strong}{row['label']}{strong}",
        f"{strong}{times[0]}{strong} ({times[1]}-{times[2]}){disturbed}",
        number(row["times_as_long_as_fastnst"], ".2f"),
        number(row["gmac_per_second"], ".0f"),
        number(row["percent_of_int8_roofline"], ".0f"),
        f"{megabytes(row['peak_memory_runs'])} / {megabytes(row['peak_memory_life'])}",
        number(row["psnr_db"], ".1f", "reference" if row["runtime"] == EAGER else "-"),
    ]


HEAD = ("runtime", "median ms (min-max)", "time / fastnst", "GMAC/s", "% of roofline", "memory, MB: runs / life", "PSNR, dB")


def case_sections(rows: list[Row]) -> Iterable[str]:
    """One section per number of threads and way of giving the style, with a table per size."""
    for threads, style in dict.fromkeys((row["threads"], row["style"]) for row in rows):
        group = [row for row in rows if (row["threads"], row["style"]) == (threads, style)]
        yield f"## {threads} thread{'s' * (threads > 1)}, {STYLE_TITLES[style]}\n"
        for size in dict.fromkeys(row["size"] for row in group):
            members = [row for row in group if row["size"] == size]
            yield f"### {size} x {size}\n"
            yield from headline(members)
            yield table(HEAD, map(row_cells, members))


def headline(members: list[Row]) -> Iterable[str]:
    """A sentence that compares fastnst with the best rival."""
    own = find(members, runtime=FASTNST)
    best = own and own["best_rival"] and find(members, runtime=own["best_rival"])
    if own and best:
        yield f"fastnst runs at {own['ratio_to_best_rival']:.2f} times the speed of the best rival, {best['label']}.\n"


def goals_section(rows: list[Row]) -> Iterable[str]:
    """The three goals for the speed of the shipped model, if their case was measured."""
    members = [row for row in rows if all(row[key] == value for key, value in GOAL_CASE.items())]
    own, eager = find(members, runtime=FASTNST), find(members, runtime=EAGER)
    peers = [row for row in members if row["runtime"].startswith("openvino-int8")]
    if own is None or eager is None or not peers:
        return
    best = min(peers, key=lambda row: row["median_seconds"])
    ratio, over_eager = (row["median_seconds"] / own["median_seconds"] for row in (best, eager))
    goals = [
        (f"at least as fast as {best['label']}", f"{ratio:.2f} times as fast", ratio >= 1),
        (
            f"at least {GOAL_OVER_EAGER:.0f} times as fast as {eager['label']}",
            f"{over_eager:.1f} times",
            over_eager >= GOAL_OVER_EAGER,
        ),
    ]
    for key, when in (("peak_memory_runs", "while running"), ("peak_memory_life", "in its whole life")):
        if own[key] and best[key]:
            share = own[key] / best[key]
            goals.append(
                (f"at most half of the peak memory of {best['label']}, {when}", f"{share:.2f} of it", share <= GOAL_MEMORY)
            )
    yield "## Against the goals: 512 x 512, 2 threads, style given\n"
    yield table(("goal", "measured", "met"), [(goal, measured, "yes" if met else "**no**") for goal, measured, met in goals])


def machine_section(data: dict[str, Any], rows: list[Row]) -> Iterable[str]:
    campaign = data["campaign"]
    versions = {name: version for row in rows for name, version in row["versions"].items()}
    details = {f"{row['label']}: {key} {value}": None for row in rows for key, value in row["details"].items()}
    commit = data.get("commit_info", {})
    lines = [
        f"* Machine: {sentence(machine_of(data['machine_info'], campaign))}",
        f"* Date: {data['datetime'][:10]}" + (f"; commit {commit['id'][:12]}" if commit.get("id") else ""),
        f"* Network: {campaign['network']['source']}; encoder widths {', '.join(map(str, campaign['network']['widths']))}",
        f"* Versions: {', '.join(f'{name} {version}' for name, version in sorted(versions.items()))}",
        *([f"* {'; '.join(details)}"] if details else []),
    ]
    for runtime, gaps in campaign["not_installed"].items():
        lines.append(f"* Not measured: {campaign['labels'][runtime]}; not installed: {', '.join(gaps)}")
    for case, error in campaign["failed"].items():
        lines.append(f"* Failed: {case}: {error.strip().splitlines()[-1]}")
    if isa := campaign["isa"]:
        limits = ", ".join(f"{name}={value}" for name, value in LIMITS[isa].items())
        lines.append(f"* **All runtimes are limited to {isa}** ({limits})")
    if campaign["patience_seconds"] == 0:
        lines.append("* **Measured without waiting for idle cores: these times compare nothing.**")
    yield "\n".join(lines) + "\n"


def limits_section(campaign: dict[str, Any]) -> Iterable[str]:
    """Measured limits of the machine, and the network's costs."""
    yield "## Limits\n"
    yield table(
        ("threads", "int8 peak, GMAC/s", "reading memory, GB/s", "measured with"),
        [
            (
                str(limit["threads"]),
                number(limit["macs_per_second"] and limit["macs_per_second"] / 1e9, ".0f"),
                number(limit["bytes_per_second"] and limit["bytes_per_second"] / 1e9, ".0f"),
                limit["note"],
            )
            for limit in campaign["limits"]
        ],
    )
    head = ["size, style", "GMAC", "MB layer by layer", "MB at least"]
    head += [f"least ms, {limit['threads']} thread{'s' * (limit['threads'] > 1)}" for limit in campaign["limits"]]
    lines = []
    for cost in campaign["costs"]:
        least = [cost["macs"] / limit["macs_per_second"] if limit["macs_per_second"] else None for limit in campaign["limits"]]
        lines.append(
            [
                f"{cost['size']}, {cost['style']}",
                f"{cost['macs'] / 1e9:.1f}",
                f"{cost['layerwise_bytes'] / 1e6:.0f}",
                f"{cost['least_bytes'] / 1e6:.1f}",
                *("-" if seconds is None else milliseconds(seconds) for seconds in least),
            ]
        )
    yield "Bytes: if every 8-bit map goes through memory, or pictures and weights only. Time: at the int8 peak.\n"
    yield table(head, lines)


def markdown(data: dict[str, Any], plot: str) -> str:
    """The whole page; ``plot`` is the name of the picture beside it."""
    rows, campaign = rows_of(data), data["campaign"]
    before = [row["memory_before_loading"] for row in rows if row["memory_before_loading"]]
    quiet = QUIET.format(patience=campaign["patience_seconds"]) if campaign["patience_seconds"] else ""
    method = METHOD.format(samples=campaign["rounds"] + 1, quiet=quiet, baseline=min(before, default=0) / 1e6)
    cold = campaign["cold"]
    parts = [
        f"# fastnst beside its rivals: {'from a file to the first picture' if cold else 'speed and memory'}\n",
        *machine_section(data, rows),
        *([] if cold else goals_section(rows)),
        f"![Time and memory by size]({plot})\n",
        *case_sections(rows),
        *limits_section(campaign),
        "## Method\n",
        *([COLD] if cold else []),
        method,
    ]
    return "\n".join(parts)


# --- plot -------------------------------------------------------------------------------------------------------------------


def draw(rows: list[Row], labels: dict[str, str], target: Path) -> None:
    """Plot times above and memory below, with a column per number of threads and way of giving the style."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    columns = list(dict.fromkeys((row["threads"], row["style"]) for row in rows))
    figure, grid = plt.subplots(
        2, len(columns), figsize=(4.2 * len(columns), 7.5), squeeze=False, sharey="row", layout="constrained"
    )
    for column, (threads, style) in enumerate(columns):
        group = [row for row in rows if (row["threads"], row["style"]) == (threads, style)]
        for place, (runtime, label) in enumerate(labels.items()):
            members = [row for row in group if row["runtime"] == runtime]
            if not members:
                continue
            look = {"color": "black", "linewidth": 2.5} if runtime == FASTNST else {"color": f"C{place}"}
            draw_times(grid[0, column], members, label, look)
            draw_memory(grid[1, column], members, label, look)
        for axes in grid[:, column]:
            sizes = sorted({row["size"] for row in group})
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_xticks(sizes, [str(size) for size in sizes])
            axes.grid(alpha=0.3)
        grid[0, column].set_title(f"{threads} thread{'s' * (threads > 1)}, style {style}")
        grid[1, column].set_xlabel("side of the pictures, pixels")
    grid[0, 0].set_ylabel("time, ms")
    grid[1, 0].set_ylabel("peak memory while running, MB")
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(target, dpi=110)
    plt.close(figure)


def draw_times(axes: Any, members: list[Row], label: str, look: dict[str, Any]) -> None:
    times = [[row[f"{key}_seconds"] * 1e3 for row in members] for key in ("median", "min", "max")]
    spread = [
        [m - low for m, low in zip(times[0], times[1], strict=True)],
        [h - m for m, h in zip(times[0], times[2], strict=True)],
    ]
    axes.errorbar([row["size"] for row in members], times[0], yerr=spread, marker="o", markersize=4, label=label, **look)


def draw_memory(axes: Any, members: list[Row], label: str, look: dict[str, Any]) -> None:
    known = [row for row in members if row["peak_memory_runs"] or row["peak_memory_life"]]
    values = [(row["peak_memory_runs"] or row["peak_memory_life"]) / 1e6 for row in known]
    axes.plot([row["size"] for row in known], values, marker="o", markersize=4, label=label, **look)


# --- files ------------------------------------------------------------------------------------------------------------------


def write(source: Path, folder: Path = RESULTS) -> Path:
    """Write the report of ``source`` to ``folder``, and return the path of the Markdown file.

    Raises:
        ValueError: ``source`` holds no result of ``bench_stylize.py``.
    """
    data = json.loads(source.read_text())
    rows = rows_of(data) if "campaign" in data else []
    if not rows:
        raise ValueError(f"{source}: no result of bench_stylize.py")
    machine = machine_of(data["machine_info"], data["campaign"])
    campaign = data["campaign"]
    kinds = ["quick" if campaign["quick"] else "", campaign["isa"] or "", "cold" if campaign["cold"] else ""]
    stem = "-".join(part for part in ("stylize", *kinds, slug(machine)) if part)
    folder.mkdir(parents=True, exist_ok=True)
    summary = {"machine": machine, "date": data["datetime"][:10], "campaign": data["campaign"], "rows": rows}
    (folder / f"{stem}.json").write_text(json.dumps(summary, indent=1) + "\n")
    draw(rows, data["campaign"]["labels"], folder / f"{stem}.png")
    page = folder / f"{stem}.md"
    page.write_text(markdown(data, f"{stem}.png"))
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the report of a benchmark run.")
    parser.add_argument("json", type=Path, help="what pytest --benchmark-json wrote")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS, help="folder to write into (default: %(default)s)")
    options = parser.parse_args()
    print(write(options.json, options.output))


if __name__ == "__main__":
    main()
