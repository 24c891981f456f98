"""Converts trained networks to engine models: 8-bit quantisation, calibrated on a folder of pictures.

:mod:`~fastnst.convert.recognition` says which published layout the tensors of a file have: that of an AdaIN pair, of stages of
WCT (:mod:`~fastnst.convert.cascade`), or of an image-to-image generator (:mod:`~fastnst.convert.generator`), which is a graph
(:mod:`~fastnst.convert.graph`). Of the others:

The float network is first rewritten without changing what it computes: ``conv0`` is folded into ``conv1_1``, each convolution
that follows an upsampling becomes the four phase convolutions of :mod:`fastnst.format.modelfile`, and channels are rescaled
so that no channel wastes the range of its map (:mod:`~fastnst.convert.equalisation`; Nagel et al., ICCV 2019; the balance of
Xiao et al., ICML 2023).

Then every layer is quantised front to back, on the maps that the quantised layers before it really produce: the range of its
output with the least squared error, and weights and bias that bring its sums closest to the float network's
(:mod:`~fastnst.convert.quantisation`). Fitting the bias is the usual bias correction.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from fastnst.convert.builder import Numbers
from fastnst.convert.cascade import quantise_cascade
from fastnst.convert.choosing import Chooser
from fastnst.convert.dead import without_dead
from fastnst.convert.fidelity import digest_of, generator_psnr, pair_psnr
from fastnst.convert.forms import LayerReport, choices
from fastnst.convert.generator import quantise_graph
from fastnst.convert.pair import Conv, Pair
from fastnst.convert.pictures import calibration_pairs
from fastnst.convert.quantisation import Ranges, quantise
from fastnst.convert.recognition import Recognised, recognise
from fastnst.convert.stages import Stages
from fastnst.convert.trained_generator import TrainedGenerator, source_pictures
from fastnst.format.graphfile import GeneratorFile
from fastnst.format.modelfile import AdainFile, WctFile, to_bytes
from fastnst.system.atomic import atomic_output

UNKNOWN = "unknown"


def macs_of(convs: Sequence[Conv], area: float = 1.0) -> float:
    """Multiply-accumulates of trained layers for one pixel of the picture, whose features begin as ``area`` positions."""
    total = 0.0
    for conv in convs:
        area *= 4 if conv.upsample else 1
        total += 9 * conv.weight.shape[1] * conv.weight.shape[2] * area
        area /= 4 if conv.pool != "none" else 1
    return total


def macs_per_pixel(pair: Pair) -> dict[str, int]:
    """Multiply-accumulates of the trained encoder (``conv0`` included) and decoder for one pixel of the picture, rounded."""
    area = 0.25 ** sum(conv.pool != "none" for conv in pair.encoder)
    return {"encoder": round(macs_of(pair.encoder) + 9), "decoder": round(macs_of(pair.decoder, area))}


def widths_of(pair: Pair) -> dict[str, list[int]]:
    """Output channels of the layers, in the order in which they run."""
    return {side: [conv.weight.shape[1] for conv in getattr(pair, side)] for side in ("encoder", "decoder")}


def card_of(pair: Pair, name: str, pictures: int, dead: int = 0) -> dict[str, Any]:
    """What the file of an AdaIN pair says about itself; ``dead`` channels were removed from it."""
    macs = macs_per_pixel(pair)
    return {
        "name": name,
        "kind": "adain",
        "widths": widths_of(pair),
        "parameters": pair.parameters,
        "macs_per_pixel": sum(macs.values()),
        "macs_per_pixel_by_part": macs,
        "bits": {"weights": 8, "activations": 8},
        "calibration": pictures,
        **({"dead_channels_removed": dead} if dead else {}),
        **told(pair.facts),
    }


def wct_card_of(stages: Stages, name: str, pictures: int) -> dict[str, Any]:
    """What the file of stages of WCT says about itself; multiply-accumulates are those of all levels together."""
    pairs = {str(number): pair for number, pair in sorted(stages.pairs.items(), reverse=True)}
    macs = {number: macs_per_pixel(pair) for number, pair in pairs.items()}
    return {
        "name": name,
        "kind": "wct",
        "levels": sorted(stages.pairs, reverse=True),
        "widths": {number: widths_of(pair) for number, pair in pairs.items()},
        "parameters": stages.parameters,
        "macs_per_pixel": sum(sum(parts.values()) for parts in macs.values()),
        "macs_per_pixel_by_part": macs,
        "bits": {"weights": 8, "activations": 8, "transform": 16},
        "calibration": pictures,
        **told(stages.facts),
    }


def generator_card_of(trained: TrainedGenerator, name: str, pictures: int, fidelity: float) -> dict[str, Any]:
    """What a generator's file says about itself; ``fidelity`` is the PSNR of its pictures beside the float network's, in dB."""
    return {
        "name": name,
        "kind": "generator",
        "generator": trained.kind,
        "width": trained.width,
        "parameters": trained.parameters,
        "macs_per_pixel": round(trained.macs_per_pixel),
        "bits": {"weights": 8, "activations": 8, "sums": 16},
        "calibration": pictures,
        "psnr": round(fidelity, 2),
        **({"styles": trained.styles} if trained.styles else {}),
        **told(trained.facts),
    }


def told(facts: dict[str, Any]) -> dict[str, Any]:
    """What the trained file's ``facts`` add to the card. Where weights come from and under which licence, is unknown unless the
    file says so; of those of our own recipes we know the recipe."""
    recipe = facts.get("recipe")
    ours = isinstance(recipe, str) and "fastnst" in (facts.get("versions") or {})
    names = ("source", "licence", "distilled_from", "training_data")
    own = {"source": f"trained by fastnst's own recipe `{recipe}`" if ours else UNKNOWN, "licence": UNKNOWN}
    own |= {key: facts[key] for key in names if isinstance(facts.get(key), str)}
    parts = ("step", "seconds", "settings", "dead_channels_removed", "started_from")
    training = {key: facts[key] for key in parts if key in facts}
    if isinstance(settings := training.get("settings"), dict):
        training["settings"] = without_folders(settings)
    return own | ({"trained_with": training} if training else {})


def without_folders(settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` with the names of files alone: where they lie on the machine of whoever trained is nobody's business."""
    absolute = {key for key, value in settings.items() if isinstance(value, str) and Path(value).is_absolute()}
    return {key: Path(value).name if key in absolute else value for key, value in settings.items()}


