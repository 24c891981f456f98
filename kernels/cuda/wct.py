r"""Roots of covariances by eigenvectors, with a hard cutoff: as exact as the reference, for a whole batch at once.

.. math:: \Sigma = \frac{1}{n - 1} X_c X_c^T = V \Lambda V^T, \quad R = V f(\Lambda + r) V^T + f(r)\,(I - V V^T)

where f is the square root, or its inverse, above the cutoff, and 0 below. With fewer positions than channels, V comes
from the smaller X_c^T X_c, has n columns only, and every other direction has the eigenvalue r.

On a GPU, cuSOLVER takes all matrices of a batch together where the library of ``fastnst.kernels.cuda.build`` has been built;
``torch.linalg.eigh``, which is used otherwise and on other devices, takes them one by one.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastnst.kernels.cuda.build import library

INDICES = 2**31 - 1
"""The largest number of elements that cuSOLVER takes at once."""


def covariance_root(x: Tensor, ridge: float, cutoff: float, inverse: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The square root of the covariance of ``x`` [B, C, n] plus ``ridge``, or its inverse, above ``cutoff``.

    Returns:
        root, float64 [B, C, C]; mean, float64 [B, C, 1]; and for the gradient, with k = min(C, n), eigenvectors of the
        covariance, float64 [B, C, k], and its eigenvalues without ridge, float64 [B, k]. With n < C, directions without
        variance are zeros in both.

    A value that is not finite makes all results of its picture NaN.
    """
    channels, positions = x.shape[1:]
    centred, mean = _centre(x)
    scale = max(1, positions - 1)
    if channels <= positions:
        values, vectors = _eigh(centred @ centred.mT / scale)
    else:
        values, right = _eigh(centred.mT @ centred / scale)
        there = values > _noise(values, channels)
        values = torch.where(there, values, values * 0)
        # Neither 1 / sqrt(0), nor 0 for NaN.
        lengths = torch.where(there, values * scale, 1).sqrt()
        vectors = torch.where(there.unsqueeze(-2) | values.isnan().unsqueeze(-2), centred @ (right / lengths.unsqueeze(-2)), 0)
    _, images, _ = _function(values, ridge, cutoff, inverse, channels)
    inside, outside = images[:, :-1], images[:, -1:]
    if channels <= positions:
        root = (vectors * inside.unsqueeze(-2)) @ vectors.mT
    else:
        root = (vectors * (inside - outside).unsqueeze(-2)) @ vectors.mT
        root.diagonal(dim1=-2, dim2=-1).add_(outside)
    return root, mean, vectors, values


def covariance_roots(
    content: Tensor, style: Tensor, content_ridge: float, style_ridge: float, cutoff: float
) -> tuple[Tensor, ...]:
    """``covariance_root`` of the content, inverse, and of the style."""
    return (
        *covariance_root(content, content_ridge, cutoff, inverse=True),
        *covariance_root(style, style_ridge, cutoff, inverse=False),
    )


def covariance_root_backward(
    grad_root: Tensor,
    grad_mean: Tensor,
    x: Tensor,
    mean: Tensor,
    root: Tensor,  # noqa: ARG001
    vectors: Tensor,
    values: Tensor,
    ridge: float,
    cutoff: float,
    inverse: bool,
) -> Tensor:
    """The gradient of ``x`` by divided differences (Daleckii and Krein), which are finite where eigenvalues coincide."""
    channels, positions = x.shape[1:]
    kernel = _divided_differences(*_function(values, ridge, cutoff, inverse, channels), inverse=inverse)
    upstream = (grad_root + grad_root.mT) / 2
    turned = upstream @ vectors
    inner = vectors.mT @ turned
    slope = vectors @ (kernel[:, :-1, :-1] * inner)
    if channels > positions:
        # Between the directions of V and all others, which share one eigenvalue. X has no component in the others alone.
        slope = slope + (turned - vectors @ inner) * kernel[:, :-1, -1:].mT
    centred, _ = _centre(x, mean)
    gradient = slope @ (vectors.mT @ centred) * (2 / max(1, positions - 1)) + grad_mean / positions
    return gradient.to(x.dtype)


