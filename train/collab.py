"""Collaborative Distillation: a small encoder whose embedded features a big decoder can decode, then its own small decoder.

Wang et al., CVPR 2020, step 2. The encoder's loss (eq. 6) has three terms: the linear embedding of every level in VGG-19's
features, the error of the pixels that the frozen big decoder reconstructs from the embedded last level, and that of their
VGG-19 features. The small decoder then learns to invert the frozen small encoder (eq. 1); it reads the features without
embedding.

Not published: a stage may begin with the one before it (``--start``), and encoder and decoder may learn jointly in the second
phase (``--joint``), which a deep stage needs to keep what its decoder rebuilds.

The variants that the paper compares are settings: one loss alone (the weights of the other 0), a pruned encoder that is not
distilled (``--encoder-steps 0``), and a decoder that is distilled too (``--decoder-embedding-weight``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fastnst import ops
from fastnst.networks.vgg import Decoder

from .command import start
from .data import CropSource, to_float
from .decoder import channels_last, encoder_from, load_part, reconstruction
from .limits import AT_LEAST_0, AT_LEAST_1, CROP, STAGE, Words, check_crop, setting
from .loop import train
from .process_group import ProcessGroup
from .scoring import ScoredSettings, scoring_vgg
from .settings import Phase, RunOptions
from .student import Student, deepened, new_student, start_pruned, student_from, teacher_from

INITIAL = ("pruned", "random")
NORMALISED_ON = 32
"""The number of crops whose mean activations normalise a pruned encoder."""


@dataclass(frozen=True)
class CollabSettings(ScoredSettings):
    """The settings that determine the result."""

    stage: int = setting(4, "1 to 5: the encoder ends with relu{stage}_1", STAGE)
    teacher: str = setting("", "file with this stage's big decoder: of recipe decoder, or WCT's own")
    start: str = setting("", "encoder.* (decoder.*, heads.*) to go on from, of any widths, or of the stage before (2 to 4)")
    initial: str = setting(
        "pruned", "without a start: pruned (VGG-19's filters of largest L1 norm, as published) or random", Words(INITIAL)
    )
    encoder_steps: int = setting(3000, "0: the encoder stays as it starts", AT_LEAST_0, may_change=True)
    decoder_steps: int = setting(3000, "how long the small decoder is trained", AT_LEAST_0, may_change=True)
    batch: int = setting(8, "crops of each step", AT_LEAST_1)
    size: int = setting(128, "side of the crops in pixels", CROP)
    embedding_weight: float = setting(10.0, "of the encoder's linear embeddings; 0: collaboration loss alone", AT_LEAST_0)
    pixel_weight: float = setting(1.0, "of the big decoder's picture; this and the next both 0: embedding alone", AT_LEAST_0)
    perceptual_weight: float = setting(1.0, "of VGG-19's features of that picture", AT_LEAST_0)
    relu_heads: bool = setting(False, "a ReLU behind the embeddings")
    decoder_pixel_weight: float = setting(1.0, "of the small decoder's picture", AT_LEAST_0)
    decoder_perceptual_weight: float = setting(
        0.01, "of its VGG-19 features: the authors' command line; the paper says 1", AT_LEAST_0
    )
    decoder_embedding_weight: float = setting(
        0.0, "of the small decoder's blocks, lifted, in the big one's; the authors found it harmful", AT_LEAST_0
    )
    joint: bool = setting(False, "the encoder learns on with the decoder, its embeddings too; not published")
    decoder_style_weight: float = setting(
        0.0, "of the Gram matrices of what the decoder makes of stylized features; not published", AT_LEAST_0
    )

    def __post_init__(self) -> None:
        """Check the values and their combinations.

        Raises:
            ValueError: one line.
        """
        super().__post_init__()
        check_crop(self.size, self.stage)
        if self.encoder_steps and not (self.embedding_weight or self.collaborates):
            raise ValueError("embedding_weight, pixel_weight and perceptual_weight: all 0, nothing teaches the encoder")
        if self.decoder_embedding_weight and self.stage == 1:
            raise ValueError("decoder_embedding_weight: the decoder of stage 1 is one layer, it has no blocks to embed")

    def lacking(self) -> dict[str, str]:
        if not self.needs_teacher or self.teacher:
            return {}
        return {"teacher": f"the losses need the big decoder of stage {self.stage}, of recipe decoder or WCT's own"}

    @property
    def collaborates(self) -> bool:
        """Whether the encoder learns from the pictures that the big decoder makes of its features."""
        return self.encoder_steps > 0 and (self.pixel_weight > 0 or self.perceptual_weight > 0)

    @property
    def decoder_asks_vgg(self) -> bool:
        """Whether the small decoder's losses need VGG-19's features; with pixels alone, training is several times as fast."""
        embeds = self.joint and self.embedding_weight > 0
        return embeds or self.decoder_perceptual_weight > 0 or self.decoder_embedding_weight > 0

    @property
    def needs_teacher(self) -> bool:
        """Whether any loss needs the big decoder."""
        return self.collaborates or self.decoder_embedding_weight > 0


class CollabRecipe:
    """The recipe; see the module."""

    name = "collab"

    def __init__(self, settings: CollabSettings, options: RunOptions, processes: ProcessGroup) -> None:
        self.settings, self.processes = settings, processes
        settings.require()
        self.vgg = scoring_vgg(settings, options, settings.stage)
        self.teacher: Decoder | None = teacher_from(settings.teacher, settings.stage) if settings.needs_teacher else None
        self.crops = CropSource(options.data / "content-train", settings.size, (0.9, 1.2), settings.seed)
        if settings.decoder_style_weight:
            self.styles = CropSource(options.data / "style-train", settings.size, (0.9, 1.2), settings.seed + 1)
        torch.manual_seed(settings.seed)
        self.student = self.started()
        for network in (self.vgg, self.teacher, self.student):
            if network is not None:
                channels_last(network, processes)
        self.networks: nn.Module = self.student
        self.phases: Sequence[Phase] = [
            Phase("encoder", settings.encoder_steps, settings.batch, settings.size),
            Phase("decoder", settings.decoder_steps, settings.batch, settings.size),
        ]

    def started(self) -> Student:
        """The networks before training."""
        settings = self.settings
        extras = settings.relu_heads, settings.decoder_embedding_weight > 0
        if settings.start and encoder_from(settings.start).stage == settings.stage - 1:
            load_part(settings.start, "heads")  # which are not random, for the new layers read them
            return deepened(student_from(settings.start, settings.stage - 1, *extras), self.vgg)
        if settings.start:
            return student_from(settings.start, settings.stage, *extras)
        student = new_student(settings.stage, *extras)
        if settings.initial == "pruned":
            crops = to_float(self.crops.batch(range(NORMALISED_ON)))
            start_pruned(student, self.vgg, torch.split(crops, settings.batch))
        return student

    def losses(self, phase: Phase, batch_index: int) -> dict[str, Tensor]:
        processes, settings = self.processes, self.settings
        counters = processes.counters(batch_index, phase.batch)
        image = to_float(self.crops.batch(counters)).to(processes.device)
        with torch.autocast(processes.device.type, torch.bfloat16, settings.autocast):
            wanted = self.levels(image) if phase.name == "encoder" or settings.decoder_asks_vgg else []
            if phase.name == "encoder":
                return self.encoder_losses(image, wanted)
            terms = self.decoder_losses(image, wanted)
            if settings.decoder_style_weight:
                terms["style"] = self.style_loss(image, to_float(self.styles.batch(counters)).to(processes.device))
                terms["loss"] = terms["loss"] + settings.decoder_style_weight * terms["style"]
            return terms

    @torch.no_grad()
    def levels(self, image: Tensor) -> list[Tensor]:
        """VGG-19's features of ``image``."""
        return self.vgg.features(image)

    def encoder_losses(self, image: Tensor, wanted: list[Tensor]) -> dict[str, Tensor]:
        """The terms of eq. 6."""
        settings, student = self.settings, self.student
        features = student.encoder.features(image)
        terms: dict[str, Tensor] = {}
        total = image.new_zeros(())
        if settings.embedding_weight:
            terms["embedding"] = self.embedding(features, wanted)
            total = total + settings.embedding_weight * terms["embedding"]
        if settings.collaborates:
            assert self.teacher is not None
            rebuilt = self.teacher(student.last_lifted(features[-1]))
            terms |= reconstruction(self.vgg, rebuilt, image, wanted, settings.pixel_weight, settings.perceptual_weight)
            total = total + terms["loss"]
        return terms | {"loss": total}

    def embedding(self, features: list[Tensor], wanted: list[Tensor]) -> Tensor:
        """The sum over levels of the mean squared error of the embedded features."""
        if self.settings.relu_heads:
            return ops.perceptual_loss(self.student.lifted(features), wanted)
        return linear_embeddings(features, wanted, self.student.heads)

    def decoder_losses(self, image: Tensor, wanted: list[Tensor]) -> dict[str, Tensor]:
        """The terms of eq. 1 for the small pair, and those of its decoder's blocks beside the big decoder's."""
        settings, student = self.settings, self.student
        with torch.set_grad_enabled(settings.joint and torch.is_grad_enabled()):
            features = student.encoder.features(image)
        (*blocks, rebuilt) = student.decoder.features(features[-1])
        weights = settings.decoder_pixel_weight, settings.decoder_perceptual_weight
        terms = reconstruction(self.vgg, rebuilt, image, wanted, *weights)
        if settings.decoder_embedding_weight:
            assert self.teacher is not None
            with torch.no_grad():
                (*aims, _) = (block.float() for block in self.teacher.features(wanted[-1]))
            terms["decoder_embedding"] = linear_embeddings(blocks, aims, student.decoder_heads)
            terms["loss"] = terms["loss"] + settings.decoder_embedding_weight * terms["decoder_embedding"]
        if settings.joint and settings.embedding_weight:
            terms["embedding"] = self.embedding(features, wanted)
            terms["loss"] = terms["loss"] + settings.embedding_weight * terms["embedding"]
        return terms

    def style_loss(self, image: Tensor, style: Tensor) -> Tensor:
        """The style loss of decoded features after whitening and colouring, such as the decoder gets in a cascade of stages.

        It is the squared error of Gram matrices relative to those of the painting: mean over pictures, sum over VGG-19's
            levels.
        """
        with torch.no_grad():
            feature = ops.wct(self.student.encoder(image).float(), self.student.encoder(style).float())
            aims = [ops.gram_matrix(level) for level in self.levels(style)]
        made = [ops.gram_matrix(level.float()) for level in self.vgg.features(self.student.decoder(feature))]
        errors = [
            ((own - aim).square().sum((1, 2)) / aim.square().sum((1, 2))).mean() for own, aim in zip(made, aims, strict=True)
        ]
        return torch.stack(errors).sum()

    def pictures(self) -> list[list[Tensor]]:
        images = to_float(self.crops.batch(range(10**9, 10**9 + 6))).to(self.processes.device)
        with torch.autocast(self.processes.device.type, torch.bfloat16, self.settings.autocast):
            feature = self.student.encoder(images)
            rows = [images, self.student.decoder(feature).float()]
            if self.settings.collaborates and self.teacher is not None:
                rows.append(self.teacher(self.student.last_lifted(feature)).float())
        return [list(row) for row in rows]

    def final(self) -> dict[str, Tensor]:
        return {name: x for name, x in self.student.state_dict().items() if not name.startswith("decoder_heads.")}


def linear_embeddings(maps: Sequence[Tensor], aims: Sequence[Tensor], heads: nn.ModuleDict) -> Tensor:
    """The mean squared errors between ``aims`` and the maps embedded by ``heads`` (1x1 convolutions), summed over the maps."""
    losses = [
        ops.linear_embedding_loss(own, aim, *head.parameters())
        for own, aim, head in zip(maps, aims, heads.values(), strict=True)
    ]
    return torch.stack(losses).sum()


def run(settings: CollabSettings, options: RunOptions, processes: ProcessGroup) -> None:
    """Train, or resume an earlier run."""
    train(CollabRecipe(settings, options, processes), settings, options, processes)


def main(argv: Sequence[str] | None = None) -> None:
    """``fastnst train collab``; see ``--help``."""
    start("collab", __doc__, CollabSettings(), run, argv)


if __name__ == "__main__":
    main()
