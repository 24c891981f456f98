"""Train an AdaIN pair, scored by VGG-19: the objective of Huang and Belongie, ICCV 2017, eq. 11-13.

Three phases, one after the other, on random crops:

``distil``  the encoder learns VGG-19's features through linear embeddings, and the decoder learns to reconstruct
            (Wang et al., CVPR 2020, eq. 6), so that stylisation starts from a pair that keeps the photograph;
``style``   both learn content and style loss on small crops;
``finish``  the same on larger crops, while the learning rate falls to zero.

With ``--widths original`` the encoder is VGG-19 itself, frozen, and only the decoder learns, as published. With ``--encoder
mobilenet`` the encoder consists of inverted residuals and has three levels to embed; ``fastnst convert`` cannot convert such a
pair. A ``--start`` that is narrower than ``--widths`` is widened (:mod:`.widen`).

The targets of photographs and paintings need no gradient. They are computed once per crop and kept in a pool that is renewed
slowly; every step draws new pairs from it. This halves the cost of a step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastnst import ops
from fastnst.convert.pair import read_tensors
from fastnst.networks.adain import LAYERS, WIDTHS
from fastnst.networks.mobile import MobileEncoder, mobile_widths
from fastnst.networks.state import decoder_widths, encoder_widths, fill
from fastnst.networks.vgg import TAPS, VGG19, Decoder, Encoder
from fastnst.networks.wct import load_published_decoder

from .command import start
from .data import to_float
from .decoder import channels_last, initialise, load_part
from .limits import ABOVE_0, AT_LEAST_0, AT_LEAST_1, CROP, SHARE, Words, setting
from .loop import train
from .pool import Statistics
from .process_group import ProcessGroup
from .settings import Phase, RunOptions
from .stability import Motion, flicker, next_frame
from .transfer import TransferRecipe, TransferSettings, out_of_range, with_loss
from .widen import widen

WIDEN_CROPS = 32
"""The number of crops of photographs on which the mean activations of new channels are measured."""
WCT_DECODERS_FILE = "wct_decoders_relu1_3_f16.safetensors"
ENCODERS = ("vgg", "mobilenet")


@dataclass(frozen=True)
class AdainSettings(TransferSettings):
    """The settings that determine the result."""

    widths: str = setting("16x", " or ".join(WIDTHS) + ", or start: those of that file", Words((*WIDTHS, "start")))
    encoder: str = setting("vgg", " or ".join(ENCODERS) + ": its shape; the decoder is VGG's mirror", Words(ENCODERS))
    start: str = setting("", "safetensors file with decoder.*, and encoder.* unless original, to start from")
    wct_decoder: bool = setting(False, "start the last layers of an original decoder from WCT's of stage 3")
    distil_steps: int = setting(900, "steps of the first phase", AT_LEAST_0, may_change=True)
    style_steps: int = setting(2700, "steps of the second phase, on small crops", AT_LEAST_0, may_change=True)
    finish_steps: int = setting(6000, "steps of the last phase, on large crops", AT_LEAST_0, may_change=True)
    batch: int = setting(8, "crops of each step, in the last phase finish_batch", AT_LEAST_1)
    size: int = setting(128, "side of the crops in pixels, in the last phase finish_size", CROP)
    finish_batch: int = setting(4, "crops of each step of the last phase", AT_LEAST_1)
    finish_size: int = setting(256, "side of the last phase's crops in pixels", CROP)
    embedding_weight: float = setting(10.0, "of the linear embeddings in the first phase", AT_LEAST_0)
    perceptual_weight: float = setting(1.0, "of VGG-19's features of rebuilt photographs in the first phase", AT_LEAST_0)
    pixel_weight: float = setting(10.0, "of their pixels", AT_LEAST_0)
    palette: float = setting(1.0, "strength of the palette step that follows the decoder", SHARE)
    color_weight: float = setting(10.0, "of the decoder's own colours, before the palette step, from the style's", AT_LEAST_0)
    stability_weight: float = setting(300.0, "of what changes between two frames of a video", AT_LEAST_0)
    zoom_low: float = setting(0.95, "least magnification of the crops", ABOVE_0)
    zoom_high: float = setting(1.15, "largest magnification of the crops", ABOVE_0)

    def __post_init__(self) -> None:
        """Check the values and their combinations.

        Raises:
            ValueError: one line.
        """
        super().__post_init__()
        if self.wct_decoder and self.widths != "original":
            raise ValueError("wct_decoder: it has the original widths")
        if self.size % 8 or self.finish_size % 8:
            raise ValueError("size and finish_size: expected multiples of 8")
        if self.zoom_low > self.zoom_high:
            raise ValueError(f"zoom_low: expected at most zoom_high, {self.zoom_high:g}, got {self.zoom_low:g}")

    def ancestry(self) -> dict[str, Any]:
        learnt = {"distilled_from": "VGG-19 to relu4_1"}
        return learnt | ({"started_from": read_tensors(Path(self.start))[1]} if self.start else {})

    def lacking(self) -> dict[str, str]:
        return {"start": "the file that --widths start takes them from"} if self.widths == "start" and not self.start else {}


class Pair(nn.Module):
    """Encoder and decoder, and the linear embeddings that only the first phase uses."""

    def __init__(self, encoder: Encoder | MobileEncoder, widths: Sequence[int]) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = Decoder(widths)
        wanted = dict(zip(LAYERS, VGG19, strict=False))
        self.embeddings = nn.ModuleList(
            nn.Conv2d(own, wanted[TAPS[stage - 1]], 1) for stage, own in encoder.level_widths.items()
        )
        initialise(self)

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        feature = ops.adaptive_instance_normalization(self.encoder(content), self.encoder(style))
        image: Tensor = self.decoder(feature)
        return image


Transform: TypeAlias = Callable[[Tensor], Tensor]
"""Applies AdaIN with given paintings to features of photographs."""


def part_widths(path: str) -> tuple[int, ...]:
    """The widths of the encoder in a file."""
    try:
        return encoder_widths(load_part(path, "encoder"))
    except ValueError as error:
        raise ValueError(f"{path}: not an encoder of VGG's shape: {error}") from None


def new_pair(settings: AdainSettings) -> Pair:
    """A pair with random weights. Where the settings ask for it, its widths are those of ``settings.start``, separately for
    encoder and decoder, because removing dead channels can make them differ. An encoder of another kind is as wide as the
    decoder.

    Raises:
        ValueError: the file has a decoder of another depth, or lacks a part that is needed.
    """
    chosen, of_vgg = settings.widths, settings.encoder == "vgg"
    widths = decoder_widths(load_part(settings.start, "decoder")) if chosen == "start" else WIDTHS[chosen]
    if len(widths) != len(LAYERS):
        raise ValueError(f"{settings.start}: a decoder of {len(widths)} layers, expected {len(LAYERS)}")
    if not of_vgg:
        return Pair(MobileEncoder(mobile_widths(widths)), widths)
    own = widths
    if chosen == "start":
        own = part_widths(settings.start)
        if own[-1] != widths[-1]:
            raise ValueError(f"{settings.start}: its encoder gives {own[-1]} channels, its decoder takes {widths[-1]}")
    return Pair(Encoder(own), widths)


class AdainRecipe(TransferRecipe):
    """The recipe; see the module."""

    name = "adain"
    settings: AdainSettings

    def __init__(self, settings: AdainSettings, options: RunOptions, processes: ProcessGroup) -> None:
        super().__init__(settings, options, processes, settings.size, (settings.zoom_low, settings.zoom_high))
        torch.manual_seed(settings.seed)
        self.pair = new_pair(settings)
        if (settings.widths, settings.encoder) == ("original", "vgg"):
            self.pair.encoder = self.vgg
            self.pair.embeddings = nn.ModuleList()
        if settings.wct_decoder:
            published = load_published_decoder(options.data / "weights" / WCT_DECODERS_FILE, stage=3)
            self.pair.decoder.load_state_dict(published.state_dict(), strict=False)
        if settings.start:
            self.begin(settings.start)
        channels_last(self.pair, processes)
        small = self.pair.encoder is not self.vgg
        self.networks: nn.Module = self.pair if small else nn.ModuleDict({"decoder": self.pair.decoder})
        self.phases: Sequence[Phase] = [
            Phase("distil", settings.distil_steps, settings.batch, settings.size, falls=False),
            Phase("style", settings.style_steps, settings.batch, settings.size, falls=False),
            Phase("finish", settings.finish_steps, settings.finish_batch, settings.finish_size),
        ]

    def begin(self, path: str) -> None:
        """Begin with the weights of a file, widened if its encoder is narrower; ``ValueError`` if they do not fit."""
        parts = ("decoder",) if self.pair.encoder is self.vgg else ("encoder", "decoder")
        states = {part: load_part(path, part) for part in parts}
        encoder, decoder = self.pair.encoder, self.pair.decoder
        if "encoder" in states and isinstance(encoder, Encoder) and encoder_widths(states["encoder"]) != encoder.widths:
            images = [to_float(self.contents.batch(range(WIDEN_CROPS)))]
            given = {f"{part}.{name}": value for part, state in states.items() for name, value in state.items()}
            widen(encoder, decoder, given, self.vgg, images, path)
        else:
            for part, state in states.items():
                fill(getattr(self.pair, part), state, path)

    def losses(self, phase: Phase, batch_index: int) -> dict[str, Tensor]:
        device, settings = self.processes.device, self.settings
        if phase.name == "distil":
            image = to_float(self.contents.batch(self.processes.counters(batch_index, phase.batch))).to(device)
            with torch.autocast(device.type, torch.bfloat16, settings.autocast):
                return self.distil_losses(image)
        drawn, generator = self.drawn(phase, batch_index)
        with torch.autocast(device.type, torch.bfloat16, settings.autocast):
            return self.style_losses(*drawn, generator)

    def distil_losses(self, image: Tensor) -> dict[str, Tensor]:
        """Linear embedding of every level, reconstruction in pixels and in VGG-19's features."""
        settings, pair = self.settings, self.pair
        zero, on_vgg = image.new_zeros(()), pair.encoder is self.vgg
        embeds = len(pair.embeddings) > 0 and settings.embedding_weight > 0
        asked = on_vgg or embeds or settings.perceptual_weight > 0  # VGG-19 takes most of the time of a step
        with torch.no_grad():
            wanted = self.vgg.features(image) if asked else []
        terms: dict[str, Tensor] = {"embedding": zero, "perceptual": zero}
        seen = wanted if on_vgg else pair.encoder.features(image)
        if embeds:
            aims = [wanted[stage - 1] for stage in pair.encoder.level_widths]
            losses = [
                ops.linear_embedding_loss(level, aim, *embed.parameters())
                for embed, level, aim in zip(pair.embeddings, seen, aims, strict=True)
            ]
            terms["embedding"] = torch.stack(losses).sum()
        rebuilt = pair.decoder(seen[-1]).float()
        if settings.perceptual_weight:
            terms["perceptual"] = ops.perceptual_loss(self.vgg.features(rebuilt), wanted)
        terms["pixel"] = F.mse_loss(rebuilt, image)
        weights = settings.embedding_weight, settings.perceptual_weight, settings.pixel_weight
        return with_loss(terms, weights)

    def style_losses(
        self, content: Tensor, style: Tensor, content_features: Tensor, statistics: Statistics, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """AdaIN's content and style loss of the stylised picture as users see it: after the palette step, clamped to 0..1."""
        settings, on_vgg = self.settings, self.pair.encoder is self.vgg
        transform = self.transform(style, statistics)
        features = content_features if on_vgg else self.pair.encoder(content)
        image = self.pair.decoder(transform(features)).float()
        seen = self.with_palette(image, style)
        terms = {
            **self.transfer_losses(seen, content_features, statistics),
            "excess": out_of_range(image),
            "color": ops.style_statistics_loss(image, style) if settings.color_weight else image.new_zeros(()),
            "flicker": image.new_zeros(()),
        }
        if settings.stability_weight:
            terms["flicker"] = self.flicker(content, style, transform, seen, generator)
        weights = (
            settings.content_weight,
            settings.style_weight,
            settings.range_weight,
            settings.color_weight,
            settings.stability_weight,
        )
        return with_loss(terms, weights)

    def with_palette(self, image: Tensor, style: Tensor) -> Tensor:
        """A decoded ``image`` as users see it: clamped to 0..1, after the palette step, and clamped again."""
        image = image.clamp(0, 1)
        return ops.color_transfer(image, style, self.settings.palette).clamp(0, 1) if self.settings.palette else image

    def transform(self, style: Tensor, statistics: Statistics) -> Transform:
        """AdaIN with ``style``, encoded once for several contents; with VGG-19 as encoder, ``statistics`` are used instead."""
        if self.pair.encoder is self.vgg:
            return lambda feature: ops.renormalize(feature, *statistics[-1])
        encoded = self.pair.encoder(style)
        return lambda feature: ops.adaptive_instance_normalization(feature, encoded)

    def flicker(self, content: Tensor, style: Tensor, transform: Transform, seen: Tensor, generator: torch.Generator) -> Tensor:
        """The flicker between the results of ``content`` and of a next frame of it; ``seen`` is the result of ``content``."""
        motion = Motion(len(content), (content.shape[2], content.shape[3]), generator, content.device)
        feature = self.pair.encoder(next_frame(content, motion, generator))
        after = self.with_palette(self.pair.decoder(transform(feature)).float(), style)
        return flicker(seen, after, motion)

    def stylized(self, content: Tensor, style: Tensor) -> Tensor:
        return self.with_palette(self.pair(content, style).float(), style)

    def final(self) -> dict[str, Tensor]:
        return {name: value for name, value in self.networks.state_dict().items() if not name.startswith("embeddings.")}


def run(settings: AdainSettings, options: RunOptions, processes: ProcessGroup) -> None:
    """Train, or resume an earlier run."""
    recipe = AdainRecipe(settings, options, processes)
    train(recipe, settings, options, processes, recipe.validate)


def main(argv: Sequence[str] | None = None) -> None:
    """``fastnst train adain``; see ``--help``."""
    start("adain", __doc__, AdainSettings(), run, argv)


if __name__ == "__main__":
    main()
