"""Tile sizes and numbers of warps of every kernel. Nothing is tuned at run time, so equal calls run equal kernels.

``TABLES[kernel][capability, size]`` are constants and options of a launch. Capability 0 is the conservative default, which
every size must have; other capabilities (90 is sm_90) override it after a measurement. None has been measured yet. Each kernel
has its own names of sizes: the longest row, the layout, the kind of products.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from fastnst.kernels.triton.launch import Device

Options = Mapping[str, int | str]


FLOAT64 = (80, 90, 100)
"""Capabilities whose tensor cores multiply float64 as fast as their other units multiply float32: A100, H100, H200, B200."""


def _embedding(positions: int, students: int, whole: int, step: int, teachers: int, warps: int) -> Options:
    """Tiles of the error are [positions, teachers]. A program finds the gradients of ``students`` channels; it multiplies up to
    ``whole`` of them in one piece, more in pieces of ``step``."""
    tiles = {"POSITIONS": positions, "STUDENTS": students, "WHOLE": whole, "STEP": step, "TEACHERS": teachers}
    return tiles | {"num_warps": warps, "num_stages": 2}


TABLES: dict[str, dict[tuple[int, str], Options]] = {
    # Rows in registers, by the length of the longest: at most 32 numbers of it per thread; a backward pass keeps two rows.
    "adain_row": {
        (0, "512"): {"num_warps": 1},
        (0, "2048"): {"num_warps": 4},
        (0, "8192"): {"num_warps": 8},
        (0, "32768"): {"num_warps": 32},
    },
    # Rows in pieces, by layout: numbers in a tile, tiles in the longest piece, most channels in a tile (128 bytes of bfloat16).
    "adain_piece": {
        (0, "contiguous"): {"NUMBERS": 4096, "TILES": 16, "CHANNELS": 1, "num_warps": 8},
        (0, "channels_last"): {"NUMBERS": 2048, "TILES": 32, "CHANNELS": 64, "num_warps": 8},
    },
    "color_piece": {(0, "any"): {"POSITIONS": 1024, "TILES": 16, "num_warps": 8}},
    "color_sweep": {(0, "any"): {"POSITIONS": 1024, "num_warps": 8}},
    # By kind of products.
    "embedding": {
        (0, "ieee"): _embedding(64, 64, 16, 16, 16, 8),
        (0, "ieee odd"): _embedding(32, 64, 16, 16, 16, 8),
        (0, "tf32x3"): _embedding(64, 64, 32, 32, 32, 8),
        (0, "tf32x3 odd"): _embedding(32, 64, 32, 32, 32, 8),
        (0, "tf32"): _embedding(64, 128, 128, 32, 32, 4),
        (0, "tf32 odd"): _embedding(64, 64, 64, 32, 32, 8),
    },
    "embedding_weight": {
        (0, "ieee"): _embedding(16, 64, 16, 16, 64, 8),
        (0, "tf32x3"): _embedding(32, 64, 32, 32, 32, 8),
        (0, "tf32x3 odd"): _embedding(16, 64, 32, 32, 32, 8),
        (0, "tf32"): _embedding(64, 128, 128, 32, 64, 8),
        (0, "tf32 odd"): _embedding(32, 64, 64, 32, 64, 8),
    },
    "gram": {
        (0, "ieee"): {"CHANNELS": 64, "POSITIONS": 32, "num_warps": 8, "num_stages": 2},
        (0, "tf32x3"): {"CHANNELS": 64, "POSITIONS": 32, "num_warps": 8, "num_stages": 2},
        (0, "tf32"): {"CHANNELS": 64, "POSITIONS": 64, "num_warps": 8, "num_stages": 3},
    },
    "gram_backward": {
        (0, "ieee"): {"CHANNELS": 64, "STEP": 32, "POSITIONS": 64, "num_warps": 8, "num_stages": 2},
        (0, "tf32x3"): {"CHANNELS": 64, "STEP": 32, "POSITIONS": 64, "num_warps": 8, "num_stages": 2},
        (0, "tf32"): {"CHANNELS": 64, "STEP": 32, "POSITIONS": 64, "num_warps": 4, "num_stages": 2},
    },
    "mean_error": {(0, "any"): {"NUMBERS": 2048, "STEPS": 8, "num_warps": 8}},
    "mean_error_backward": {(0, "any"): {"NUMBERS": 2048, "num_warps": 8}},
    "pairwise": {
        (0, "many"): {"BLOCK": 32, "DEPTH": 8, "num_warps": 8, "num_stages": 3},
        (0, "few"): {"BLOCK": 16, "DEPTH": 32, "num_warps": 4, "num_stages": 3},
    },
    "relation": {
        # With exact quotients either number of warps spills 8 bytes on one of the two.
        (0, "many"): {"BLOCK": 32, "num_warps": 8, "num_stages": 2},
        (90, "many"): {"BLOCK": 32, "num_warps": 4, "num_stages": 2},
        (0, "few"): {"BLOCK": 16, "num_warps": 4, "num_stages": 2},
    },
    "spread": {(0, "any"): {"BLOCK": 32, "NUMBERS": 64, "DEPTH": 16, "num_warps": 8, "num_stages": 3}},
    "wct_products": {
        (0, "any"): {"DOUBLE": 0, "BLOCK": 64, "DEPTH": 16, "num_warps": 8, "num_stages": 3},
        **{
            (capability, "any"): {"DOUBLE": 1, "BLOCK": 64, "DEPTH": 16, "num_warps": 8, "num_stages": 3}
            for capability in FLOAT64
        },
    },
    "wct_covariance": {(0, "any"): {"BLOCK": 32, "num_warps": 8, "num_stages": 2}},
    "wct_root": {(0, "any"): {"num_warps": 8, "num_stages": 1}},
    "wct_affine": {
        (0, "any"): {"DOUBLE": 0, "BLOCK": 64, "POSITIONS": 64, "DEPTH": 16, "num_warps": 8, "num_stages": 3},
        **{
            (capability, "any"): {"DOUBLE": 1, "BLOCK": 64, "POSITIONS": 64, "DEPTH": 16, "num_warps": 4, "num_stages": 3}
            for capability in FLOAT64
        },
    },
}

FLOAT32_PRODUCTS = "ieee"
"""The precision of float32 products: ``ieee``, without tensor cores, or ``tf32x3``, three TF32 products on them."""


def choose(kernel: str, capability: int, size: str) -> Options:
    """The options of ``kernel`` at ``size`` on a GPU of ``capability``, or the default."""
    table = TABLES[kernel]
    return table.get((capability, size), table[0, size])


def choose_for(kernel: str, device: Device, dtype: torch.dtype, *sizes: int) -> dict[str, Any]:
    """The same for a kernel of matrix products, whose sizes are the kinds of products, and PRECISION with them.

    float16 and bfloat16 are multiplied as they are; where one of them meets float32, TF32 keeps all their bits. Maps whose
    ``sizes`` are not all multiples of 16 are read number by number, which takes registers: they may have smaller tiles.
    """
    kind = FLOAT32_PRODUCTS if dtype == torch.float32 else "tf32"
    odd = f"{kind} odd"
    size = odd if any(each % 16 for each in sizes) and (0, odd) in TABLES[kernel] else kind
    return {"PRECISION": kind, **choose(kernel, device.capability, size)}
