"""The compiled engine (``csrc/bind.cpp``). Use :mod:`fastnst.engine`."""

import numpy as np
from numpy.typing import NDArray

class Features:
    height: int
    width: int
    def statistics(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
    def array(self) -> NDArray[np.uint8]: ...

class Model:
    card: bytes  # UTF-8 JSON
    channels: int
    def __init__(self, data: bytes) -> None: ...
    def encode(self, image: NDArray[np.uint8], threads: int) -> Features: ...
    def decode(
        self,
        features: Features,
        mean: NDArray[np.float64],
        std: NDArray[np.float64],
        alpha: float,
        threads: int,
    ) -> NDArray[np.uint8]: ...
    def working_bytes(self, height: int, width: int, threads: int = 1) -> int: ...

def instruction_sets() -> list[tuple[str, bool]]: ...
def instruction_set() -> str: ...
def kernel_calls() -> dict[str, int]: ...
def operations_variant() -> str: ...
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
