"""ONNX Runtime among the runtimes that stylize: fp32, and int8 with u8 activations and per-channel s8 weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from . import network
from .jobs import Array, Job, Run, keep
from .peers_inputs import calibration


def prepare_onnx(folder: Path, style: str, twin: bool = False) -> Path:
    """The float graph's file."""
    import onnx

    from fastnst.format.onnxgraph import build

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
