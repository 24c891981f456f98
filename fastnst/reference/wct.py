"""Whitening and colouring transform (Li et al., NeurIPS 2017), with the numerical choices of each published code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from fastnst.reference.inputs import check, check_same, result_dtype
from fastnst.reference.linalg import centre, symmetric_inverse_sqrt, symmetric_sqrt


@dataclass(frozen=True)
class Preset:
    """The numerical choices in which published implementations of the transform differ."""

    content_ridge: float = 0.0
    """This times the identity is added to the content's covariance."""
    style_ridge: float = 0.0
    """The same for the style's covariance."""
    cutoff: float = 1e-5
    """The smallest eigenvalue, ridge included, of a direction that is kept."""
    clamp: bool = False
    """Whether the transformed features are clamped to the content's smallest and largest value."""


PRESETS = {
    "paper": Preset(),
    "pytorchwct": Preset(content_ridge=1.0),  # sunshineatnoon/PytorchWCT, util.py
    "wct2": Preset(content_ridge=1.0, style_ridge=1.0, clamp=True),  # clovaai/WCT2, utils/core.py
    "collab": Preset(cutoff=1e-100),  # MingSun-Tse/Collaborative-Distillation: in effect every direction
}


class StyleRoot(NamedTuple):
    """What ``wct`` needs of a style, from ``wct_style``."""

    root: Tensor
    """The square root of the covariance, [N, C, C], float64."""
    mean: Tensor
    """[N, C, 1], float64."""


def whiten_and_color(content_feat: Tensor, style_feat: Tensor) -> Tensor:
    r"""The transform as PytorchWCT computes it, on one pair of features: preset ``pytorchwct`` of ``wct``.

    .. math:: \Sigma_s^{1/2}\,(\Sigma_c + I)^{-1/2}\,(x - \mu_c) + \mu_s

    Args:
        content_feat: [C, N].
        style_feat: [C, M].

    Returns:
        [C, N] in the type that PyTorch promotes both to, computed in float64. Degenerate inputs as for ``wct``.

    Source: section 3.2 of the paper; the identity on the content's covariance alone is PytorchWCT's.
    """
    check("content_feat", content_feat, "CN")
    check("style_feat", style_feat, "CN")
    check_same("channels of content and style", content_feat.shape[0], style_feat.shape[0])
    result = _transform(content_feat.double(), style_feat.double(), PRESETS["pytorchwct"])
    return result.to(result_dtype(content_feat, style_feat))


def wct_style(
    style_feat: Tensor, preset: str = "paper", style_ridge: float | None = None, cutoff: float | None = None
) -> StyleRoot:
    r"""The style's half of ``wct``, for styles that many contents share: its root takes as long as the content's.

    .. math:: (\Sigma_s + r_s I)^{1/2}, \quad \mu_s

    Args:
        style_feat: [N, C, h, w].
        preset: as for ``wct``, and the same there.
        style_ridge: replaces the preset's, at least 0.
        cutoff: replaces the preset's, at least 0.

    Returns:
        What ``wct`` takes in the place of ``style_feat``: float64, and differentiable. With N = 1 it serves contents of any
        batch.

    Degenerate styles and values that are not finite: as for ``wct``. Source: section 3.2 of the paper.
    """
    check("style_feat", style_feat, "NCHW", empty_batch=True)
    rules = rules_of(preset, style_ridge=style_ridge, cutoff=cutoff)
    return StyleRoot(*covariance_root(style_feat.double().flatten(2), rules.style_ridge, rules.cutoff, inverse=False))


