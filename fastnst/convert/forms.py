"""Which layers take Winograd form: where this machine computes them faster and little is lost; and the report of it.

The choice is made where the file is made and stored in it. What it computes is the same everywhere, how fast that is, is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastnst.convert.pair import Conv, Pair
from fastnst.engine import Engine
from fastnst.format.modelfile import AdainFile, Layer, to_bytes

SIDE = 512
"""Pixels to the side of the picture that layers are timed for."""
REPEATS = 12
"""Runs of each layer, in turn with those of the other form, of which the fastest counts."""
FASTER = 0.95
"""Of the direct time, what Winograd form may take at most."""
LOSS = 1.0
"""Decibels that a layer may lose at most by its form, by the error of its own output beside the float network's."""


@dataclass(frozen=True)
class Choice:
    """What is known of a layer before it is quantised: whether it shall have the form, and the seconds of both."""

    wanted: bool = False
    seconds: tuple[float, float] | None = None
    limit: float = np.inf  # decibels that it may lose


@dataclass(frozen=True)
class LayerReport:
    """What became of a layer; ``decibels``: signal to noise of its output, direct and, if tried, in Winograd form."""

    layer: Layer
    seconds: tuple[float, float] | None
    decibels: tuple[float, float | None]
    dead: int
    nearly_dead: int


def possible(pair: Pair) -> list[bool]:
    """Which of a pair's layers, the encoder's first, can have the form: 3x3 ones that neither read nor write a picture."""
    inner = [i > 0 for i in range(len(pair.encoder))] + [i + 1 < len(pair.decoder) for i in range(len(pair.decoder))]
    return [each and conv.weight.shape[-1] > 1 for each, conv in zip(inner, (*pair.encoder, *pair.decoder), strict=True)]


def silent(conv: Conv, winograd: bool) -> Layer:
    """A layer of the shape of ``conv``, which takes as long as any."""
    phases, outputs, inputs, side, _ = conv.weight.shape
    stored = (phases,) if phases > 1 and not winograd else ()
    side = 3 if winograd else side
    scales = np.ones((3, 3) if phases > 1 else (4, 4), np.int16) if winograd else None
    arrays = np.zeros((*stored, outputs), np.int32), np.ones((*stored, outputs), np.float32)
    return Layer(np.zeros((*stored, outputs, side, side, inputs), np.int8), *arrays, 0, conv.upsample, conv.pool, scales)


def seconds_of(pair: Pair, threads: int | None = None) -> list[tuple[float, float]]:
    """The times of every layer of ``pair``, direct and, where that is possible, in Winograd form."""
    convs, count, can = [*pair.encoder, *pair.decoder], len(pair.encoder), possible(pair)
    engines = []
    for winograd in (False, True):
        layers = [silent(conv, winograd and each) for conv, each in zip(convs, can, strict=True)]
        engines.append(Engine(to_bytes(AdainFile({}, layers[:count], layers[count:], 1.0, 1.0, 0))))
    times = np.full((2, len(convs)), np.inf)
    for _ in range(REPEATS):
        runs = [[layer.seconds for layer in engine.layer_times(SIDE, SIDE, threads, 1)] for engine in engines]
        times = np.minimum(times, runs)
    return [(float(direct), float(other)) for direct, other in times.T]


def named(winograd: str, can: Sequence[bool]) -> list[bool]:
    """The layers that ``winograd`` names of those that can have the form; errors as for :func:`choices`."""
    if winograd in {"never", "auto", "always"}:
        return [each and winograd != "never" for each in can]
    parts = winograd.split(",")
    if not all(part.isdecimal() for part in parts):
        raise ValueError(f"winograd: expected never, auto, always or numbers of layers such as 3,4, got {winograd!r}")
    numbers = {int(part) for part in parts}
    for number in sorted(numbers):
        if not 1 <= number <= len(can) or not can[number - 1]:
            raise ValueError(f"winograd: layer {number} cannot have this form")
    return [i + 1 in numbers for i in range(len(can))]


def choices(pair: Pair, winograd: str, timed: bool = False) -> list[Choice]:
    """What is wanted of every layer of ``pair``, the encoder's first.

    Args:
        winograd: ``never``, ``always`` where it is possible, ``auto``: where it is faster here and loses little, or numbers of
            layers such as ``3,4``, counted from 1.
        timed: measure times even if nothing depends on them.

    Raises:
        ValueError: ``winograd`` is none of these.
    """
    wanted = named(winograd, possible(pair))
    if winograd != "auto":
        times = seconds_of(pair) if timed else [None] * len(wanted)
        return [Choice(*each) for each in zip(wanted, times, strict=True)]
    return [
        Choice(each and other < FASTER * direct, (direct, other), LOSS)
        for each, (direct, other) in zip(wanted, seconds_of(pair), strict=True)
    ]


def table(reports: Sequence[LayerReport]) -> list[tuple[str, ...]]:
    """The lines of a report, the head first."""
    head = "layer", "channels", "kernel", "form", "direct ms", "winograd ms", "direct dB", "winograd dB", "dead", "nearly dead"
    lines: list[tuple[str, ...]] = [head]
    for i, each in enumerate(reports):
        layer, times = each.layer, each.seconds
        kind = f"{layer.kernel}x{layer.kernel}" + (" up" if layer.upsample else "") + (" pool" if layer.pool != "none" else "")
        form = "direct" if layer.scales is None else "winograd"
        shown = [f"{second * 1e3:.2f}" for second in times] if times else ["", ""]
        levels = ["" if level is None else f"{level:.2f}" for level in each.decibels]
        lines.append(
            (str(i + 1), f"{layer.inputs}>{layer.outputs}", kind, form, *shown, *levels, f"{each.dead}", f"{each.nearly_dead}")
        )
    return lines
