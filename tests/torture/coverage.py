"""How much of the code that reads strangers' bytes the corpora reach."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from torture import corpora, native
from torture.framework import NotHereError, Outcome, check

ENGINE, BASE = ("fields", "graph", "model", "winograd"), ("checked", "huffman", "pnm", "sha256")
SOURCES = (*(f"csrc/engine/{name}" for name in ENGINE), *(f"csrc/base/{name}" for name in BASE))
"""Without suffixes: headers of these names count as well."""
SHARE = 0.95


def _executions() -> dict[str, Counter[int]]:
    """Of each file that objects were made of: how often each line that can run did."""
    objects = sorted(map(str, (native.BUILD / "coverage").glob("*.gcda")))
    command = ["gcov", "--json-format", "--stdout", *objects]
    said = subprocess.run(command, cwd=native.ROOT, capture_output=True, text=True, check=True).stdout
    found: dict[str, Counter[int]] = {}
    for each in (file for report in said.splitlines() for file in json.loads(report)["files"]):
        lines = found.setdefault(each["file"], Counter())
        for line in each["lines"]:
            lines[line["line_number"]] += line["count"]  # of a template, or in a header, there are several
    return found


def lines_reached(models: int, pictures: int) -> dict[str, Counter[int]]:
    """File -> line -> executions, when the driver has read so many mutated models and pictures, and all seeds."""
    native.build("coverage")
    for left in (native.BUILD / "coverage").glob("*.gcda"):
        left.unlink()  # counts of runs add up
    with TemporaryDirectory() as folder:
        pack = Path(folder) / "pack"
        for sound in corpora.sound_models().values():
            native.write_pack(pack, [sound, *corpora.seeds().values(), *corpora.mutated_models(sound, models // 4)])
            native.run("coverage", "models", pack)
        native.write_pack(pack, list(corpora.mutated_pnm(pictures)))
        native.run("coverage", "pictures", pack)
    return {
        name[name.index("csrc/") :]: lines
        for name, lines in _executions().items()
        if str(Path(name).with_suffix("")).endswith(SOURCES)
    }


@check("the corpora reach >= 95 % of the lines of the parsers", quick=0, full=20_000)
def parser_coverage(count: int) -> Outcome:
    """No line of the readers of models and pictures is there that no damaged file has run, but for a few."""
    if shutil.which("gcov") is None:
        raise NotHereError("gcov is not installed")
    outcome = Outcome()
    for name, lines in sorted(lines_reached(count, count // 4).items()):
        missed = sorted(number for number, executions in lines.items() if executions == 0)
        share = 1 - len(missed) / len(lines)
        outcome.reached += len(lines)
        if share < SHARE:
            outcome.findings.append(f"{name}: {100 * share:.1f} %, never run: {', '.join(map(str, missed))}")
        outcome.note += f"{Path(name).name} {100 * share:.1f} %; "
    return outcome
