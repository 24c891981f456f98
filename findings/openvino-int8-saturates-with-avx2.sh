#!/usr/bin/env bash
# OpenVINO's int8 convolution is exact on processors with dot-product instructions and saturates at 16 bits with AVX2 alone.
# ONEDNN_MAX_CPU_ISA=AVX2 makes any x86 processor that has AVX2 take that path.
set -euo pipefail

if ! grep -qw avx2 /proc/cpuinfo; then
  echo "not applicable here: this processor has no AVX2, so the path in question cannot run"
  exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv --without-pip "$folder/env"
python3 -m pip --disable-pip-version-check --python "$folder/env/bin/python" install --quiet --no-compile openvino==2026.4.1 onnx==1.23.2 numpy==2.4.6
cd "$folder"
cat >try.py <<'EOF'
import os

import numpy as np
import onnx
import openvino
from numpy.lib.stride_tricks import sliding_window_view
from onnx import TensorProto, helper, numpy_helper

numbers = np.random.default_rng(0)
weights = numbers.integers(-127, 128, (64, 64, 3, 3)).astype(np.int8)
picture = numbers.integers(0, 256, (1, 64, 16, 16)).astype(np.float32)

constants = {"one": np.float32(1), "zero": np.uint8(0), "weights": weights, "ones": np.ones(64, np.float32)}
nodes = [
    helper.make_node("QuantizeLinear", ["x", "one", "zero"], ["bytes"]),
    helper.make_node("DequantizeLinear", ["bytes", "one", "zero"], ["values"]),
    helper.make_node("DequantizeLinear", ["weights", "ones"], ["kernel"], axis=0),
    helper.make_node("Conv", ["values", "kernel"], ["y"], kernel_shape=[3, 3]),
]
graph = helper.make_graph(
    nodes,
    "int8",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, picture.shape)],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 64, 14, 14))],
    [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model)
onnx.save(model, "int8.onnx")

windows = sliding_window_view(picture[0].astype(np.int64), (3, 3), (1, 2))
exact = np.einsum("chwij,ocij->ohw", windows, weights.astype(np.int64))
assert np.abs(exact).max() < 2**24  # float32 holds every sum
compiled = openvino.Core().compile_model("int8.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
error = np.abs(compiled({"x": picture})[0][0] - exact)
limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "none")
print(f"observed: limit {limit}: {np.mean(error > 0):.0%} of the sums are wrong, by up to {error.max():.0f} of {np.abs(exact).max()}")
raise SystemExit(10 if error.max() > 0 else 0)
EOF
echo "OpenVINO $(env/bin/python -c 'import openvino; print(openvino.__version__)')"
echo "expected: 8-bit products summed exactly in 32 bits, on every processor"
env/bin/python try.py || [ $? = 10 ] # wrong here already on a processor without dot-product instructions
code=0
ONEDNN_MAX_CPU_ISA=AVX2 env/bin/python try.py || code=$?
[ "$code" = 10 ] || exit 1
