"""AdaIN pairs: those of our recipes, and pytorch-AdaIN's ``decoder.pth`` with the normalised VGG-19 that it follows."""

from __future__ import annotations

from collections.abc import Sequence

from fastnst.convert.pair import Pair, pair_of
from fastnst.convert.tensors import LayoutError, Source, Tensors, only
from fastnst.networks.adain import LAYERS
from fastnst.networks.vgg_files import load_normalised_vgg19

TITLE = "an AdaIN pair of recipe adain (encoder, decoder), or pytorch-AdaIN's decoder.pth (1, 5 ..) with vgg_normalised.pth"
NAMES = r"(?:encoder|decoder)\.conv|\d+\.(?:weight|bias)$"
PLACES = (1, 5, 8, 11, 14, 18, 21, 25, 28)
"""Of the decoder's convolutions among its padding, ReLU and upsampling, as they run."""
VGG = "vgg_normalised.pth"


def read(sources: Sequence[Source]) -> tuple[Pair, str]:
    """The pair; LayoutError says what is wrong with it."""
    if not any("1.weight" in source.tensors or "0.weight" in source.tensors for source in sources):
        source = only(sources)
        pair = pair_of({name: x.double() for name, x in source.tensors.items()}, source.facts)
        return pair, f"AdaIN pair, widths {', '.join(map(str, pair.widths))}"
    encodes = ["0.weight" in source.tensors for source in sources]
    decoders = [source for source, is_vgg in zip(sources, encodes, strict=True) if not is_vgg]
    others = [source for source, is_vgg in zip(sources, encodes, strict=True) if is_vgg]
    if len(decoders) != 1:
        raise LayoutError(f"one decoder is expected, {len(decoders)} are given")
    if len(others) != 1:
        raise LayoutError(f"a decoder of VGG-19's features needs that network: fastnst convert decoder.pth {VGG} -o ..")
    tensors = Tensors(decoders[0].tensors)
    named = {}
    for place, layer in zip(PLACES, reversed(LAYERS), strict=True):
        named[f"decoder.{layer}.weight"] = tensors.take(f"{place}.weight", None, None, 3, 3)
        named[f"decoder.{layer}.bias"] = tensors.take(f"{place}.bias", None)
    tensors.finish()
    encoder = load_normalised_vgg19(others[0].path).state_dict()
    named |= {f"encoder.{name}": x.double() for name, x in encoder.items()}
    return pair_of(named, decoders[0].facts), "pytorch-AdaIN's decoder on the normalised VGG-19"
