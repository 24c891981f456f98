"""Trained AdaIN pair in, engine model out: 8-bit quantisation with a folder of pictures as calibration.

The float network is first rewritten without changing what it computes: ``conv0`` is folded into ``conv1_1``, each convolution
that follows an upsampling becomes the four phase convolutions of :mod:`fastnst.modelfile`, and channels are rescaled so that no
channel wastes the range of its map (:mod:`~fastnst.convert.equalisation`; Nagel et al., ICCV 2019; the balance of Xiao et al.,
ICML 2023).

Then every layer is quantised front to back, on the maps that the quantised layers before it really produce: the range of its
output with the least squared error, and weights and bias that bring its sums closest to the float network's
(:mod:`~fastnst.convert.quantisation`). Fitting the bias is the usual bias correction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastnst.convert.pair import Pair, load_pair
from fastnst.convert.pictures import calibration_pairs
from fastnst.convert.quantisation import Ranges, quantise
from fastnst.images import atomic_output
from fastnst.modelfile import to_bytes
from fastnst.networks.adain import LAYERS
from fastnst.networks.vgg import POOL_AFTER


def macs_per_pixel(widths: Sequence[int]) -> tuple[int, int]:
    """Multiply-accumulates of the trained encoder (``conv0`` included) and decoder for one pixel of the picture, rounded."""
    area, inner, total = 1.0, 3, 0.0
    for name, outer in zip(LAYERS, widths, strict=True):
        total += 9 * inner * outer * area
        inner = outer
        area = area / 4 if name in POOL_AFTER else area
    return round(total + 9), round(total)


def card_of(pair: Pair, name: str, pictures: int) -> dict[str, Any]:
    """What the file says about itself; ``facts`` of the trained file may name another source and licence."""
    encoder, decoder = macs_per_pixel(pair.widths)
    card = {
        "name": name,
        "kind": "adain",
        "widths": {"encoder": pair.widths},
        "parameters": pair.parameters,
        "macs_per_pixel": encoder + decoder,
        "macs_per_pixel_by_part": {"encoder": encoder, "decoder": decoder},
        "bits": {"weights": 8, "activations": 8},
        "calibration": pictures,
        "source": "trained by fastnst's own recipe `adain`",
        "licence": "MIT",
    }
    training = {key: pair.facts[key] for key in ("step", "seconds", "settings") if key in pair.facts}
    told = ("source", "licence", "distilled_from", "training_data")
    own = {key: pair.facts[key] for key in told if isinstance(pair.facts.get(key), str)}
    return card | own | ({"trained_with": training} if training else {})


def convert(
    source: Path,
    calibration: Path,
    output: Path,
    *,
    name: str | None = None,
    overwrite: bool = False,
    ranges: Ranges = "mse",
) -> dict[str, Any]:
    """Quantise the trained pair in ``source`` on the pictures of ``calibration`` and write the engine's model to ``output``.

    Args:
        source: safetensors file with the tensors of :func:`expected_shapes`, as ``fastnst train adain`` leaves it.
        calibration: folder of pictures, or of two folders ``content`` and ``style``.
        output: complete or absent, whatever happens.
        name: for the card; without it the file's.
        ranges: see :func:`best_grid`.

    Returns:
        The card.

    Raises:
        FileExistsError: ``output`` exists and may not be overwritten.
        ValueError: one line about what is wrong with the weights or the pictures.
        OSError: a file cannot be read or written.
    """
    if output.exists() and not overwrite:
        raise FileExistsError(f"{output} exists")
    pair = load_pair(source)
    contents, styles = calibration_pairs(calibration)
    try:
        model = quantise(pair, contents, styles, ranges)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    model = replace(model, card=card_of(pair, name or output.stem, len(contents) + len(styles)))
    with atomic_output(output) as file:
        file.write(to_bytes(model))
    return model.card
