"""libFuzzer over the readers of models and of PPM and PAM pictures: ``python -m torture.fuzz SECONDS`` (``make fuzz``)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from torture import corpora, native
from torture.framework import Outcome, check


def run(target: str, files: list[bytes], *options: str) -> tuple[int, str]:
    """How many inputs a target was given, and what it found beside: an empty text if nothing."""
    command = native.build(target)
    with TemporaryDirectory() as folder:
        for number, data in enumerate(files):
            (Path(folder) / str(number)).write_bytes(data)
        limits = ["-max_len=4096", "-rss_limit_mb=1024", "-timeout=25", "-print_final_stats=1", f"-artifact_prefix={folder}/"]
        done = subprocess.run([*command, *limits, *options, folder], capture_output=True, text=True, check=False)
    units = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
    return int(units[1]) if units else 0, done.stderr[-3000:] if done.returncode else ""


def _fuzz(outcome: Outcome, *options: str) -> Outcome:
    models = [data[: -corpora.DIGEST] for data in corpora.sound_models().values()]
    for target, files in (("fuzz_model", models), ("fuzz_pnm", list(corpora.mutated_pnm(60)))):
        units, found = run(target, files, *options)
        outcome.reached += units
        outcome.note += f"{target}: {units:,}; "
        if found:
            outcome.findings.append(f"{target}: {found}")
    return outcome


@check("1,000,000 inputs by libFuzzer", quick=0, full=1_000_000)
def libfuzzer(count: int) -> Outcome:
    """Nothing that a fuzzer thinks of makes a reader touch what is not its own."""
    return _fuzz(Outcome(), f"-runs={count // 2}")


def main(seconds: str) -> int:
    outcome = _fuzz(Outcome(), f"-max_total_time={seconds}")
    sys.stdout.write("\n".join([outcome.note, *outcome.findings, ""]))
    return int(bool(outcome.findings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
