"""The functions that fastnst's operations are compared with, in plain PyTorch.

``published_*`` computes as the papers' code does: the same formulas with the same operations in the same order, and so the same
tensors in memory. ``library_*`` computes the same with PyTorch's best fused or batched functions, as an expert would write it.
Arguments and results are those of ``fastnst.ops``; nothing is checked.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

EPS = 1e-5
SMALLEST_SQUARE = 1e-12
PATCH = 32
CUTOFF = 1e-5

# ---- AdaIN ------------------------------------------------------------------------------------------------------------------


def published_calc_mean_std(feat: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every channel."""
    batch, channels = feat.shape[:2]
    flat = feat.reshape(batch, channels, -1)  # published code uses a view here; but recipes train in channels-last layout
    std = (flat.var(dim=2) + EPS).sqrt().view(batch, channels, 1, 1)
    return flat.mean(dim=2).view(batch, channels, 1, 1), std


def published_adain(content: Tensor, style: Tensor) -> Tensor:
    size = content.size()
    style_mean, style_std = published_calc_mean_std(style)
    return published_mean_variance_norm(content) * style_std.expand(size) + style_mean.expand(size)


def published_mean_variance_norm(feat: Tensor) -> Tensor:
    size = feat.size()
    mean, std = published_calc_mean_std(feat)
    return (feat - mean.expand(size)) / std.expand(size)


def published_style_statistics_loss(feat: Tensor, target: Tensor) -> Tensor:
    mean, std = published_calc_mean_std(feat)
    wanted_mean, wanted_std = published_calc_mean_std(target)
    return F.mse_loss(mean, wanted_mean) + F.mse_loss(std, wanted_std)


def library_calc_mean_std(feat: Tensor) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(feat, dim=(2, 3), keepdim=True)
    return mean, (variance + EPS).sqrt()


def library_adain(content: Tensor, style: Tensor) -> Tensor:
    mean, std = library_calc_mean_std(style)
    return _instance_norm(content, std, mean)


def library_mean_variance_norm(feat: Tensor) -> Tensor:
    return _instance_norm(feat, feat.new_ones((*feat.shape[:2], 1, 1)), None)


def _instance_norm(feat: Tensor, scale: Tensor, shift: Tensor | None) -> Tensor:
    """Native instance norm. Its variance is biased: with eps (n - 1) / n the result differs only by a factor."""
    batch, channels, height, width = feat.shape
    share = (height * width - 1) / (height * width)
    one_batch = feat.reshape(1, batch * channels, height, width)
    weight, bias = (scale * share**0.5).flatten(), None if shift is None else shift.flatten()
    return F.instance_norm(one_batch, weight=weight, bias=bias, eps=EPS * share).view_as(feat)


def library_style_statistics_loss(feat: Tensor, target: Tensor) -> Tensor:
    mean, std = library_calc_mean_std(feat)
    wanted_mean, wanted_std = library_calc_mean_std(target)
    return F.mse_loss(mean, wanted_mean) + F.mse_loss(std, wanted_std)


# ---- relations --------------------------------------------------------------------------------------------------------------


def published_pdist(items: Tensor) -> Tensor:
    """Distances of items [N, D] from their products."""
    squares = items.pow(2).sum(dim=1)
    squared = squares.unsqueeze(1) + squares.unsqueeze(0) - 2 * (items @ items.t())
    distances = squared.clamp(min=SMALLEST_SQUARE).sqrt().clone()
    distances[range(len(items)), range(len(items))] = 0
    return distances


def published_rkd(student: Tensor, teacher: Tensor, distance_weight: float = 25.0, angle_weight: float = 50.0) -> Tensor:
    """Both relation losses of items [N, D]; all differences and all triplets are stored."""
    with torch.no_grad():
        wanted = published_pdist(teacher)
        wanted = wanted / wanted[wanted > 0].mean()
        wanted_angles = _published_angles(teacher)
    distances = published_pdist(student)
    distances = distances / distances[distances > 0].mean()
    distance_loss = F.smooth_l1_loss(distances, wanted, reduction="mean")
    angle_loss = F.smooth_l1_loss(_published_angles(student), wanted_angles, reduction="mean")
    return distance_weight * distance_loss + angle_weight * angle_loss


def _published_angles(items: Tensor) -> Tensor:
    directions = F.normalize(items.unsqueeze(0) - items.unsqueeze(1), p=2, dim=2)
    return torch.bmm(directions, directions.transpose(1, 2)).view(-1)


