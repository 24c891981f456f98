"""Make a trained AdaIN pair wider without changing its pictures, so that training continues from the narrow pair.

The aim is that of Net2Net (Chen et al., ICLR 2016), where a widened layer repeats its channels. Here the new channels are
different ones: VGG-19's filters with the largest norm in the encoder, random ones in the decoder. The weights by which trained
channels read new ones are zero at first, so the pictures stay the same; the first training step changes these weights.
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
    """Make a pair with random weights compute the same as a narrower one.

    Args:
        narrow: the tensors of the narrower pair, ``encoder.*`` and ``decoder.*``; dead channels may have been removed.
        vgg: the source of the encoder's new channels.
        images: photographs [N, 3, H, W], RGB 0..1, on which the mean activation of new layers is scaled to 1.
        whose: the name of ``narrow`` in errors.

    Raises:
        ValueError: a layer of the decoder is narrower than before, or one of the encoder is not wider; one line.
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
            own = getattr(side, name)
            rows, columns = narrow[f"{part}.{name}.weight"].shape[:2]
            if rows > own.out_channels or columns > own.in_channels:
                raise ValueError(
                    f"{whose}: a layer {columns} to {rows} channels wide, where the new one has {own.weight.shape[:2]}"
                )
            keep(own, narrow[f"{part}.{name}.weight"], narrow[f"{part}.{name}.bias"])


def _read_through(network: Encoder, layer: nn.Conv2d) -> None:
    """Replace the 1x1 input layer of ``network`` by ``layer``, and change the next layer so that the output stays the same."""
    own, first = network.conv0, network.conv1_1
    assert isinstance(first, nn.Conv2d)
    assert first.bias is not None
    assert own.bias is not None
    assert layer.bias is not None
    turn = own.weight[:, :, 0, 0] @ layer.weight[:, :, 0, 0].inverse()
    first.bias += first.weight.sum((2, 3)) @ (own.bias - turn @ layer.bias)
    first.weight.copy_(torch.einsum("oikl,ij->ojkl", first.weight, turn))
    own.load_state_dict(layer.state_dict())


@torch.no_grad()
def keep(layer: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    """Set the weights of the first outputs of ``layer`` to those of a narrower one; they read nothing of its further inputs."""
    rows, columns = weight.shape[:2]
    layer.weight[:rows] = 0
    layer.weight[:rows, :columns] = weight
    assert layer.bias is not None
    layer.bias[:rows] = bias
