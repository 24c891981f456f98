"""Content relationship distillation: a small image-to-image generator learns from a large one while that is being trained.

Teacher and discriminators are trained from scratch, as CycleGAN (unpaired) or as pix2pix (paired). The student is trained by
the relations between rows, columns and patches of the teacher's pictures, by perceptual terms and by the teacher's
discriminator, which is trained with the teacher and frozen while the student is trained. Every ablation of the paper is a
setting.

Each of several processes normalises its own batch (pix2pix has batch norm); the image pools are shared.

Beside the files of every recipe this writes ``quality.json``: student and teacher on the test pictures, and their cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn

from fastnst.networks.gan import Generator, PatchDiscriminator, generator
from fastnst.networks.inception import Inception

from ..command import start
from ..graph import GraphNetwork
from ..loop import train
from ..process_group import ProcessGroup
from ..settings import Phase, RunOptions
from .distillation import Adaptors, StudentLoss
from .gan_losses import Step, cycle_step, deceives, paired_step, passes, sum_of, tells_apart
from .image_pool import ImagePool
from .jury import Jury, translated
from .quality import write_quality
from .settings import CrdSettings, schedule
from .teacher import foreign_teacher, load_teacher
from .translation import Pictures
from .weights import EPILOG, INCEPTION_FILE, files_of, perceptual_network, require_files


class Best(nn.Module):
    """Frozen copies of the teacher with the best pictures so far and of its discriminator; ``scores`` are their FID."""

    def __init__(self, teacher: Generator | GraphNetwork, judge: nn.Module) -> None:
        super().__init__()
        self.generator, self.judge = deepcopy(teacher), deepcopy(judge)
        self.scores: Tensor
        self.register_buffer("scores", torch.full((2,), torch.inf, dtype=torch.float64))
        self.eval().requires_grad_(False)

    def take(self, teacher: nn.Module, judge: nn.Module) -> None:
        """Replace both copies."""
        self.generator.load_state_dict(teacher.state_dict())
        self.judge.load_state_dict(judge.state_dict())


class CrdRecipe:
    """The recipe; see the module."""

    name = "crd"

    def __init__(self, settings: CrdSettings, options: RunOptions, processes: ProcessGroup) -> None:
        settings.require()
        self.settings, self.processes = settings, processes
        self.weights = options.data / "weights"
        self.pictures_of = Pictures(options.data / settings.pictures, settings)
        self.gan_loss = "hinge" if settings.task == "paired" else "lsgan"
        self._extractor: Inception | None = None
        foreign = foreign_teacher(settings)
        torch.manual_seed(settings.seed)
        networks = self._teacher_networks(foreign)
        if settings.distil:
            networks |= self._student_networks()
        if settings.teacher and foreign is None:
            load_teacher(Path(settings.teacher), self.teachers["AtoB"], self.judges["B"])
        self.networks: nn.Module = nn.ModuleDict(networks).to(processes.device)
        self.juries: dict[str, Jury] = {}
        steps = settings.epoch_steps or -(-len(self.pictures_of) // (settings.batch * settings.accumulate * processes.size))
        self.phases: Sequence[Phase] = schedule(settings, steps, self.choose)

    def _teacher_networks(self, foreign: GraphNetwork | None) -> dict[str, nn.Module]:
        settings, paired = self.settings, self.settings.task == "paired"
        width = settings.teacher_width if settings.distil else settings.student_width
        directions, judged = (("AtoB",), "B") if paired else (("AtoB", "BtoA"), "AB")
        self.teachers: dict[str, Generator | GraphNetwork] = {}
        for each in directions:
            if foreign is None:
                self.teachers[each] = generator(settings.generator, width, settings.size)
            elif each == "AtoB":
                self.teachers[each] = foreign
        inputs, norm = (6, "batch") if paired else (3, "instance")
        self.judges = {each: PatchDiscriminator(inputs, settings.judge_width, norm) for each in judged}
        capacity = 0 if paired else settings.pool
        self.pools = {x: ImagePool(capacity, settings.size, self.processes, settings.seed + i) for i, x in enumerate("AB")}
        groups = {"teacher": self.teachers, "discriminator": self.judges, "pools": self.pools}
        return {name: nn.ModuleDict(group) for name, group in groups.items()}  # type: ignore[arg-type]

    def _student_networks(self) -> dict[str, nn.Module]:
        settings, teacher = self.settings, self.teachers["AtoB"]
        self.student = generator(settings.generator, settings.student_width, settings.size)
        trained: dict[str, nn.Module] = {"generator": self.student}
        adaptors = None
        if settings.channel_weight:
            assert not isinstance(teacher, GraphNetwork)
            trained["adaptors"] = adaptors = Adaptors(self.student.tap_channels, teacher.tap_channels)
        networks: dict[str, nn.Module] = {"student": nn.ModuleDict(trained)}
        if not settings.together:
            networks["best"] = self.best = Best(teacher, self.judges["B"])
        network = perceptual_network(settings, self.weights)
        network = network.to(self.processes.device) if network else None
        as_published_pairs = settings.as_published and settings.task == "paired"
        self.compare = StudentLoss(settings.student_weights(), network, adaptors, as_published_pairs)
        # The published code has no adversarial term for pix2pix's student.
        self.judged = settings.discriminator != "none" and settings.adversarial_weight > 0 and not as_published_pairs
        return networks

    @property
    def result(self) -> Generator | GraphNetwork:
        """The small generator."""
        return self.student if self.settings.distil else self.teachers["AtoB"]

    @property
    def results(self) -> dict[str, nn.Module]:
        """The small generator, ``student``, and the ``teacher`` that it learnt from last, if it had one."""
        if not self.settings.distil:
            return {"student": self.result}
        return {"student": self.result, "teacher": self.teachers["AtoB"] if self.settings.together else self.best.generator}

    @property
    def latest_judge(self) -> bool:
        """Whether the student is trained with the latest discriminator, instead of the one that belongs to its teacher."""
        return self.settings.as_published or self.settings.judge_answers

    def jury(self, split: str, direction: str = "AtoB") -> Jury:
        """Judges generators of ``direction`` on ``test`` or ``held-out`` pictures."""
        key = f"{split} {direction}"
        if key not in self.juries:
            if self._extractor is None:
                self._extractor = Inception(self.weights / INCEPTION_FILE).to(self.processes.device)
            whole = self.pictures_of.whole(split)
            sources, real = (whole[x] for x in (direction[0], direction[-1]))
            told = f"{split} pictures of {self.pictures_of.folder.name}, whole, bicubically {self.settings.size} px"
            self.juries[key] = Jury(self._extractor, sources, real, self.settings.dimension, told, self.processes.device)
        return self.juries[key]

    def choose(self) -> dict[str, float]:
        """Give the student the current teacher, or keep its present one if that was better."""
        settings, best, split = self.settings, self.best, self.settings.selection
        figures, better = {}, True
        if split != "last":
            directions = ["AtoB", "BtoA"] if settings.as_published and len(self.teachers) == 2 else ["AtoB"]
            scores = torch.full_like(best.scores, torch.inf)
            for i, direction in enumerate(directions):
                fid = self.jury(split, direction).realism(self.teachers[direction]).fid if self.processes.leads else 0.0
                scores[i] = figures[f"teacher_fid_{direction}"] = self.processes.agreed(fid)
            # As published, the teacher of AtoB is also replaced when only the one of BtoA improved.
            better = bool((scores < best.scores).any())
            best.scores.copy_(torch.minimum(scores, best.scores))
        if better:
            best.take(self.teachers["AtoB"], self.judges["B"])
        return figures

    def losses(self, phase: Phase, batch_index: int) -> dict[str, Tensor]:
        real = self.pictures_of.batch(self.processes.counters(batch_index, phase.batch), self.processes.device)
        with torch.autocast(self.processes.device.type, torch.bfloat16, self.settings.autocast):
            step = self.teacher_step(real, batch_index) if "teacher" in phase.trains else None
            terms = step.terms if step else {}
            if "student" not in phase.trains:
                return terms
            own, made = self.student_terms(real["A"], step)
            terms |= {f"student_{name}": value for name, value in own.items()} | {"student": sum_of(own.values())}
            if self.updates_judge(phase):
                judged = self.judged_loss(real, made.detach(), batch_index)
                terms["discriminator"] = (terms["discriminator"] + judged) / 2 if step else judged
        return terms

    def updates_judge(self, phase: Phase) -> bool:
        """Whether the discriminator learns from the student's pictures in a phase."""
        return "discriminator" in phase.trains and self.settings.judge_answers

    def teacher_step(self, real: dict[str, Tensor], batch_index: int) -> Step:
        """The losses of teachers and discriminators."""
        settings = self.settings
        if settings.task == "paired":
            return paired_step(self.teachers["AtoB"], self.judges["B"], real["A"], real["B"], settings.pixel_weight)

        def handed(domain: str, made: Tensor) -> Tensor:
            return self.pools[domain](made, batch_index)  # type: ignore[no-any-return]

        return cycle_step(self.teachers, self.judges, real, handed, settings.cycle_weight, settings.identity_weight)

    def student_terms(self, source: Tensor, step: Step | None) -> tuple[dict[str, Tensor], Tensor]:
        """The student's weighted terms, and its pictures of ``source``."""
        made, taps = self.student.with_taps(source)
        teacher: tuple[Tensor, Sequence[Tensor]]
        if step and not self.settings.channel_weight:
            teacher = step.made["B"], []
        else:
            with torch.no_grad():
                teacher = (self.teachers["AtoB"] if step else self.best.generator).with_taps(source)
        terms = self.compare((made, taps), teacher)
        if self.judged:
            judge = self.judges["B"] if step or self.latest_judge else self.best.judge
            logits = judge(self._shown(source, made))
            convince = deceives if self.settings.judge_answers else passes
            terms["adversarial"] = self.settings.adversarial_weight * convince(self.gan_loss, logits)
        return terms, made

    def judged_loss(self, real: dict[str, Tensor], made: Tensor, batch_index: int) -> Tensor:
        """The discriminator's loss on the student's pictures."""
        judge = self.judges["B"]
        shown = self.pools["B"](made, batch_index)
        logits = (judge(self._shown(real["A"], x)) for x in (real["B"], shown))
        return tells_apart(self.gan_loss, *logits)

    def _shown(self, source: Tensor, picture: Tensor) -> Tensor:
        """The input of a discriminator: a picture, beside its source in paired tasks."""
        return torch.cat([source, picture], 1) if self.settings.task == "paired" else picture

    def pictures(self) -> list[list[Tensor]]:
        source = self.pictures_of.batch(range(10**9, 10**9 + 6), self.processes.device)["A"]
        networks = [self.teachers["AtoB"], *([self.student] if self.settings.distil else [])]
        rows = [source, *(translated(network, source) for network in networks)]
        return [list((row + 1) / 2) for row in rows]

    def final(self) -> dict[str, Tensor]:
        return {f"generator.{name}": value for name, value in self.result.state_dict().items()}


def run(settings: CrdSettings, options: RunOptions, processes: ProcessGroup) -> CrdRecipe:
    """Train, or resume an earlier run, and measure what came of it."""
    settings = settings.completed()
    settings.require()
    require_files(files_of(settings), options.data / "weights", "recipe crd")
    recipe = CrdRecipe(settings, options, processes)
    train(recipe, settings, options, processes)
    if processes.leads:
        write_quality(recipe, options.out / "quality.json")
    return recipe


def main(argv: Sequence[str] | None = None) -> None:
    """``fastnst train crd``; see ``--help``."""
    start("crd", __doc__, CrdSettings(), run, argv, EPILOG)


if __name__ == "__main__":
    main()
