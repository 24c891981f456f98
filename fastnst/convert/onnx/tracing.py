"""Networks that are there as modules of PyTorch: traced, and then read as ONNX files are."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from fastnst.convert.builder import Numbers
from fastnst.convert.fidelity import generator_psnr
from fastnst.convert.graph import run_float
from fastnst.convert.onnx.network import Found, generator_of
from fastnst.convert.recognition import Recognised
from fastnst.convert.tensors import LayoutError, Source
from fastnst.format.onnxreading import read_graph
from fastnst.system.digest import file_digest

OPSET = 17
FLOORS = {True: 50.0, False: 25.0}
"""dB between what a module makes, which may be rounded to bytes, and what is read of it, by whether that is exact."""


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
            found = generator_of(read_graph(file), numbers)
            _check_same(found, module, example)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        source = Source(Path(name), {}, {}, file_digest(file))
    return Recognised(found.trained, found.what.replace("ONNX graph", "module", 1), "onnx", [source])


def _check_same(found: Found, module: nn.Module, example: Tensor) -> None:
    """LayoutError if the module makes another picture than what the exporter wrote of it, which leaves some arguments out."""
    step, (height, width) = found.trained.step, example.shape[2:]
    sides = -(-height // step) * step, -(-width // step) * step
    picture = 2 * torch.rand(1, 3, *sides, generator=torch.Generator().manual_seed(0)) - 1
    modes = {each: each.training for each in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            made = run_float(found.trained.nodes, picture).clamp(-1, 1)
            own = module((picture * found.read.half + found.read.middle).to(example)).float().cpu()
    except RuntimeError as error:
        words = " ".join(str(error).split())[:300]
        raise LayoutError(f"it does not take a picture of {sides[0]} x {sides[1]}, as fastnst has to: {words}") from error
    finally:
        for each, training in modes.items():
            each.training = training
    wanted = ((own - found.written.middle) / found.written.half).clamp(-1, 1)
    near = generator_psnr([(made + 1) * 127.5], [wanted]) if wanted.shape == made.shape else 0.0
    if not near >= FLOORS[found.exact]:
        raise LayoutError(
            f"traced, it makes other pictures than it does itself ({near:.0f} dB): PyTorch's exporter has left something out, "
            "as it does with the divisor_override of an average"
        )
