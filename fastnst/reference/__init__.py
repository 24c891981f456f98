"""Every operation as its paper's formula, in plain PyTorch. All faster backends are tested against it.

Nothing here imports the rest of fastnst. Types: an operation that returns features computes in float32 at least (WCT and
colour matching in float64) and returns the type of its arguments; a loss is returned in the type that it was computed in,
float32 or float64. Autocast changes neither. Wrong shapes, types and values raise ``ValueError``.
"""

from fastnst.reference.adain import (
    adaptive_instance_normalization,
    calc_mean_std,
    coral,
    mean_variance_norm,
    renormalize,
    statistics_loss,
    style_statistics_loss,
)
from fastnst.reference.color import color_transfer
from fastnst.reference.embedding import linear_embedding_loss
from fastnst.reference.perceptual import gram_matrix, perceptual_loss
from fastnst.reference.relation import content_relation_loss, pdist, rkd_angle_loss, rkd_distance_loss, rkd_loss
from fastnst.reference.wct import StyleRoot, wct, wct_style, whiten_and_color

__all__ = [
    "StyleRoot",
    "adaptive_instance_normalization",
    "calc_mean_std",
    "color_transfer",
    "content_relation_loss",
    "coral",
    "gram_matrix",
    "linear_embedding_loss",
    "mean_variance_norm",
    "pdist",
    "perceptual_loss",
    "renormalize",
    "rkd_angle_loss",
    "rkd_distance_loss",
    "rkd_loss",
    "statistics_loss",
    "style_statistics_loss",
    "wct",
    "wct_style",
    "whiten_and_color",
]
