"""An evaluation as files: ``evaluation.md``, ``evaluation.json``, ``sheet.png`` and ``sheet.jpg``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

from fastnst.info import facts
from fastnst.system.atomic import atomic_output

from . import Evaluation, ModelResult, clips
from .models import SIDE
from .scoring import STAGES, STYLE_DISTANCES
from .timing import ROUNDS

FILES = ("sheet.png", "sheet.jpg", "evaluation.json", "evaluation.md")
"""What is written, in this order: the page, which names the others, last."""

SAID = ("processor", "instruction set", "system", "fastnst", "torch", "numpy", "pillow", "python")
"""Facts of ``fastnst info`` that decide what is measured."""

TEXTS = {"model", "what", "against", "file", "SHA-256"}
"""Columns of the tables that are no numbers."""

PROTOCOL = """\
Contents and styles have a short side of {size} pixels; both sides are then cut to multiples of 8. Every result is an 8-bit
picture before it is scored. Means are over all pairs.

* **content**, **style**, **AdaIN loss**: features relu1_1 to relu4_1 of the normalised VGG-19 (reflection padding, pools that
  round down). Content: mean squared error of relu4_1 from AdaIN of the content's by the style's. Style: squared error of the
  channels' means plus that of their deviations (unbiased variance + 1e-5), summed over the four levels. AdaIN loss: content +
  10 x style.
* **colours**: sliced 2-Wasserstein distance of the RGB colours of result and style, in levels of 8 bits.
* **untouched**: the photograph itself. **palette alone**: the photograph with the mean and covariance of the style's colours,
  by the palette step and no network. Behind every model the palette step has strength {palette:g}.
* **SSIM**, **LPIPS**: between result and content; SSIM with its Gaussian window of 11 pixels, LPIPS v0.1 on AlexNet. They say
  how much of the photograph is left, not how good the style is.
* **style distance**: Frobenius norm of the difference of result's and style's Gram matrices F F^T / HW, by stage of the VGG-19.
* **reconstruction**: what a stage's decoder makes of its encoder's features of a photograph, with no style (engine: alpha 0);
  mean PSNR over the {photographs} photographs.
* **warping error**, of a clip: mean squared difference, of values 0..1, between each of its first {frames} stylized frames and
  the one before it, moved by the optical flow of the clip (TV-L1, short side {clip_side} at most); places that only one of the
  two shows are left out. Frames are stylized one by one, in the style of the first pair.
* **parameters**: what stylization needs, dead channels included. **live**: without channels that were zero in every pair.
* **GMACs**: multiply-accumulates of the networks' convolutions as they are defined, for content, style and result of
  {side} x {side}. The engine folds upsampling into its convolutions and needs fewer.
* **ms**: content and style in, picture out, the middle {square} x {square} pixels of the first pair, {threads}; models are
  measured in turn, the median of {rounds} samples after one that warms up. Engine for int8, eager PyTorch in float32 for the
  others.
"""


def taken(folder: Path) -> Path | None:
    """A file of an earlier evaluation in ``folder``, if there is one."""
    return next((folder / name for name in FILES if (folder / name).exists()), None)


def write(evaluation: Evaluation, folder: Path) -> Path:
    """Write all files into ``folder``, each complete or not at all; the page's path."""
    png, jpg = BytesIO(), BytesIO()
    evaluation.sheet.save(png, "PNG", optimize=True)
    evaluation.sheet.save(jpg, "JPEG", quality=90)
    known = dict(facts())
    machine = {name: known[name] for name in SAID}
    numbers = json.dumps(as_json(evaluation, machine), indent=1, allow_nan=False) + "\n"
    contents = png.getvalue(), jpg.getvalue(), numbers.encode(), markdown(evaluation, machine).encode()
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in zip(FILES, contents, strict=True):
        with atomic_output(folder / name) as file:
            file.write(content)
    return folder / FILES[-1]


def as_json(evaluation: Evaluation, machine: dict[str, str]) -> dict[str, Any]:
    """Every number, in JSON's types; PSNR of equal pictures, which is infinite, is null."""
    return {
        "date": date.today().isoformat(),
        "machine": machine,
        "size": evaluation.size,
        "threads": evaluation.threads,
        "pairs": [{"content": content, "style": style} for content, style in evaluation.pairs],
        "photographs": evaluation.photographs,
        "left_out": evaluation.left_out,
        "palette": evaluation.palette,
        "baselines": _finite(evaluation.baseline_means()),
        "clip": evaluation.clip,
        "warping_errors": evaluation.warping_errors,
        "models": [_finite(asdict(model) | {"mean": summary(model)}) for model in evaluation.models],
    }


def summary(model: ModelResult) -> dict[str, Any]:
    """A model's means, in JSON's types."""
    against = {"psnr": _mean(model.psnr), "lowest_psnr": min(model.psnr)} if model.psnr else {}
    means: dict[str, Any] = {**model.means(), "reconstruction": model.reconstruction_means(), **against}
    return {key: _finite(value) for key, value in {**means, "milliseconds": model.milliseconds}.items()}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def one_line(model: ModelResult, warping_error: float | None = None) -> str:
    """A finished model in a line."""
    means = model.means()
    shown = {"content": "content {:.3f}", "style": "style {:.3f}", "adain_loss": "AdaIN loss {:.2f}", "ssim": "SSIM {:.3f}"}
    parts = [text.format(means[key]) for key, text in shown.items() if key in means]
    if model.psnr:
        parts.append(f"{_mean(model.psnr):.2f} dB against {model.against}")
    if warping_error is not None:
        parts.append(f"warping error {warping_error:.6f}")
    return "  ".join([model.name, *parts, f"{model.milliseconds:.1f} ms"])


