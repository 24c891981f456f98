"""From a trained image-to-image network to a smaller one in 8 bits: pruned, trained towards what it was, quantised, measured.

Whatever ``fastnst convert`` takes for a generator is taken: any layout, ONNX, modules of PyTorch. All of them are graphs of the
same nodes, which are pruned (:mod:`.pruning`) and trained (:mod:`.training`) as they are, and quantised by the same converter.

The folder of a run has what every recipe leaves there, and beside it ``start.safetensors``, the network as pruning left it, so
that a run goes on from the same cut, ``8-bits-N`` with the training in 8 bits (:mod:`.retraining`) of the network of step N,
and ``report.md`` and ``report.json`` (:mod:`.report`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from fastnst.convert import convert
from fastnst.convert.builder import Numbers
from fastnst.convert.graph import FloatConv, FloatNode
from fastnst.convert.recognition import Recognised, recognise
from fastnst.convert.trained_generator import TrainedGenerator

from ..checkpoints import load_checkpoint, save_checkpoint
from ..crd.domains import signed
from ..crd.weights import perceptual_files, perceptual_network, require_files
from ..data import CropSource
from ..graph import GraphNetwork, generator_in, numbers_of, renewed
from ..loop import train
from ..process_group import ProcessGroup, joined
from ..settings import RunOptions, filled, same_run
from .pruning import pruned
from .report import Report, measured
from .retraining import retrained
from .settings import CompressSettings
from .training import CompressRecipe, judged_pictures

ZOOM = (0.5, 1.0)
"""Range of the magnification of crops: down to what a network sees of a picture of twice the size."""
MEASURED = range(2 * 10**9, 2 * 10**9 + 8)
"""Crops by which channels are ranked."""


@dataclass(frozen=True)
class Compressed:
    """What became of a network.

    Attributes:
        network: the student in floats: pictures [N, 3, H, W], RGB -1..1, to the same.
        card: of the model in 8 bits.
        report: both networks, cost and quality.
    """

    network: GraphNetwork
    card: dict[str, Any]
    report: Report


def compressed(
    found: Recognised,
    settings: CompressSettings,
    options: RunOptions,
    processes: ProcessGroup,
    output: Path,
    *,
    weights: Path | None = None,
    origin: str | None = None,
    licence: str | None = None,
    overwrite: bool = False,
    recognised: Callable[[Recognised], None] | None = None,
) -> Compressed:
    """Compress a recognised network to ``output``, or resume a run in ``options.out``; ``options.data`` has the pictures.

    Args:
        weights: folder of VGG-16, VGG-19, LPIPS and FID's network; ``weights`` in ``options.data`` by default.
        origin, licence, recognised: as of :func:`fastnst.convert.convert`.

    Raises:
        FileExistsError: ``output`` exists and may not be overwritten.
        FileNotFoundError: no pictures, or no weights for a perceptual term.
        ValueError: one line: no generator, settings that do not fit it, a run that was begun otherwise.
        ModuleNotFoundError: of ``torch_pruning``.
    """
    if processes.size > 1:
        raise ValueError("a network is compressed by one process, whose threads share the work")
    if output.exists() and not overwrite:
        raise FileExistsError(f"{output} exists")
    original, weights = generator_in(found), weights or options.data / "weights"
    if settings.size % original.step:
        raise ValueError(f"size: expected a multiple of {original.step} for this network, got {settings.size}")
    require_files(perceptual_files(settings), weights, "fastnst compress")
    crops = CropSource(options.data, settings.size, ZOOM, settings.seed, settings.held_out)
    cut = _start(original, [source.sha256 for source in found.sources], settings, options.out, crops)
    perceptual = perceptual_network(settings, weights)
    recipe = CompressRecipe(original.nodes, GraphNetwork(cut), crops, perceptual, settings, processes)
    if recognised:
        recognised(found)
    tensors, facts = load_checkpoint(train(recipe, settings, options, processes, recipe.validate))
    student = _student(found, original, tensors, facts)
    share = student.macs_per_pixel / original.macs_per_pixel
    words = f"{found.what}, pruned to {100 * share:.3g} % of its multiply-accumulates"
    result = Recognised(student, words, found.layout, found.sources)
    write = partial(convert, result, options.data, name=output.stem, origin=origin, licence=licence)
    models = {"student, 8 bits": output}
    if settings.qat_steps:
        folder = options.out / f"8-bits-{facts['step']}"
        start = folder / "start.fnst"
        if not start.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write(start)

        def recipe_of(network: nn.Module, own: CompressSettings) -> CompressRecipe:
            return CompressRecipe(original.nodes, network, crops, perceptual, own, processes, recipe.judge)

        card = retrained(recipe_of, student, start, settings, replace(options, out=folder), processes, output)
        models = {"student, 8 bits, converted": start} | models
    else:
        card = write(output, overwrite=overwrite)
    told = "held-out pictures" if crops.held_out else "training pictures, for none are held out"
    report = measured(original, student, models, judged_pictures(crops), weights, told)
    report.write(options.out)
    return Compressed(GraphNetwork(student.nodes), card, report)


def _start(
    original: TrainedGenerator,
    digests: list[str],
    settings: CompressSettings,
    run: Path,
    crops: CropSource,
) -> list[FloatNode]:
    """The pruned graph of a run, or of the one that is resumed in this folder."""
    path = run / "start.safetensors"
    if path.exists():
        tensors, facts = load_checkpoint(path)
        if facts.get("converted_from") != digests:
            raise ValueError(f"{run}: this run was begun with another network; another folder begins a new one")
        same_run(run, settings, facts["settings"])
        return renewed(original.nodes, tensors)
    nodes = pruned(original, settings.ratio, settings.multiple, signed(crops.batch(MEASURED)))
    save_checkpoint(path, GraphNetwork(nodes).state_dict(), {"converted_from": digests, "settings": asdict(settings)})
    return nodes


def _student(
    found: Recognised, original: TrainedGenerator, tensors: dict[str, Tensor], facts: dict[str, Any]
) -> TrainedGenerator:
    """The trained student; what it is made of is said by its facts, and what the original says of its own origin goes on."""
    nodes = renewed(original.nodes, tensors)
    names = ", ".join(source.path.name for source in found.sources)
    told = {key: value for key, value in original.facts.items() if key in {"source", "licence"} and isinstance(value, str)}
    own = {"distilled_from": f"{names}: {found.what}" + (f" ({told.pop('source')})" if "source" in told else "")} | told
    width = next(len(node.weight) for node in nodes if isinstance(node, FloatConv))
    return replace(original, nodes=nodes, width=width, parameters=numbers_of(nodes), facts=facts | own)


def compress(
    network: nn.Module | str | Path | Sequence[str | Path],
    data: str | Path,
    output: str | Path | None = None,
    *,
    example: Tensor | None = None,
    run: str | Path | None = None,
    weights: str | Path | None = None,
    values: tuple[float, float] | None = None,
    origin: str | None = None,
    licence: str | None = None,
    overwrite: bool = False,
    threads: int = 0,
    device: str = "cpu",
    every: int = 200,
    described: str = "not described",
    recognised: Callable[[Recognised], None] | None = None,
    **settings: Any,
) -> Compressed:
    """Make a trained image-to-image network smaller, as ``fastnst compress`` does; also ``fastnst.compress``.

    Args:
        network: a module of PyTorch, which is left as it was, or what ``fastnst convert`` takes for a generator: a file, or
            several of one network.
        data: folder of pictures that it is to translate.
        output: the model in 8 bits, complete or absent; without it, none is left.
        example: a picture that a module takes, [1, 3, H, W]; of as many pixels as the setting ``size`` has by default.
        run: folder for checkpoints, logs and the report, where the same call resumes a run that was stopped; without it,
            nothing of these is left, and nothing can be resumed.
        weights: folder of the networks that compare pictures, ``weights`` in ``data`` by default: VGG-16 and VGG-19 for the
            perceptual terms, LPIPS and FID's network for the report, from which missing ones are left out.
        values: black and white of the network's pictures; as of :func:`fastnst.convert`.
        origin, licence: where the weights come from, and theirs, for the card.
        threads: of PyTorch and the engine; 0 for as many as PyTorch chooses.
        device: ``cpu`` or ``cuda``.
        every: steps between checkpoints.
        described: what the pictures are and their licence, for the card.
        recognised: is told which network it is, before the work begins.
        settings: ``ratio``, the share of the multiply-accumulates that is kept, 0.25 by default, ``steps``, ``size`` and all
            others of :class:`~fastnst.train.compress.settings.CompressSettings`.

    Returns:
        The student, the model's card, and the report.

    Raises:
        ValueError: one line about what is wrong with the network, the pictures or a setting.
        OSError: a file cannot be read or written, or ``output`` exists.
        ModuleNotFoundError: of ``torch_pruning``, or of ``onnx``, which a module needs.
    """
    given = filled(CompressSettings(), settings, "compress")
    numbers = None if values is None else Numbers(*values)
    if isinstance(network, nn.Module):
        from fastnst.convert.onnx.tracing import traced

        found = traced(network, torch.zeros(1, 3, given.size, given.size) if example is None else example, numbers)
    else:
        files = [network] if isinstance(network, str | Path) else network
        found = recognise([Path(each) for each in files], numbers)
    with TemporaryDirectory(prefix="fastnst-") as scratch:
        folder = Path(scratch)
        options = RunOptions(Path(data), Path(run) if run else folder / "run", threads, device, every, described=described)
        if threads:
            torch.set_num_threads(threads)
        with joined(device) as processes:
            return compressed(
                found,
                given,
                options,
                processes,
                Path(output) if output else folder / "student.fnst",
                weights=Path(weights) if weights else None,
                origin=origin,
                licence=licence,
                overwrite=overwrite,
                recognised=recognised,
            )
