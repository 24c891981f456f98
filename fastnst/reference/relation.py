"""Relational knowledge distillation (Park et al., CVPR 2019) and its use on the rows, columns and patches of images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from fastnst.reference.inputs import check, check_same, full_precision, widen

SMALLEST_SQUARE = 1e-12
"""Squared distances are clamped here, as published."""

SMALLEST_LENGTH = 1e-12
"""Two items that are no further apart than this have no direction; the published code divides by no less than this."""

GRANULARITIES = ("row", "column", "patch")


def pdist(e: Tensor, squared: bool = False, eps: float = SMALLEST_SQUARE) -> Tensor:
    r"""Euclidean distances of all pairs of items.

    .. math:: d_{ij} = \sqrt{\max(|x_i - x_j|^2, \epsilon)} \text{ for } i \ne j, \quad d_{ii} = 0

    Args:
        e: items [N, D], or a batch of sets [B, N, D]. B may be 0.
        squared: leave out the square root.
        eps: the smallest squared distance, above 0.

    Returns:
        [N, N] or [B, N, N] in ``e``'s type, computed in float32 at least.

    Items closer than sqrt(eps) have distance sqrt(eps) and gradient 0. A number that is not finite reaches the distances of
    its item alone. The published code expands the square into |a|^2 + |b|^2 - 2ab, which leaves rounding noise where items
    coincide; the differences that are computed here give exact zeros. Where squares overflow float32 (numbers from about 1e19
    on), a distance is inf; the published code gives inf or NaN, as the three terms overflow one by one. float64 has room.

    Source: section 3.2.1, with the clamp of the authors' code.
    """
    check("e", e, "BND" if e.dim() == 3 else "ND", empty_batch=e.dim() == 3)
    if not eps > 0:
        raise ValueError(f"eps: expected above 0, got {eps}")
    (items,) = widen(e)
    return _distances(items, squared, eps).to(e.dtype)


def _distances(items: Tensor, squared: bool = False, eps: float = SMALLEST_SQUARE) -> Tensor:
    squares = _differences(items).square().sum(-1).clamp(min=eps)
    itself = torch.eye(items.shape[-2], dtype=torch.bool, device=items.device)
    return (squares if squared else squares.sqrt()).masked_fill(itself, 0)


def _differences(items: Tensor) -> Tensor:
    """[..., i, j, :] = item j minus item i."""
    return items.unsqueeze(-3) - items.unsqueeze(-2)


def rkd_distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""How far the distances of the student's items, relative to their mean, are from the teacher's.

    .. math:: \frac1{N^2} \sum_{ij} h\!\left(\frac{d^S_{ij}}{\bar d^S} - \frac{d^T_{ij}}{\bar d^T}\right)

    where h is Huber's loss with beta 1 and each mean is over the positive entries, which are all i != j.

    Args:
        student: items [N, D], or a batch of sets [B, N, D]. B may be 0.
        teacher: as many items, [N, E] or [B, N, E]; no gradient reaches it, as published.

    Returns:
        A scalar or [B], float32 at least. The loss is the same for moved, rotated or scaled items.

    The student's mean has a gradient. Items that coincide have gradient 0 towards each other (see ``pdist``). Numbers that are
    not finite, and those whose squares overflow float32, make the loss of their set NaN, as published, and its gradients.
    Unlike the published code, whose mean over no entries is NaN, this gives 0 for a single item.

    Source: section 3.2.1, entries and means as in the authors' code.
    """
    items, wanted = _pair(student, teacher)
    return F.smooth_l1_loss(_relative(_distances(items)), _relative(_distances(wanted)), reduction="none").mean((-2, -1))


def _relative(distances: Tensor) -> Tensor:
    """Distances divided by the mean of the positive ones: the clamp makes those the N (N - 1) off the diagonal."""
    count = distances.shape[-1]
    if count == 1:
        return distances
    return distances / (distances.sum((-2, -1), keepdim=True) / (count * (count - 1)))


