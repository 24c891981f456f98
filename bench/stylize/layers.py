"""The time of an AdaIN model, layer by layer, beside the limits of the machine: ``fastnst bench --layers``.

Each layer runs alone, on noise. A whole picture takes more than their sum: threads wait between layers, and AdaIN takes time
too.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastnst import _engine
from fastnst.engine import Engine, LayerTime, default_threads, instruction_set

from ..machine import file_name, machine_of, sentence, slug, system
from ..run import results_folder
from .roofline import Peak, measure

REPEATS = 20


@dataclass(frozen=True)
class Layers:
    """The times of a model's layers for pictures of ``size`` x ``size``, and the limits of the machine."""

    model: str
    size: int
    threads: int
    times: Sequence[LayerTime]
    peak: Peak

    def share(self, macs: int, seconds: float) -> float | None:
        """The least time of the layer's multiply-adds as a share of its time. Layers in Winograd form can exceed 1."""
        return None if self.peak.macs_per_second is None else macs / seconds / self.peak.macs_per_second


def file_of(model: str) -> Path:
    """The file of a shipped model, by its name, or the file itself."""
    shipped = Path(_engine.__file__).parent / "models" / f"{model}.fnst"
    return shipped if shipped.exists() else Path(model)


def measured(model: str, size: int) -> Layers:
    """Time every layer.

    Raises:
        OSError, ModelError: no such model.
        ValueError: it is no AdaIN model.
    """
    path, threads = file_of(model), default_threads()
    times = Engine(path).layer_times(size, size, threads, REPEATS)
    return Layers(path.stem, size, threads, times, measure(threads, instruction_set=instruction_set()))


def lines(layers: Layers) -> list[str]:
    """The table in Markdown."""

    def cells(seconds: float, macs: int) -> str:
        share = layers.share(macs, seconds)
        return f"{seconds * 1e3:.3f} | {macs / seconds / 1e9:,.0f} | " + ("" if share is None else f"{100 * share:.0f} %")

    rows = [
        "| | channels | kernel | map | form | ms | GMAC/s | of the roofline |",
        "| --- | --- | --- | --- | --- | --: | --: | --: |",
    ]
    for i, layer in enumerate(layers.times):
        form = "Winograd" if layer.winograd else "direct"
        shape = f"{layer.inputs} to {layer.outputs} | {layer.kind} | {layer.height} x {layer.width}"
        rows.append(f"| {i + 1} | {shape} | {form} | {cells(layer.seconds, layer.macs)} |")
    seconds, macs = sum(layer.seconds for layer in layers.times), sum(layer.macs for layer in layers.times)
    return [*rows, f"| all | | | | | {cells(seconds, macs)} |"]


def page(layers: Layers, machine: dict[str, Any], date: str) -> str:
    """The report, in Markdown."""
    limit = layers.peak.macs_per_second
    roofline = layers.peak.note if limit is None else f"{limit / 1e9:,.0f} GMAC/s ({layers.peak.note})"
    head = [
        f"# Layers of {layers.model}, {layers.size} x {layers.size}\n",
        f"* Machine: {sentence(machine)}; {layers.threads} threads, {instruction_set()}",
        f"* Date: {date}",
        f"* Roofline: {roofline}; multiply-adds are those of direct convolutions on upsampled maps, so layers that need fewer"
        " can pass 100 %",
        f"* The fastest of {REPEATS} runs of each layer alone\n",
    ]
    return "\n".join([*head, *lines(layers)]) + "\n"


def write(model: str, size: int, folder: Path | None = None) -> Path:
    """Measure, and write ``layers-<model>-<size>-<machine>.md`` and ``.json`` to ``folder``, by default that of other reports.

    Returns:
        The path of the Markdown file.

    Raises:
        OSError, ValueError: as :func:`measured`.
    """
    from pytest_benchmark.plugin import pytest_benchmark_generate_machine_info

    layers = measured(model, size)
    machine = machine_of(pytest_benchmark_generate_machine_info(), system())
    date = datetime.date.today().isoformat()
    folder = folder or results_folder()
    target = folder / f"layers-{file_name(layers.model)}-{size}-{slug(machine)}.md"
    rows = [layer._asdict() | {"macs": layer.macs, "share": layers.share(layer.macs, layer.seconds)} for layer in layers.times]
    facts = {"model": layers.model, "size": size, "threads": layers.threads, "isa": instruction_set(), "rows": rows}
    folder.mkdir(parents=True, exist_ok=True)
    target.with_suffix(".json").write_text(json.dumps({"machine": machine, "date": date, **facts}, indent=1) + "\n")
    target.write_text(page(layers, machine, date))
    return target
