"""Networks that are there as modules of PyTorch: traced, and then read as ONNX files are."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from fastnst.convert.builder import Numbers
from fastnst.convert.onnx.network import generator_of
from fastnst.convert.recognition import Recognised
from fastnst.convert.tensors import Source
from fastnst.format.onnxreading import read_graph
from fastnst.system.digest import file_digest

OPSET = 17


def traced(module: nn.Module, example: Tensor, numbers: Numbers | None = None) -> Recognised:
    """The generator that a module is, in evaluation, whatever its mode; it is left as it was.

    Args:
        example: a picture that it takes, [1, 3, H, W].
        numbers: how it reads and writes pictures; without it, what it ends in has to tell.

    Raises:
        ValueError: one line about what cannot be traced, or is not possible.
        ModuleNotFoundError: of ``onnx``.
    """
    name = type(module).__name__
    if example.ndim != 4 or tuple(example.shape[:2]) != (1, 3):
        raise ValueError(f"{name}: an example of shape {list(example.shape)}, expected one picture, [1, 3, H, W]")
    axes = {2: "height", 3: "width"}
    with TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of sides that become constants, which the walk compares with the picture's
                torch.onnx.export(
                    module, (example,), file, dynamo=False, opset_version=OPSET, input_names=["content"],
                    output_names=["picture"], dynamic_axes={"content": axes, "picture": axes},
                )  # fmt: skip
        except (RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"{name}: cannot be traced: {' '.join(str(error).split())[:300]}") from error
        try:
            trained, what = generator_of(read_graph(file), numbers)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        source = Source(Path(name), {}, {}, file_digest(file))
    return Recognised(trained, what.replace("ONNX graph", "module", 1), "onnx", [source])