def rkd_angle_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""How far the angles that the student's items form are from the teacher's.

    .. math:: \frac1{N^3} \sum_{ijk} h(\cos^S_{ijk} - \cos^T_{ijk}), \quad
       \cos_{ijk} = \frac{x_j - x_i}{|x_j - x_i|} \cdot \frac{x_k - x_i}{|x_k - x_i|}

    where h is Huber's loss with beta 1. The vertex is the first index; all N^3 triplets count, degenerate ones too.

    Args:
        student: items [N, D], or a batch of sets [B, N, D]. B may be 0.
        teacher: as many items, [N, E] or [B, N, E]; no gradient reaches it, as published.

    Returns:
        A scalar or [B], float32 at least. Memory grows with N * N * (D + N): this is the plain formula.

    Numbers that are not finite make the loss of their set NaN, as published. So do those whose squares overflow float32 (from
    about 1e19 on); where the formula takes the kernels' place they have cosine 0, as published.

    Where the vertex coincides with another item, the cosine and its gradient are 0; this holds up to a distance of
    1e-12. The published code divides by max(distance, 1e-12) instead, which gives the same value where items are equal, but
    a gradient of 1e12, which ruins the training. Items that nearly coincide have the large gradient of the
    formula, 1 / distance, and angles that depend on the last digits of their numbers.

    Source: section 3.2.2, entries as in the authors' code.
    """
    items, wanted = _pair(student, teacher)
    return F.smooth_l1_loss(_cosines(items), _cosines(wanted), reduction="none").mean((-3, -2, -1))


def _cosines(items: Tensor) -> Tensor:
    """[..., i, j, k]: cosine of the angle at item i between items j and k."""
    differences = _differences(items)
    squares = differences.square().sum(-1, keepdim=True)
    apart = ~(squares <= SMALLEST_LENGTH**2)  # so is what is not a number, which must not pass for a right angle
    units = torch.where(apart, differences, 0) / torch.where(apart, squares, 1).sqrt()
    with full_precision(units):
        return units @ units.mT


def _pair(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    for name, items in (("student", student), ("teacher", teacher)):
        check(name, items, "BND" if items.dim() == 3 else "ND", empty_batch=items.dim() == 3)
    check_same("item counts of student and teacher", tuple(student.shape[:-1]), tuple(teacher.shape[:-1]))
    items, wanted = widen(student, teacher.detach())
    return items, wanted


def rkd_loss(
    student: Tensor,
    teacher: Tensor,
    distance_weight: float = 25.0,
    angle_weight: float = 50.0,
) -> Tensor:
    """``distance_weight`` * ``rkd_distance_loss`` + ``angle_weight`` * ``rkd_angle_loss``.

    Args:
        student: items [N, D]; a batch of sets [B, N, D]; or anything else that has an item for each index of its first axis,
            such as feature maps [N, C, H, W]: an item is then all numbers behind it.
        teacher: the same with as many items; no gradient reaches it.
        distance_weight: 25 as in RepDistiller and mdistiller. The paper's own examples and CRD (content relationship
            distillation) weigh 1 to 2: coming from there, pass both.
        angle_weight: 50 likewise.

    Returns:
        A scalar or [B], float32 at least. Degenerate inputs as for the two losses.

    RepDistiller flattens inputs of any rank; here three axes are a batch of sets, with one loss each.
    ``fastnst.nn.RKDLoss`` flattens those too. mdistiller's function of this name takes ``squared`` and ``eps`` before the
    weights: name the weights.

    Source: Park et al., section 3.2; weights of Tian et al., ICLR 2020 (RepDistiller).
    """
    check_weights(distance_weight, angle_weight)
    items, wanted = items_or_sets(student), items_or_sets(teacher)
    return weighed_relations(items, wanted, distance_weight, angle_weight)


def check_weights(distance_weight: float, angle_weight: float) -> None:
    """Raise ``TypeError`` for a bool: it is the ``squared`` of mdistiller's ``rkd_loss``, which comes before the weights."""
    if isinstance(distance_weight, bool) or isinstance(angle_weight, bool):
        raise TypeError("rkd_loss: expected two weights after student and teacher, got a bool; name them: distance_weight=")