def markdown(evaluation: Evaluation, machine: dict[str, str]) -> str:
    """The page."""
    return "\n".join(_page(evaluation, machine))


def _page(evaluation: Evaluation, machine: dict[str, str]) -> Iterator[str]:
    models, size = evaluation.models, evaluation.size
    pairs = f"{len(evaluation.pairs)} pair{'s' * (len(evaluation.pairs) > 1)}"
    threads = f"{evaluation.threads} thread{'s' * (evaluation.threads > 1)}"
    yield f"# Evaluation of {', '.join(model.name for model in models)}\n"
    yield f"* {pairs}, short side {size}, {threads}, {date.today().isoformat()}"
    yield f"* {', '.join(f'{name} {value}' for name, value in machine.items())}"
    for line in evaluation.left_out:
        yield f"* Left out: {line}"
    yield "\n## Quality\n"
    yield from _measures(evaluation)
    yield from _reconstruction(models)
    yield from _against(models)
    yield from _steadiness(evaluation)
    yield "## Cost\n"
    head = ("model", "what", "parameters", "live", "GMACs", "file, bytes", f"ms, {threads}")
    yield from _table(head, map(_cost, models))
    yield "## Pictures\n"
    yield f"![Contents, styles and results]({FILES[1]})\n"
    yield "## Files\n"
    yield from _table(("model", "file", "SHA-256"), ((model.name, model.file, model.sha256) for model in models))
    yield "## Protocol\n"
    square = size // 8 * 8
    photographs = len(evaluation.photographs)
    yield PROTOCOL.format(
        size=size,
        square=square,
        side=SIDE,
        photographs=photographs,
        threads=threads,
        rounds=ROUNDS,
        palette=evaluation.palette,
        frames=clips.FRAMES,
        clip_side=clips.SIDE,
    )


def _measures(evaluation: Evaluation) -> Iterator[str]:
    models = evaluation.models
    columns = {"content": ".3f", "style": ".3f", "adain_loss": ".2f", "colors": ".1f", "ssim": ".3f", "lpips": ".3f"}
    titles = {"adain_loss": "AdaIN loss", "colors": "colours", "ssim": "SSIM", "lpips": "LPIPS"}
    shown = [key for key in columns if key in models[0].scores[0]]
    means = {model.name: model.means() for model in models} | evaluation.baseline_means()
    rows = ([name, *(f"{mean[key]:{columns[key]}}" for key in shown)] for name, mean in means.items())
    yield from _table(["model", *(titles.get(key, key) for key in shown)], rows)
    if STYLE_DISTANCES[0] in models[0].scores[0]:
        yield "Style distance by stage of VGG-19, lower is closer:\n"
        rows = ([model.name, *(f"{model.means()[key]:.1f}" for key in STYLE_DISTANCES)] for model in models)
        yield from _table(["model", *(f"relu{stage}_1" for stage in STAGES)], rows)


def _reconstruction(models: Sequence[ModelResult]) -> Iterator[str]:
    stages = sorted({stage for model in models for stage in model.reconstruction[0]})
    if not stages:
        return
    yield "Reconstruction, mean PSNR in dB:\n"
    means = {model.name: model.reconstruction_means() for model in models}
    rows = ([name, *(f"{made[stage]:.2f}" if stage in made else "-" for stage in stages)] for name, made in means.items())
    yield from _table(["model", *(f"stage {stage}" for stage in stages)], rows)


def _against(models: Sequence[ModelResult]) -> Iterator[str]:
    compared = [model for model in models if model.psnr]
    if compared:
        yield "One model's pictures beside another's, PSNR in dB:\n"
        rows = ((m.name, str(m.against), f"{_mean(m.psnr):.2f}", f"{min(m.psnr):.2f}") for m in compared)
        yield from _table(("model", "against", "mean", "lowest"), rows)


def _steadiness(evaluation: Evaluation) -> Iterator[str]:
    if not evaluation.clip:
        return
    yield f"Warping error on {evaluation.clip}, lower is steadier, and how many times the clip's own error that is:\n"
    own = evaluation.warping_errors["untouched"]
    errors = evaluation.warping_errors.items()
    rows = ((name, f"{error:.6f}", f"{error / own:.2f}" if own else "-") for name, error in errors)
    yield from _table(("model", "warping error", "of the clip's"), rows)


def _cost(model: ModelResult) -> tuple[str, ...]:
    return (
        model.name,
        model.what,
        _count(model.parameters),
        _count(model.live_parameters),
        "-" if model.macs is None else f"{model.macs / 1e9:.2f}",
        _count(model.file_bytes),
        f"{model.milliseconds:.1f}",
    )


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """In Markdown; numbers stand on the right."""
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join('---' if title in TEXTS else '--:' for title in head)} |"
    for row in rows:
        cells = (cell.replace("|", "\\|") for cell in row)  # a name may hold anything
        yield f"| {' | '.join(cells)} |"
    yield ""
