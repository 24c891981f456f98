"""Writes ``web/models.js``, the addresses of the shipped models. ``make models`` runs it; a test compares."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEAD = """\
// Written by csrc/web/models.py. Bundlers look for files by this very form of an address, and take them along.

"""


def addresses() -> str:
    """The text of the module."""
    names = sorted(path.stem for path in (ROOT / "fastnst" / "models").glob("*.fnst"))
    lines = [f'  "{name}": new URL("./models/{name}.fnst", import.meta.url),\n' for name in names]
    return f"{HEAD}export const MODELS = {{\n{''.join(lines)}}};\n"


if __name__ == "__main__":
    (ROOT / "web" / "models.js").write_text(addresses())
    sys.exit()
