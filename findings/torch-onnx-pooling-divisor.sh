#!/usr/bin/env bash
# PyTorch's ONNX exporters, both, leave out what an average pooling is told to divide by: sums become means.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv --without-pip "$folder/env"
python3 -m pip --disable-pip-version-check --python "$folder/env/bin/python" install --quiet --no-compile onnx==1.23.2 onnxruntime==1.32.0 \
  onnxscript==0.7.2 numpy==2.4.6 torch==2.13.0+cpu --extra-index-url https://download.pytorch.org/whl/cpu
cd "$folder"
env/bin/python - <<'EOF'
import io
import logging
import warnings

import onnx
import onnxruntime
import torch
from torch import nn

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
picture = torch.ones(1, 3, 8, 8)


def ratio(module: nn.Module, dynamo: bool) -> float:
    """What the graph makes of a picture of ones, as a multiple of what the module makes of it."""
    module.eval()
    if dynamo:
        file = torch.onnx.export(module, (picture,), dynamo=True, verbose=False).model_proto.SerializeToString()
    else:
        memory = io.BytesIO()
        torch.onnx.export(module, (picture,), memory, dynamo=False)
        file = memory.getvalue()
    onnx.checker.check_model(file, full_check=True)
    session = onnxruntime.InferenceSession(file)
    made = torch.from_numpy(session.run(None, {session.get_inputs()[0].name: picture.numpy()})[0])
    return float((made / module(picture)).mean())


print("PyTorch", torch.__version__)
print("expected: 1, or a refusal")
found = []
for dynamo in (False, True):
    mean, total = (ratio(nn.AvgPool2d(3, 1, divisor_override=divisor), dynamo) for divisor in (None, 1))
    print(f"observed: dynamo={dynamo}: means are {mean:.3f} of PyTorch's, sums (divisor_override=1) {total:.3f}")
    found.append((round(mean, 3), round(total, 3)))
raise SystemExit(0 if found == [(1, 0.111)] * 2 else 1)
EOF