def transform(x: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """``matrix`` x + ``offset`` of ``x`` [B, C, n], float64 [B, C, C] and float64 [B, C, 1], in ``x``'s type."""
    return torch.baddbmm(offset, matrix, x.double()).to(x.dtype)


def transform_backward(grad: Tensor, x: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of ``x``, ``matrix`` and ``offset``."""
    wide = grad.double()
    return (matrix.mT @ wide).to(x.dtype), wide @ x.double().mT, wide.sum(-1, keepdim=True)


def _centre(x: Tensor, mean: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """As in the reference: rows that are constant up to rounding become exactly 0."""
    wide = x.double()
    if mean is None:
        mean = wide.mean(-1, keepdim=True)
    centred = wide - mean
    constant = centred.abs().amax(-1, keepdim=True) <= 1e-12 * mean.abs()
    return centred.masked_fill_(constant, 0), mean


def _noise(eigenvalues: Tensor, channels: int) -> Tensor:
    """The rounding error of eigenvalues [B, k]; those that are not above it count as 0."""
    return (eigenvalues.amax(-1, keepdim=True) * channels * torch.finfo(eigenvalues.dtype).eps).clamp(min=0)


def _function(values: Tensor, ridge: float, cutoff: float, inverse: bool, channels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Eigenvalues with the ridge, f of them and what is kept, [B, k + 1]: the last stands for directions outside of V."""
    eigenvalues = torch.nn.functional.pad(values, (0, 1)) + ridge
    kept = (eigenvalues >= cutoff) & (eigenvalues > _noise(eigenvalues, channels))
    roots = torch.where(kept, eigenvalues, 1).sqrt()
    return eigenvalues, torch.where(kept, 1 / roots if inverse else roots, 0), kept


def _divided_differences(eigenvalues: Tensor, images: Tensor, kept: Tensor, *, inverse: bool) -> Tensor:
    """(f(a) - f(b)) / (a - b) of all pairs, and f' where they coincide, in forms that lose no digits where they are close."""
    roots = torch.where(kept, eigenvalues, 1).sqrt()
    rows, columns = roots.unsqueeze(-1), roots.unsqueeze(-2)
    smooth = -1 / (rows * columns * (rows + columns)) if inverse else 1 / (rows + columns)
    both = kept.unsqueeze(-1) & kept.unsqueeze(-2)
    one = kept.unsqueeze(-1) ^ kept.unsqueeze(-2)
    # On two sides of the cutoff eigenvalues differ, so this divides by zero only where it is not taken.
    gap = torch.where(one, eigenvalues.unsqueeze(-1) - eigenvalues.unsqueeze(-2), 1)
    across = (images.unsqueeze(-1) - images.unsqueeze(-2)) / gap
    return torch.where(both, smooth, torch.where(one, across, 0))


def _eigh(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues [B, k] in ascending order and eigenvectors [B, k, k]; both NaN for a matrix that is not finite."""
    finite = matrices.isfinite().all(-1).all(-1)
    # Solvers may hang or raise on others.
    safe = matrices.masked_fill(~finite.view(-1, 1, 1), 0)
    values, vectors = _solve(safe) if matrices.is_cuda and missing() is None else torch.linalg.eigh(safe)
    nan = torch.where(finite, 0, torch.nan).to(values.dtype)
    return values + nan.view(-1, 1), vectors + nan.view(-1, 1, 1)


# --- cuSOLVER ---------------------------------------------------------------------------------------------------------------


def missing() -> str | None:
    """Why the compiled library can't be used; None if it can."""
    return _library()[1]


@functools.cache
def _library() -> tuple[Any, str | None]:
    path = library()
    if torch.version.cuda is None:
        return None, "this PyTorch has no CUDA"
    if not path.exists():
        return None, "its library was not built: python -m fastnst.kernels.cuda.build"
    try:
        loaded = load(path)
    except OSError as error:
        return None, f"its library can't be loaded: {error}"
    reasons = [_error(loaded.fastnst_open(name.encode())) for name in _solvers()]
    return loaded, None if None in reasons else reasons[0]


def load(path: Path) -> Any:
    """The library at ``path`` with the types of its functions, which ``wct.cu`` explains.

    Raises:
        OSError: it can't be loaded.
    """
    loaded = ctypes.CDLL(str(path))
    pointer, integer, size = ctypes.c_void_p, ctypes.c_int64, ctypes.c_size_t
    loaded.fastnst_open.argtypes = [ctypes.c_char_p]
    sizes: list[Any] = [ctypes.c_int, integer, integer, pointer, pointer]
    loaded.fastnst_eigh_scratch.argtypes = [*sizes, ctypes.POINTER(size), ctypes.POINTER(size), pointer]
    loaded.fastnst_eigh.argtypes = [*sizes, pointer, pointer, size, pointer, size, pointer]
    for function in (loaded.fastnst_open, loaded.fastnst_eigh_scratch, loaded.fastnst_eigh):
        function.restype = ctypes.c_char_p
    return loaded


def _solvers() -> Iterator[str]:
    """Possible paths of cuSOLVER: first PyTorch's, which is a separate package, then the system's."""
    release = int(str(torch.version.cuda).split(".")[0])
    name = f"libcusolver.so.{release - 1}"  # its number is one behind CUDA's, from 12 on
    for folder in sys.path:
        for path in sorted(Path(folder).glob(f"nvidia/*/lib/{name}")):
            yield str(path)
    yield name


def _solve(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors of matrices on a GPU, in its current stream."""
    batch, side, _ = matrices.shape
    vectors = matrices.clone(memory_format=torch.contiguous_format)
    values = matrices.new_empty(batch, side)
    info = matrices.new_empty(batch, dtype=torch.int32)
    limit = max(1, INDICES // side**2)
    with torch.cuda.device(matrices.get_device()):
        for start in range(0, batch, limit):
            _solve_some(vectors[start : start + limit], values[start : start + limit], info[start : start + limit])
    # Columns lie one after the other, so rows of what was the matrix are eigenvectors.
    return values, vectors.mT


def _solve_some(matrices: Tensor, values: Tensor, info: Tensor) -> None:
    device = matrices.get_device()
    stream = torch.cuda.current_stream(device).cuda_stream
    task = device, matrices.shape[1], len(matrices), matrices.data_ptr(), values.data_ptr()
    sizes = ctypes.c_size_t(), ctypes.c_size_t()
    _check(_library()[0].fastnst_eigh_scratch(*task, *map(ctypes.byref, sizes), stream))
    # Freed memory is reused by this stream only, so not before the solver is done.
    scratch = torch.empty(sizes[0].value, dtype=torch.uint8, device=matrices.device)
    host = torch.empty(sizes[1].value, dtype=torch.uint8)
    places = info.data_ptr(), scratch.data_ptr(), scratch.numel(), host.data_ptr(), host.numel()
    _check(_library()[0].fastnst_eigh(*task, *places, stream))


def _error(message: bytes | None) -> str | None:
    return None if message is None else message.decode(errors="replace")


def _check(message: bytes | None) -> None:
    if message is not None:
        raise RuntimeError(_error(message))
