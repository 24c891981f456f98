"""Drop-in operations of style transfer and distillation: names and arguments of the published code, with fused kernels.

Every function is differentiable, takes float32, bfloat16, float16 and float64 tensors of any strides on CPU and CUDA,
computes in float32 at least, and can be compiled without graph breaks. float64 and meta tensors use the plain formulas of
``fastnst.reference``, against which every backend is tested; ``backend("reference")`` uses them for everything.
Gradients are computed by kernels, second derivatives and forward mode by the formulas; ``torch.func`` and ``vmap`` work.
A compiled function has no second derivative, because PyTorch does not support that.
"""

from fastnst.dispatch import BackendError, backend, explain
from fastnst.ops.adain import (
    adaptive_instance_normalization,
    calc_mean_std,
    coral,
    mean_variance_norm,
    renormalize,
    statistics_loss,
    style_statistics_loss,
)
from fastnst.ops.color import color_transfer
from fastnst.ops.embedding import linear_embedding_loss
from fastnst.ops.memory import empty_cache
from fastnst.ops.perceptual import gram_matrix, perceptual_loss
from fastnst.ops.relation import content_relation_loss, pdist, rkd_angle_loss, rkd_distance_loss, rkd_loss
from fastnst.ops.wct import wct, wct_style, whiten_and_color
from fastnst.reference.wct import StyleRoot

__all__ = [
    "BackendError",
    "StyleRoot",
    "adaptive_instance_normalization",
    "backend",
    "calc_mean_std",
    "color_transfer",
    "content_relation_loss",
    "coral",
    "empty_cache",
    "explain",
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
