"""The exact integer reference of ``fastnst/format/modelfile.py`` in NumPy: what the C++ engine must produce, byte for byte.

Maps are uint8 [H, W, C]. Written to be compared with the format's text, not to be fast.
"""

from .layers import Map, decode, encode, renormalise, run_layer, statistics
from .lcg import Lcg
from .random_models import (
    Shape,
    model_of,
    pair_like,
    random_cascade,
    random_layer,
    random_model,
    random_picture,
    random_winograd_layer,
    stage_of,
    three_levels,
)
from .reader import Cursor, parse, parse_weights, prefix_decoded
from .wct import cascade, moments, recolour, root, wct_look

__all__ = [
    "Cursor",
    "Lcg",
    "Map",
    "Shape",
    "cascade",
    "decode",
    "encode",
    "model_of",
    "moments",
    "pair_like",
    "parse",
    "parse_weights",
    "prefix_decoded",
    "random_cascade",
    "random_layer",
    "random_model",
    "random_picture",
    "random_winograd_layer",
    "recolour",
    "renormalise",
    "root",
    "run_layer",
    "stage_of",
    "statistics",
    "three_levels",
    "wct_look",
]
