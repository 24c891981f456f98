"""What a compression has done: the original beside the student, cost and quality."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, median

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastnst.convert.generator import quantise_graph
from fastnst.convert.trained_generator import TrainedGenerator
from fastnst.engine import Engine
from fastnst.evaluate.scoring import lpips_network, weights_file
from fastnst.evaluate.timing import in_turn
from fastnst.format.graphfile import GeneratorFile
from fastnst.format.modelfile import to_bytes
from fastnst.metrics.fid import features, frechet_distance, statistics
from fastnst.metrics.pictures import psnr
from fastnst.networks.inception import Inception
from fastnst.system.atomic import atomic_output

from ..crd.domains import signed
from ..crd.weights import INCEPTION_FILE
from ..graph import GraphNetwork, numbers_of

DIMENSION = 192
"""Of the features for FID."""
MOST = 200
"""Pictures that are judged."""

Paint = Callable[[Tensor, int], Tensor]
"""Makes a picture in a style, both uint8 [3, S, S]."""


@dataclass(frozen=True)
class Row:
    """A network, or the pictures that none has touched, whose cost is None.

    Attributes:
        parameters: weights, biases, gains and shifts.
        macs: multiply-accumulates of a picture.
        kilobytes: of the file, or of as many floats.
        milliseconds: a picture, on this machine.
        psnr, lpips, fid: beside the original's pictures; None where that was not measured.
    """

    name: str
    parameters: int | None
    macs: float | None
    kilobytes: float | None
    milliseconds: float | None
    psnr: float | None = None
    lpips: float | None = None
    fid: float | None = None

    def cells(self) -> list[str]:
        """For a table."""
        giga = None if self.macs is None else self.macs / 1e9
        cost = [(self.parameters, "{:,}"), (giga, "{:.4g}"), (self.kilobytes, "{:,.0f}"), (self.milliseconds, "{:.1f}")]
        quality = [(self.psnr, "{:.1f}"), (self.lpips, "{:.3f}"), (self.fid, "{:.3f}")]
        return [self.name, *("-" if value is None else form.format(value) for value, form in (*cost, *quality))]


@dataclass(frozen=True)
class Report:
    """Both networks, in floats and in 8 bits, below what a network would reach that does nothing.

    Attributes:
        told: on what it was measured, in one line.
        left_out: a line for each measure that could not be taken.
    """

    rows: list[Row]
    told: str
    left_out: list[str]

    HEAD = ("", "parameters", "G MACs", "kB", "ms", "PSNR, dB", "LPIPS", f"FID-{DIMENSION}")

    def table(self) -> list[list[str]]:
        """The cells of all rows below their titles."""
        return [list(self.HEAD), *(row.cells() for row in self.rows)]

    def write(self, folder: Path) -> None:
        """Write ``report.md`` and ``report.json``, each complete or absent."""
        head, *rows = (f"| {' | '.join(cells)} |" for cells in self.table())
        page = [
            head,
            "| --- |" + " --: |" * (len(self.HEAD) - 1),
            *rows,
            "",
            self.told,
            *(f"- {each}" for each in self.left_out),
        ]
        contents = {"report.md": "\n".join(page) + "\n", "report.json": json.dumps(asdict(self), indent=1)}
        for name, text in contents.items():
            with atomic_output(folder / name) as file:
                file.write(text.encode())


@dataclass(frozen=True)
class Tried:
    """A network on its way to its row; ``bytes`` of its file, None if it has none."""

    name: str
    trained: TrainedGenerator
    paint: Paint
    bytes: int | None = None


class Judges:
    """What pictures are compared with the original's by.

    Args:
        folder: with the weights of LPIPS and FID; measures whose file is not there are left out.
        wanted: the original's pictures, uint8 [N, 3, S, S].

    Raises:
        ValueError: a file does not hold such a network.
    """

    def __init__(self, folder: Path, wanted: Tensor) -> None:
        self.wanted, self.left_out = wanted, list[str]()
        lpips, inception = weights_file(folder, "lpips_alex") if folder.is_dir() else None, folder / INCEPTION_FILE
        self.lpips = None if lpips is None else lpips_network(lpips)
        self.inception = Inception(inception) if inception.is_file() and len(wanted) > 1 else None
        if self.lpips is None:
            self.left_out.append(f"LPIPS is left out: it needs lpips_alex*.safetensors in {folder}")
        if self.inception is None:
            needs = f"{INCEPTION_FILE} in {folder}" if len(wanted) > 1 else "two pictures at least"
            self.left_out.append(f"FID is left out: it needs {needs}")
        else:
            self.real = statistics(features(self.inception, _shares(wanted), DIMENSION))

    @torch.no_grad()
    def __call__(self, made: Tensor) -> dict[str, float]:
        """PSNR, LPIPS and FID of pictures uint8 [N, 3, S, S], the first two as means over them."""
        pairs = list(zip(_shares(made), _shares(self.wanted), strict=True))
        found = {"psnr": fmean(min(psnr(a, b), 100.0) for a, b in pairs)}
        if self.lpips is not None:
            found["lpips"] = fmean(float(self.lpips(a, b)) for a, b in pairs)
        if self.inception is not None:
            found["fid"] = frechet_distance(self.real, statistics(features(self.inception, _shares(made), DIMENSION)))
        return found


def _shares(pictures: Tensor) -> Iterator[Tensor]:
    """Each picture by itself, 0..1."""
    return (each[None].float() / 255 for each in pictures)


def painted(paint: Paint, pictures: Sequence[Tensor], styles: int) -> Tensor:
    """What is made of the pictures, uint8 [N, 3, S, S]; the styles take turns."""
    return torch.stack([paint(picture, i % max(1, styles)) for i, picture in enumerate(pictures)])


def by_torch(trained: TrainedGenerator) -> Paint:
    """Eager PyTorch in float32."""
    network = GraphNetwork(trained.nodes).eval()

    @torch.no_grad()
    def paint(picture: Tensor, style: int) -> Tensor:
        made: Tensor = network(signed(picture[None]), style)[0]
        return ((made + 1) * 127.5).clamp(0, 255).round().byte()

    return paint


def by_engine(engine: Engine, threads: int) -> Paint:
    """fastnst's engine."""

    def paint(picture: Tensor, style: int) -> Tensor:
        chosen = [float(i == style) for i in range(engine.styles)] or None
        return _of_channels(engine.translate(picture.permute(1, 2, 0).contiguous().numpy(), threads, styles=chosen))

    return paint


