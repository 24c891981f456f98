"""Train a decoder to undo an encoder: step 1 of Collaborative Distillation (Wang et al., CVPR 2020, eq. 1).

The loss is the error of the reconstructed pixels plus that of their VGG-19 features. The encoder is frozen: the normalised
VGG-19 up to a stage, or a small one from ``collab``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastnst import ops
from fastnst.networks.state import decoder_widths, encoder_widths, fill, part_of
from fastnst.networks.vgg import ALL_LAYERS, Decoder, Encoder
from fastnst.networks.weights import read_any

from .command import start
from .data import CropSource, to_float
from .limits import AT_LEAST_0, AT_LEAST_1, CROP, STAGE, check_crop, setting
from .loop import train
from .process_group import ProcessGroup
from .scoring import ScoredSettings, scoring_vgg
from .settings import Phase, RunOptions


@dataclass(frozen=True)
class DecoderSettings(ScoredSettings):
    """The settings that determine the result."""

    stage: int = setting(4, "1 to 5: the encoder ends with relu{stage}_1", STAGE)
    steps: int = setting(4000, "how long the decoder is trained", AT_LEAST_0, may_change=True)
    batch: int = setting(8, "crops of each step", AT_LEAST_1)
    size: int = setting(128, "side of the crops in pixels", CROP)
    pixel_weight: float = setting(1.0, "of the squared error of pixels", AT_LEAST_0)
    perceptual_weight: float = setting(1.0, "of the squared error of VGG-19's features", AT_LEAST_0)
    encoder: str = setting("", "safetensors file with encoder.*; without it VGG-19")
    last_relu: bool = setting(True, "a ReLU behind the last layer, as in Collaborative Distillation")

    def __post_init__(self) -> None:
        """Check the values and their combinations.

        Raises:
            ValueError: one line.
        """
        super().__post_init__()
        check_crop(self.size, self.stage)


def load_part(path: str | Path, part: str) -> dict[str, Tensor]:
    """The tensors of a checkpoint whose names begin with ``part.``, named without that prefix.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no tensors, or none of these.
    """
    tensors = part_of(read_any(path), part)
    if not tensors:
        raise ValueError(f"{path}: no tensors {part}.*")
    return tensors


def encoder_from(path: str | Path) -> Encoder:
    """A frozen encoder of any width from a checkpoint's ``encoder.*``."""
    tensors = load_part(path, "encoder")
    encoder = Encoder(encoder_widths(tensors))
    fill(encoder, tensors, str(path))
    return encoder.eval().requires_grad_(False)


def decoder_from(path: str | Path, last_relu: bool) -> Decoder:
    """A frozen decoder of any width from a checkpoint's ``decoder.*``."""
    tensors = load_part(path, "decoder")
    decoder = Decoder(decoder_widths(tensors), last_relu)
    fill(decoder, tensors, str(path))
    return decoder.eval().requires_grad_(False)


def channels_last(network: nn.Module, processes: ProcessGroup) -> nn.Module:
    """Move ``network`` to the process's device, in the channels-last layout, which is fastest for convolutions."""
    return network.to(processes.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def reconstruction(
    vgg: Encoder, rebuilt: Tensor, image: Tensor, wanted: Sequence[Tensor], pixel_weight: float, perceptual_weight: float
) -> dict[str, Tensor]:
    """Eq. 1: the error of pixels, and of VGG-19's features beside ``wanted``; these are not computed if their weight is 0."""
    pixel = F.mse_loss(rebuilt.float(), image)
    terms = {"loss": pixel_weight * pixel, "pixel": pixel}
    if perceptual_weight:
        terms["perceptual"] = ops.perceptual_loss(vgg.features(rebuilt, len(wanted)), wanted)
        terms["loss"] = terms["loss"] + perceptual_weight * terms["perceptual"]
    return terms


class DecoderRecipe:
    """The recipe; see the module."""

    name = "decoder"

    def __init__(self, settings: DecoderSettings, options: RunOptions, processes: ProcessGroup) -> None:
        self.settings, self.processes = settings, processes
        self.vgg = scoring_vgg(settings, options, settings.stage)
        self.encoder = encoder_from(settings.encoder) if settings.encoder else self.vgg
        for network in (self.vgg, self.encoder):
            channels_last(network, processes)
        torch.manual_seed(settings.seed)
        self.decoder = Decoder(self.encoder.widths, settings.last_relu)
        initialise(self.decoder)
        self.networks: nn.Module = nn.ModuleDict({"decoder": channels_last(self.decoder, processes)})
        self.phases: Sequence[Phase] = [Phase("decoder", settings.steps, settings.batch, settings.size)]
        self.crops = CropSource(options.data / "content-train", settings.size, (0.9, 1.2), settings.seed)

    def losses(self, phase: Phase, batch_index: int) -> dict[str, Tensor]:
        settings, processes = self.settings, self.processes
        image = to_float(self.crops.batch(processes.counters(batch_index, phase.batch))).to(processes.device)
        with torch.autocast(processes.device.type, torch.bfloat16, settings.autocast):
            with torch.no_grad():
                wanted = self.vgg.features(image) if settings.perceptual_weight or not settings.encoder else []
                feature = self.encoder(image) if settings.encoder else wanted[-1]
            rebuilt = self.decoder(feature)
            return reconstruction(self.vgg, rebuilt, image, wanted, settings.pixel_weight, settings.perceptual_weight)

    def pictures(self) -> list[list[Tensor]]:
        images = to_float(self.crops.batch(range(10**9, 10**9 + 6))).to(self.processes.device)
        with torch.autocast(self.processes.device.type, torch.bfloat16, self.settings.autocast):
            rebuilt = self.decoder(self.encoder(images)).float()
        return [list(images), list(rebuilt)]

    def final(self) -> dict[str, Tensor]:
        return {f"decoder.{name}": value for name, value in self.decoder.state_dict().items()}


def initialise(network: nn.Module) -> None:
    """He's random weights for every 3x3 convolution that is trained, and zero biases.

    A decoder with a ReLU after its last layer starts near mid grey: an output below 0 would have no gradient and stay black.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3) and module.weight.requires_grad:
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    for decoder in network.modules():
        if isinstance(decoder, Decoder) and decoder.last_relu:
            last = getattr(decoder, ALL_LAYERS[0])
            nn.init.normal_(last.weight, std=1e-3)
            nn.init.constant_(last.bias, 0.5)


def run(settings: DecoderSettings, options: RunOptions, processes: ProcessGroup) -> None:
    """Train, or resume an earlier run."""
    train(DecoderRecipe(settings, options, processes), settings, options, processes)


def main(argv: Sequence[str] | None = None) -> None:
    """``fastnst train decoder``; see ``--help``."""
    start("decoder", __doc__, DecoderSettings(), run, argv)


if __name__ == "__main__":
    main()
