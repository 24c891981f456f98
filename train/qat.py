"""Quantisation-aware training: train an 8-bit AdaIN pair in the engine's arithmetic to match its float network.

The network that is trained computes as the engine does (:mod:`.fake`). Its target is the picture of the float network that it
was quantised from, on the same crops; the loss is the figure that is reported, the error of the picture in decibels. So it only
learns to be the same network in 8 bits; the float network has determined what the pictures look like.

Beside the files of every recipe this writes ``model.fnst``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from fastnst.convert import card_of, without_folders
from fastnst.convert.choosing import Chooser
from fastnst.convert.dead import without_dead
from fastnst.convert.equalisation import float_adain, float_layer
from fastnst.convert.forms import choices
from fastnst.convert.pair import Pair, load_pair
from fastnst.convert.pictures import calibration_pairs
from fastnst.convert.quantisation import quantise
from fastnst.format.modelfile import to_bytes
from fastnst.system.atomic import atomic_output

from .command import start
from .data import CropSource
from .fake import FakePair
from .limits import AT_LEAST_0, AT_LEAST_1, CROP, setting
from .loop import train
from .process_group import ProcessGroup
from .settings import Phase, RunOptions, Settings


@dataclass(frozen=True)
class QatSettings(Settings):
    """The settings that determine the result."""

    start: str = setting("", "final.safetensors of a trained pair")
    calibrate: str = setting("", "folder of pictures that ranges are chosen with")
    winograd: str = setting("never", "layers in Winograd form: never, always or numbers such as 3,4")
    keep_dead: bool = setting(False, "keep channels that stay zero by a margin in every picture")
    steps: int = setting(600, "how long the network is retrained", AT_LEAST_0, may_change=True)
    batch: int = setting(2, "crops of each step", AT_LEAST_1)
    size: int = setting(256, "side of the crops in pixels", CROP)
    learning_rate: float = 0.03
    warm_up: int = 30
    clip: float = 1e9
    average: float = 0.98
    precision: str = "float32"

    def __post_init__(self) -> None:
        """Check the values and their combinations.

        Raises:
            ValueError: one line.
        """
        super().__post_init__()
        if self.precision != "float32":
            raise ValueError("precision: whole numbers up to 2^24 need float32")
        if self.winograd == "auto":
            raise ValueError("winograd: a run goes on on any machine, so name the layers that fastnst convert --report chooses")

    def lacking(self) -> dict[str, str]:
        wanted = {"start": "a trained pair", "calibrate": "a folder of pictures that ranges are chosen with"}
        return {name: why for name, why in wanted.items() if not getattr(self, name)}


@torch.no_grad()
def float_picture(pair: Pair, content: Tensor, style: Tensor) -> Tensor:
    """Pictures [N, 3, H, W], RGB 0..1, stylized by the float network and clamped to that range."""
    features = [content, style]
    for conv in pair.encoder:
        features = [float_layer(x, conv) for x in features]
    x = float_adain(*features)
    for conv in pair.decoder:
        x = float_layer(x, conv)
    return x.clamp(0, 1)


def decibels(picture: Tensor, wanted: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of pictures [N, 3, H, W], 0..255, mean over N; 0.01 is added to the squared error."""
    error = (picture - wanted).square().mean((1, 2, 3))
    return (10 * (255**2 / (error + 1e-2)).log10()).mean()


class QatRecipe:
    """The recipe; see the module."""

    name = "qat"

    def __init__(self, settings: QatSettings, options: RunOptions, processes: ProcessGroup) -> None:
        settings.require()
        self.settings, self.processes = settings, processes
        pictures = calibration_pairs(Path(settings.calibrate))
        self.pair, self.dead = load_pair(Path(settings.start)), 0
        if not settings.keep_dead:
            self.pair, self.dead = without_dead(self.pair, *pictures)
        chooser = Chooser(iter(choices(self.pair, settings.winograd)))
        self.fake = FakePair(quantise(self.pair, *pictures, choose=chooser)).to(processes.device)
        self.networks: nn.Module = self.fake
        self.calibration = 2 * len(pictures[0])
        self.phases: Sequence[Phase] = [Phase("retrain", settings.steps, settings.batch, settings.size)]
        folders = options.data / "content-train", options.data / "style-train"
        self.contents, self.styles = (
            CropSource(each, settings.size, (0.8, 1.25), settings.seed + i) for i, each in enumerate(folders)
        )

    def crops(self, counters: range) -> tuple[Tensor, Tensor]:
        """Photographs and paintings [N, 3, H, W], uint8 values as float32."""
        content, style = (source.batch(counters).float().to(self.processes.device) for source in (self.contents, self.styles))
        return content, style

    def losses(self, phase: Phase, batch_index: int) -> dict[str, Tensor]:
        content, style = self.crops(self.processes.counters(batch_index, phase.batch))
        wanted = (float_picture(self.pair, content / 255, style / 255) * 255).round()
        quality = decibels(self.fake(content, style), wanted)
        return {"loss": -quality, "decibels": quality.detach()}

    def pictures(self) -> list[list[Tensor]]:
        content, style = self.crops(range(10**9, 10**9 + 6))
        rows = content / 255, style / 255, float_picture(self.pair, content / 255, style / 255), self.fake(content, style) / 255
        return [list(row) for row in rows]

    def final(self) -> dict[str, Tensor]:
        return dict(self.fake.state_dict())

    def write(self, final: dict[str, Tensor], path: Path) -> None:
        """Write the model for the engine, with the weights of ``final``; its card says how it was made."""
        self.fake.load_state_dict(final)
        name = Path(self.settings.start).parent.name
        card = card_of(self.pair, name, self.calibration, self.dead) | {
            "retrained_with": without_folders(asdict(self.settings))
        }
        with atomic_output(path) as file:
            file.write(to_bytes(replace(self.fake.exported(), card=card)))


def run(settings: QatSettings, options: RunOptions, processes: ProcessGroup) -> None:
    """Train, or resume an earlier run, and write the engine's model."""
    recipe = QatRecipe(settings, options, processes)
    final = train(recipe, settings, options, processes)
    if processes.leads:
        recipe.write(load_file(final), options.out / "model.fnst")


def main(argv: Sequence[str] | None = None) -> None:
    """``fastnst train qat``; see ``--help``."""
    start("qat", __doc__, QatSettings(), run, argv)


if __name__ == "__main__":
    main()
