"""Models side by side on the same pairs of pictures: quality, cost and time, as tables, numbers and a contact sheet.

Pairs come one after the other: what belongs to a pair is computed once, every model stylizes it and is scored, and only numbers
and the sheet's thumbnails are kept. All results are scored as 8-bit pictures. Needs torch.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image

from fastnst.engine import default_threads
from fastnst.engine.palette import Palette, colors_of
from fastnst.metrics.pictures import psnr
from fastnst.networks.vgg import Encoder
from fastnst.networks.vgg_files import load_normalised_vgg19
from fastnst.system.errors import UsageError

from . import sheet
from .clips import warping_errors
from .loading import load_model, named
from .models import Model
from .pictures import Pair, Pixels, load, square, to_tensor
from .scoring import Scorer, Target
from .timing import in_turn

__all__ = ["BASELINES", "Evaluation", "ModelResult", "evaluate"]

BASELINES = ("untouched", "palette alone")


@dataclass
class ModelResult:
    """Everything about one model.

    Attributes:
        name: of its row.
        file: its file's name.
        what, parameters, macs: see :class:`.models.Model`.
        sha256: of the file.
        file_bytes: its size.
        scores: of each pair, by measure (:meth:`.scoring.Target.score`).
        reconstruction: of each photograph, by stage: PSNR in dB of what the stage's decoder makes of its encoder's features.
        against: the row that its pictures are compared with, if any.
        psnr: of each pair, in dB: its picture beside that row's.
        seconds: to stylize one square picture, one for each sample.
        live_parameters: see :class:`.models.Model`.
    """

    name: str
    file: str
    what: str
    parameters: int | None
    macs: int | None
    sha256: str
    file_bytes: int
    scores: list[dict[str, float]] = field(default_factory=list)
    reconstruction: list[dict[int, float]] = field(default_factory=list)
    against: str | None = None
    psnr: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    live_parameters: int | None = None

    def means(self) -> dict[str, float]:
        """Each measure's mean over the pairs."""
        return {key: statistics.fmean(score[key] for score in self.scores) for key in self.scores[0]}

    def reconstruction_means(self) -> dict[int, float]:
        """Each stage's mean over the photographs."""
        return {key: statistics.fmean(made[key] for made in self.reconstruction) for key in self.reconstruction[0]}

    @property
    def milliseconds(self) -> float:
        """The median sample."""
        return 1000 * statistics.median(self.seconds)


@dataclass
class Evaluation:
    """What was measured.

    Attributes:
        size: short side of the pictures in pixels.
        threads: that models used.
        pairs: names of the content's and the style's file.
        photographs: names of the distinct contents, in the order of ``ModelResult.reconstruction``.
        left_out: a line for each measure that could not be taken.
        models: in the order given.
        sheet: the contact sheet.
        palette: strength of the palette step behind every model.
        baselines: scores of each pair, as of a model, of what needs none: the untouched photograph, and this with the style's
            colours by the palette step alone.
        clip: name of the video that was stylized, if any.
        warping_errors: on it, by model, and of itself as ``untouched``.
    """

    size: int
    threads: int
    pairs: list[tuple[str, str]]
    photographs: list[str]
    left_out: list[str]
    models: list[ModelResult]
    sheet: Image.Image
    palette: float
    baselines: dict[str, list[dict[str, float]]]
    clip: str | None = None
    warping_errors: dict[str, float] = field(default_factory=dict)

    def baseline_means(self) -> dict[str, dict[str, float]]:
        """Each measure's mean over the pairs."""
        return {
            name: {key: statistics.fmean(score[key] for score in scores) for key in scores[0]}
            for name, scores in self.baselines.items()
        }


