"""Benchmark and report in one: ``python -m bench.run [--full] [options of bench_stylize.py]``; what ``make bench`` calls.

Without ``--full`` only the quick profile is measured. Everything else on the command line goes to pytest.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest

from . import report


def main(arguments: list[str]) -> int:
    """Measure, write the report, print where it is; pytest's exit status."""
    full = "--full" in arguments
    options = [argument for argument in arguments if argument != "--full"]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "stylize.json"
        tests = str(Path(__file__).with_name("bench_stylize.py"))
        status = pytest.main([tests, f"--benchmark-json={target}", *([] if full else ["--quick"]), *options])
        if target.exists() and target.stat().st_size:
            print(report.write(target))
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
