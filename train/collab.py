"""Collaborative Distillation: a small encoder whose features, lifted, a big decoder understands; then its own small decoder.

Wang et al., CVPR 2020, step 2. The encoder's loss (eq. 6) has three terms: the linear embedding of every level in VGG-19's
features; the pixels that the frozen big decoder rebuilds from the lifted last level; and VGG-19's features of those. The small
decoder then learns to undo the frozen small encoder (eq. 1), which sees the raw features, not the lifted ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from fastnst import ops
from fastnst.networks.vgg import load_normalised_vgg19
from fastnst.networks.wct import Stage, widths_of

from .data import CropSource, to_float
from .decoder import VGG_FILE, channels_last, decoder_from, initialise, reconstruction
from .loop import train
from .settings import Phase, Place, Settings, parse
from .world import World, joined


@dataclass(frozen=True)
class CollabSettings(Settings):
    """What decides the result."""

    stage: int = field(default=4, metadata={"help": "1 to 5"})
    teacher: str = field(default="", metadata={"help": "file with this stage's big decoder.* (recipe decoder)"})
    encoder_steps: int = 3000
    decoder_steps: int = 3000
    batch: int = 8
    size: int = 128
    embedding_weight: float = field(default=10.0, metadata={"help": "0: collaboration loss alone"})
    pixel_weight: float = field(default=1.0, metadata={"help": "of the big decoder's picture; both 0: embedding alone"})
    perceptual_weight: float = 1.0
    decoder_perceptual_weight: float = field(default=0.01, metadata={"help": "the authors' command line; the paper says 1"})


class CollabRecipe:
    """See the module."""

    name = "collab"

    def __init__(self, settings: CollabSettings, place: Place, world: World) -> None:
        self.settings, self.world = settings, world
        self.vgg = load_normalised_vgg19(place.data / "weights" / VGG_FILE, stage=settings.stage)
        channels_last(self.vgg, world)
        self.collaborates = settings.pixel_weight > 0 or settings.perceptual_weight > 0
        if self.collaborates:
            if not settings.teacher:
                raise ValueError("teacher: the collaboration loss needs the big decoder of this stage (recipe decoder)")
            self.teacher = decoder_from(settings.teacher, last_relu=True)
            channels_last(self.teacher, world)
        torch.manual_seed(settings.seed)
        self.stage = Stage(widths_of(settings.stage, small=True), heads=True)
        initialise(self.stage)
        self.networks: nn.Module = channels_last(self.stage, world)
        self.phases: Sequence[Phase] = [
            Phase("encoder", settings.encoder_steps, settings.batch, settings.size),
            Phase("decoder", settings.decoder_steps, settings.batch, settings.size),
        ]
        self.crops = CropSource(place.data / "content-train", settings.size, (0.9, 1.2), settings.seed)

    def losses(self, phase: Phase, batch_index: int) -> dict[str, Tensor]:
        world = self.world
        image = to_float(self.crops.batch(world.counters(batch_index, phase.batch))).to(world.device)
        with torch.autocast(world.device.type, torch.bfloat16, self.settings.autocast):
            with torch.no_grad():
                wanted = [level.float() for level in self.vgg.features(image)]
            return (self.encoder_losses if phase.name == "encoder" else self.decoder_losses)(image, wanted)

    def encoder_losses(self, image: Tensor, wanted: list[Tensor]) -> dict[str, Tensor]:
        """Eq. 6."""
        settings, stage = self.settings, self.stage
        features = stage.encoder.features(image)
        terms: dict[str, Tensor] = {}
        total = image.new_zeros(())
        if settings.embedding_weight:
            embeddings = [
                ops.linear_embedding_loss(level.float(), aim, *head.parameters())
                for level, aim, head in zip(features, wanted, stage.heads.values(), strict=True)
            ]
            terms["embedding"] = torch.stack(embeddings).sum()
            total = total + settings.embedding_weight * terms["embedding"]
        if self.collaborates:
            lifted = list(stage.heads.values())[-1](features[-1])
            rebuilt = self.teacher(lifted)  # lifted features may be negative: no activation follows an embedding
            terms |= reconstruction(self.vgg, rebuilt, image, wanted, settings.pixel_weight, settings.perceptual_weight)
            total = total + terms["loss"]
        return terms | {"loss": total}

    def decoder_losses(self, image: Tensor, wanted: list[Tensor]) -> dict[str, Tensor]:
        """Eq. 1 for the small pair."""
        with torch.no_grad():
            feature = self.stage.encoder(image)
        return reconstruction(
            self.vgg, self.stage.decoder(feature), image, wanted, 1.0, self.settings.decoder_perceptual_weight
        )

    def pictures(self) -> list[list[Tensor]]:
        images = to_float(self.crops.batch(range(10**9, 10**9 + 6))).to(self.world.device)
        with torch.autocast(self.world.device.type, torch.bfloat16, self.settings.autocast):
            feature = self.stage.encoder(images)
            rows = [images, self.stage.decoder(feature).float()]
            if self.collaborates:
                rows.append(self.teacher(list(self.stage.heads.values())[-1](feature)).float())
        return [list(row) for row in rows]

    def final(self) -> dict[str, Tensor]:
        return dict(self.stage.state_dict())


def main(argv: Sequence[str] | None = None) -> None:
    """``fastnst train collab``; see ``--help``."""
    settings, place = parse("collab", (__doc__ or "").splitlines()[0], CollabSettings(), argv)
    if place.threads:
        torch.set_num_threads(place.threads)
    with joined(place.device) as world:
        train(CollabRecipe(settings, place, world), settings, place, world)


if __name__ == "__main__":
    main()
