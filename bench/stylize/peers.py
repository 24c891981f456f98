"""The runtimes that are compared in stylization.

Each runtime is prepared, loaded and run by a file of its own (``peers_*.py``), with the settings that were fastest for this
network. That happens in a worker process (:mod:`bench.worker`), which imports no other runtime; the main process only reads the
table :data:`RUNTIMES`.
"""

from __future__ import annotations

from .jobs import FP32_FLOOR, INT8_FLOOR, Runtime, nothing
from .peers_fastnst import load_fastnst, load_fastnst_command, load_fastnst_executable, prepare_fastnst
from .peers_onnxruntime import load_onnxruntime_fp32, load_onnxruntime_int8, prepare_onnx, prepare_onnxruntime_int8
from .peers_openvino import (
    load_openvino_fp32,
    load_openvino_int8,
    load_openvino_int8_twin,
    prepare_openvino_int8,
    prepare_openvino_int8_twin,
)
from .peers_torch import load_torch_compile, load_torch_eager

LIMITS = {"avx2": {"FASTNST_ISA": "avx2", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}}
"""Environment variables that limit the runtimes to an older instruction set; those in :data:`UNLIMITED` cannot be limited."""
UNLIMITED = ("onnxruntime-fp32", "onnxruntime-int8", "torch-compile")

FASTNST = "fastnst"
REFERENCE = "torch-eager"

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
