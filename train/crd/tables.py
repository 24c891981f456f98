"""The paper's tables for given data: every variant is trained for the same number of student steps and measured in the same
way.

``fastnst train crd-tables --data DATA --out OUT --pictures FOLDER --seeds 1,2 [settings of recipe crd]`` trains each
variant in a folder of its own under OUT, continues a run that was stopped from its last checkpoint, and writes ``tables.md``
and ``tables.json`` after each run. Every figure comes from the ``quality.json`` of a run; missing ones are shown as a dash.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from fastnst.system.atomic import atomic_output

from ..command import start
from ..process_group import ProcessGroup
from ..settings import RunOptions, filled, same_run
from .settings import CrdSettings
from .training import run
from .weights import EPILOG


@dataclass(frozen=True)
class Row:
    """A row of a table: its name, the variant that it shows, and which of its networks."""

    label: str
    variant: str = "ours"
    network: str = "student"


OMGD = {"discriminator": "none", "relation": "none", "ssim_weight": 10.0, "variation_weight": 1e-5, "channel_weight": 500.0}
ALPHAS = {"unpaired": (10.0, 50.0), "paired": (1.0, 5.0)}
PARTS = {"row": "rows", "column": "columns", "patch": "patches"}
BETAS, GAMMAS, PATCHES = (0.5, 1.0), (2.0, 3.0), (16, 64)


def variants(task: str) -> dict[str, dict[str, Any]]:
    """The settings of every variant that the paper compares, by name; ``ours`` has the defaults."""
    found: dict[str, dict[str, Any]] = {
        "ours": {},
        "no-distillation": {"distil": False, "teacher": ""},
        "omgd": OMGD | ({} if task == "unpaired" else {"channel_weight": 10.0}),
        "as-published": {"as_published": True},
    }
    # An unpaired student has batches of its own, so that its teacher stays the same.
    batch = "student_batch" if task == "unpaired" else "batch"
    found |= {f"instance-{n}": {"relation": "instance", batch: n} for n in (4, 8)}
    found |= {f"no-{part}": {"granularities": ",".join(x for x in PARTS if x != part)} for part in PARTS}
    found |= {f"patch-{size}": {"patch": size} for size in PATCHES}
    modes = ("pretrained-frozen", "pretrained-updated", "always", "none")
    found |= {f"discriminator-{mode}": {"discriminator": mode} for mode in modes}
    found |= {f"alpha-{alpha:g}": {"relation_weight": alpha} for alpha in ALPHAS[task]}
    found["copy-30"] = {"copy_weight": 30.0}
    found |= {f"beta-{beta:g}": {"angle_weight": beta} for beta in BETAS}
    return found | {f"gamma-{gamma:g}": {"perceptual_weight": gamma} for gamma in GAMMAS}


def tables(task: str) -> dict[str, list[Row]]:
    """The paper's tables, by title."""
    weights = [Row(f"alpha {a:g}", f"alpha-{a:g}") for a in ALPHAS[task]]
    weights += [Row(f"beta {b:g}", f"beta-{b:g}") for b in BETAS] + [Row(f"gamma {g:g}", f"gamma-{g:g}") for g in GAMMAS]
    return {
        "1. Compression": [
            Row("teacher", "ours", "teacher"),
            Row("OMGD's terms", "omgd"),
            Row("CRD as its code has it", "as-published"),
            Row("CRD"),
        ],
        "2. Relations": [
            Row("no distillation", "no-distillation"),
            *(Row(f"among pictures, batch {n}", f"instance-{n}") for n in (4, 8)),
            Row("among parts of pictures"),
        ],
        "3. Granularities": [*(Row(f"without {many}", f"no-{one}") for one, many in PARTS.items()), Row("all three")],
        "4. Size of patches": [*(Row(f"{size} pixels", f"patch-{size}") for size in PATCHES), Row("as set")],
        "5. Discriminator": [
            Row("pre-trained, frozen", "discriminator-pretrained-frozen"),
            Row("pre-trained, updated", "discriminator-pretrained-updated"),
            Row("none for the student", "discriminator-none"),
            Row("online, always updated", "discriminator-always"),
            Row("online, updated with the teacher, frozen with the student"),
        ],
        "6. Weights": [*weights, Row("the teacher's pixels, weight 30", "copy-30"), Row("as set")],
    }


Qualities = dict[tuple[str, int], dict[str, Any]]
"""The contents of ``quality.json``, by variant and seed."""


def entry(row: Row, found: Qualities) -> dict[str, Any]:
    """The measured figures of a row: distances per seed, and cost."""
    runs = {
        seed: each[row.network] for (variant, seed), each in found.items() if variant == row.variant and row.network in each
    }
    figures: dict[str, Any] = {"label": row.label, "variant": row.variant, "network": row.network}
    for name in ("fid", "kid"):
        figures[name] = {str(seed): each[name] for seed, each in sorted(runs.items())}
    for name in ("parameters", "macs", "macs_as_published", "milliseconds", "protocol"):
        figures[name] = next((each[name] for each in runs.values()), None)
    return figures


