"""The runtimes that are compared: how each is prepared, loaded and run.

Everything here runs inside a worker process (:mod:`bench.worker`), which imports one runtime and no other; the process
that steers reads only the table :data:`RUNTIMES`. A runtime is *prepared* once per network (converted, quantised) and
*loaded* for every size, number of threads and way of giving the style; loading returns the call that is timed.

The settings are the ones found fastest for each rival on this network: PyTorch in channels_last and inference mode, static
shapes for the compiler, u8 activations and per-channel s8 weights for ONNX Runtime, and for OpenVINO the latency hint,
MINMAX ranges (the default ranges cost more than 10 dB here) and bf16, where the processor has it, for what stays unquantised.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnst.system.child import python_module

from . import network, pictures

Array = NDArray[Any]
Run = Callable[[], Any]

STYLES = ("given", "cached")
"""``given``: two pictures go in. ``cached``: one picture and the statistics of a style that was encoded before."""


@dataclass
class Job:
    """What one worker is to run, and what it found out on the way."""

    folder: Path
    size: int
    threads: int
    style: str
    details: dict[str, str] = field(default_factory=dict)
    given: dict[str, Array] = field(default_factory=dict, repr=False)

    def arrays(self, *names: str) -> dict[str, Array]:
        """Inputs by name, read once."""
        if missing := [name for name in names if name not in self.given]:
            with np.load(self.folder / f"inputs-{self.size}.npz") as stored:
                self.given |= {name: stored[name] for name in missing}
        return {name: self.given[name] for name in names}

    def floats(self) -> dict[str, Array]:
        """The rivals' inputs by name: pictures float32 [1, 3, H, W], statistics float32 [1, C, 1, 1]."""
        return self.arrays(*(("content", "style") if self.style == "given" else ("content", "mean", "std")))

    def pixels(self) -> tuple[pictures.Pixels, pictures.Pixels]:
        """The engine's inputs: content and style, uint8 [H, W, 3]."""
        arrays = self.arrays("content_pixels", "style_pixels")
        return arrays["content_pixels"], arrays["style_pixels"]


# --- inputs, shared by all --------------------------------------------------------------------------------------------------


def prepare_inputs(folder: Path, size: int) -> None:
    """Write the pictures at ``size`` and the style's statistics as the float network has them."""
    target = folder / f"inputs-{size}.npz"
    if target.exists():
        return
    content_pixels, style_pixels = pictures.pair(size)
    content, style = pictures.to_floats(content_pixels), pictures.to_floats(style_pixels)
    mean, std = style_statistics(folder, [style])[0]
    arrays = {"content": content, "style": style, "mean": mean, "std": std}
    np.savez(target, **arrays, content_pixels=content_pixels, style_pixels=style_pixels)  # type: ignore[arg-type]


def style_statistics(folder: Path, styles: list[Array]) -> list[tuple[Array, Array]]:
    """Mean and deviation, each [1, C, 1, 1], of every style picture's features."""
    import torch

    pair = torch_pair(folder)
    with torch.inference_mode():
        results = [pair.statistics(pair.encode(torch.from_numpy(style))) for style in styles]
    return [(mean.numpy(), std.numpy()) for mean, std in results]


def calibration(folder: Path, style: str) -> list[dict[str, Array]]:
    """Inputs by name for a quantiser to calibrate on."""
    pairs = [(pictures.to_floats(content), pictures.to_floats(look)) for content, look in pictures.calibration()]
    if style == "given":
        return [{"content": content, "style": look} for content, look in pairs]
    statistics = style_statistics(folder, [look for _, look in pairs])
    return [{"content": c, "mean": mean, "std": std} for (c, _), (mean, std) in zip(pairs, statistics, strict=True)]


def keep(target: Path, make: Callable[[Path], object]) -> None:
    """Have ``make`` write ``target`` unless it is there; a half-written file never bears the final name."""
    if not target.exists():
        partial = target.with_name("partial-" + target.name)
        make(partial)
        partial.replace(target)


# --- fastnst ----------------------------------------------------------------------------------------------------------------


def prepare_fastnst(folder: Path, _style: str) -> None:
    """Convert the trained network unless the engine's own file was given."""

    def convert_network(target: Path) -> None:
        from fastnst.convert import convert

        source, pictures = folder / "source.safetensors", calibration_folder(folder)
        convert(source, pictures, target, name="benchmark", overwrite=True, keep_dead=True)  # all runtimes: the same network

    keep(folder / "source.fnst", convert_network)