def wct(
    content_feat: Tensor,
    style_feat: Tensor | StyleRoot,
    alpha: float = 1.0,
    preset: str = "paper",
    content_ridge: float | None = None,
    style_ridge: float | None = None,
    cutoff: float | None = None,
) -> Tensor:
    r"""Give the content's features the mean and the whole covariance of the style's.

    .. math:: \alpha \left[ (\Sigma_s + r_s I)^{1/2}\,(\Sigma_c + r_c I)^{-1/2}\,(x - \mu_c) + \mu_s \right] + (1 - \alpha)\,x

    where the roots leave out all directions whose eigenvalue is below ``cutoff``.

    Args:
        content_feat: [N, C, H, W]. N may be 0.
        style_feat: [N, C, h, w]; the pictures are transformed one by one. Or what ``wct_style`` has made of it, with the same
            preset; then ``style_ridge`` is given there.
        alpha: 0 is the content, 1 the full transform; values outside extrapolate.
        preset: ``paper``, ``pytorchwct``, ``wct2`` or ``collab``: see ``PRESETS``.
        content_ridge: replaces the preset's, at least 0.
        style_ridge: replaces the preset's, at least 0.
        cutoff: replaces the preset's, at least 0.

    Returns:
        [N, C, H, W] in the type that PyTorch promotes both to, computed in float64.

    Covariances are divided by the positions less one. Where they have less than full rank (fewer positions than
    channels, constant or repeated channels), the missing directions are left out: value and gradient are finite. A
    single position or a constant content becomes the style's mean. Eigenvalues may coincide: see ``symmetric_sqrt``.
    Values that are not finite raise ``torch.linalg.LinAlgError``.

    Differences from published code: a covariance of one position is 0, not NaN; eigenvalues within float64's rounding of 0 are
    left out whatever the cutoff (``collab`` alone would keep them, and scale noise to variance 1).

    Source: section 3.2 of the paper, blended with its style weight alpha; the presets name their code.
    """
    check_pair(content_feat, style_feat, style_ridge)
    rules = rules_of(preset, content_ridge=content_ridge, style_ridge=style_ridge, cutoff=cutoff)
    content = content_feat.double()
    style = style_feat if isinstance(style_feat, StyleRoot) else style_feat.double().flatten(2)
    transformed = _transform(content.flatten(2), style, rules).view_as(content)
    return (alpha * transformed + (1 - alpha) * content).to(feature_dtype(content_feat, style_feat))


def check_pair(content_feat: Tensor, style_feat: Tensor | StyleRoot, style_ridge: float | None) -> None:
    """Check ``wct``'s features; ``ValueError`` or ``TypeError`` says what is wrong with them."""
    check("content_feat", content_feat, "NCHW", empty_batch=True)
    if not isinstance(style_feat, StyleRoot):
        check("style_feat", style_feat, "NCHW", empty_batch=True)
        check_same("batch and channels of content and style", tuple(content_feat.shape[:2]), tuple(style_feat.shape[:2]))
        return
    if style_ridge is not None:
        raise ValueError("style_ridge: the style is prepared already, give it to wct_style")
    batch, channels = style_feat.root.shape[:2]
    check_same("channels of content and style", content_feat.shape[1], channels)
    if batch != 1:
        check_same("batch of content and style", content_feat.shape[0], batch)


def feature_dtype(content_feat: Tensor, style_feat: Tensor | StyleRoot) -> torch.dtype:
    """The type of ``wct``'s result: that to which PyTorch promotes both features, or of the content alone."""
    return result_dtype(content_feat, *(() if isinstance(style_feat, StyleRoot) else (style_feat,)))


def rules_of(preset: str, **given: float | None) -> Preset:
    """The preset's numbers, those that are given replaced; ``ValueError`` if there is no such preset or one is negative."""
    if preset not in PRESETS:
        raise ValueError(f"preset: expected one of {', '.join(PRESETS)}, got {preset!r}")
    explicit = {name: value for name, value in given.items() if value is not None}
    for name, value in explicit.items():
        if not value >= 0:
            raise ValueError(f"{name}: expected at least 0, got {value}")
    return replace(PRESETS[preset], **explicit)  # type: ignore[arg-type]


def _transform(content: Tensor, style: Tensor | StyleRoot, rules: Preset) -> Tensor:
    """The bracket of ``wct``'s formula on float64 features [..., C, n] and [..., C, m]."""
    whitening, _ = covariance_root(content, rules.content_ridge, rules.cutoff, inverse=True)
    if not isinstance(style, StyleRoot):
        style = StyleRoot(*covariance_root(style, rules.style_ridge, rules.cutoff, inverse=False))
    coloring, style_mean = style
    result = coloring @ whitening @ centre(content)[0] + style_mean
    if rules.clamp:
        result = result.clamp(content.amin((-2, -1), keepdim=True), content.amax((-2, -1), keepdim=True))
    return result


def covariance_root(values: Tensor, ridge: float, cutoff: float, *, inverse: bool) -> tuple[Tensor, Tensor]:
    """The square root, or the ``inverse`` one, of the covariance of [..., C, n] plus ``ridge``, and the means [..., C, 1]."""
    centred, mean = centre(values)
    root = symmetric_inverse_sqrt if inverse else symmetric_sqrt
    return root(_covariance(centred, ridge), cutoff), mean


def _covariance(centred: Tensor, ridge: float) -> Tensor:
    channels, positions = centred.shape[-2:]
    covariance = centred @ centred.mT / max(1, positions - 1)
    return covariance + ridge * torch.eye(channels, dtype=centred.dtype, device=centred.device)
