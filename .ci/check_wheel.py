"""What a built wheel must and must not hold: ``python .ci/check_wheel.py WHEEL``."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

LIMIT = 5_000_000


def faults(wheel: Path) -> list[str]:
    """Every promise that the wheel breaks."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    found = []
    if wheel.stat().st_size >= LIMIT:
        found.append(f"{wheel.stat().st_size} bytes, the limit is {LIMIT}")
    top = {name.split("/")[0] for name in names}
    if strangers := {name for name in top if name != "fastnst" and not name.startswith("fastnst-")}:
        found.append(f"other names at the top level: {', '.join(sorted(strangers))}")
    needed = (
        "fastnst/py.typed",
        "fastnst/_engine",
        "fastnst/models/adain-16x.fnst",
        "fastnst/models/adain-16x.md",
        "fastnst/models/goldens.json",
        "fastnst/evaluate/report.py",
        "fastnst/train/adain.py",
        "fastnst/video/job.py",
        "fastnst/streams/tiff.py",
        "fastnst/bench/ops/report.py",
        "fastnst/kernels/__init__.py",
        "fastnst/kernels/cuda/wct.cu",
        "/scripts/fastnst-stylize",
        "/licenses/LICENSE",
    )
    found += [f"{part} is missing" for part in needed if not any(part in name for name in names)]
    found += [f"{name} has no place in a wheel" for name in names if name.endswith((".cpp", ".h", ".o", ".pyc"))]
    return found


if __name__ == "__main__":
    problems = faults(Path(sys.argv[1]))
    sys.exit("\n".join(problems) or 0)
