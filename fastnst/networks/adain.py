"""Widths of the AdaIN encoder-decoder pair, VGG-shaped to relu4_1 (Huang and Belongie, ICCV 2017; Wang et al., CVPR 2020)."""

from __future__ import annotations

from fastnst.networks.vgg import VGG19, layers_of

LAYERS = layers_of(4)

WIDTHS = {
    "original": VGG19[: len(LAYERS)],
    "pruned": (64, 64, 128, 128, 140, 153, 153, 153, 261),
    "16x": (16, 16, 32, 32, 64, 64, 64, 64, 128),
    "nano": (8, 8, 16, 16, 32, 32, 32, 32, 48),
}
"""Output channels of the nine encoder layers: the published network, its published pruning, a quarter of each width, and about
an eighth."""
