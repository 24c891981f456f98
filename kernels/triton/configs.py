"""Tiles and warps of every kernel, as data: nothing is tuned at run time, so equal calls run equal kernels.

``TABLES[kernel][capability, size]`` are constants and options of a launch. Capability 0 is the conservative default, which
every size must have; other capabilities (90 is sm_90) override it where a measurement said so. None has been measured yet.
The names of sizes are each kernel's own: the largest row that it takes, the layout, the type of its numbers.
"""

from __future__ import annotations

from collections.abc import Mapping

Options = Mapping[str, int | str]

FLOAT64 = (80, 90, 100)
"""Capabilities whose tensor cores multiply float64 as fast as other units float32: A100, H100 and H200, B200."""

TABLES: dict[str, dict[tuple[int, str], Options]] = {
    # Rows on chip, by numbers of the longest: at most 64 numbers of it per thread, so that two rows fit into registers.
    "adain_row": {
        (0, "512"): {"num_warps": 1},
        (0, "2048"): {"num_warps": 4},
        (0, "8192"): {"num_warps": 8},
        (0, "32768"): {"num_warps": 32},
    },
    # Rows in pieces, by layout: numbers of a tile, tiles of the longest piece, most channels of a tile (128 bytes of bfloat16).
    "adain_piece": {
        (0, "contiguous"): {"NUMBERS": 4096, "TILES": 16, "CHANNELS": 1, "num_warps": 8},
        (0, "channels_last"): {"NUMBERS": 2048, "TILES": 32, "CHANNELS": 64, "num_warps": 8},
    },
    "pairwise": {
        (0, "many"): {"BLOCK": 32, "DEPTH": 8, "num_warps": 4, "num_stages": 3},
        (0, "few"): {"BLOCK": 16, "DEPTH": 32, "num_warps": 4, "num_stages": 3},
    },
    "relation": {
        (0, "many"): {"BLOCK": 32, "num_warps": 8, "num_stages": 2},
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


def choose(kernel: str, capability: int, size: str) -> Options:
    """The options of ``kernel`` at ``size`` on a GPU of ``capability``, or the default."""
    table = TABLES[kernel]
    return table.get((capability, size), table[0, size])
