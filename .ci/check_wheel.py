"""What a built wheel must and must not hold: ``python .ci/check_wheel.py WHEEL``."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

LIMIT = 5_000_000  # bytes
ROOT = Path(__file__).parent.parent
FOLDERS = {
    "fastnst": "fastnst",
    "kernels": "fastnst/kernels",
    "train": "fastnst/train",
    "bench": "fastnst/bench",
    "web": "fastnst/web",
}
"""Where the modules of a folder of the source tree lie in a wheel."""


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
    modules = [path.relative_to(ROOT) for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    places = [f"{FOLDERS[path.parts[0]]}/{'/'.join(path.parts[1:])}" for path in modules]
    found += [f"{place} is missing" for place in places if place not in names]
    needed = (
        "fastnst/py.typed",
        "fastnst/_engine",
        "fastnst/models/adain-16x.fnst",
        "fastnst/models/adain-16x.md",
        "fastnst/models/goldens.json",
        "fastnst/kernels/cuda/wct.cu",
        "fastnst/web/fastnst.js",
        "fastnst/web/desk/index.html",
        "/scripts/fastnst-stylize",
        "/licenses/LICENSE",
    )
    found += [f"{part} is missing" for part in needed if not any(part in name for name in names)]
    strange = (".cpp", ".h", ".o", ".a", ".pyc")
    found += [f"{name} has no place in a wheel" for name in names if name.endswith(strange) or "libfastnst" in name]
    return found


if __name__ == "__main__":
    problems = faults(Path(sys.argv[1]))
    sys.exit("\n".join(problems) or 0)
