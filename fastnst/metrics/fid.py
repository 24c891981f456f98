"""How far generated pictures are from real ones: Frechet inception distance (Heusel et al., NeurIPS 2017) and kernel inception
distance (Binkowski et al., ICLR 2018), each with the protocol that it was measured by.

The feature extractor is a file, and the features are those of the layer with 64, 192 or 768 channels: figures compare only with
figures of the same dimension, and not with published ones, which have 2048.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from fastnst.networks.inception import SIDE, Inception


@dataclass(frozen=True)
class Protocol:
    """What must be equal for two figures to compare.

    Attributes:
        dimension: of the features.
        extractor: name of the feature extractor's file.
        real, generated: how many pictures.
        statistics: where those of the real pictures come from.
    """

    dimension: int
    extractor: str
    real: int
    generated: int
    statistics: str
    input: str = f"RGB rounded to 8 bits, bilinear resize to {SIDE} x {SIDE} without aligned corners, -1..1"
    covariance: str = "divided by N - 1, float64, root of symmetric product, no diagonal added"
    kernel: str = "(x.y / dimension + 1)^3, unbiased, all pictures at once"


@dataclass(frozen=True)
class Realism:
    """Both distances, smaller for better; ``kid`` is unbiased, so it may fall below 0, and serves for few pictures too."""

    fid: float
    kid: float
    protocol: Protocol

    @property
    def label(self) -> str:
        """FID with what must stand beside it."""
        return f"FID-{self.protocol.dimension} {self.fid:.3f} ({self.protocol.generated} of {self.protocol.real} pictures)"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def features(extractor: Inception, pictures: Iterable[Tensor], dimension: int) -> Tensor:
    """Float64 features [N, dimension] of batches of pictures [n, 3, H, W], RGB 0..1, rounded to 8 bits first.

    Raises:
        ValueError: no such dimension, or no pictures.
    """
    rows = [extractor((each.clamp(0, 1) * 255).round() / 255, dimension).double().cpu() for each in pictures]
    if not rows:
        raise ValueError("pictures: expected at least one")
    return torch.cat(rows)


def statistics(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [D] and covariance [D, D], divided by N - 1, of features [N, D].

    Raises:
        ValueError: fewer than two.
    """
    if len(rows) < 2:
        raise ValueError(f"pictures: expected at least two, got {len(rows)}")
    return rows.mean(0), torch.cov(rows.T).reshape(rows.shape[1], rows.shape[1])


def frechet_distance(real: tuple[Tensor, Tensor], generated: tuple[Tensor, Tensor]) -> float:
    r"""Of two normal distributions, each its mean [D] and covariance [D, D].

    .. math:: |\mu_1 - \mu_2|^2 + tr\,\Sigma_1 + tr\,\Sigma_2 - 2\,tr\,(\Sigma_1^{1/2} \Sigma_2 \Sigma_1^{1/2})^{1/2}

    The last matrix is symmetric: its root's trace is the sum of its eigenvalues' roots, also where fewer pictures than
    dimensions leave it singular and the usual root of a product needs a multiple of the unit matrix added.
    """
    (mean_a, cov_a), (mean_b, cov_b) = ((mean.double(), cov.double()) for mean, cov in (real, generated))
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    distance = float((mean_a - mean_b).square().sum() + cov_a.trace() + cov_b.trace() - 2 * cross)
    return max(0.0, distance)  # rounding


def kernel_distance(real: Tensor, generated: Tensor) -> float:
    """Unbiased squared maximum mean discrepancy of features [N, D] and [M, D] under the kernel (x.y / D + 1)^3.

    Raises:
        ValueError: fewer than two of either.
    """
    if min(len(real), len(generated)) < 2:
        raise ValueError(f"pictures: expected at least two of each kind, got {len(real)} and {len(generated)}")

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def without_itself(x: Tensor) -> Tensor:
        gram = kernel(x, x)
        return (gram.sum() - gram.trace()) / (len(x) * (len(x) - 1))

    return float(without_itself(real) + without_itself(generated) - 2 * kernel(real, generated).mean())


def realism(extractor: Inception, real: Tensor, generated: Tensor, source: str) -> Realism:
    """Both distances of features [N, D] and [M, D].

    Args:
        extractor: what made the features.
        real, generated: the features.
        source: what the real pictures are, for the protocol.

    Raises:
        ValueError: fewer than two of either.
    """
    protocol = Protocol(real.shape[1], extractor.path.name, len(real), len(generated), source)
    return Realism(frechet_distance(statistics(real), statistics(generated)), kernel_distance(real, generated), protocol)
