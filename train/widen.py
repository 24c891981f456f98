"""A trained AdaIN pair made wider without a change of its pictures: training goes on from where the narrow one is.

The aim is that of Net2Net (Chen et al., ICLR 2016), where a widened layer repeats its channels. Here new channels are new: the
encoder's are VGG-19's filters with the largest norm, a small network beside the trained one; the decoder's are random. No
trained channel reads a new one yet, its weights there are zero, so the picture stays; the first step changes that.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fastnst.networks.adain import LAYERS
from fastnst.networks.state import State, encoder_widths, part_of
from fastnst.networks.vgg import Decoder, Encoder
from fastnst.networks.vgg_files import normalise

from .filters import pruned_encoder


@torch.no_grad()
def widen(encoder: Encoder, decoder: Decoder, narrow: State, vgg: Encoder, images: Sequence[Tensor], whose: str) -> None:
    """Let a pair with random weights compute what a narrower one does.

    Args:
        narrow: the other's tensors, ``encoder.*`` and ``decoder.*``; dead channels of it may be gone.
        vgg: where the new channels of the encoder come from.
        images: photographs [N, 3, H, W], RGB 0..1, over which their layers' mean activation is brought to 1.
        whose: what ``narrow`` is called in errors.

    Raises:
        ValueError: a layer of the decoder is narrower than before, or one of the encoder not wider; one line.
    """
    wider = [wide - own for wide, own in zip(encoder.widths, encoder_widths(part_of(narrow, "encoder")), strict=True)]
    if min(wider) < 1:
        raise ValueError(f"{whose}: layer {LAYERS[wider.index(min(wider))]} of its encoder is not narrower than the new one")
    beside = normalise(pruned_encoder(vgg, wider), images, per_channel=False)
    encoder.conv0.load_state_dict(part_of(part_of(narrow, "encoder"), "conv0"))
    _read_through(beside, encoder.conv0)
    for name in LAYERS:
        layer, new = getattr(encoder, name), getattr(beside, name)
        outputs, inputs = new.weight.shape[:2]
        layer.weight[-outputs:] = 0
        layer.weight[-outputs:, -inputs:] = new.weight
        layer.bias[-outputs:] = new.bias
        for part, side in (("encoder", encoder), ("decoder", decoder)):
            _keep(getattr(side, name), narrow[f"{part}.{name}.weight"], narrow[f"{part}.{name}.bias"], whose)


def _read_through(network: Encoder, layer: nn.Conv2d) -> None:
    """Make ``network`` one that reads a picture through ``layer``, another 1x1 input layer, and gives the same."""
    own, first = network.conv0, network.conv1_1
    assert isinstance(first, nn.Conv2d)
    assert first.bias is not None
    assert own.bias is not None
    assert layer.bias is not None
    turn = own.weight[:, :, 0, 0] @ layer.weight[:, :, 0, 0].inverse()
    first.bias += first.weight.sum((2, 3)) @ (own.bias - turn @ layer.bias)
    first.weight.copy_(torch.einsum("oikl,ij->ojkl", first.weight, turn))
    own.load_state_dict(layer.state_dict())


def _keep(layer: nn.Conv2d, weight: Tensor, bias: Tensor, whose: str) -> None:
    """Let the first outputs of ``layer`` be those of a narrower one."""
    rows, columns = weight.shape[:2]
    if rows > layer.out_channels or columns > layer.in_channels:
        raise ValueError(f"{whose}: a layer {columns} to {rows} channels wide, where the new one has {layer.weight.shape[:2]}")
    layer.weight[:rows] = 0
    layer.weight[:rows, :columns] = weight
    assert layer.bias is not None
    layer.bias[:rows] = bias
