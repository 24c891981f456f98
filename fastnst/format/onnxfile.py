"""Models as files of ONNX, for other runtimes: float graphs of what they compute, without rounding to bytes, or 8-bit ones."""

from __future__ import annotations

from fastnst.format.floatnet import float_network
from fastnst.format.modelfile import AdainFile, WctFile
from fastnst.format.onnxgenerator import build_generator
from fastnst.format.onnxgraph import build
from fastnst.format.onnxint8 import build_int8
from fastnst.format.reading import AnyModel


def onnx_bytes(model: AnyModel, cached: bool = False, int8: bool = False) -> bytes:
    """The graph of an AdaIN model (inputs ``content`` and ``style``, or if ``cached`` the style's ``mean`` and ``std``) or of a
    generator (input ``content``, with several styles also ``style_weights``), with output ``picture``; RGB 0..1, [1, 3, H, W].

    Args:
        int8: convolutions behind QuantizeLinear and DequantizeLinear, for runtimes to run in 8 bits.

    Raises:
        ValueError: the model cannot be written so; one line.
    """
    if isinstance(model, WctFile):
        raise ValueError("a WCT model whitens by eigenvectors, for which ONNX has no operator")
    if isinstance(model, AdainFile):
        if int8:
            return bytes(build_int8(model, cached).SerializeToString())
        return bytes(build(float_network(model), "cached" if cached else "given").SerializeToString())
    if cached:
        raise ValueError("a generator takes no style that could be cached")
    return bytes(build_generator(model, int8).SerializeToString())
