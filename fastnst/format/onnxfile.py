"""Models as files of ONNX, for other runtimes: float graphs of what they compute, without rounding to bytes."""

from __future__ import annotations

from fastnst.format.floatnet import float_network
from fastnst.format.modelfile import AdainFile, WctFile
from fastnst.format.onnxgenerator import build_generator
from fastnst.format.onnxgraph import build
from fastnst.format.reading import AnyModel


def onnx_bytes(model: AnyModel, cached: bool = False) -> bytes:
    """The graph of an AdaIN model (inputs ``content`` and ``style``, or if ``cached`` the style's ``mean`` and ``std``) or of a
    generator (input ``content``), with output ``picture``; RGB 0..1, [1, 3, H, W].

    Raises:
        ValueError: the model cannot be written so; one line.
    """
    if isinstance(model, WctFile):
        raise ValueError("a WCT model whitens by eigenvectors, for which ONNX has no operator")
    if isinstance(model, AdainFile):
        return bytes(build(float_network(model), "cached" if cached else "given").SerializeToString())
    if cached:
        raise ValueError("a generator takes no style that could be cached")
    return bytes(build_generator(model).SerializeToString())
