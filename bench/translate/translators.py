"""Runtimes of an image-to-image generator: the student of CRD in the engine, and its rivals; and its teacher in PyTorch.

Weights are random, as at the start of training, because speed does not depend on them. All get the same picture of
:mod:`bench.pictures`: the rivals as float32 -1..1, the engine as bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .. import pictures
from ..stylize.jobs import FP32_FLOOR, INT8_FLOOR, Array, Job, Run, Runtime, keep, nothing, to_picture

STYLE = "none"
"""The only way of giving the style: there is none."""
FASTNST, REFERENCE, TEACHER = "translate-fastnst", "translate-torch", "translate-torch-teacher"
KIND = "mobile_resnet"
WIDTHS = {REFERENCE: 16, TEACHER: 64}
STUDENT_FILE, ENGINE_FILE, FLOAT_FILE, INT8_FILE = "student.safetensors", "student.fnst", "student.xml", "student-int8.xml"


def prepare_inputs(folder: Path, size: int) -> None:
    """Write the picture at ``size``."""
    pixels, _ = pictures.pair(size)
    np.savez(folder / f"inputs-{size}.npz", content=signed(pixels), content_pixels=pixels)


def signed(pixels: pictures.Pixels) -> Array:
    """[H, W, 3] of 0..255 as float32 [1, 3, H, W] of -1..1."""
    return pictures.to_floats(pixels) * 2 - 1


def read(job: Job, name: str) -> Array:
    """Read an input that :func:`prepare_inputs` has written."""
    with np.load(job.folder / f"inputs-{job.size}.npz") as arrays:
        return np.asarray(arrays[name])


def network(width: int) -> Any:
    """The generator in PyTorch."""
    import torch

    from fastnst.networks.gan import generator

    torch.manual_seed(0)
    return generator(KIND, width).eval().requires_grad_(False)


# --- fastnst ----------------------------------------------------------------------------------------------------------------


def prepare_fastnst(folder: Path, _style: str) -> None:
    from PIL import Image
    from safetensors.torch import save_file

    from fastnst.convert import convert

    def convert_student(target: Path) -> None:
        state = {f"generator.{name}": x for name, x in network(WIDTHS[REFERENCE]).state_dict().items()}
        save_file(state, folder / STUDENT_FILE)
        calibration = folder / "pictures"
        calibration.mkdir(exist_ok=True)
        for i, (pixels, _) in enumerate(pictures.calibration()):
            Image.fromarray(pixels).save(calibration / f"{i}.png")
        convert(folder / STUDENT_FILE, calibration, target, name="benchmark", overwrite=True)

    keep(folder / ENGINE_FILE, convert_student)


def load_fastnst(job: Job) -> Run:
    from fastnst.engine import Engine, instruction_set

    engine, pixels = Engine(job.folder / ENGINE_FILE), read(job, "content_pixels")
    job.details["instruction set"] = instruction_set()
    return lambda: engine.translate(pixels, job.threads)


# --- PyTorch ----------------------------------------------------------------------------------------------------------------


def load_torch(job: Job, width: int) -> Run:
    import torch

    torch.set_num_threads(job.threads)
    net = network(width).to(memory_format=torch.channels_last)
    content = torch.from_numpy(read(job, "content")).contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run() -> Any:
        return net(content)

    return run


def load_student(job: Job) -> Run:
    return load_torch(job, WIDTHS[REFERENCE])


def load_teacher(job: Job) -> Run:
    return load_torch(job, WIDTHS[TEACHER])


# --- OpenVINO ---------------------------------------------------------------------------------------------------------------


def prepare_openvino(folder: Path, _style: str) -> None:
    """Write the float graph, converted directly from PyTorch."""
    import openvino as ov
    import torch

    if not (folder / FLOAT_FILE).exists():
        model = ov.convert_model(network(WIDTHS[REFERENCE]), example_input=torch.zeros(1, 3, 256, 256))
        ov.save_model(model, folder / FLOAT_FILE, compress_to_fp16=False)


def prepare_openvino_int8(folder: Path, style: str) -> None:
    """Post-training quantisation by NNCF; instance norms stay in floating point."""
    import nncf
    import openvino as ov
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    prepare_openvino(folder, style)
    if (folder / INT8_FILE).exists():
        return
    samples = [signed(pixels) for pixels, _ in pictures.calibration()]
    quantised = nncf.quantize(
        ov.Core().read_model(folder / FLOAT_FILE),
        nncf.Dataset(samples),
        preset=nncf.QuantizationPreset.PERFORMANCE,
        target_device=nncf.TargetDevice.CPU,
        subset_size=len(samples),
        advanced_parameters=AdvancedQuantizationParameters(
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX
        ),
    )
    ov.save_model(quantised, folder / INT8_FILE, compress_to_fp16=False)


def load_openvino(job: Job, file: str, precision: str) -> Run:
    import openvino as ov

    core = ov.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        precision = "f32"
    job.details["precision of what is not int8"] = precision
    content = read(job, "content")
    model = core.read_model(job.folder / file)
    model.reshape(list(content.shape))
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": job.threads,
        "INFERENCE_PRECISION_HINT": precision,
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    request.set_input_tensor(ov.Tensor(content))

    def run() -> Any:
        request.infer()
        return request.get_output_tensor(0).data

    return run


def load_openvino_fp32(job: Job) -> Run:
    return load_openvino(job, FLOAT_FILE, "f32")


def load_openvino_bf16(job: Job) -> Run:
    return load_openvino(job, FLOAT_FILE, "bf16")


def load_openvino_int8(job: Job) -> Run:
    return load_openvino(job, INT8_FILE, "bf16")


# --- the table --------------------------------------------------------------------------------------------------------------


def to_unsigned(output: Any) -> Array:
    """A rival's output of -1..1, converted as by :func:`~bench.jobs.to_picture`."""
    return to_picture((np.asarray(output, np.float32) + 1) / 2)


def rival(name: str, label: str, needs: tuple[str, ...], prepare: Any, load: Any, floor: float) -> Runtime:
    return Runtime(name, label, needs, prepare, load, floor, (STYLE,), to_unsigned)


RUNTIMES = {
    runtime.name: runtime
    for runtime in (
        Runtime(FASTNST, "fastnst int8", ("fastnst", "torch"), prepare_fastnst, load_fastnst, INT8_FLOOR, (STYLE,)),
        rival(REFERENCE, "PyTorch fp32, eager", ("torch",), nothing, load_student, FP32_FLOOR),
        rival("translate-openvino-fp32", "OpenVINO fp32", ("openvino",), prepare_openvino, load_openvino_fp32, FP32_FLOOR),
        rival("translate-openvino-bf16", "OpenVINO bf16", ("openvino",), prepare_openvino, load_openvino_bf16, INT8_FLOOR),
        rival(
            "translate-openvino-int8",
            "OpenVINO int8 (NNCF)",
            ("openvino", "nncf"),
            prepare_openvino_int8,
            load_openvino_int8,
            INT8_FLOOR,
        ),
        rival(TEACHER, "its teacher: PyTorch fp32, eager", ("torch",), nothing, load_teacher, -np.inf),
    )
}