def calibration_folder(folder: Path) -> Path:
    """The calibration pictures as files."""
    from PIL import Image

    root = folder / "calibration"
    for i, pair in enumerate(pictures.calibration()):
        for kind, pixels in zip(("content", "style"), pair, strict=True):
            (root / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / kind / f"{i}.png")
    return root


def load_fastnst(job: Job) -> Run:
    from fastnst.engine import Engine, instruction_set

    engine = Engine(job.folder / "source.fnst")
    job.details["instruction set"] = instruction_set()
    content, style = job.pixels()
    threads = job.threads
    if job.style == "given":
        return lambda: engine.decode(engine.encode(content, threads), engine.look(style, threads), threads=threads)
    look = engine.look(style, threads)
    return lambda: engine.decode(engine.encode(content, threads), look, threads=threads)


def load_command(job: Job, program: list[str], suffix: str) -> Run:
    """A command from picture files to a picture file, the start of its process included."""
    import subprocess

    from PIL import Image

    files = [job.folder / f"{name}-{job.size}{suffix}" for name in ("content", "style", "made")]
    for file, pixels in zip(files, job.pixels(), strict=False):
        Image.fromarray(pixels).save(file)
    options = ["-o", files[2], "--overwrite", "--threads", str(job.threads)]

    def run() -> Any:
        subprocess.run([*program, *files[:2], *options], check=True, capture_output=True)  # type: ignore[list-item]
        return np.asarray(Image.open(files[2]))

    return run


def load_fastnst_command(job: Job) -> Run:
    return load_command(job, python_module("fastnst", "stylize", "--model", str(job.folder / "source.fnst")), ".png")


def load_fastnst_executable(job: Job) -> Run:
    program = Path(sys.executable).with_name("fastnst-stylize")
    return load_command(job, [str(program), str(job.folder / "source.fnst")], ".ppm")


# --- PyTorch ----------------------------------------------------------------------------------------------------------------


def torch_pair(folder: Path) -> Any:
    """The network as a ``torch.nn.Module``: ``pair(content, style)`` and ``pair.cached(content, mean, std)``."""
    import torch
    from torch import Tensor, nn

    def module(conv: network.Conv) -> nn.Sequential:
        outputs, inputs, kernel, _ = conv.weights.shape
        layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, padding_mode="reflect")
        layer.weight.data, layer.bias.data = torch.from_numpy(conv.weights), torch.from_numpy(conv.bias)  # type: ignore[union-attr]
        steps = [nn.Upsample(scale_factor=2.0, mode="nearest")] if conv.upsample else []
        return nn.Sequential(*steps, layer, *([nn.ReLU()] if conv.relu else []), *([nn.MaxPool2d(2)] if conv.pool else []))

    class Pair(nn.Module):
        def __init__(self, net: network.Network) -> None:
            super().__init__()
            self.encode = nn.Sequential(*map(module, net.encoder))
            self.decode = nn.Sequential(*map(module, net.decoder))

        @staticmethod
        def statistics(features: Tensor) -> tuple[Tensor, Tensor]:
            # The biased variance: at equal sizes the n / (n - 1) of the unbiased one cancels between content and style.
            variance, mean = torch.var_mean(features, dim=(2, 3), correction=0, keepdim=True)
            return mean, (variance + network.EPS).sqrt()

        def cached(self, content: Tensor, mean: Tensor, std: Tensor) -> Tensor:
            features = self.encode(content)
            own_mean, own_std = self.statistics(features)
            return self.decode((features - own_mean) / own_std * std + mean)

        def forward(self, content: Tensor, style: Tensor) -> Tensor:
            return self.cached(content, *self.statistics(self.encode(style)))

    return Pair(network.load(folder / "network.npz")).eval().requires_grad_(False)


def load_torch(job: Job) -> tuple[Any, list[Any]]:
    """The function to call and its arguments, in channels_last."""
    import torch

    torch.set_num_threads(job.threads)
    pair = torch_pair(job.folder).to(memory_format=torch.channels_last)
    arguments = [torch.from_numpy(array) for array in job.floats().values()]
    arguments[0] = arguments[0].contiguous(memory_format=torch.channels_last)
    if job.style == "given":
        arguments[1] = arguments[1].contiguous(memory_format=torch.channels_last)
    return (pair if job.style == "given" else pair.cached), arguments


def load_torch_eager(job: Job) -> Run:
    import torch

    function, arguments = load_torch(job)

    @torch.inference_mode()
    def run() -> Any:
        return function(*arguments)

    return run


def load_torch_compile(job: Job) -> Run:
    # One compiler process at a time, and this one: pool workers would neither be counted in its memory nor stay off the cores.
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(job.folder / "inductor")
    os.environ["TORCHINDUCTOR_FREEZING"] = "1"
    import torch

    function, arguments = load_torch(job)
    compiled = torch.compile(function, dynamic=False)

    @torch.no_grad()
    def run() -> Any:
        return compiled(*arguments)

    return run


