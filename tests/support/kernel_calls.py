"""What the backend of ``fastnst.ops`` calls on a GPU, at any size, on tensors of the device ``meta``: nothing is computed."""

from __future__ import annotations

from collections.abc import Callable

import torch

from fastnst.kernels.triton import adain, color, embedding, perceptual, relation, wct


def _map(*shape: int, last: bool) -> torch.Tensor:
    return torch.empty(shape, device="meta", memory_format=torch.channels_last if last else torch.contiguous_format)


def call_adain(n: int, last: bool) -> None:
    x, style = _map(2, 8, n, n, last=last), _map(2, 8, n, n + 1, last=last)
    _, *statistics = adain.adain(x, style, 1e-5)
    adain.adain_backward(x, x, style, *statistics)
    _, mean, std = adain.adain_apply(x, *statistics[2:], 1e-5)
    adain.adain_apply_backward(x, x, mean, std, std)
    adain.channel_stats_backward(mean, std, x, *adain.channel_stats(x, 1e-5))


def call_color(n: int, last: bool) -> None:
    source, target = _map(2, 3, n, n, last=last), _map(2, 3, n, n + 1, last=last)
    mean, covariance = color.color_moments(target)
    _, *kept = color.color_apply(source, mean, covariance, 0.5, 1e-5)
    _, *of_moments = color.color_apply_backward(source, source, *kept, 0.5)
    color.color_moments_backward(*of_moments, target, mean)


def call_embedding(n: int, last: bool) -> None:
    student, teacher = _map(2, 8, n, n, last=last), _map(2, 24, n, n, last=last)
    weight, bias = torch.empty(24, 8, device="meta"), torch.empty(24, device="meta")
    for gradients in (True, False):
        embedding.linear_embedding(student, teacher, weight, bias, gradients)
    embedding.linear_embedding_teacher(torch.empty((), device="meta"), student, teacher, weight, bias)


def call_perceptual(n: int, last: bool) -> None:
    x = _map(2, 8, n, n, last=last)
    perceptual.gram_backward(perceptual.gram(x), x)
    for squared in (True, False):
        perceptual.mean_error_backward(perceptual.mean_error(x, x, squared), x, x, squared)


def call_relation(n: int, last: bool) -> None:
    images = _map(2, 3, n, n + 1, last=last)
    patch = 1 if n < 4 else 4
    losses, weights = relation.content_relation(images, images, patch, 1.0, 2.0, 7)
    relation.content_relation_backward(losses, weights, images, patch, 7)
    items = torch.empty(1, n, 12, device="meta")
    relation.relation_backward(losses[:1], relation.relation(items, items, 1.0, 2.0)[1], items)
    relation.pairwise_backward(relation.pairwise(items, False, 1e-12), items, False, 1e-12)


def call_wct(n: int, last: bool) -> None:  # noqa: ARG001 - features have one layout
    for channels in (n % 8 + 1, 96):  # with a root of its own, and without
        x = torch.empty(2, channels, n * n, device="meta")
        root, mean, vectors, values = wct.covariance_root(x, 1.0, 1e-5, True)
        wct.covariance_root_backward(root, mean, x, mean, root, vectors, values, 1.0, 1e-5, True)
        wct.transform(x, root, mean)
        wct.transform_backward(x, x, root)


CALLS: dict[str, Callable[[int, bool], None]] = {
    "adain": call_adain,
    "color": call_color,
    "embedding": call_embedding,
    "perceptual": call_perceptual,
    "relation": call_relation,
    "wct": call_wct,
}
"""By stem; of an n, and whether maps are channels_last."""
