"""Train a small AdaIN pair from nothing, scored by VGG-19 (the objective of Huang and Belongie, ICCV 2017, eq. 11-13).

Three phases, one after the other, on random crops:

``distil``  the encoder learns VGG-19's features through linear embeddings, and the decoder learns to reconstruct
            (Wang et al., CVPR 2020, eq. 6), so that stylisation starts from a pair that keeps the photograph;
``style``   both learn content and style loss on small crops;
``finish``  the same on larger crops, while the learning rate falls to zero.

The target features of photographs and paintings need no gradient: they are computed once per crop, kept in a pool that is
renewed slowly (``pool.py``), and paired anew at every step, which halves the cost of a step.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastnst import ops
from fastnst.networks.adain import WIDTHS
from fastnst.networks.vgg import TAPS, Decoder, Encoder, load_normalised_vgg19

from .checkpoints import flatten_adam, load_checkpoint, restore_adam, save_checkpoint
from .data import CropSource, to_float
from .pool import FeaturePool, Statistics


@dataclass(frozen=True)
class Phase:
    """One stretch of training: how many steps, on how many crops of which side."""

    name: str
    steps: int
    batch: int
    size: int


@dataclass(frozen=True)
class Settings:
    """Everything that decides the result, recorded in the checkpoint."""

    widths: str = "16x"
    distil_steps: int = 900
    style_steps: int = 2700
    finish_steps: int = 6000
    batch: int = 8
    size: int = 128
    finish_batch: int = 4
    finish_size: int = 256
    learning_rate: float = 1e-3
    content_weight: float = 10.0
    style_weight: float = 10.0
    embedding_weight: float = 10.0
    perceptual_weight: float = 1.0
    range_weight: float = 50.0
    zoom_low: float = 0.95
    zoom_high: float = 1.15
    pool: int = 1024
    renewed_per_step: int = 1
    average: float = 0.998
    seed: int = 1

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("distil", self.distil_steps, self.batch, self.size),
            Phase("style", self.style_steps, self.batch, self.size),
            Phase("finish", self.finish_steps, self.finish_batch, self.finish_size),
        )


class Pair(nn.Module):
    """Encoder and decoder, and the linear embeddings that only the first phase uses."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.encoder = Encoder(widths)
        self.decoder = Decoder(widths)
        channels = [getattr(self.encoder, name).out_channels for name in TAPS[: self.encoder.stage]]
        teacher = (64, 128, 256, 512)
        self.embeddings = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(channels, teacher, strict=True))
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.weight.requires_grad and module.kernel_size == (3, 3):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        feature = ops.adaptive_instance_normalization(self.encoder(content), self.encoder(style))
        image: Tensor = self.decoder(feature)
        return image


NetworkT = TypeVar("NetworkT", bound=nn.Module)


def channels_last(network: NetworkT) -> NetworkT:
    """``network`` with its weights in the layout that CPU convolutions work in."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def out_of_range(image: Tensor) -> Tensor:
    """Mean squared excess beyond 0..1: keeps the decoder where clamping hides nothing."""
    return (image - image.clamp(0, 1)).square().mean()


def distil_losses(pair: Pair, vgg: Encoder, image: Tensor, settings: Settings) -> dict[str, Tensor]:
    """Linear embedding of every level, reconstruction in pixels and in VGG-19's features."""
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            wanted = [level.float() for level in vgg.features(image)]
        seen = pair.encoder.features(image)
        rebuilt = pair.decoder(seen[-1]).float()
        perceived = vgg.features(rebuilt)
    embedding = torch.stack(
        [
            ops.linear_embedding_loss(level.float(), aim, *embed.parameters())
            for embed, level, aim in zip(pair.embeddings, seen, wanted, strict=True)
        ]
    ).sum()
    perceptual = sum(F.mse_loss(a.float(), b) for a, b in zip(perceived, wanted, strict=True))
    pixel = F.mse_loss(rebuilt, image)
    total = settings.embedding_weight * embedding + settings.perceptual_weight * perceptual + 10 * pixel
    return {"loss": torch.as_tensor(total), "embedding": embedding,
            "perceptual": torch.as_tensor(perceptual), "pixel": pixel}  # fmt: skip


def style_losses(
    pair: Pair,
    vgg: Encoder,
    content: Tensor,
    style: Tensor,
    content_features: Tensor,
    statistics: Statistics,
    settings: Settings,
) -> dict[str, Tensor]:
    """AdaIN's content and style loss of the stylised picture as it will be seen, clamped to 0..1."""
    with torch.autocast("cpu", torch.bfloat16):
        image = pair(content, style).float()
        levels = vgg.features(image.clamp(0, 1))
    target = ops.renormalize(content_features, *statistics[-1])
    content_loss = F.mse_loss(levels[-1].float(), target)
    style_loss = torch.zeros(())
    for level, wanted in zip(levels, statistics, strict=True):
        style_loss = style_loss + ops.statistics_loss(level, *wanted)
    excess = out_of_range(image)
    total = settings.content_weight * content_loss + settings.style_weight * style_loss + settings.range_weight * excess
    return {"loss": total, "content": content_loss, "style": style_loss, "excess": excess}


def learning_rate(settings: Settings, phase: Phase, step: int) -> float:
    """Constant after a short warm-up at the start of each phase; falls along a half cosine in the last one."""
    warm = min(1.0, (step + 1) / 100)
    fall = 0.5 * (1 + math.cos(math.pi * step / phase.steps)) if phase.name == "finish" else 1.0
    return settings.learning_rate * warm * fall


