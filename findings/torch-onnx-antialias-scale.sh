#!/usr/bin/env bash
# PyTorch's ONNX exporter forgets the factor of an antialiased interpolation: pixels are taken from other places.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv --without-pip "$folder/env"
python3 -m pip --disable-pip-version-check --python "$folder/env/bin/python" install --quiet --no-compile onnx==1.23.2 onnxruntime==1.32.0 \
  onnxscript==0.7.2 numpy==2.4.6 torch==2.13.0+cpu --extra-index-url https://download.pytorch.org/whl/cpu
cd "$folder"
env/bin/python - <<'EOF'
import logging
import warnings

import onnxruntime
import torch
import torch.nn.functional as F
from torch import nn

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)


class Smaller(nn.Module):
    def __init__(self, mode: str, antialias: bool) -> None:
        super().__init__()
        self.mode, self.antialias = mode, antialias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, scale_factor=0.6, mode=self.mode, antialias=self.antialias)


def shift(module: nn.Module) -> float:
    """How many pixels further right the graph looks than the module, at most: each pixel of the picture is its column."""
    picture = torch.arange(32.0).expand(1, 1, 32, 32).contiguous()
    program = torch.onnx.export(module.eval(), (picture,), dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    made = torch.from_numpy(session.run(None, {session.get_inputs()[0].name: picture.numpy()})[0])
    return float((made - module(picture)).max())


print("PyTorch", torch.__version__)
print("expected: 0 pixels, with antialias and without")
found = {}
for mode in ("bilinear", "bicubic"):
    found[mode] = [shift(Smaller(mode, antialias)) for antialias in (False, True)]
    print(f"observed: {mode}, 32 columns times 0.6: shifted by up to {found[mode][0]:.3f} pixels, antialiased {found[mode][1]:.3f}")
raise SystemExit(0 if all(plain < 1e-3 and smooth > 0.1 for plain, smooth in found.values()) else 1)
EOF
