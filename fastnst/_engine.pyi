"""The compiled engine (``csrc/bind.cpp``). Use :mod:`fastnst.engine`."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

_Statistics = tuple[NDArray[np.float64], NDArray[np.float64]]

class Tiling:
    height: int
    width: int
    in_memory: bool
    bytes: int

class Passage:
    def __init__(
        self,
        height: int,
        width: int,
        read: Callable[[int, NDArray[np.uint8]], object],
        write: Callable[[NDArray[np.uint8]], object],
        tell: Callable[[float], object],
        threads: int,
    ) -> None: ...

class AdainFeatures:
    height: int
    width: int
    def statistics(self) -> _Statistics: ...
    def array(self) -> NDArray[np.uint8]: ...

# inputs, outputs, kernel, upsample, pool, winograd, height, width, seconds
_LayerTime = tuple[int, int, int, bool, bool, bool, int, int, float]

class AdainModel:
    card: bytes  # UTF-8 JSON
    def encode(self, image: NDArray[np.uint8], threads: int) -> AdainFeatures: ...
    def decode(
        self, features: AdainFeatures, mean: NDArray[np.float64], std: NDArray[np.float64], alpha: float, threads: int
    ) -> NDArray[np.uint8]: ...
    def layer_times(self, height: int, width: int, threads: int, repeats: int) -> list[_LayerTime]: ...
    def tiling(self, height: int, width: int, threads: int, budget: int, decodes: bool) -> Tiling: ...
    def look_tiled(self, style: Passage, tiling: Tiling) -> _Statistics: ...
    def stylize_tiled(
        self,
        content: Passage,
        mean: NDArray[np.float64],
        std: NDArray[np.float64],
        alpha: float,
        tiling: Tiling,
        folder: bytes,
    ) -> None: ...
    def working_bytes(self, height: int, width: int, threads: int = 1) -> int: ...

class WctFeatures:
    height: int
    width: int
    levels: list[int]
    def statistics(self) -> _Statistics: ...
    def array(self) -> NDArray[np.uint8]: ...

_Coloring = tuple[int, NDArray[np.float64], NDArray[np.float64]]  # level, mean [C], root [C, C]

class WctModel:
    card: bytes  # UTF-8 JSON
    levels: list[int]
    def encode(self, image: NDArray[np.uint8], levels: Sequence[int], threads: int) -> WctFeatures: ...
    def look(self, image: NDArray[np.uint8], levels: Sequence[int], threads: int) -> list[_Coloring]: ...
    def decode(self, features: WctFeatures, look: Sequence[_Coloring], alpha: float, threads: int) -> NDArray[np.uint8]: ...
    def tiling(self, height: int, width: int, levels: Sequence[int], threads: int, budget: int, decodes: bool) -> Tiling: ...
    def look_tiled(self, style: Passage, levels: Sequence[int], tiling: Tiling) -> list[_Coloring]: ...
    def stylize_tiled(
        self,
        content: Passage,
        levels: Sequence[int],
        look: Sequence[_Coloring],
        alpha: float,
        tiling: Tiling,
        folder: bytes,
    ) -> None: ...
    def working_bytes(self, height: int, width: int, levels: Sequence[int], threads: int = 1) -> int: ...

class Subsampling:
    def __init__(self, across: int, down: int, centred: bool, top: bool) -> None: ...

_Weights = tuple[int, int, int]  # of red, green and blue

class FromYuv:
    def __init__(self, y_zero: int, y: int, red_cr: int, green_cb: int, green_cr: int, blue_cb: int) -> None: ...

class ToYuv:
    def __init__(self, y_zero: int, y: _Weights, cb: _Weights, cr: _Weights) -> None: ...

_Plane = NDArray[np.uint8]

def yuv_to_rgb(planes: Sequence[_Plane], sampling: Subsampling, matrix: FromYuv) -> NDArray[np.uint8]: ...
def rgb_to_yuv(image: NDArray[np.uint8], sampling: Subsampling, matrix: ToYuv) -> tuple[_Plane, _Plane, _Plane]: ...

class GeneratorModel:
    card: bytes  # UTF-8 JSON
    def translate(self, image: NDArray[np.uint8], threads: int) -> NDArray[np.uint8]: ...
    def working_bytes(self, height: int, width: int, threads: int = 1) -> int: ...

def load(data: bytes) -> AdainModel | WctModel | GeneratorModel: ...
def png_unfilter(rows: NDArray[np.uint8], pixel: int, previous: NDArray[np.uint8]) -> bool: ...
def png_filter(rows: NDArray[np.uint8], pixel: int, previous: NDArray[np.uint8]) -> NDArray[np.uint8]: ...
def eigen(matrix: NDArray[np.float64]) -> _Statistics: ...
def instruction_sets() -> list[tuple[str, bool]]: ...
def instruction_set() -> str: ...
def kernel_calls() -> dict[str, int]: ...
def sha256(data: bytes, portable: bool) -> bytes: ...
def operations_variant() -> str: ...

class KeptBlock:
    def __init__(self, size: int) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

def release_kept() -> int: ...
def prefer_large_pages(address: int, size: int) -> None: ...

class MapShape:
    def __init__(self, element: int, images: int, positions: int, channels: int) -> None: ...

def adain_channel_stats(shape: MapShape, x: int, eps: float, mean: int, std: int, threads: int) -> None: ...
def adain_channel_stats_backward(
    shape: MapShape, grad_mean: int, grad_std: int, x: int, mean: int, std: int, dx: int, threads: int
) -> None: ...
def adain_apply(
    shape: MapShape, content: int, style_mean: int, style_std: int, eps: float, out: int, mean: int, std: int, threads: int
) -> None: ...
def adain_apply_backward(
    shape: MapShape,
    grad: int,
    content: int,
    mean: int,
    std: int,
    style_std: int,
    dcontent: int,
    dstyle_mean: int,
    dstyle_std: int,
    threads: int,
) -> None: ...

_RelationSizes = tuple[int, int, int, int, int, int, int, int]

def relation_memory(teacher: bool, sizes: _RelationSizes) -> tuple[int, int, int]: ...
def relation_pairwise(
    items: int, sizes: _RelationSizes, squared: bool, eps: float, out: int, threads: int, scratch: int
) -> None: ...
def relation_pairwise_weights(
    grad: int, items: int, sizes: _RelationSizes, squared: bool, eps: float, weights: int, threads: int, scratch: int
) -> None: ...
def relation_losses(
    student: int,
    teacher: int,
    sizes: _RelationSizes,
    distance_weight: float,
    angle_weight: float,
    losses: int,
    weights: int,
    threads: int,
    scratch: int,
) -> None: ...
def relation_backward(
    grad: int, weights: int, student: int, sizes: _RelationSizes, gradient: int, threads: int, scratch: int
) -> None: ...

class FeatureMap:
    def __init__(self, data: int, element: int, channels_last: bool, batch: int, channels: int, positions: int) -> None: ...

def call_each(count: int, function: Callable[[int], None], threads: int) -> None: ...
def wct_means(x: FeatureMap, mean: int, threads: int) -> None: ...
def wct_products(
    x: FeatureMap, x_mean: int, y: FeatureMap | None, y_mean: int, scale: float, product: int, threads: int
) -> None: ...
def wct_outer(factor: int, batch: int, channels: int, rank: int, product: int, threads: int) -> None: ...
def wct_transform(
    matrix: int, pitch: int, wide: bool, x: FeatureMap, shift: int, offset: int, out: int, threads: int
) -> None: ...
def embedding_loss(
    student: FeatureMap,
    teacher: FeatureMap,
    negative_weight: int,
    pitch: int,
    bias: int,
    student_gradient: int,
    weight_gradient: int,
    bias_gradient: int,
    threads: int,
) -> float: ...
def embedding_teacher(
    student: FeatureMap,
    teacher: FeatureMap,
    negative_weight: int,
    pitch: int,
    bias: int,
    scale: float,
    gradient: int,
    threads: int,
) -> None: ...
def perceptual_error(x: int, y: int, element: int, count: int, squared: bool, threads: int) -> float: ...
def perceptual_error_backward(
    x: int, y: int, element: int, count: int, squared: bool, scale: float, out: int, threads: int
) -> None: ...
def perceptual_gram(x: FeatureMap, gram: int, threads: int) -> None: ...
def perceptual_mix(matrix: int, pitch: int, x: FeatureMap, out: int, threads: int) -> None: ...