def line(figures: dict[str, Any]) -> str:
    """A row of Markdown."""

    def distances(name: str, places: int) -> str:
        values = list(figures[name].values())
        if not values:
            return "-"
        each = ", ".join(f"{x:.{places}f}" for x in values)
        return f"{mean(values):.{places}f} ({each})" if len(values) > 1 else each

    cost = "- | - | - | -"
    if figures["parameters"] is not None:
        macs = " | ".join(f"{figures[name] / 1e9:.4f}" for name in ("macs_as_published", "macs"))
        cost = f"{figures['parameters']:,} | {macs} | {figures['milliseconds']:.1f}"
    return f"| {figures['label']} | {distances('fid', 2)} | {distances('kid', 4)} | {cost} |"


def markdown(task: str, found: Qualities) -> str:
    """All tables, with a description of how they were measured, in Markdown."""
    some = next(iter(found.values()))
    protocol, timing = some["student"]["protocol"], some["timing"]
    seeds = sorted({seed for _, seed in found})
    lines = [f"# CRD, {task}", ""]
    heads = (
        f"| | FID-{protocol['dimension']} | KID-{protocol['dimension']} | parameters | G MACs, papers' count | G MACs | ms |"
    )
    for title, rows in tables(task).items():
        lines += [f"## {title}", "", heads, "| --- | --: | --: | --: | --: | --: | --: |"]
        lines += [*(line(entry(row, found)) for row in rows), ""]
    return "\n".join(
        [
            *lines,
            f"Mean over seeds {', '.join(map(str, seeds))} (each), smaller is better. Students have equal steps and are shown"
            " as the last checkpoint has them.",
            f"Teacher chosen by {some['teacher_chosen_by']}. Perceptual network: {some['perceptual']}.",
            "",
            *(f"- {name}: {value}" for name, value in protocol.items()),
            f"- milliseconds: median, batch 1, {timing['threads']} threads, {timing['device']}, torch {timing['torch']}",
            "",
        ]
    )


def write_tables(out: Path, task: str, found: Qualities) -> None:
    """Write ``tables.md`` and ``tables.json``, each complete or absent."""
    measured = {title: [entry(row, found) for row in rows] for title, rows in tables(task).items()}
    runs = [{"variant": variant, "seed": seed, **each} for (variant, seed), each in found.items()]
    contents = {"tables.md": markdown(task, found), "tables.json": json.dumps({"tables": measured, "runs": runs}, indent=1)}
    for name, text in contents.items():
        with atomic_output(out / name) as file:
            file.write(text.encode())


def make(
    settings: CrdSettings, options: RunOptions, processes: ProcessGroup, names: Sequence[str], seeds: Sequence[int]
) -> Qualities:
    """Train what is missing, seed by seed, and write the tables after each run.

    Raises:
        ValueError: no such variant.
    """
    known, found = variants(settings.task), Qualities()
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"variants: expected some of {', '.join(known)}; got {', '.join(unknown)}")
    for seed in seeds:
        for name in names:
            mine = replace(filled(settings, known[name], name), seed=seed).completed()
            folder = options.out / f"{name}-{seed}"
            if not (folder / "quality.json").exists():
                run(mine, replace(options, out=folder), processes)
            processes.wait()
            found[name, seed] = json.loads((folder / "quality.json").read_text())
            same_run(folder, mine, found[name, seed].get("settings", {}))
            if processes.leads:
                write_tables(options.out, settings.task, found)
    return found


def _numbers(text: str) -> list[int]:
    try:
        return [int(each) for each in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected whole numbers such as 1,2, got {text!r}") from None


def main(argv: Sequence[str] | None = None) -> None:
    """``fastnst train crd-tables``; see the module. The settings of ``fastnst train crd`` apply."""
    parser = argparse.ArgumentParser(prog="crd_tables", add_help=False, allow_abbrev=False)
    parser.add_argument("--variants", default="")
    parser.add_argument("--seeds", type=_numbers, default=[1])
    own, rest = parser.parse_known_args(argv)
    told = (__doc__ or "").splitlines()[0] + " Also --variants A,B and --seeds 1,2."

    def make_all(settings: CrdSettings, options: RunOptions, processes: ProcessGroup) -> None:
        names = own.variants.split(",") if own.variants else list(variants(settings.task))
        make(settings, options, processes, names, own.seeds)

    start("crd-tables", told, CrdSettings(), make_all, rest, EPILOG)


if __name__ == "__main__":
    main()
