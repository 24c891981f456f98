"""Settings of the recipe ``crd``, and the order in which its networks are trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from fastnst.networks.gan import KINDS
from fastnst.reference.relation import GRANULARITIES

from .distillation import StudentWeights
from .settings import Phase, Settings

CHOICES = {
    "task": ("unpaired", "paired"),
    "direction": ("AtoB", "BtoA"),
    "discriminator": ("online", "always", "pretrained-frozen", "pretrained-updated", "none"),
    "relation": ("content", "instance", "none"),
    "select": ("held-out", "test", "last"),
    "generator": ("", *KINDS),
}
BY_TASK = {
    "unpaired": {"generator": "mobile_resnet", "batch": 1, "judge_width": 64, "ratio": 4, "relation_weight": 25.0},
    "paired": {"generator": "unet", "batch": 4, "judge_width": 128, "ratio": 1, "relation_weight": 2.5},
}
"""What published scripts have where a setting is left at 0 or empty."""
LEFT = "0: as published for the task"


@dataclass(frozen=True)
class CrdSettings(Settings):
    """What decides the result. Figures are the published ones unless said otherwise."""

    task: str = field(default="unpaired", metadata={"help": "unpaired (CycleGAN) or paired (pix2pix)"})
    pictures: str = field(
        default="", metadata={"help": "folder in DATA: trainA, trainB, testA, testB; or train, test with A and B side by side"}
    )
    direction: str = field(default="AtoB", metadata={"help": "of the student: AtoB or BtoA"})
    generator: str = field(default="", metadata={"help": " or ".join(KINDS) + "; empty: as published for the task"})
    teacher_width: int = 64
    student_width: int = 16
    judge_width: int = field(default=0, metadata={"help": f"of the discriminators; {LEFT}: 64 or 128"})
    size: int = field(default=256, metadata={"help": "of the crops in pixels"})
    batch: int = field(default=0, metadata={"help": f"{LEFT}: 1 or 4"})
    student_batch: int = field(default=0, metadata={"help": "where the student is trained by itself; 0: as batch"})
    epochs: int = field(default=100, metadata={"help": "of the teacher at the full learning rate"})
    decay_epochs: int = field(default=100, metadata={"help": "of the teacher while it falls to zero"})
    interval: int = field(default=10, metadata={"help": "epochs of an unpaired teacher between those of its student"})
    ratio: int = field(default=0, metadata={"help": f"epochs of the student for one of the teacher; {LEFT}: 4 or 1"})
    epoch_steps: int = field(default=0, metadata={"help": "steps of an epoch; 0: as many as give each picture once"})
    teacher: str = field(default="", metadata={"help": "last.safetensors of a run: its teacher is learnt from, none trained"})
    distil: bool = field(default=True, metadata={"help": "otherwise the small generator is trained as teachers are"})
    discriminator: str = field(default="online", metadata={"help": "of the student: " + ", ".join(CHOICES["discriminator"])})
    relation: str = field(default="content", metadata={"help": "among parts of pictures, or instance: among pictures, or none"})
    relation_weight: float = field(default=0.0, metadata={"help": f"alpha; {LEFT}: 25 or 2.5"})
    granularities: str = field(default=",".join(GRANULARITIES), metadata={"help": "parts that are related"})
    patch: int = 32
    angle_weight: float = field(default=2.0, metadata={"help": "beta: of angles, where distances have 1"})
    perceptual_weight: float = field(default=1.0, metadata={"help": "gamma: of style and feature term together"})
    feature_weight: float = 10.0
    style_weight: float = 1e4
    perceptual_levels: int = field(default=4, metadata={"help": "2: VGG-16 alone; 4: and two of VGG-19's"})
    adversarial_weight: float = 1.0
    copy_weight: float = field(default=0.0, metadata={"help": "of the absolute error of the teacher's pixels; not published"})
    ssim_weight: float = field(default=0.0, metadata={"help": "OMGD: 10"})
    variation_weight: float = field(default=0.0, metadata={"help": "OMGD: 1e-5"})
    channel_weight: float = field(default=0.0, metadata={"help": "OMGD: 500, 100 or 10"})
    cycle_weight: float = 10.0
    identity_weight: float = field(default=0.5, metadata={"help": "in parts of the cycle's"})
    pixel_weight: float = field(default=100.0, metadata={"help": "of paired teachers"})
    pool: int = field(default=50, metadata={"help": "earlier pictures that discriminators of unpaired teachers see"})
    select: str = field(default="held-out", metadata={"help": "pictures that choose the best teacher: held-out, test; or last"})
    held_out: int = field(default=50, metadata={"help": "training pictures of a domain set aside to choose by"})
    dimension: int = field(default=192, metadata={"help": "of the features for FID and KID: 64, 192 or 768"})
    as_published: bool = field(default=False, metadata={"help": "as the published code where it differs from the paper"})
    learning_rate: float = 2e-4
    student_rate: float = field(default=1.0, metadata={"help": "factor of the student's learning rate; 5 for few steps"})
    warm_up: int = 0
    momentum: float = 0.5
    clip: float = 1e9
    average: float = 0.0
    precision: str = "float32"
    seed: int = 233

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ValueError: one line.
        """
        super().__post_init__()
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                expected = ", ".join(filter(None, choices))
                raise ValueError(f"{name}: expected {expected}, got {getattr(self, name)!r}")
        if unknown := [each for each in self.granularity_names if each not in GRANULARITIES]:
            raise ValueError(f"granularities: expected some of {', '.join(GRANULARITIES)}, got {', '.join(unknown)}")
        if self.relation == "content" and not self.granularity_names:
            raise ValueError("granularities: expected at least one; without relations use --relation none")
        if self.teacher and (not self.distil or self.discriminator.startswith("pretrained")):
            raise ValueError("teacher: it is that of a student, with the discriminator that was trained beside it")
        if self.student_rate <= 0:
            raise ValueError(f"student_rate: expected above 0, got {self.student_rate:g}")
        if self.perceptual_levels not in {2, 4}:
            raise ValueError(f"perceptual_levels: expected 2 or 4, got {self.perceptual_levels}")
        if min(self.epochs, self.decay_epochs) < 0 or self.epochs + self.decay_epochs < 1 or self.interval < 1:
            raise ValueError("epochs and decay_epochs: expected at least one together; interval: at least 1")
        if min(self.teacher_width, self.student_width) < 1 or min(self.ratio, self.batch, self.student_batch) < 0:
            raise ValueError("widths must be above 0; ratio, batch and student_batch 0 or more")
        if self.as_published and self.task == "unpaired" and self.direction == "BtoA":
            raise ValueError("as_published: the published code keeps no teacher of direction BtoA")

    @property
    def granularity_names(self) -> tuple[str, ...]:
        return tuple(filter(None, self.granularities.split(",")))

    @property
    def together(self) -> bool:
        """Whether teacher and student step on the same batches, as published for pix2pix."""
        apart = self.discriminator.startswith("pretrained") or self.teacher
        return self.distil and self.task == "paired" and not apart

    @property
    def judge_answers(self) -> bool:
        """Whether the discriminator learns from the student's pictures too."""
        return self.discriminator in {"always", "pretrained-updated"}

    @property
    def selection(self) -> str:
        """What chooses the teacher that a student learns from: held-out or test pictures, or nothing: then it is the last."""
        if self.task == "paired" or self.teacher:
            return "last"  # either it is the same step's, or training is over
        return "test" if self.as_published else self.select

    def completed(self) -> CrdSettings:
        """With what the task decides in place of what was left open."""
        return replace(self, **{k: v for k, v in BY_TASK[self.task].items() if not getattr(self, k)})  # type: ignore[arg-type]

    def student_weights(self) -> StudentWeights:
        """Of the terms that compare the student's picture with its teacher's."""
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
            self.channel_weight,
        )


def rates(settings: CrdSettings) -> list[float]:
    """Factor of the learning rate in each epoch of the teacher, which its student's epochs share: 1, then evenly to zero."""
    count = settings.epochs + settings.decay_epochs
    return [1 - max(0, epoch + 1 - settings.epochs) / (settings.decay_epochs + 1) for epoch in range(count)]


def schedule(settings: CrdSettings, epoch_steps: int, choose: Callable[[], dict[str, float]]) -> list[Phase]:
    """The phases of completed ``settings``.

    Teacher and student step together (paired), or the teacher's epochs are interrupted, every ``interval`` of them, by
    ``ratio`` times as many of its student's; with a pre-trained discriminator these follow when the teacher is done, and of a
    teacher from a file they are all. Without distillation there is one generator, of the student's size, with as many steps as
    a student has.

    Args:
        epoch_steps: of an epoch.
        choose: called before the student takes its turn.
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