# --- ONNX Runtime -----------------------------------------------------------------------------------------------------------


def prepare_onnx(folder: Path, style: str, twin: bool = False) -> Path:
    """The float graph's file."""
    import onnx

    from .onnx_graph import build

    target = folder / f"{'twin' if twin else 'float'}-{style}.onnx"
    keep(target, lambda path: onnx.save(build(network.load(folder / "network.npz"), style, twin), path))
    return target


def prepare_onnxruntime_int8(folder: Path, style: str) -> None:
    """Static quantisation: QDQ format, u8 activations, s8 weights per channel, MinMax ranges; AdaIN stays float."""
    from onnxruntime import quantization as quant
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quant.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rest: Iterator[dict[str, Array]] = iter(calibration(folder, style))

        def get_next(self) -> dict[str, Array] | None:
            return next(self.rest, None)

    def quantise(target: Path) -> None:
        simplified = folder / f"simplified-{style}.onnx"
        quant_pre_process(str(prepare_onnx(folder, style)), str(simplified), skip_symbolic_shape=True)
        quant.quantize_static(
            str(simplified),
            str(target),
            Reader(),
            quant_format=quant.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quant.QuantType.QUInt8,
            weight_type=quant.QuantType.QInt8,
            op_types_to_quantize=["Conv", "MaxPool", "Pad", "Relu", "Resize"],
            calibrate_method=quant.CalibrationMethod.MinMax,
        )

    keep(folder / f"onnxruntime-int8-{style}.onnx", quantise)


def load_onnxruntime(job: Job, file: str) -> Run:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = job.threads, 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    for side in ("H", "W"):
        options.add_free_dimension_override_by_name(side, job.size)
    session = ort.InferenceSession(str(job.folder / file), options, providers=["CPUExecutionProvider"])
    inputs = job.floats()
    return lambda: session.run(None, inputs)[0]


def load_onnxruntime_fp32(job: Job) -> Run:
    return load_onnxruntime(job, f"float-{job.style}.onnx")


def load_onnxruntime_int8(job: Job) -> Run:
    return load_onnxruntime(job, f"onnxruntime-int8-{job.style}.onnx")


# --- OpenVINO ---------------------------------------------------------------------------------------------------------------


def quantise_openvino(folder: Path, style: str, twin: bool) -> None:
    """NNCF's post-training quantisation into ``openvino-int8[-twin]-<style>.xml`` and ``.bin``."""
    name = f"openvino-int8{'-twin' if twin else ''}-{style}"
    if (folder / f"{name}.xml").exists():
        return
    import nncf
    import openvino as ov
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    model = ov.Core().read_model(prepare_onnx(folder, style, twin))
    samples = calibration(folder, style)
    quantised = nncf.quantize(
        model,
        nncf.Dataset(samples),
        preset=nncf.QuantizationPreset.PERFORMANCE,
        target_device=nncf.TargetDevice.CPU,
        subset_size=len(samples),
        ignored_scope=nncf.IgnoredScope(patterns=[r"^adain\..*"]),
        advanced_parameters=AdvancedQuantizationParameters(
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX
        ),
    )
    # The .xml names no file: the .bin is looked for beside it under the same stem, so both are written before the renaming.
    partial = folder / "partial"
    partial.mkdir(exist_ok=True)
    ov.save_model(quantised, partial / f"{name}.xml", compress_to_fp16=False)
    for suffix in (".bin", ".xml"):
        (partial / f"{name}{suffix}").replace(folder / f"{name}{suffix}")


def prepare_openvino_int8(folder: Path, style: str) -> None:
    quantise_openvino(folder, style, twin=False)


def prepare_openvino_int8_twin(folder: Path, style: str) -> None:
    quantise_openvino(folder, style, twin=True)


def load_openvino(job: Job, file: str, precision: str) -> Run:
    import openvino as ov

    core = ov.Core()
    limited = "ONEDNN_MAX_CPU_ISA" in os.environ  # which these properties know nothing of
    if precision == "bf16" and (limited or "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")):
        precision = "f32"
    job.details["precision of what is not int8"] = precision
    inputs = job.floats()
    model = core.read_model(job.folder / file)
    model.reshape({name: list(array.shape) for name, array in inputs.items()})
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": job.threads,
        "INFERENCE_PRECISION_HINT": precision,
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    for name, array in inputs.items():
        request.set_tensor(name, ov.Tensor(array))

    def run() -> Any:
        request.infer()
        return request.get_output_tensor(0).data

    return run