def _of_channels(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)


def measured(
    original: TrainedGenerator,
    student: TrainedGenerator,
    models: Mapping[str, Path],
    pictures: Sequence[Tensor],
    weights: Path,
    told: str,
) -> Report:
    """Both generators, and the models that were made of the student, by names of their rows, on pictures uint8 [3, S, S] of one
    size.

    The original in 8 bits is only timed: it is fitted to a single picture, which makes it neither faster nor slower.

    Args:
        weights: folder with those of LPIPS and FID.
        told: what the pictures are.
    """
    pictures, threads = pictures[:MOST], torch.get_num_threads()
    plain = to_bytes(GeneratorFile({"kind": "generator"}, quantise_graph(original.nodes, [pictures[0][None]])[0]))
    tried = [
        Tried("original, float", original, by_torch(original)),
        Tried("original, 8 bits", original, by_engine(Engine(plain), threads), len(plain)),
        Tried("student, float", student, by_torch(student)),
        *(Tried(name, student, by_engine(Engine(path), threads), path.stat().st_size) for name, path in models.items()),
    ]
    judges = Judges(weights, painted(tried[0].paint, pictures, original.styles))
    seconds = list(in_turn({each.name: partial(each.paint, pictures[0], 0) for each in tried}))
    rows = [Row("untouched", None, None, None, None, **judges(torch.stack(list(pictures))))]
    for each in tried:
        count, macs = numbers_of(each.trained.nodes), each.trained.macs_per_pixel * pictures[0][0].numel()
        quality = judges(painted(each.paint, pictures, student.styles)) if each.trained is student else {}
        milliseconds = 1000 * median(sample[each.name] for sample in seconds)
        rows.append(Row(each.name, count, macs, (each.bytes or 4 * count) / 1000, milliseconds, **quality))
    side = pictures[0].shape[-1]
    cores = f"{threads} thread{'s' * (threads > 1)}"
    told = f"{len(pictures)} {told}, {side} x {side}; PyTorch {torch.__version__} and fastnst's engine, {cores}"
    return Report(rows, told, judges.left_out)
