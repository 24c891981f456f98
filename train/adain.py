"""Train a small AdaIN pair from nothing, scored by VGG-19 (the objective of Huang and Belongie, ICCV 2017, eq. 11-13).

Three phases, one after the other, on random crops:

``distil``  the encoder learns VGG-19's features through linear embeddings, and the decoder learns to reconstruct
            (Wang et al., CVPR 2020, eq. 6), so that stylisation starts from a pair that keeps the photograph;
``style``   both learn content and style loss on small crops;
``finish``  the same on larger crops while the learning rate falls to zero.

The target features of photographs and paintings need no gradient: they are computed once per crop, kept in a pool that is
renewed slowly, and paired anew at every step, which halves the cost of a step.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastnst.networks.adain import TAPS, WIDTHS, Decoder, Encoder
from fastnst.networks.vgg import load_normalised_vgg19
from fastnst.reference.adain import adaptive_instance_normalization, calc_mean_std, renormalize

from .checkpoints import flatten_adam, load_checkpoint, restore_adam, save_checkpoint
from .data import CropSource, to_float


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
    distil_steps: int = 1200
    style_steps: int = 7000
    finish_steps: int = 1500
    batch: int = 8
    size: int = 128
    finish_batch: int = 4
    finish_size: int = 256
    learning_rate: float = 1e-3
    content_weight: float = 2.0
    style_weight: float = 10.0
    embedding_weight: float = 10.0
    perceptual_weight: float = 1.0
    range_weight: float = 50.0
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
        channels = [getattr(self.encoder, name).out_channels for name in TAPS]
        teacher = (64, 128, 256, 512)
        self.embeddings = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(channels, teacher, strict=True))
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.weight.requires_grad and module.kernel_size == (3, 3):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        return self.decoder(adaptive_instance_normalization(self.encoder(content), self.encoder(style)))


class MeanStd(torch.autograd.Function):
    """``calc_mean_std`` of a bfloat16 feature map with its gradient in one pass, kept in the map's own type."""

    @staticmethod
    def forward(ctx: Any, feat: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = calc_mean_std(feat.float())
        ctx.save_for_backward(feat, mean, std)
        return mean, std

    @staticmethod
    def backward(ctx: Any, grad_mean: Tensor, grad_std: Tensor) -> Tensor:
        feat, mean, std = ctx.saved_tensors
        positions = feat.shape[2] * feat.shape[3]
        slope = grad_std / (std * max(positions - 1, 1))
        offset = grad_mean / positions - slope * mean
        return torch.addcmul(offset.to(feat.dtype), feat, slope.to(feat.dtype))


class FeaturePool:
    """Photograph and painting crops with the VGG-19 targets they contribute, renewed a few at a time."""

    def __init__(self, vgg: Encoder, contents: CropSource, styles: CropSource, capacity: int, first: int) -> None:
        self.vgg, self.contents, self.styles = vgg, contents, styles
        self.counter = first
        self.content_pixels: list[Tensor] = []
        self.content_features: list[Tensor] = []
        self.style_pixels: list[Tensor] = []
        self.style_statistics: list[list[tuple[Tensor, Tensor]]] = []
        for _ in range(0, capacity, 8):
            self.renew(8, capacity)

    @torch.no_grad()
    def renew(self, count: int, capacity: int) -> None:
        """Replace the oldest ``count`` entries of each kind (or add them while there is room)."""
        counters = range(self.counter, self.counter + count)
        contents, styles = self.contents.batch(counters), self.styles.batch(counters)
        with torch.autocast("cpu", torch.bfloat16):
            features = self.vgg(to_float(contents)).bfloat16()
            levels = self.vgg.features(to_float(styles))
        statistics = [calc_mean_std(level.float()) for level in levels]
        for i, counter in enumerate(counters):
            entry = [(mean[i], std[i]) for mean, std in statistics]
            if len(self.content_pixels) < capacity:
                self.content_pixels.append(contents[i])
                self.content_features.append(features[i])
                self.style_pixels.append(styles[i])
                self.style_statistics.append(entry)
            else:
                slot = counter % capacity
                self.content_pixels[slot], self.content_features[slot] = contents[i], features[i]
                self.style_pixels[slot], self.style_statistics[slot] = styles[i], entry
        self.counter += count

    def draw(self, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, list[tuple[Tensor, Tensor]]]:
        """Random photographs [B, 3, H, W], paintings, the photographs' relu4_1, the paintings' statistics per level."""
        c = torch.randint(len(self.content_pixels), (batch,), generator=generator).tolist()
        s = torch.randint(len(self.style_pixels), (batch,), generator=generator).tolist()
        statistics = [
            (torch.stack([mean for mean, _ in level]), torch.stack([std for _, std in level]))
            for level in zip(*(self.style_statistics[i] for i in s), strict=True)
        ]
        return (
            to_float(torch.stack([self.content_pixels[i] for i in c])),
            to_float(torch.stack([self.style_pixels[i] for i in s])),
            torch.stack([self.content_features[i] for i in c]).float(),
            statistics,
        )


def out_of_range(image: Tensor) -> Tensor:
    """Mean squared excess beyond 0..1: keeps the decoder where clamping hides nothing."""
    return (image - image.clamp(0, 1)).square().mean()


def distil_losses(pair: Pair, vgg: Encoder, image: Tensor, settings: Settings) -> dict[str, Tensor]:
    """Linear embedding of every level, reconstruction in pixels and in VGG-19's features."""
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            wanted = [level.float() for level in vgg.features(image)]
        seen = pair.encoder.features(image)
        lifted = [embed(level) for embed, level in zip(pair.embeddings, seen, strict=True)]
        rebuilt = pair.decoder(seen[-1]).float()
        perceived = vgg.features(rebuilt)
    embedding = sum(F.mse_loss(a.float(), b) for a, b in zip(lifted, wanted, strict=True))
    perceptual = sum(F.mse_loss(a.float(), b) for a, b in zip(perceived, wanted, strict=True))
    pixel = F.mse_loss(rebuilt, image)
    total = settings.embedding_weight * embedding + settings.perceptual_weight * perceptual + 10 * pixel
    return {"loss": torch.as_tensor(total), "embedding": torch.as_tensor(embedding),
            "perceptual": torch.as_tensor(perceptual), "pixel": pixel}  # fmt: skip


def style_losses(
    pair: Pair,
    vgg: Encoder,
    content: Tensor,
    style: Tensor,
    content_features: Tensor,
    statistics: list[tuple[Tensor, Tensor]],
    settings: Settings,
) -> dict[str, Tensor]:
    """AdaIN's content and style loss of the stylised picture as it will be seen, clamped to 0..1."""
    with torch.autocast("cpu", torch.bfloat16):
        image = pair(content, style).float()
        levels = vgg.features(image.clamp(0, 1))
    target = renormalize(content_features, *statistics[-1])
    content_loss = F.mse_loss(levels[-1].float(), target)
    style_loss = torch.zeros(())
    for level, wanted in zip(levels, statistics, strict=True):
        for seen, aim in zip(MeanStd.apply(level), wanted, strict=True):
            style_loss = style_loss + F.mse_loss(seen, aim)
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


def train(settings: Settings, data: Path, out: Path, every: int = 500) -> None:
    """Run the recipe, or go on from ``out/last.safetensors``; ends with the averaged weights in ``out/final.safetensors``.

    Args:
        data: folder with ``content-train/``, ``style-train/`` and ``weights/vgg19_relu5_1_f16.safetensors``.
        out: folder for checkpoints and ``log.csv``.
        every: steps between checkpoints.
    """
    torch.manual_seed(settings.seed)
    vgg = load_normalised_vgg19(data / "weights" / "vgg19_relu5_1_f16.safetensors").to(memory_format=torch.channels_last)
    pair = Pair(WIDTHS[settings.widths]).to(memory_format=torch.channels_last)
    names = [name for name, p in pair.named_parameters() if p.requires_grad]
    parameters = [p for p in pair.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters)
    average = {name: p.detach().clone() for name, p in zip(names, parameters, strict=True)}
    done, spent = 0, 0.0
    last = out / "last.safetensors"
    if last.exists():
        tensors, facts = load_checkpoint(last)
        pair.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
        average = {name: tensors[f"average.{name}"] for name in names}
        restore_adam(optimizer, names, tensors)
        done, spent = facts["step"], facts["seconds"]
    out.mkdir(parents=True, exist_ok=True)
    contents = CropSource(data / "content-train", settings.size, seed=settings.seed)
    styles = CropSource(data / "style-train", settings.size, seed=settings.seed + 1)

    def save(step: int, path: Path, tensors: dict[str, Tensor]) -> None:
        facts: dict[str, Any] = {"step": step, "seconds": spent, "settings": asdict(settings), "torch": torch.__version__}
        save_checkpoint(path, tensors, facts)

    def snapshot() -> dict[str, Tensor]:
        return (
            {f"model.{k}": v for k, v in pair.state_dict().items()}
            | {f"average.{k}": v for k, v in average.items()}
            | flatten_adam(optimizer, names)
        )

    pool: FeaturePool | None = None
    log_path = out / "log.csv"
    with log_path.open("a", newline="") as log_file:
        log = csv.writer(log_file)
        for step, phase, within in schedule(settings):
            if step < done:
                continue
            started = time.perf_counter()
            if phase.size != contents.size:
                contents.size = styles.size = phase.size
                pool = None
            generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
            if phase.name == "distil":
                image = to_float(contents.batch(range(step * phase.batch, (step + 1) * phase.batch)))
                losses = distil_losses(pair, vgg, image, settings)
            else:
                if pool is None:
                    capacity = settings.pool * settings.size**2 // phase.size**2
                    pool = FeaturePool(vgg, contents, styles, capacity, first=step * settings.batch)
                else:
                    pool.renew(settings.renewed_per_step, len(pool.content_pixels))
                losses = style_losses(pair, vgg, *pool.draw(phase.batch, generator), settings)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(settings, phase, within)
            optimizer.zero_grad(set_to_none=True)
            losses["loss"].backward()
            nn.utils.clip_grad_norm_(parameters, 20.0)
            optimizer.step()
            with torch.no_grad():
                for name, p in zip(names, parameters, strict=True):
                    average[name].lerp_(p, 1 - min(settings.average, (step + 1) / (step + 10)))
            spent += time.perf_counter() - started
            if step % 20 == 0:
                values = {key: round(value.item(), 5) for key, value in losses.items()}
                log.writerow([step, phase.name, round(spent, 1), json.dumps(values)])
                log_file.flush()
            if (step + 1) % every == 0:
                save(step + 1, last, snapshot())
    state = {k: v for k, v in pair.state_dict().items() if not k.startswith("embeddings.")}
    total = sum(phase.steps for phase in settings.phases)
    save(total, out / "final.safetensors", state | {k: v for k, v in average.items() if k in state})


def main() -> None:
    """``python -m fastnst.train.adain --data FOLDER --out FOLDER [--set name=value ...]``."""
    parser = argparse.ArgumentParser(prog="fastnst train adain", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with content-train/, style-train/ and weights/")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints, log and the final weights")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    for name, value in asdict(Settings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    arguments = vars(parser.parse_args())
    data, out, threads = (arguments.pop(name) for name in ("data", "out", "threads"))
    torch.set_num_threads(threads)
    train(Settings(**arguments), data, out)


if __name__ == "__main__":
    main()
