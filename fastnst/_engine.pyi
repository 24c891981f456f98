"""The compiled engine and training operations (``csrc/bind/``). Use :mod:`fastnst.engine`."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

_Statistics = tuple[NDArray[np.float64], NDArray[np.float64]]
_Palette = tuple[_Statistics, float]  # the style's colours, and the strength

class ColorSums:
    def __init__(self) -> None: ...
    def add(self, rows: NDArray[np.uint8], threads: int) -> None: ...
    def colors(self) -> _Statistics: ...

def map_colors(picture: NDArray[np.uint8], source: _Statistics, target: _Statistics, strength: float, threads: int) -> None: ...

# What colour modes do, of pictures [H, W, 3]. Histograms and tables are [3, 256]; map_levels works in place.
def keep_color(content: NDArray[np.uint8], styled: NDArray[np.uint8], threads: int, /) -> NDArray[np.uint8]: ...
def keep_lab(content: NDArray[np.uint8], styled: NDArray[np.uint8], threads: int, /) -> NDArray[np.uint8]: ...
def count_levels(picture: NDArray[np.uint8], /) -> NDArray[np.uint64]: ...
def level_tables(own: NDArray[np.uint64], wanted: NDArray[np.uint64], /) -> NDArray[np.uint8]: ...
def map_levels(tables: NDArray[np.uint8], picture: NDArray[np.uint8], threads: int, /) -> None: ...

# What masks cover of a picture, [H, W] of at most 4096 x 4096, and the rest.
class Regions:
    def __init__(self, masks: list[NDArray[np.uint8]], strength: NDArray[np.uint8] | None, paints_rest: bool, /) -> None: ...
    # uint16 [rows, parts, columns] of cells of step x step pixels; with `painted` one part more, the content
    def weights(self, height: int, width: int, step: int, painted: bool, /) -> NDArray[np.uint16]: ...
    def recolor(self, picture: NDArray[np.uint8], palettes: list[_Palette], threads: int, /) -> None: ...
    # rows from `first` on of a picture of `height`
    def keep_rest(
        self, height: int, first: int, content: NDArray[np.uint8], result: NDArray[np.uint8], threads: int, /
    ) -> None: ...

HIDDEN_CELL: int  # pixels along the side of a cell

# rgb: [n, W, 3]; alpha: [n, W]; sums: [cells, 4] of a band, [bands, cells, 4] of a picture
def cell_sums(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint64]: ...
def fill_hidden(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> None: ...

class Filling:
    memory: int
    def __init__(self, height: int, width: int, cells: NDArray[np.uint64]) -> None: ...
    def rows(self, index: int) -> tuple[int, int]: ...
    def rows_around(self, index: int) -> tuple[int, int]: ...
    def band(self, index: int, rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]: ...

class Tiling:
    height: int
    width: int
    in_memory: bool
    bytes: int

class RowIO:
    def __init__(
        self,
        height: int,
        width: int,
        read: Callable[[int, NDArray[np.uint8]], object],
        write: Callable[[NDArray[np.uint8]], object],
        tell: Callable[[float], object],
        threads: int,
    ) -> None: ...

class Features:
    height: int
    width: int
    levels: list[int]  # of a WCT model
    def statistics(self) -> _Statistics: ...  # mean [C], and standard deviation [C] or covariance [C, C]
    def array(self) -> NDArray[np.uint8]: ...

# Level, mean [C] and spread: of an AdaIN model, whose level is 0, the standard deviation [C], of a WCT model the root [C, C].
_Look = Sequence[tuple[int, NDArray[np.float64], NDArray[np.float64]]]
_Looks = list[list[tuple[int, NDArray[np.float64], NDArray[np.float64]]]]
# inputs, outputs, kernel, upsample, pool, winograd, height, width, seconds
_LayerTime = tuple[int, int, int, bool, bool, bool, int, int, float]

# Levels are those of a WCT model; None: all that it has. ValueError: the model is of a kind that cannot do this.
class Model:
    kind: str  # adain, wct, generator
    card: bytes  # UTF-8 JSON
    levels: list[int]
    styles: int  # of a generator; 0 if it has one look
    usual_bytes: int
    # styles: the part of each, 0..1; if empty, the first alone
    def translate(self, image: NDArray[np.uint8], styles: Sequence[float], threads: int) -> NDArray[np.uint8]: ...
    def encode(self, image: NDArray[np.uint8], levels: Sequence[int] | None, threads: int) -> Features: ...
    def look(
        self, image: NDArray[np.uint8], levels: Sequence[int] | None, threads: int
    ) -> list[tuple[int, NDArray[np.float64], NDArray[np.float64]]]: ...
    # looks: one for each of the regions
    def decode(
        self,
        features: Features,
        look: _Look,
        alpha: float,
        threads: int,
        regions: Regions | None,
        looks: _Looks,
    ) -> NDArray[np.uint8]: ...
    def tiling(
        self, height: int, width: int, levels: Sequence[int] | None, threads: int, budget: int, decodes: bool
    ) -> Tiling: ...
    def look_tiled(
        self, style: RowIO, levels: Sequence[int] | None, tiling: Tiling
    ) -> list[tuple[int, NDArray[np.float64], NDArray[np.float64]]]: ...
    def stylize_tiled(
        self,
        content: RowIO,
        levels: Sequence[int] | None,
        look: _Look,
        alpha: float,
        tiling: Tiling,
        folder: bytes,
        palettes: list[_Palette],
        palette_regions: Regions | None,
        regions: Regions | None,
        looks: _Looks,
        styles: Sequence[float],
    ) -> None: ...
    def working_bytes(self, height: int, width: int, levels: Sequence[int] | None, threads: int) -> int: ...
    def layer_times(self, height: int, width: int, threads: int, repeats: int) -> list[_LayerTime]: ...

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
def load(data: bytes) -> Model: ...
def png_unfilter(rows: NDArray[np.uint8], pixel: int, previous: NDArray[np.uint8]) -> bool: ...
def png_filter(rows: NDArray[np.uint8], pixel: int, previous: NDArray[np.uint8]) -> NDArray[np.uint8]: ...
def eigen(matrix: NDArray[np.float64]) -> _Statistics: ...
def instruction_sets() -> list[tuple[str, bool]]: ...
def instruction_set() -> str: ...
def parse_bytes(text: str) -> int: ...
def machine_memory(root: str = "") -> int: ...
def default_budget(pixels: int, machine: int, each: int = 12) -> int: ...
def kernel_calls() -> dict[str, int]: ...
def sha256(data: bytes, portable: bool) -> bytes: ...
def operations_variant() -> str: ...

class CachedBlock:
    def __init__(self, size: int) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

def release_cache() -> int: ...
def prefer_large_pages(x: Tensor) -> None: ...

# Tensors are checked before they are touched. TypeError: of another element type. ValueError: on another device, of another
# layout, or with too few elements.
def adain_channel_stats(x: Tensor, eps: float, mean: Tensor, std: Tensor, threads: int) -> None: ...
def adain_channel_stats_backward(
    grad_mean: Tensor, grad_std: Tensor, x: Tensor, mean: Tensor, std: Tensor, dx: Tensor, threads: int
) -> None: ...
def adain_apply(
    content: Tensor,
    style_mean: Tensor,
    style_std: Tensor,
    eps: float,
    out: Tensor,
    mean: Tensor,
    std: Tensor,
    threads: int,
) -> None: ...
def adain_apply_backward(
    grad: Tensor,
    content: Tensor,
    mean: Tensor,
    std: Tensor,
    style_std: Tensor,
    dcontent: Tensor,
    dstyle_mean: Tensor,
    dstyle_std: Tensor,
    threads: int,
) -> None: ...
def color_moments(x: Tensor, mean: Tensor, covariance: Tensor, threads: int) -> None: ...
def color_products(grad: Tensor, x: Tensor, mean: Tensor, total: Tensor, products: Tensor, threads: int) -> None: ...
def color_sweep(
    term: tuple[Tensor, Tensor, Tensor],
    other: tuple[Tensor, Tensor, Tensor] | None,
    offset: Tensor,
    out: Tensor,
    threads: int,
) -> None: ...

_RelationSizes = tuple[int, int, int, int, int, int, int, int]

def relation_memory(teacher: bool, sizes: _RelationSizes) -> tuple[int, int, int]: ...
def relation_pairwise(
    items: Tensor, sizes: _RelationSizes, squared: bool, eps: float, out: Tensor, threads: int, scratch: Tensor
) -> None: ...
def relation_pairwise_weights(
    grad: Tensor,
    items: Tensor,
    sizes: _RelationSizes,
    squared: bool,
    eps: float,
    weights: Tensor,
    threads: int,
    scratch: Tensor,
) -> None: ...
def relation_losses(
    student: Tensor,
    teacher: Tensor,
    sizes: _RelationSizes,
    distance_weight: float,
    angle_weight: float,
    losses: Tensor,
    weights: Tensor,
    threads: int,
    scratch: Tensor,
) -> None: ...
def relation_backward(
    grad: Tensor,
    weights: Tensor,
    student: Tensor,
    sizes: _RelationSizes,
    gradient: Tensor,
    threads: int,
    scratch: Tensor,
) -> None: ...
def call_each(count: int, function: Callable[[int], None], threads: int) -> None: ...
def wct_means(x: Tensor, mean: Tensor, threads: int) -> None: ...
def wct_products(
    x: Tensor,
    x_mean: Tensor | None,
    y: Tensor | None,
    y_mean: Tensor | None,
    scale: float,
    product: Tensor,
    threads: int,
) -> None: ...
def wct_outer(factor: Tensor, product: Tensor, threads: int) -> None: ...
def wct_transform(matrix: Tensor, x: Tensor, shift: Tensor, offset: Tensor, out: Tensor, threads: int) -> None: ...
def embedding_loss(
    student: Tensor,
    teacher: Tensor,
    negative_weight: Tensor,
    bias: Tensor,
    gradients: tuple[Tensor, Tensor, Tensor] | None,
    threads: int,
) -> float: ...
def embedding_teacher(
    student: Tensor,
    teacher: Tensor,
    negative_weight: Tensor,
    bias: Tensor,
    scale: float,
    gradient: Tensor,
    threads: int,
) -> None: ...
def perceptual_error(x: Tensor, y: Tensor, squared: bool, threads: int) -> float: ...
def perceptual_error_backward(x: Tensor, y: Tensor, squared: bool, scale: float, out: Tensor, threads: int) -> None: ...
def perceptual_gram(x: Tensor, gram: Tensor, threads: int) -> None: ...
def perceptual_mix(matrix: Tensor, x: Tensor, out: Tensor, threads: int) -> None: ...
