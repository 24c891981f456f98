"""How close 8-bit models come to their float networks, and on which pictures that was found: for the card."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from fastnst.convert.arithmetic import simulate
from fastnst.convert.equalisation import float_adain, float_layer
from fastnst.convert.pair import Conv, Pair
from fastnst.format.modelfile import AdainFile

JUDGED = 2
"""Calibration pairs by which a pair of networks is judged, of 32: a picture takes as long as much of the fitting."""


def decibels(made: Tensor, wanted: Tensor) -> float:
    """The PSNR of a picture beside another one, both 0..255."""
    error = (made.double() - wanted.double()).square().mean().clamp(min=1e-8)
    return float(10 * torch.log10(255**2 / error))


def generator_psnr(made: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """Of 8-bit pictures beside float ones -1..1, in dB, mean over pictures."""
    both = zip(made, wanted, strict=True)
    return sum(decibels(q, (real + 1) * 127.5) for q, real in both) / len(made)


@torch.no_grad()
def pair_psnr(pair: Pair, model: AdainFile, contents: Sequence[Tensor], styles: Sequence[Tensor]) -> float:
    """Of what an AdaIN model makes of uint8 pictures [1, 3, H, W] beside what its float networks do, in dB, mean over pairs."""
    found = []
    for content, style in zip(contents[:JUDGED], styles[:JUDGED], strict=True):
        mixed = float_adain(*(_through(each.float() / 255, pair.encoder) for each in (content, style)))
        wanted = _through(mixed, pair.decoder).clamp(0, 1) * 255
        found.append(decibels(simulate(model, content, style), wanted))
    return sum(found) / len(found)


def digest_of(pictures: Iterable[Tensor]) -> str:
    """SHA-256 of the pixels of calibration pictures, as they were used."""
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(repr(tuple(picture.shape)).encode() + picture.numpy().tobytes())
    return digest.hexdigest()


def _through(x: Tensor, convs: Sequence[Conv]) -> Tensor:
    for conv in convs:
        x = float_layer(x, conv)
    return x