def schedule(settings: Settings) -> Iterator[tuple[int, Phase, int]]:
    """(step of the whole run, phase, step within the phase), in order."""
    first = 0
    for phase in settings.phases:
        yield from ((first + step, phase, step) for step in range(phase.steps))
        first += phase.steps


class Run:
    """The networks, the optimiser and the running average of the weights: what a checkpoint holds."""

    def __init__(self, settings: Settings, training_data: str) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.training_data = settings, training_data
        self.pair = channels_last(Pair(WIDTHS[settings.widths]))
        trained = [(name, p) for name, p in self.pair.named_parameters() if p.requires_grad]
        self.names, self.parameters = [name for name, _ in trained], [p for _, p in trained]
        self.optimizer = torch.optim.Adam(self.parameters)
        self.average = {name: p.detach().clone() for name, p in trained}
        self.step, self.seconds = 0, 0.0

    def update(self, loss: Tensor, rate: float) -> None:
        """One step down the gradient of ``loss``."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters, 20.0)
        self.optimizer.step()
        with torch.no_grad():
            for name, p in zip(self.names, self.parameters, strict=True):
                self.average[name].lerp_(p, 1 - min(self.settings.average, (self.step + 1) / (self.step + 10)))
        self.step += 1

    def _facts(self) -> dict[str, Any]:
        return {
            "recipe": "adain",
            "distilled_from": "VGG-19 to relu4_1",
            "training_data": self.training_data,
            "step": self.step,
            "seconds": round(self.seconds),
            "settings": asdict(self.settings),
            "torch": torch.__version__,
        }

    def save(self, path: Path) -> None:
        """A checkpoint to go on from."""
        model = {f"model.{name}": value for name, value in self.pair.state_dict().items()}
        average = {f"average.{name}": value for name, value in self.average.items()}
        save_checkpoint(path, model | average | flatten_adam(self.optimizer, self.names), self._facts())

    def restore(self, path: Path) -> None:
        """Go on from what :meth:`save` wrote."""
        tensors, facts = load_checkpoint(path)
        self.pair.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
        self.average = {name: tensors[f"average.{name}"] for name in self.names}
        restore_adam(self.optimizer, self.names, tensors)
        self.step, self.seconds = facts["step"], facts["seconds"]

    def save_final(self, path: Path) -> None:
        """The averaged weights of encoder and decoder alone."""
        state = self.pair.state_dict() | self.average
        save_checkpoint(path, {k: v for k, v in state.items() if not k.startswith("embeddings.")}, self._facts())


def train(settings: Settings, data: Path, out: Path, every: int = 500, training_data: str = "not described") -> None:
    """Run the recipe, or go on from ``out/last.safetensors``; ends with the averaged weights in ``out/final.safetensors``.

    A run that goes on draws its pool of crops anew, so that its weights differ from an uninterrupted run's.

    Args:
        settings: everything that decides the result.
        data: folder with ``content-train/``, ``style-train/`` and ``weights/vgg19_relu5_1_f16.safetensors``.
        out: folder for checkpoints and ``log.csv``.
        every: steps between checkpoints.
        training_data: what the pictures are and their licence, for the model's card.

    Raises:
        FileNotFoundError: pictures or weights are missing.
    """
    vgg = channels_last(load_normalised_vgg19(data / "weights" / "vgg19_relu5_1_f16.safetensors"))
    zoom = (settings.zoom_low, settings.zoom_high)
    contents = CropSource(data / "content-train", settings.size, zoom, seed=settings.seed)
    styles = CropSource(data / "style-train", settings.size, zoom, seed=settings.seed + 1)
    run = Run(settings, training_data)
    out.mkdir(parents=True, exist_ok=True)
    last = out / "last.safetensors"
    if last.exists():
        run.restore(last)
    pool: FeaturePool | None = None
    with (out / "log.csv").open("a", newline="") as log_file:
        log = csv.writer(log_file)
        for step, phase, within in schedule(settings):
            if step < run.step:
                continue
            started = time.perf_counter()
            if phase.name == "distil":
                image = to_float(contents.batch(range(step * phase.batch, (step + 1) * phase.batch)))
                losses = distil_losses(run.pair, vgg, image, settings)
            else:
                if pool is None or phase.size != contents.size:
                    contents.size = styles.size = phase.size
                    capacity = settings.pool * settings.size**2 // phase.size**2  # the same memory at any size
                    pool = FeaturePool(vgg, contents, styles, capacity, first=step * settings.batch)
                pool.renew(settings.renewed_per_step)
                generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
                losses = style_losses(run.pair, vgg, *pool.draw(phase.batch, generator), settings)
            run.update(losses["loss"], learning_rate(settings, phase, within))
            run.seconds += time.perf_counter() - started
            if step % 20 == 0:
                log.writerow([step, phase.name, *(f"{name}={value.item():.5g}" for name, value in losses.items())])
                log_file.flush()
            if run.step % every == 0:
                run.save(last)
    run.save_final(out / "final.safetensors")


def main(argv: Sequence[str] | None = None) -> None:
    """``fastnst train adain``; see ``--help``."""
    parser = argparse.ArgumentParser(prog="fastnst train adain", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with content-train/, style-train/ and weights/")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints, log and the final weights")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--every", type=int, default=500, help="steps between checkpoints")
    parser.add_argument(
        "--training-data", default="not described", help="what the pictures are and their licence, for the card"
    )
    for name, value in asdict(Settings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    arguments = vars(parser.parse_args(argv))
    data, out, threads, every, described = (
        arguments.pop(name) for name in ("data", "out", "threads", "every", "training_data")
    )
    torch.set_num_threads(threads)
    train(Settings(**arguments), data, out, every, described)


if __name__ == "__main__":
    main()