def evaluate(
    models: Sequence[str],
    pairs: Sequence[Pair],
    size: int,
    *,
    weights: Path | None = None,
    against: Mapping[str, str] | None = None,
    threads: int | None = None,
    palette: float = 1.0,
    clip: Path | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Compare models on pairs of pictures.

    Args:
        models: ``MODEL`` or ``NAME=MODEL``; see :func:`.models.named` and :func:`.models.load_model`.
        pairs: at least one.
        size: short side of contents and styles in pixels, at least 32.
        weights: folder of the scoring networks, see :class:`.scoring.Scorer`.
        against: for rows whose pictures are to be compared with another row's (int8 with its float networks): that row's name.
        threads: of models and scores; without it the cores this process may use.
        palette: strength of the palette step behind every model, 0 to 1 (:mod:`fastnst.engine.palette`).
        clip: a video whose frames are stylized like the first pair, to see how steady they are (:mod:`.clips`).
        advance: called after each of the :func:`steps`.

    Raises:
        UsageError: two rows of one name, or ``against`` names none.
        ValueError: one line about what is wrong with a model, a picture or a scoring network.
        OSError: a file cannot be read.
    """
    threads = threads or default_threads()
    rows = named(models)
    against = against or {}
    for name in (*against, *against.values()):
        if name not in rows:
            raise UsageError(f"--against {name}: no model has this name; there are {', '.join(rows)}")
    with _torch_threads(threads):
        scorer = Scorer(weights)

        def vgg(stage: int) -> Encoder:
            if scorer.vgg_file is None:
                raise ValueError("a decoder alone needs vgg19*.safetensors from --weights")
            return load_normalised_vgg19(scorer.vgg_file, stage=stage)

        loaded = [load_model(name, path, threads, vgg) for name, path in rows.items()]
        results = [_result(model, against.get(model.name)) for model in loaded]
        baselines: dict[str, list[dict[str, float]]] = {name: [] for name in BASELINES}
        thumbnails = _stylize_pairs(loaded, results, baselines, pairs, size, scorer, palette, advance)
        photographs = list(dict.fromkeys(pair.content for pair in pairs))
        _reconstruct(loaded, results, photographs, size, advance)
        _time(loaded, results, pairs[0], size, advance)
        errors = warping_errors(loaded, clip, load(pairs[0].style, size), palette, advance) if clip else {}
    return Evaluation(
        size=size,
        threads=threads,
        pairs=[(pair.content.name, pair.style.name) for pair in pairs],
        photographs=[path.name for path in photographs],
        left_out=scorer.left_out,
        models=results,
        sheet=sheet.contact_sheet(["content", "style", *rows], thumbnails),
        palette=palette,
        baselines=baselines,
        clip=clip.name if clip else None,
        warping_errors=errors,
    )


def steps(pairs: Sequence[Pair], clips: int = 0) -> int:
    """How often :func:`evaluate` calls ``advance``: for each pair, each photograph, the times, and each model on a clip."""
    return len(pairs) + len({pair.content for pair in pairs}) + 1 + clips


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _result(model: Model, against: str | None) -> ModelResult:
    data = model.path.read_bytes()
    return ModelResult(
        name=model.name,
        file=model.path.name,
        what=model.what,
        parameters=model.parameters,
        macs=model.macs,
        sha256=hashlib.sha256(data).hexdigest(),
        file_bytes=len(data),
        against=against,
    )


def _stylize_pairs(
    models: Sequence[Model],
    results: Sequence[ModelResult],
    baselines: dict[str, list[dict[str, float]]],
    pairs: Sequence[Pair],
    size: int,
    scorer: Scorer,
    palette: float,
    advance: Callable[[], None],
) -> list[list[Image.Image]]:
    """Fill in scores, PSNR, live parameters and baselines; the rows of the sheet."""
    thumbnails = []
    shown = sheet.chosen(len(pairs))
    for index, pair in enumerate(pairs):
        content, style = load(pair.content, size), load(pair.style, size)
        target = Target(scorer, content, style)
        step = Palette(colors_of(style), palette)
        pictures: dict[str, Pixels] = {}
        for model, result in zip(models, results, strict=True):
            with model.watched():
                pictures[model.name] = model(content, style)
            step.apply(pictures[model.name], 1)
            result.scores.append(target.score(pictures[model.name]))
        recolored = content.copy()
        Palette(step.colors).apply(recolored, 1)
        for name, picture in zip(BASELINES, (content, recolored), strict=True):
            baselines[name].append(target.score(picture))
        for result in results:
            if result.against is not None:
                result.psnr.append(_psnr(pictures[result.name], pictures[result.against]))
        if index in shown:
            thumbnails.append([sheet.thumbnail(each) for each in (content, style, *pictures.values())])
        advance()
    for model, result in zip(models, results, strict=True):
        result.live_parameters = model.live_parameters
    return thumbnails


def _reconstruct(
    models: Sequence[Model],
    results: Sequence[ModelResult],
    photographs: Sequence[Path],
    size: int,
    advance: Callable[[], None],
) -> None:
    for path in photographs:
        content = load(path, size)
        for model, result in zip(models, results, strict=True):
            made = model.reconstructions(content)
            result.reconstruction.append({stage: _psnr(picture, content) for stage, picture in made.items()})
        advance()


def _time(models: Sequence[Model], results: Sequence[ModelResult], pair: Pair, size: int, advance: Callable[[], None]) -> None:
    content, style = (square(load(path, size)) for path in (pair.content, pair.style))
    calls = {model.name: lambda model=model: model(content, style) for model in models}
    for seconds in in_turn(calls):
        for result in results:
            result.seconds.append(seconds[result.name])
    advance()


def _psnr(a: Pixels, b: Pixels) -> float:
    return psnr(to_tensor(a), to_tensor(b))