def published_content_relation(student: Tensor, teacher: Tensor, patch: int = PATCH) -> Tensor:
    """Rows, columns and patches, image by image; the mean over the images."""
    total = student.new_zeros(())
    for image, wanted in zip(student, teacher, strict=True):
        for slices in (_rows, _columns, lambda x: _patches(x, patch)):
            total = total + published_rkd(slices(image), slices(wanted), 1.0, 2.0)
    return total / len(student)


def _rows(images: Tensor) -> Tensor:
    """Images [..., C, H, W] as H items."""
    return images.transpose(-3, -2).flatten(-2)


def _columns(images: Tensor) -> Tensor:
    return images.movedim(-1, -3).flatten(-2)


def _patches(images: Tensor, side: int = PATCH) -> Tensor:
    return F.unfold(images, side, stride=side).mT


def library_pdist(items: Tensor) -> Tensor:
    """``torch.cdist`` of items [..., N, D]; above 25 items it is a matrix product, whose diagonal is not 0."""
    itself = torch.eye(items.shape[-2], dtype=torch.bool, device=items.device)
    return torch.cdist(items, items).masked_fill(itself, 0)


def library_rkd(student: Tensor, teacher: Tensor, distance_weight: float = 25.0, angle_weight: float = 50.0) -> Tensor:
    """Angles by the law of cosines from ``torch.cdist``: the triplets are stored, the differences are not."""
    distances, wanted = library_pdist(student), library_pdist(teacher)
    distance_loss = F.smooth_l1_loss(_relative(distances), _relative(wanted), reduction="none").mean((-2, -1))
    angle_loss = F.smooth_l1_loss(_cosines(distances), _cosines(wanted), reduction="none").mean((-3, -2, -1))
    return distance_weight * distance_loss + angle_weight * angle_loss


def _relative(distances: Tensor) -> Tensor:
    count = distances.shape[-1]
    return distances * (count * (count - 1) / distances.sum((-2, -1), keepdim=True))


def _cosines(distances: Tensor) -> Tensor:
    """Cosines [..., i, j, k] of the angles at item i between j and k."""
    squares = distances.square()
    apart = distances > 0
    inverse = torch.where(apart, 1 / torch.where(apart, distances, 1), 0)
    sums = squares.unsqueeze(-1) + squares.unsqueeze(-2) - squares.unsqueeze(-3)
    return sums * (inverse.unsqueeze(-1) * (0.5 * inverse.unsqueeze(-2)))


def library_content_relation(student: Tensor, teacher: Tensor) -> Tensor:
    """All images at once, rows, columns and patches one after the other."""
    losses = [library_rkd(slices(student), slices(teacher), 1.0, 2.0) for slices in (_rows, _columns, _patches)]
    return torch.stack(losses).sum(0).mean()


# ---- whitening and colouring ------------------------------------------------------------------------------------------------


def published_wct(content: Tensor, style: Tensor, alpha: float = 1.0) -> Tensor:
    """Picture by picture, in float64, both covariances by SVD; the identity is added to the content's."""
    results = []
    for features, target in zip(content.double().flatten(2), style.double().flatten(2), strict=True):
        results.append(alpha * _published_wct(features, target) + (1 - alpha) * features)
    return torch.stack(results).view(content.shape).to(content.dtype)


def _published_wct(content: Tensor, style: Tensor) -> Tensor:
    mean = content.mean(1, keepdim=True)
    centred = content - mean.expand_as(content)
    identity = torch.eye(len(content), dtype=content.dtype, device=content.device)
    _, values, vectors = torch.svd(centred @ centred.t() / (content.shape[1] - 1) + identity)
    style_mean = style.mean(1, keepdim=True)
    centred_style = style - style_mean.expand_as(style)
    _, style_values, style_vectors = torch.svd(centred_style @ centred_style.t() / (style.shape[1] - 1))
    whitened = _published_power(values, vectors, -0.5) @ centred
    colored = _published_power(style_values, style_vectors, 0.5) @ whitened
    return colored + style_mean.expand_as(colored)


def _published_power(values: Tensor, vectors: Tensor, power: float) -> Tensor:
    kept = int((values >= CUTOFF).sum())  # they are in descending order
    return vectors[:, :kept] @ torch.diag(values[:kept].pow(power)) @ vectors[:, :kept].t()


