"""Settings of the recipe ``crd``, and the order in which its networks are trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from fastnst.networks.gan import KINDS
from fastnst.networks.inception import DIMENSIONS
from fastnst.reference.relation import GRANULARITIES

from ..limits import ABOVE_0, AT_LEAST_0, AT_LEAST_1, CROP, Numbers, Words, setting
from ..settings import Phase, Settings
from .distillation import StudentWeights

DISCRIMINATORS = ("online", "always", "pretrained-frozen", "pretrained-updated", "none")
BY_TASK = {
    "unpaired": {"generator": "mobile_resnet", "batch": 1, "judge_width": 64, "ratio": 4, "relation_weight": 25.0},
    "paired": {"generator": "unet", "batch": 4, "judge_width": 128, "ratio": 1, "relation_weight": 2.5},
}
"""The values of published scripts, for settings that are left at 0 or empty."""
LEFT = "0: as published for the task"


@dataclass(frozen=True)
class DistillationSettings(Settings):
    """How a small generator's pictures are compared with those of the large one, whichever recipe trains it."""

    relation: str = setting(
        "content", "among parts of pictures, or instance: among pictures, or none", Words(("content", "instance", "none"))
    )
    relation_weight: float = setting(25.0, "alpha", AT_LEAST_0)
    granularities: str = setting(",".join(GRANULARITIES), "parts that are related")
    patch: int = setting(32, "side of the patches in pixels", AT_LEAST_1)
    angle_weight: float = setting(2.0, "beta: of angles, where distances have 1", AT_LEAST_0)
    perceptual_weight: float = setting(1.0, "gamma: of style and feature term together", AT_LEAST_0)
    feature_weight: float = setting(10.0, "of the feature term within that", AT_LEAST_0)
    style_weight: float = setting(1e4, "of the style term within that", AT_LEAST_0)
    perceptual_levels: int = setting(4, "2: VGG-16 alone; 4: and two of VGG-19's", Numbers((2, 4)))
    adversarial_weight: float = setting(1.0, "of the student's discriminator", AT_LEAST_0)
    copy_weight: float = setting(0.0, "of the absolute error of the teacher's pixels; not published", AT_LEAST_0)
    ssim_weight: float = setting(0.0, "of structural similarity to the teacher's pictures; OMGD: 10", AT_LEAST_0)
    variation_weight: float = setting(0.0, "of the total variation; OMGD: 1e-5", AT_LEAST_0)

    def __post_init__(self) -> None:
        """Check the values and their combinations.

        Raises:
            ValueError: one line.
        """
        super().__post_init__()
        if unknown := [each for each in self.granularity_names if each not in GRANULARITIES]:
            raise ValueError(f"granularities: expected some of {', '.join(GRANULARITIES)}, got {', '.join(unknown)}")
        if self.relation == "content" and not self.granularity_names:
            raise ValueError("granularities: expected at least one; without relations set relation to none")

    @property
    def granularity_names(self) -> tuple[str, ...]:
        return tuple(filter(None, self.granularities.split(",")))

    @property
    def perceptual(self) -> bool:
        """Whether any term is perceptual."""
        return bool(self.perceptual_weight and (self.style_weight or self.feature_weight))

    def student_weights(self) -> StudentWeights:
        """The weights of the terms that compare the student's picture with its teacher's."""
        return StudentWeights(
            self.relation,
            self.relation_weight,
            self.granularity_names,
            self.patch,
            self.angle_weight,
            self.perceptual_weight,
            self.feature_weight,
            self.style_weight,
            self.copy_weight,
            self.ssim_weight,
            self.variation_weight,
        )