def load_openvino_fp32(job: Job) -> Run:
    return load_openvino(job, f"float-{job.style}.onnx", "f32")


def load_openvino_int8(job: Job) -> Run:
    return load_openvino(job, f"openvino-int8-{job.style}.xml", "bf16")


def load_openvino_int8_twin(job: Job) -> Run:
    return load_openvino(job, f"openvino-int8-twin-{job.style}.xml", "bf16")


# --- the table --------------------------------------------------------------------------------------------------------------


def to_picture(output: Any) -> Array:
    """Any runtime's output as float32 [3, H, W] of 0..1, clamped as a saved picture would be."""
    array = np.asarray(output)
    if array.dtype == np.uint8:
        return array.transpose(2, 0, 1).astype(np.float32) / 255
    return array[0].astype(np.float32).clip(0, 1)


@dataclass(frozen=True)
class Runtime:
    """One line of the comparison.

    Attributes:
        needs: importable packages without which it cannot run.
        floor: the least PSNR in dB against PyTorch fp32; below it the runtime computes something else.
        styles: the ways of giving a style in which it is distinct from its neighbours in the table.
        picture: its output as :func:`to_picture` has it.
        command: starts a process for every picture.
    """

    name: str
    label: str
    needs: tuple[str, ...]
    prepare: Callable[[Path, str], object]
    load: Callable[[Job], Run]
    floor: float
    styles: tuple[str, ...] = STYLES
    picture: Callable[[Any], Array] = to_picture
    command: bool = False


def nothing(_folder: Path, _style: str) -> None:
    """Nothing to prepare."""


LIMITS = {"avx2": {"FASTNST_ISA": "avx2", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}}
"""What holds the runtimes to an older instruction set, by its name; those in :data:`UNLIMITED` cannot be held."""
UNLIMITED = ("onnxruntime-fp32", "onnxruntime-int8", "torch-compile")

FASTNST = "fastnst"
REFERENCE = "torch-eager"
FP32_FLOOR, INT8_FLOOR = 60.0, 15.0

RUNTIMES = {
    runtime.name: runtime
    for runtime in (
        Runtime(FASTNST, "fastnst", ("fastnst",), prepare_fastnst, load_fastnst, INT8_FLOOR),
        Runtime(
            "fastnst-command",
            "`fastnst stylize`, PNG to PNG",
            ("fastnst",),
            prepare_fastnst,
            load_fastnst_command,
            INT8_FLOOR,
            styles=("given",),
            command=True,
        ),
        Runtime(
            "fastnst-executable",
            "`fastnst-stylize`, PPM to PPM",
            ("fastnst",),
            prepare_fastnst,
            load_fastnst_executable,
            INT8_FLOOR,
            styles=("given",),
            command=True,
        ),
        Runtime(REFERENCE, "PyTorch fp32, eager", ("torch",), nothing, load_torch_eager, FP32_FLOOR),
        Runtime("torch-compile", "PyTorch fp32, torch.compile", ("torch",), nothing, load_torch_compile, FP32_FLOOR),
        Runtime(
            "onnxruntime-fp32",
            "ONNX Runtime fp32",
            ("onnx", "onnxruntime"),
            prepare_onnx,
            load_onnxruntime_fp32,
            FP32_FLOOR,
        ),
        Runtime(
            "onnxruntime-int8",
            "ONNX Runtime int8",
            ("onnx", "onnxruntime"),
            prepare_onnxruntime_int8,
            load_onnxruntime_int8,
            INT8_FLOOR,
        ),
        Runtime("openvino-fp32", "OpenVINO fp32", ("onnx", "openvino"), prepare_onnx, load_openvino_fp32, FP32_FLOOR),
        Runtime(
            "openvino-int8",
            "OpenVINO int8 (NNCF)",
            ("onnx", "openvino", "nncf"),
            prepare_openvino_int8,
            load_openvino_int8,
            INT8_FLOOR,
        ),
        Runtime(
            "openvino-int8-twin",
            "OpenVINO int8 (NNCF), twin encoder",
            ("onnx", "openvino", "nncf"),
            prepare_openvino_int8_twin,
            load_openvino_int8_twin,
            INT8_FLOOR,
            styles=("given",),  # with a cached style there is one encoder
        ),
    )
}


def psnr(picture: Array, reference: Array) -> float:
    """Peak signal to noise in dB, peak 1; infinite for equal pictures."""
    error = float(np.mean((picture.astype(np.float64) - reference) ** 2))
    return float("inf") if error == 0 else -10 * float(np.log10(error))
