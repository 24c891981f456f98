"""Pictures of every kind that training code has, as uint8 [H, W, C] and back; torch is asked only where it is loaded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastnst.images import to_srgb

Samples: TypeAlias = NDArray[np.uint8]  # [H, W, C]: C is 1 (grey), 2 (grey and transparency), 3 or 4

_KEPT = ("L", "LA", "RGB", "RGBA")
_BEYOND = 0.25  # what resizing in floats may leave outside 0..1


@dataclass(frozen=True)
class Opened:
    """The pictures in a value.

    Attributes:
        samples: of each.
        untouched: the value if none of them changes.
        restored: a new value with others of the same shapes in their places; None leaves one as it was.
        apart: each is a sample of its own, or else they are one, such as the frames of a video.
    """

    samples: Sequence[Samples]
    untouched: Any
    restored: Callable[[Sequence[Samples | None]], Any]
    apart: bool = True


def is_tensor(value: object) -> bool:
    """Whether it is one of PyTorch's."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_image(value: object) -> bool:
    """Whether its type alone says that it is a picture or a video."""
    return isinstance(value, Image.Image) or _is_tv_tensor(value, "Image") or _is_tv_tensor(value, "Video")


def _is_tv_tensor(value: object, kind: str) -> bool:
    module = sys.modules.get("torchvision.tv_tensors")
    return module is not None and isinstance(value, getattr(module, kind))


def opened(value: Any) -> Opened:
    """The pictures in a PIL image, an array or a tensor.

    Raises:
        ValueError: of a shape, a type or values that pictures do not have here.
    """
    if isinstance(value, Image.Image):
        return _of_image(value)
    return _of_tensor(value) if is_tensor(value) else _of_array(value)


def _of_image(image: Image.Image) -> Opened:
    plain = image.mode in _KEPT and "icc_profile" not in image.info and "transparency" not in image.info
    kept = image if plain else to_srgb(image).image()
    samples = np.asarray(kept)

    def restored(new: Sequence[Samples | None]) -> Any:
        changed = new[0]
        return kept if changed is None else Image.fromarray(changed[..., 0] if changed.shape[2] == 1 else changed)

    return Opened([samples if samples.ndim == 3 else samples[..., None]], kept, restored)


def _of_array(array: Any) -> Opened:
    if not isinstance(array, np.ndarray):
        raise ValueError(f"a picture is a PIL image, an array or a tensor, not {type(array).__name__}")
    shape, dtype = array.shape, array.dtype
    batch = array[None, ..., None] if array.ndim == 2 else array[None] if array.ndim == 3 else array
    if batch.ndim != 4 or not 1 <= batch.shape[3] <= 4:
        raise ValueError(f"an array is of shape [H, W], [H, W, C] or [N, H, W, C] with 1 to 4 channels, not {list(shape)}")

    def restored(new: Sequence[Samples | None]) -> Any:
        result = batch.copy()
        for at, changed in enumerate(new):
            if changed is not None:
                result[at] = _typed(changed, dtype)
        return result.reshape(shape)

    return Opened(_bytes(batch, f"an array of shape {list(shape)}"), array, restored)


def _of_tensor(tensor: Any) -> Opened:
    import torch

    shape, video = tuple(tensor.shape), _is_tv_tensor(tensor, "Video")
    leading = len(shape) - 3
    if not (1 if video else 0) <= leading <= (leading if is_image(tensor) else 1) or not 1 <= shape[-3] <= 4:
        raise ValueError(f"a tensor is of shape [C, H, W] or [N, C, H, W] with 1 to 4 channels, not {list(shape)}")
    plain = tensor.detach().as_subclass(torch.Tensor).cpu()
    if plain.is_floating_point():
        plain = plain.to(torch.float64 if plain.dtype == torch.float64 else torch.float32)
    batch = plain.reshape(-1, *shape[-3:]).permute(0, 2, 3, 1).contiguous().numpy()

    def restored(new: Sequence[Samples | None]) -> Any:
        result = tensor.detach().as_subclass(torch.Tensor).clone(memory_format=torch.contiguous_format)
        pictures = result.view(-1, *shape[-3:])
        for at, changed in enumerate(new):
            if changed is not None:
                pictures[at] = torch.from_numpy(_typed(changed, batch.dtype)).permute(2, 0, 1)
        return sys.modules["torchvision.tv_tensors"].wrap(result, like=tensor) if is_image(tensor) else result

    return Opened(_bytes(batch, f"a tensor of shape {list(shape)}"), tensor, restored, apart=not video)


def _bytes(batch: NDArray[Any], what: str) -> list[Samples]:
    """[N, H, W, C] of bytes, or of floats in 0..1, as bytes.

    Raises:
        ValueError: of another type, without pixels, or out of range.
    """
    if batch.size == 0:
        raise ValueError(f"{what} has no pixels")
    if batch.dtype == np.uint8:
        return list(batch)
    if not np.issubdtype(batch.dtype, np.floating):
        raise ValueError(f"{what} is of bytes or of floats in 0..1, not of {batch.dtype}")
    low, high = float(batch.min()), float(batch.max())
    if not (low >= -_BEYOND and high <= 1 + _BEYOND):
        raise ValueError(f"{what} has floats from {low:g} to {high:g}, not in 0..1: put RandomStyle before what normalises")
    return list(np.rint(np.clip(batch, 0, 1) * batch.dtype.type(255)).astype(np.uint8))


def _typed(values: Samples, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Bytes as they are, or as floats in 0..1."""
    return values if dtype == np.uint8 else (values / np.float64(255)).astype(dtype)