@dataclass(frozen=True)
class CrdSettings(DistillationSettings):
    """The settings that determine the result. Defaults are the published values unless a description says otherwise."""

    task: str = setting("unpaired", "unpaired (CycleGAN) or paired (pix2pix)", Words(("unpaired", "paired")))
    pictures: str = setting("", "folder in DATA: trainA, trainB, testA, testB; or train, test with A and B side by side")
    direction: str = setting("AtoB", "of the student: AtoB or BtoA", Words(("AtoB", "BtoA")))
    generator: str = setting("", " or ".join(KINDS) + "; empty: as published for the task", Words(("", *KINDS)))
    teacher_width: int = setting(64, "channels of the teacher's first layer", AT_LEAST_1)
    student_width: int = setting(16, "channels of the student's first layer", AT_LEAST_1)
    judge_width: int = setting(0, f"of the discriminators; {LEFT}: 64 or 128", AT_LEAST_0)
    size: int = setting(256, "of the crops in pixels", CROP)
    batch: int = setting(0, f"{LEFT}: 1 or 4", AT_LEAST_0)
    student_batch: int = setting(0, "where the student is trained by itself; 0: as batch", AT_LEAST_0)
    epochs: int = setting(100, "of the teacher at the full learning rate", AT_LEAST_0)
    decay_epochs: int = setting(100, "of the teacher while it falls to zero", AT_LEAST_0)
    interval: int = setting(10, "epochs of an unpaired teacher between those of its student", AT_LEAST_1)
    ratio: int = setting(0, f"epochs of the student for one of the teacher; {LEFT}: 4 or 1", AT_LEAST_0)
    epoch_steps: int = setting(0, "steps of an epoch; 0: as many as give each picture once", AT_LEAST_0)
    teacher: str = setting(
        "", "last.safetensors of a run, or any generator that convert takes: it is learnt from, none trained"
    )
    distil: bool = setting(True, "otherwise the small generator is trained as teachers are")
    discriminator: str = setting("online", "of the student: " + ", ".join(DISCRIMINATORS), Words(DISCRIMINATORS))
    relation_weight: float = setting(0.0, f"alpha; {LEFT}: 25 or 2.5", AT_LEAST_0)
    channel_weight: float = setting(0.0, "of the channels of the teacher's maps; OMGD: 500, 100 or 10", AT_LEAST_0)
    cycle_weight: float = setting(10.0, "of the way there and back of unpaired teachers", AT_LEAST_0)
    identity_weight: float = setting(
        0.5, "of pictures that are of the target domain already, in parts of the cycle's", AT_LEAST_0
    )
    pixel_weight: float = setting(100.0, "of paired teachers", AT_LEAST_0)
    pool: int = setting(50, "earlier pictures that discriminators of unpaired teachers see", AT_LEAST_0)
    select: str = setting(
        "held-out", "pictures that choose the best teacher: held-out, test; or last", Words(("held-out", "test", "last"))
    )
    held_out: int = setting(50, "training pictures of a domain set aside to choose by", AT_LEAST_0)
    dimension: int = setting(192, "of the features for FID and KID: 64, 192 or 768", Numbers(DIMENSIONS))
    as_published: bool = setting(False, "as the published code where it differs from the paper")
    learning_rate: float = 2e-4
    student_rate: float = setting(1.0, "factor of the student's learning rate; 5 for few steps", ABOVE_0)
    warm_up: int = 0
    momentum: float = 0.5
    clip: float = 1e9
    average: float = 0.0
    precision: str = "float32"
    seed: int = 233

    def __post_init__(self) -> None:
        """Check the values and their combinations.

        Raises:
            ValueError: one line.
        """
        super().__post_init__()
        if self.teacher and (not self.distil or self.discriminator.startswith("pretrained")):
            raise ValueError("teacher: it is that of a student, with the discriminator that was trained beside it")
        if self.epochs + self.decay_epochs < 1:
            raise ValueError("epochs and decay_epochs: expected at least one together")
        if self.as_published and self.task == "unpaired" and self.direction == "BtoA":
            raise ValueError("as_published: the published code keeps no teacher of direction BtoA")

    def lacking(self) -> dict[str, str]:
        return {} if self.pictures else {"pictures": "the folder in DATA with the pictures of both domains"}

    @property
    def together(self) -> bool:
        """Whether teacher and student are trained on the same batches, as published for pix2pix."""
        apart = self.discriminator.startswith("pretrained") or self.teacher
        return self.distil and self.task == "paired" and not apart

    @property
    def judge_answers(self) -> bool:
        """Whether the discriminator learns from the student's pictures too."""
        return self.discriminator in {"always", "pretrained-updated"}

    @property
    def selection(self) -> str:
        """Which pictures choose the best teacher for the student, held-out or test; ``last``: the latest one is used."""
        if self.task == "paired" or self.teacher:
            return "last"  # either it is the same step's, or training is over
        return "test" if self.as_published else self.select

    def completed(self) -> CrdSettings:
        """The settings with the task's values in place of those that were left open."""
        return replace(self, **{k: v for k, v in BY_TASK[self.task].items() if not getattr(self, k)})  # type: ignore[arg-type]

    def student_weights(self) -> StudentWeights:
        return replace(super().student_weights(), channel_weight=self.channel_weight)


def rates(settings: CrdSettings) -> list[float]:
    """The factor of the learning rate in each epoch of the teacher and its student's: 1, then falling linearly to zero."""
    count = settings.epochs + settings.decay_epochs
    return [1 - max(0, epoch + 1 - settings.epochs) / (settings.decay_epochs + 1) for epoch in range(count)]


def schedule(settings: CrdSettings, epoch_steps: int, choose: Callable[[], dict[str, float]]) -> list[Phase]:
    """The phases of completed ``settings``.

    Teacher and student step together (paired), or the teacher's epochs are interrupted, every ``interval`` of them, by
    ``ratio`` times as many of its student's; with a pre-trained discriminator these follow when the teacher is done, and of a
    teacher from a file they are all. Without distillation there is one generator, of the student's size, with as many steps as
    a student has.

    Args:
        epoch_steps: the number of steps of an epoch.
        choose: called before each phase of the student.
    """
    teacher = ("teacher", "discriminator")

    def phase(name: str, steps: int, rate: float, trains: tuple[str, ...], student: bool = False) -> Phase:
        batch = (settings.student_batch or settings.batch) if student else settings.batch
        own = {"student": settings.student_rate}
        return Phase(name, steps, batch, settings.size, False, rate, trains, choose if student else None, own)

    factors = rates(settings)
    if settings.together:
        return [phase(f"both-{i}", epoch_steps, rate, (*teacher, "student")) for i, rate in enumerate(factors, 1)]
    if not settings.distil:
        return [phase(f"alone-{i}", epoch_steps * settings.ratio, rate, teacher) for i, rate in enumerate(factors, 1)]
    trains = ("student", "discriminator") if settings.judge_answers else ("student",)
    if settings.teacher:
        steps = epoch_steps * settings.ratio
        return [phase(f"student-{i}", steps, rate, trains, student=True) for i, rate in enumerate(factors, 1)]
    teachers, students, since = [], [], 0
    interleaved = []
    for i, rate in enumerate(factors, 1):
        teachers.append(phase(f"teacher-{i}", epoch_steps, rate, teacher))
        interleaved.append(teachers[-1])
        since += 1
        if since == settings.interval or i == len(factors):
            students.append(phase(f"student-{i}", epoch_steps * settings.ratio * since, rate, trains, student=True))
            interleaved.append(students[-1])
            since = 0
    return teachers + students if settings.discriminator.startswith("pretrained") else interleaved
