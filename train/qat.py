"""Retrain a quantised AdaIN pair in the engine's own arithmetic, until its pictures are those of its float network.

The network that is trained *is* the one that the engine runs: whole 8-bit maps, 8-bit weights, 32-bit sums, one rounding per
layer and the AdaIN step from whole-number statistics; gradients pass through each rounding as if it were not there (Jacob et
al., CVPR 2018). What it is trained towards is its own float network, on the same crops, and the loss is the one that is
reported: the error of the picture in decibels. So nothing is learnt here but to be the same network in 8 bits; what the
pictures look like was decided before.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fastnst.convert import card_of
from fastnst.convert.arithmetic import (
    Grid,
    convolve,
    file_to_torch,
    pooled,
    simulate_adain,
    simulate_statistics,
    spread,
)
from fastnst.convert.equalisation import float_adain, float_layer
from fastnst.convert.pair import Pair, load_pair
from fastnst.convert.pictures import calibration_pairs
from fastnst.convert.quantisation import prove_safe, quantise
from fastnst.images import atomic_output
from fastnst.modelfile import Layer, Model, to_bytes

from .data import CropSource


@dataclass(frozen=True)
class Settings:
    """Everything that decides the result, recorded in the model's card."""

    steps: int = 600
    batch: int = 2
    size: int = 384
    learning_rate: float = 0.03
    seed: int = 1


ZOOM = (0.8, 1.25)
KINDS = ("content-train", "style-train")


def whole(x: Tensor) -> Tensor:
    """``x`` rounded as the engine rounds; gradients pass as if it were not."""
    return x + (x.round() - x).detach()


class FakeLayer(nn.Module):
    """One layer of the engine's model, trainable: in whole numbers forward, in real ones backward."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        weight, bias, multiplier = (each.float() for each in file_to_torch(layer))
        self.layer = layer
        self.weight = nn.Parameter(weight)  # in steps of the layer's weight scales
        self.shift = nn.Parameter(torch.zeros_like(bias))  # of the bias, in steps of the output
        self.stretch = nn.Parameter(torch.zeros_like(multiplier))  # of the multiplier, as a logarithm
        self.bias: Tensor
        self.multiplier: Tensor
        self.register_buffer("bias", bias)
        self.register_buffer("multiplier", multiplier)

    def numbers(self) -> tuple[Tensor, Tensor, Tensor]:
        """Weights and biases as whole numbers, and multipliers, [P, O, ...]."""
        multiplier = self.multiplier * self.stretch.exp()
        return whole(self.weight.clamp(-127, 127)), whole(self.bias + self.shift / multiplier.detach()), multiplier

    def forward(self, q: Tensor) -> Tensor:
        """uint8 values [N, I, H, W] in, uint8 values out, both as float32."""
        weight, bias, multiplier = self.numbers()
        sums = convolve(q, weight, bias, self.layer.upsample)
        out = whole(sums * spread(multiplier, self.layer.upsample, sums.shape)) + self.layer.zero
        return pooled(out.clamp(0, 255), self.layer.pool)

    def exported(self) -> Layer:
        """The layer as the file holds it.

        Raises:
            ValueError: it could overflow the engine's arithmetic.
        """
        stored = slice(None) if self.layer.upsample else 0
        weight, bias, multiplier = (each.detach()[stored].numpy() for each in self.numbers())
        weight = np.ascontiguousarray(np.moveaxis(weight, -3, -1).astype(np.int8))
        result = replace(self.layer, weights=weight, bias=bias.astype(np.int32), multiplier=multiplier)
        prove_safe(result)
        return result


class FakePair(nn.Module):
    """The whole model, trainable."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.encoder = nn.Sequential(*(FakeLayer(layer) for layer in model.encoder))
        self.decoder = nn.Sequential(*(FakeLayer(layer) for layer in model.decoder))

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        """Pictures of uint8 values [N, 3, H, W] as float32, in and out."""
        model = self.model
        features, look = self.encoder(content), simulate_statistics(self.encoder(style), model.feature_scale)
        middle = Grid(model.decoder_scale, model.decoder_zero)
        picture: Tensor = self.decoder(whole(simulate_adain(features, look, model.feature_scale, middle)))
        return picture

    def exported(self) -> Model:
        """The model that the engine runs, byte for byte the network of ``forward``."""
        layers = [[each.exported() for each in part if isinstance(each, FakeLayer)] for part in (self.encoder, self.decoder)]
        return replace(self.model, encoder=layers[0], decoder=layers[1])


