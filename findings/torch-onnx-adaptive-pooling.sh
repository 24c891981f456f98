#!/usr/bin/env bash
# PyTorch's ONNX exporter gives adaptive pooling, and interpolation in mode area, the windows of the example it is called with.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv --without-pip "$folder/env"
python3 -m pip --disable-pip-version-check --python "$folder/env/bin/python" install --quiet --no-compile onnx==1.23.2 onnxruntime==1.32.0 \
  onnxscript==0.7.2 numpy==2.4.6 torch==2.13.0+cpu --extra-index-url https://download.pytorch.org/whl/cpu
cd "$folder"
env/bin/python - <<'EOF'
import warnings

import onnxruntime
import torch
import torch.nn.functional as F
from torch import nn

warnings.simplefilter("ignore", FutureWarning)


class Area(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, scale_factor=0.5, mode="area")


def compared(module: nn.Module) -> tuple[bool, bool]:
    """Whether the ONNX graph, and the program it is made of, do what the module does with pictures of other sides."""
    example, sides = torch.rand(1, 3, 16, 20), {2: torch.export.Dim("height", min=8), 3: torch.export.Dim("width", min=8)}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        program = torch.onnx.export(module.eval(), (example,), dynamo=True, dynamic_shapes=(sides,), verbose=False)
    print(f"{type(module).__name__}: warnings that name a size or a dimension: {sum('dim' in str(each.message) for each in said)}")
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    exported = torch.export.export(module, (example,), dynamic_shapes=(sides,)).module()
    right = []
    for height, width in ((16, 20), (17, 23), (32, 40)):
        picture = torch.rand(1, 3, height, width)
        wanted = module(picture)
        made = torch.from_numpy(session.run(None, {session.get_inputs()[0].name: picture.numpy()})[0])
        same = made.shape == wanted.shape
        right.append((same and torch.allclose(made, wanted, atol=1e-5), torch.allclose(exported(picture), wanted)))
        apart = f"{(made - wanted).abs().max():.3f} apart" if same else "another size"
        print(f"observed: {height} x {width}: PyTorch makes {list(wanted.shape[2:])}, the graph {list(made.shape[2:])}, {apart}")
    assert right[0] == (True, True) and all(program for _, program in right)
    return right[1][0], right[2][0]


print("PyTorch", torch.__version__)
print("expected: the same for all sides, which are declared free, or a refusal")
pool, area = compared(nn.AdaptiveAvgPool2d(4)), compared(Area())
raise SystemExit(0 if pool == (False, False) and area == (False, True) else 1)
EOF
