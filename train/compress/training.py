"""The recipe of a compression: a pruned generator, in floats or in 8 bits, learns to make the pictures of the one that it was
cut from.

It is compared with the original as recipe ``crd`` compares a student with its teacher (:mod:`..crd.distillation`): by relations
within the picture, perceptual terms, and the absolute error of the pixels. A discriminator of its own, which tells the
original's pictures from the student's, is optional.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from fastnst.convert.graph import FloatNode
from fastnst.metrics.pictures import psnr
from fastnst.networks.gan import PatchDiscriminator
from fastnst.networks.perceptual import PerceptualNetwork

from ..crd.distillation import StudentLoss
from ..crd.domains import signed
from ..crd.gan_losses import deceives, sum_of, tells_apart
from ..crd.jury import translated
from ..data import CropSource, as_tensor
from ..graph import GraphNetwork
from ..loop import VALIDATION_LOSS
from ..process_group import ProcessGroup
from ..settings import Phase
from .settings import CompressSettings

GAN = "lsgan"
WATCHED = 4
"""Held-out pictures by which a run is watched while it continues."""
SHOWN = range(10**9, 10**9 + 6)
"""Crops on the sheet of progress."""


class CompressRecipe:
    """The recipe; see the module.

    Args:
        original: the graph that is compressed, and
        student: what learns from it: takes a picture and the number of a style, as that does.
        crops: of the pictures.
        network: of the perceptual terms; None without them.
        judge: the discriminator, if there is to be one, as an earlier recipe has left it; a new one without it.
    """

    name = "compress"

    def __init__(
        self,
        original: Sequence[FloatNode],
        student: nn.Module,
        crops: CropSource,
        network: PerceptualNetwork | None,
        settings: CompressSettings,
        processes: ProcessGroup,
        judge: nn.Module | None = None,
    ) -> None:
        self.settings, self.processes, self.crops = settings, processes, crops
        self.original = GraphNetwork(original).to(processes.device).eval().requires_grad_(False)
        self.student = student
        self.judge = judge
        if settings.adversarial_weight and judge is None:
            torch.manual_seed(settings.seed)
            self.judge = PatchDiscriminator(width=settings.judge_width)
        networks = {"student": self.student} | ({} if self.judge is None else {"judge": self.judge})
        self.networks: nn.Module = nn.ModuleDict(networks).to(processes.device)
        self.compare = StudentLoss(settings.student_weights(), network.to(processes.device) if network else None, None, False)
        self.phases: Sequence[Phase] = [Phase("distil", settings.steps, settings.batch, settings.size, trains=settings.trains)]

    def losses(self, phase: Phase, batch_index: int) -> dict[str, Tensor]:
        source = self._crops(self.processes.counters(batch_index, phase.batch))
        style = batch_index % max(1, self.original.styles)
        with torch.autocast(self.processes.device.type, torch.bfloat16, self.settings.autocast):
            with torch.no_grad():
                wanted = self.original(source, style)
            made = self.student(source, style)
            terms = self.compare((made, []), (wanted, []))
            if "judge" in phase.trains:
                judge = self.judge
                assert judge is not None
                terms["adversarial"] = self.settings.adversarial_weight * deceives(GAN, judge(made))
                told = tells_apart(GAN, judge(wanted), judge(made.detach()))
                return terms | {"student": sum_of(terms.values()), "judge": told}
            return terms | {"student": sum_of(terms.values())}

    def pictures(self) -> list[list[Tensor]]:
        source = self._crops(SHOWN)
        rows = source, translated(self.original, source), translated(self.student, source)
        return [list((row + 1) / 2) for row in rows]

    def final(self) -> dict[str, Tensor]:
        return dict(self.student.state_dict())

    def validate(self) -> dict[str, float]:
        """On held-out pictures, the PSNR of the student's beside the original's, in dB, and the squared error, of pictures
        0..1."""
        pictures = judged_pictures(self.crops)[:WATCHED] if self.crops.held_out else []
        if not pictures:
            return {}
        found = []
        for picture in pictures:
            source = signed(picture[None]).to(self.processes.device)
            own, wanted = (translated(each, source).clamp(-1, 1) / 2 for each in (self.student, self.original))
            found.append(psnr(own, wanted))
        mean = sum(found) / len(found)
        return {"validation_psnr": mean, VALIDATION_LOSS: 10 ** (-mean / 10)}

    def _crops(self, counters: range) -> Tensor:
        return signed(self.crops.batch(counters)).to(self.processes.device)


def judged_pictures(crops: CropSource) -> list[Tensor]:
    """The central squares, uint8 [3, S, S], of the held-out pictures, or of all if none are held out."""

    def square(picture: Image.Image) -> Tensor:
        return as_tensor(ImageOps.fit(picture, (crops.size, crops.size), Image.Resampling.BICUBIC))

    return [square(picture) for picture in crops.held_out or crops.pictures]
