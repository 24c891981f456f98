"""OpenVINO among the runtimes that stylize: fp32, and int8 quantised by NNCF.

The settings are the fastest ones for this network: the latency hint, MINMAX ranges (the default ranges cost more than 10 dB
here) and, if the processor has it, bf16 for the parts that are not quantised.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .jobs import Job, Run
from .peers_inputs import calibration
from .peers_onnxruntime import prepare_onnx


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
    # The .xml does not name the .bin, which must have the same stem, so both are written before the renaming.
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
    limited = "ONEDNN_MAX_CPU_ISA" in os.environ  # these properties do not reflect it
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
