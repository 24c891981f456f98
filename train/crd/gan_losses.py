"""Adversarial losses, and those of the teachers: CycleGAN (Zhu et al., ICCV 2017, eq. 1-3) and pix2pix (Isola et al.,
CVPR 2017, eq. 4), as their published code weighs them.

Discriminators' losses are halved. Gradients reach a generator through its discriminator; which of the two moves is the loop's
business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Handed = Callable[[str, Tensor], Tensor]
"""The image pool of a domain, given pictures for its discriminator."""


def deceives(kind: str, logits: Tensor) -> Tensor:
    """The generator's loss, ``lsgan`` or ``hinge``: how little its pictures' ``logits`` say that they are real."""
    logits = logits.float()
    return (logits - 1).square().mean() if kind == "lsgan" else -logits.mean()


def passes(kind: str, logits: Tensor) -> Tensor:
    """The generator's loss where its discriminator does not learn from its pictures: they need not look more than real.

    ``hinge`` ends at the margin that the discriminator asks of real pictures. Unbounded, as :func:`deceives` is, a student of
    pix2pix ran to logits of 8 before a discriminator that only its teacher's pictures train.
    """
    return F.relu(1 - logits.float()).mean() if kind == "hinge" else deceives(kind, logits)


def tells_apart(kind: str, real: Tensor, made: Tensor) -> Tensor:
    """The discriminator's loss, from its logits of real and of made pictures."""
    real, made = real.float(), made.float()
    if kind == "lsgan":
        return ((real - 1).square().mean() + made.square().mean()) / 2
    return (F.relu(1 - real).mean() + F.relu(1 + made).mean()) / 2


@dataclass(frozen=True)
class Step:
    """A teacher's step: terms, with a loss for ``teacher`` and one for ``discriminator``, and the pictures that it made."""

    terms: dict[str, Tensor]
    made: dict[str, Tensor]


def cycle_step(
    teachers: Mapping[str, nn.Module], judges: Mapping[str, nn.Module], real: Mapping[str, Tensor], handed: Handed,
    cycle_weight: float, identity_weight: float,
) -> Step:  # fmt: skip
    """Unpaired translation in both directions.

    Args:
        teachers: by direction, ``AtoB`` and ``BtoA``.
        judges: discriminators, by the domain whose pictures they judge, ``A`` and ``B``.
        real: pictures of both domains, [N, 3, H, W], -1..1.
        handed: image pools.
        cycle_weight: of the L1 error of pictures that went there and back.
        identity_weight: of the L1 error of pictures that were there already, in parts of ``cycle_weight``.
    """
    made = {"B": teachers["AtoB"](real["A"]), "A": teachers["BtoA"](real["B"])}
    back = {"A": teachers["BtoA"](made["B"]), "B": teachers["AtoB"](made["A"])}
    terms = {"adversarial": sum_of(deceives("lsgan", judges[x](made[x])) for x in "AB")}
    terms["cycle"] = sum_of(F.l1_loss(back[x].float(), real[x]) for x in "AB")
    total = terms["adversarial"] + cycle_weight * terms["cycle"]
    if identity_weight:
        kept = {"B": teachers["AtoB"](real["B"]), "A": teachers["BtoA"](real["A"])}
        terms["identity"] = sum_of(F.l1_loss(kept[x].float(), real[x]) for x in "AB")
        total = total + cycle_weight * identity_weight * terms["identity"]
    judged = sum_of(tells_apart("lsgan", judges[x](real[x]), judges[x](handed(x, made[x].detach()))) for x in "AB")
    return Step(terms | {"teacher": total, "discriminator": judged}, made)


def paired_step(teacher: nn.Module, judge: nn.Module, source: Tensor, wanted: Tensor, pixel_weight: float) -> Step:
    """Paired translation of ``source`` to ``wanted``, [N, 3, H, W], -1..1; the discriminator sees the source too."""
    made = teacher(source)
    terms = {
        "adversarial": deceives("hinge", judge(torch.cat([source, made], 1))),
        "pixel": F.l1_loss(made.float(), wanted),
    }
    total = terms["adversarial"] + pixel_weight * terms["pixel"]
    judged = tells_apart("hinge", *(judge(torch.cat([source, x.detach()], 1)) for x in (wanted, made)))
    return Step(terms | {"teacher": total, "discriminator": judged}, {"B": made})


def sum_of(losses: object) -> Tensor:
    """Of scalars, as one."""
    return torch.stack(list(losses)).sum()  # type: ignore[call-overload]