def stride_of(trained: Pair | Stages) -> int:
    """What the deepest encoder divides the sides of pictures by."""
    pairs = trained.pairs.values() if isinstance(trained, Stages) else [trained]
    return 1 << max(sum(conv.pool != "none" for conv in pair.encoder) for pair in pairs)


def convert_module(
    module: nn.Module,
    example: Tensor,
    calibration: str | Path,
    output: str | Path,
    *,
    values: tuple[float, float] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Quantise a network that is there as a module of PyTorch; also ``fastnst.convert(module, example, calibration, output)``.

    It is traced in evaluation, and left as it was. What it may be made of is what an ONNX file may.

    Args:
        module: takes a picture [1, 3, H, W], and makes another of the same size.
        example: one that it takes.
        calibration: folder of pictures that it is to translate.
        output: the model, complete or absent, whatever happens.
        values: what it takes for black and white, and makes of them; without it, what the Tanh, Sigmoid or Clip tells that it
            ends in.
        options: as of :func:`convert`.

    Returns:
        The card.

    Raises:
        As :func:`convert`, with the module's class where that has the file's name.
    """
    from fastnst.convert.onnx.tracing import traced

    found = traced(module, example, None if values is None else Numbers(*values))
    return convert(found, Path(calibration), Path(output), **options)


class _Callable(ModuleType):
    """This package, which is a function of the same name as well."""

    def __call__(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        return convert_module(*arguments, **options)


sys.modules[__name__].__class__ = _Callable


def convert(
    source: Path | Sequence[Path] | Recognised,
    calibration: Path,
    output: Path,
    *,
    name: str | None = None,
    origin: str | None = None,
    licence: str | None = None,
    values: tuple[float, float] | None = None,
    overwrite: bool = False,
    ranges: Ranges = "mse",
    winograd: str = "never",
    keep_dead: bool = False,
    nearly_dead: float = 0.0,
    report: Callable[[list[LayerReport]], None] | None = None,
    recognised: Callable[[Recognised], None] | None = None,
) -> dict[str, Any]:
    """Quantise the networks in ``source`` on the pictures of ``calibration`` and write the engine's model to ``output``.

    Args:
        source: file of a trained network, ``.safetensors`` or PyTorch's, in a layout that :mod:`~fastnst.convert.recognition`
            knows; or the files, of one that is published in several; or an ONNX file, ``.onnx``. Or what it is already known
            to be.
        calibration: folder of pictures, or of two folders ``content`` and ``style``; for a generator of what it translates.
        output: complete or absent, whatever happens.
        name: for the card; without it the file's.
        origin: where the weights come from, and
        licence: theirs, for the card; without them what ``source`` says of itself, or that they are unknown.
        values: what an ONNX file's network takes for black and white, and makes of them, such as (0, 255); without it, what
            the Tanh, Sigmoid or Clip tells that it ends in.
        ranges: see :func:`best_grid`.
        winograd: which layers of an AdaIN pair take Winograd form; see :func:`~fastnst.convert.forms.choices`.
        keep_dead: leave channels of an AdaIN pair that stay zero by a margin in every calibration picture; they are
            removed otherwise.
        nearly_dead: remove those too that never exceed this share of their layer's largest value
            (:func:`~fastnst.convert.dead.without_dead`).
        report: is told what became of every layer of an AdaIN pair, with its times on this machine.
        recognised: is told which network it is, before the work begins.

    Returns:
        The card.

    Raises:
        FileExistsError: ``output`` exists and may not be overwritten.
        ValueError: one line about what is wrong with the weights or the pictures.
        OSError: a file cannot be read or written.
        ModuleNotFoundError: of ``onnx``, which an ONNX file needs.
    """
    if output.exists() and not overwrite:
        raise FileExistsError(f"{output} exists")
    if not 0 <= nearly_dead < 1:
        raise ValueError(f"nearly_dead: expected a share from 0 to below 1, got {nearly_dead:g}")
    if isinstance(source, Recognised):
        found = source
    else:
        paths = [source] if isinstance(source, Path) else source
        found = recognise(paths, None if values is None else Numbers(*values))
    where = ", ".join(str(each.path) for each in found.sources)
    if recognised:
        recognised(found)
    trained = found.trained
    if not isinstance(trained, Pair) and (report or winograd != "never"):
        raise ValueError(f"{where}: forms of layers are chosen and reported only for AdaIN pairs")
    named = name or output.stem
    model: AdainFile | WctFile | GeneratorFile
    if isinstance(trained, TrainedGenerator):
        model = convert_generator(trained, where, calibration, named, ranges)
    else:
        dead_share = None if keep_dead else nearly_dead
        model = convert_pairs(trained, where, calibration, named, ranges, winograd, dead_share, report)
    made_of = {"network": found.what, "converted_from": [each.sha256 for each in found.sources]}
    given = {"source": origin, "licence": licence}
    model = replace(model, card=model.card | made_of | {key: value for key, value in given.items() if value is not None})
    with atomic_output(output) as file:
        file.write(to_bytes(model))
    return model.card


def convert_generator(trained: TrainedGenerator, where: str, calibration: Path, name: str, ranges: Ranges) -> GeneratorFile:
    """The model of a generator; arguments and errors as of :func:`convert`, ``where`` the files' names."""
    pictures = source_pictures(calibration, trained.step)
    try:
        nodes, made, wanted = quantise_graph(trained.nodes, pictures, ranges)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    card = generator_card_of(trained, name, len(pictures), generator_psnr(made, wanted))
    return GeneratorFile(card | {"calibration_sha256": digest_of(pictures)}, nodes)


def convert_pairs(
    trained: Pair | Stages,
    where: str,
    calibration: Path,
    name: str,
    ranges: Ranges,
    winograd: str,
    dead_share: float | None,
    report: Callable[[list[LayerReport]], None] | None,
) -> AdainFile | WctFile:
    """The model of an AdaIN pair or of stages of WCT; ``dead_share`` is that of dead channels to remove, None for none of them,
    the other arguments and the errors are as of :func:`convert`."""
    contents, styles = calibration_pairs(calibration, stride_of(trained))
    count, seen = len(contents) + len(styles), {"calibration_sha256": digest_of([*contents, *styles])}
    try:
        if isinstance(trained, Stages):
            card = wct_card_of(trained, name, count) | seen
            return replace(quantise_cascade(trained, contents, styles, ranges), card=card)
        dead = 0
        if dead_share is not None:
            trained, dead = without_dead(trained, contents, styles, dead_share)
        reports: list[LayerReport] | None = [] if report else None
        chooser = Chooser(iter(choices(trained, winograd, timed=report is not None)), reports)
        model = quantise(trained, contents, styles, ranges, chooser)
        fidelity = {"psnr": round(pair_psnr(trained, model, contents, styles), 2)}
        model = replace(model, card=card_of(trained, name, count, dead) | seen | fidelity)
        if report and reports is not None:
            report(reports)
        return model
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