@torch.no_grad()
def float_picture(pair: Pair, content: Tensor, style: Tensor) -> Tensor:
    """What the float network makes of pictures [N, 3, H, W], RGB 0..1; clamped to that range."""
    features = [content, style]
    for conv in pair.encoder:
        features = [float_layer(x, conv) for x in features]
    x = float_adain(*features)
    for conv in pair.decoder:
        x = float_layer(x, conv)
    return x.clamp(0, 1)


def decibels(picture: Tensor, wanted: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of pictures [N, 3, H, W] of values 0..255, mean over N; one grey level of error at least."""
    error = (picture - wanted).square().mean((1, 2, 3))
    return (10 * (255**2 / (error + 1e-2)).log10()).mean()


def rate_at(settings: Settings, step: int) -> float:
    """Learning rate: a short warm-up, then along a half cosine to zero."""
    return settings.learning_rate * min(1.0, (step + 1) / 30) * 0.5 * (1 + math.cos(math.pi * step / settings.steps))


def retrain(model: Model, pair: Pair, contents: CropSource, styles: CropSource, settings: Settings, log: Path) -> Model:
    """``model`` after ``settings.steps`` steps towards ``pair``, the float network that it was quantised from.

    Args:
        contents, styles: crops of ``settings.size``, a whole number of strides.
        log: CSV of step, seconds and decibels.
    """
    fake = FakePair(model)
    groups = {"weight": 1.0, "shift": 1.0, "stretch": 0.05}
    parameters = {key: [p for name, p in fake.named_parameters() if name.endswith(key)] for key in groups}
    optimizer = torch.optim.Adam([{"params": parameters[key], "share": share} for key, share in groups.items()])
    started = time.perf_counter()
    with log.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("step", "seconds", "decibels"))
        for step in range(settings.steps):
            counters = range(step * settings.batch, (step + 1) * settings.batch)
            content, style = contents.batch(counters).float(), styles.batch(counters).float()
            wanted = (float_picture(pair, content / 255, style / 255) * 255).round()
            quality = decibels(fake(content, style), wanted)
            for group in optimizer.param_groups:
                group["lr"] = rate_at(settings, step) * group["share"]
            optimizer.zero_grad(set_to_none=True)
            (-quality).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            rows.writerow((step, f"{time.perf_counter() - started:.1f}", f"{quality.item():.3f}"))
            file.flush()
    return fake.exported()


def train(source: Path, data: Path, calibration: Path, output: Path, settings: Settings, name: str | None = None) -> None:
    """Quantise the trained pair in ``source``, retrain it and write the engine's model to ``output``.

    Args:
        source: ``final.safetensors`` of the recipe ``adain``.
        data: folder with ``content-train/`` and ``style-train/``.
        calibration: folder of pictures, or of two folders ``content`` and ``style``, to choose ranges with.
        output: complete or absent, whatever happens; the log lies beside it.
        name: for the model's card; without it the file's.

    Raises:
        ValueError: one line about what is wrong with the weights or the pictures.
        OSError: a file is missing or cannot be written.
    """
    torch.manual_seed(settings.seed)
    pair = load_pair(source)
    pictures = calibration_pairs(calibration)
    model = quantise(pair, *pictures)
    contents, styles = (CropSource(data / kind, settings.size, ZOOM, settings.seed + i) for i, kind in enumerate(KINDS))
    model = retrain(model, pair, contents, styles, settings, output.with_suffix(".csv"))
    card = card_of(pair, name or output.stem, 2 * len(pictures[0])) | {"retrained_with": asdict(settings)}
    with atomic_output(output) as file:
        file.write(to_bytes(replace(model, card=card)))


def main(argv: Sequence[str] | None = None) -> None:
    """``fastnst train qat``; see ``--help``."""
    parser = argparse.ArgumentParser(prog="fastnst train qat", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path, help="final.safetensors of a trained pair")
    parser.add_argument("--data", type=Path, required=True, help="folder with content-train/ and style-train/")
    parser.add_argument("--calibrate", type=Path, required=True, help="folder of pictures that ranges are chosen with")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .fnst file to write")
    parser.add_argument("--name", help="for the model's card; without it the file's")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    for name, value in asdict(Settings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    given = vars(parser.parse_args(argv))
    torch.set_num_threads(given.pop("threads"))
    source, data, calibration, output, name = (given.pop(key) for key in ("source", "data", "calibrate", "output", "name"))
    train(source, data, calibration, output, Settings(**given), name)


if __name__ == "__main__":
    main()