def items_or_sets(x: Tensor) -> Tensor:
    """Three axes are sets of items; of anything else, the first axis counts the items."""
    return x if x.dim() in {0, 3} else x.unsqueeze(1).flatten(1)


def weighed_relations(student: Tensor, teacher: Tensor, distance_weight: float, angle_weight: float) -> Tensor:
    """Both losses of items [N, D] or [B, N, D], weighed; one of weight 0 is left out."""
    terms = ((distance_weight, rkd_distance_loss), (angle_weight, rkd_angle_loss))
    weighed = [weight * term(student, teacher) for weight, term in terms if weight]
    return sum(weighed[1:], weighed[0]) if weighed else 0 * rkd_distance_loss(student, teacher)


def content_relation_loss(
    student: Tensor,
    teacher: Tensor,
    patch_size: int = 32,
    distance_weight: float = 1.0,
    angle_weight: float = 2.0,
    granularities: Sequence[str] = GRANULARITIES,
    reduction: str = "mean",
) -> Tensor:
    """How far the relations between an image's rows, columns and patches are from those in the teacher's image.

    Per image: the sum over ``granularities`` of ``rkd_loss`` between the student's items and the teacher's.

    Args:
        student: images [N, C, H, W].
        teacher: images [N, C', H, W]; no gradient reaches them.
        patch_size: side of the square patches, which do not overlap. As in the published code, rows and columns of
            pixels that do not fill a patch at the bottom and the right belong to none.
        distance_weight: weight of the distances.
        angle_weight: weight of the angles.
        granularities: any of ``row`` (H items of C * W numbers), ``column`` (W items of C * H) and
            ``patch`` (items of C * patch_size^2), each at most once.
        reduction: over the images: ``mean``, ``sum`` or ``none``.

    Returns:
        A scalar, or [N] with ``none``; float32 at least. An image of one row, column or patch gives 0 for that.

    Differences: the published code cannot split images into rows and columns (it raises) and in its paired variant
    compares the colour planes of the first image's patches; here every image is compared with its own teacher's.

    Source: the content relationship loss of CRD, which sums all three with beta = 2 for the angles and patches of 32.
    """
    check("student", student, "NCHW")
    check("teacher", teacher, "NCHW")
    sizes = (student.shape[0], *student.shape[2:]), (teacher.shape[0], *teacher.shape[2:])
    check_same("batch, height and width of student and teacher", *sizes)
    check_choices(granularities, reduction)
    images, wanted = widen(student, teacher)
    losses = torch.stack(
        [
            rkd_loss(_items(images, kind, patch_size), _items(wanted, kind, patch_size), distance_weight, angle_weight)
            for kind in granularities
        ]
    ).sum(0)
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def check_choices(granularities: Sequence[str], reduction: str) -> None:
    """Raise ``ValueError`` unless both are among what ``content_relation_loss`` knows."""
    known = [kind for kind in granularities if kind in GRANULARITIES]
    if not known or len(set(known)) != len(granularities):
        raise ValueError(f"granularities: expected some of {', '.join(GRANULARITIES)}, once each, got {granularities!r}")
    if reduction not in {"mean", "sum", "none"}:
        raise ValueError(f"reduction: expected mean, sum or none, got {reduction!r}")


def check_patch(patch_size: int, height: int, width: int) -> None:
    """Raise ``ValueError`` unless a patch fits the image."""
    if not 1 <= patch_size <= min(height, width):
        raise ValueError(f"patch_size: expected 1 to {min(height, width)} for {height} x {width} images, got {patch_size}")


def _items(images: Tensor, kind: str, patch_size: int) -> Tensor:
    """The rows, columns or patches of images [N, C, H, W] as items [N, count, numbers]."""
    if kind == "row":
        return images.permute(0, 2, 1, 3).flatten(2)
    if kind == "column":
        return images.permute(0, 3, 1, 2).flatten(2)
    check_patch(patch_size, *images.shape[2:])
    return F.unfold(images, patch_size, stride=patch_size).mT
