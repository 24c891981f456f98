"""Adversarial losses, and the teachers' losses of CycleGAN (Zhu et al., ICCV 2017, eq. 1-3) and pix2pix (Isola et al., CVPR
2017, eq. 4), with the weights of their published code.

The losses of discriminators are halved. Gradients reach a generator through its discriminator; the training loop decides which
of the two is updated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Handed = Callable[[str, Tensor], Tensor]
"""Passes a domain's pictures through its image pool, for the discriminator."""


def deceives(kind: str, logits: Tensor) -> Tensor:
    """The generator's loss, ``lsgan`` or ``hinge``, from the discriminator's ``logits`` of its pictures."""
    logits = logits.float()
    return (logits - 1).square().mean() if kind == "lsgan" else -logits.mean()


def passes(kind: str, logits: Tensor) -> Tensor:
    """The generator's loss if its discriminator is not trained on its pictures: it is bounded.

    ``hinge`` is 0 from the margin for real pictures on. With :func:`deceives`, which is unbounded, a student of pix2pix reached
    logits of 8 with a discriminator that is trained only on its teacher's pictures.
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
    """A teacher's step: the terms, among them the losses ``teacher`` and ``discriminator``, and the pictures it made."""

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
        cycle_weight: weight of the L1 error of pictures that are translated and translated back.
        identity_weight: weight of the L1 error of pictures that are of the target domain already, relative to ``cycle_weight``.
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
    """The sum of scalars."""
    return torch.stack(list(losses)).sum()  # type: ignore[call-overload]
