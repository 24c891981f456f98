"""Settings of a compression."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..crd.settings import DistillationSettings
from ..limits import ABOVE_0, AT_LEAST_0, AT_LEAST_1, CROP, Range, setting


@dataclass(frozen=True)
class CompressSettings(DistillationSettings):
    """The settings that determine the result, beside the network and the pictures."""

    ratio: float = setting(0.25, "share of the multiply-accumulates that is kept", Range(0, 1, above=True))
    multiple: int = setting(16, "widths are multiples of it where there are channels enough", AT_LEAST_1)
    steps: int = setting(2000, "of training towards the original", AT_LEAST_0, may_change=True)
    qat_steps: int = setting(
        100, "of training in 8 bits, as the engine computes; 0: convert alone", AT_LEAST_0, may_change=True
    )
    qat_rate: float = setting(0.002, "learning rate in 8 bits, in steps of weights and bytes", ABOVE_0, may_change=True)
    batch: int = setting(1, "crops of each step", AT_LEAST_1)
    size: int = setting(256, "side of the crops in pixels", CROP)
    held_out: int = setting(50, "pictures that are only judged by, at most a tenth of all", AT_LEAST_0)
    judge_width: int = setting(64, "channels of the discriminator's first layer", AT_LEAST_1)
    adversarial_weight: float = setting(0.0, "of a discriminator of the original's pictures from the student's", AT_LEAST_0)
    copy_weight: float = setting(30.0, "of the absolute error of the original's pixels", AT_LEAST_0)
    learning_rate: float = 1e-3
    precision: str = "float32"  # single crops are slower in bfloat16 on processors that have it

    @property
    def trains(self) -> tuple[str, ...]:
        """The networks that are trained."""
        return ("student", "judge") if self.adversarial_weight else ("student",)

    def in_8_bits(self) -> CompressSettings:
        """The settings of the training in 8 bits: the same losses; whole numbers need float32."""
        return replace(
            self,
            steps=self.qat_steps,
            learning_rate=self.qat_rate,
            warm_up=30,
            clip=1e9,
            average=0.98,
            precision="float32",
        )