def library_wct(content: Tensor, style: Tensor) -> Tensor:
    """All covariances by one batched ``eigh`` in float64, one matrix of both steps, applied in the features' own type."""
    means, covariances = zip(*(_moments(each.double().flatten(2)) for each in (content, style)), strict=True)
    identity = torch.eye(content.shape[1], dtype=torch.float64, device=content.device)
    values, vectors = torch.linalg.eigh(torch.cat((covariances[0] + identity, covariances[1])))
    kept = values >= CUTOFF
    roots = torch.where(kept, torch.where(kept, values, 1).sqrt(), 0)
    whitening, coloring = roots.chunk(2)
    basis, style_basis = vectors.chunk(2)
    whitening = torch.where(whitening > 0, 1 / torch.where(whitening > 0, whitening, 1), 0)
    matrix = (style_basis * coloring.unsqueeze(-2)) @ style_basis.mT @ ((basis * whitening.unsqueeze(-2)) @ basis.mT)
    offset = means[1] - matrix @ means[0]
    return torch.baddbmm(offset.to(content.dtype), matrix.to(content.dtype), content.flatten(2)).view(content.shape)


def _moments(feat: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [B, C, 1] and covariance [B, C, C]."""
    mean = feat.mean(-1, keepdim=True)
    centred = feat - mean
    return mean, torch.baddbmm(mean.new_zeros(1), centred, centred.mT, beta=0, alpha=1 / (feat.shape[-1] - 1))


# ---- colours ----------------------------------------------------------------------------------------------------------------


def published_color_transfer(source: Tensor, target: Tensor) -> Tensor:
    """Picture by picture, the matrices in float64, each root by an ``eigh`` of its own."""
    pairs = zip(source.flatten(2), target.flatten(2), strict=True)
    return torch.stack([_published_color_transfer(*pair) for pair in pairs]).view(source.shape)


def _published_color_transfer(colors: Tensor, target: Tensor) -> Tensor:
    ridge = EPS * torch.eye(len(colors), dtype=torch.float64, device=colors.device)
    covariance, wanted = (torch.cov(each, correction=0).double() + ridge for each in (colors, target))
    root, inverse = _published_root(covariance, 0.5), _published_root(covariance, -0.5)
    matrix = inverse @ _published_root(root @ wanted @ root, 0.5) @ inverse
    return matrix.to(colors.dtype) @ (colors - colors.mean(1, keepdim=True)) + target.mean(1, keepdim=True)


def _published_root(matrix: Tensor, power: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values.pow(power)) @ vectors.t()


def library_color_transfer(source: Tensor, target: Tensor) -> Tensor:
    """All pictures at once: each root and its inverse by one batched ``eigh``, then one product with the colours."""
    (mean, covariance), (target_mean, wanted) = (_moments(each.flatten(2)) for each in (source, target))
    ridge = EPS * torch.eye(source.shape[1], dtype=torch.float64, device=source.device)
    a, b = (each.double() * _share(x) + ridge for x, each in ((source, covariance), (target, wanted)))
    values, vectors = torch.linalg.eigh(a)
    root = (vectors * values.sqrt().unsqueeze(-2)) @ vectors.mT
    inverse = (vectors * values.rsqrt().unsqueeze(-2)) @ vectors.mT
    values, vectors = torch.linalg.eigh(root @ b @ root)
    matrix = (inverse @ (vectors * values.sqrt().unsqueeze(-2)) @ vectors.mT @ inverse).to(source.dtype)
    return torch.baddbmm(target_mean - matrix @ mean, matrix, source.flatten(2)).view(source.shape)


def _share(image: Tensor) -> float:
    """The factor from a covariance divided by n - 1 to one divided by n."""
    positions = image.shape[2] * image.shape[3]
    return (positions - 1) / positions


# ---- embedding and Gram -----------------------------------------------------------------------------------------------------


def published_linear_embedding(student: Tensor, teacher: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.mse_loss(F.conv2d(student, weight[:, :, None, None], bias), teacher)


def library_linear_embedding(student: Tensor, teacher: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The 1x1 convolution as one batched matrix product."""
    matrix = weight.expand(len(student), -1, -1)
    return F.mse_loss(torch.baddbmm(bias[None, :, None], matrix, student.flatten(2)), teacher.flatten(2))


def published_feature_loss(feat: Tensor, target: Tensor) -> Tensor:
    return F.mse_loss(feat, target)


def library_feature_loss(feat: Tensor, target: Tensor) -> Tensor:
    return torch.linalg.vector_norm(feat - target).square() / feat.numel()


def published_gram(feat: Tensor) -> Tensor:
    batch, channels, height, width = feat.shape
    flat = feat.view(batch, channels, height * width)
    return torch.bmm(flat, flat.transpose(1, 2)) / (channels * height * width)


def library_gram(feat: Tensor) -> Tensor:
    """A Gram matrix with the division inside the product."""
    flat = feat.flatten(2)
    return torch.baddbmm(feat.new_zeros(1), flat, flat.mT, beta=0, alpha=1 / (flat.shape[1] * flat.shape[2]))
