#!/usr/bin/env bash
# Triton's interpreter, which runs kernels without a GPU, gets bfloat16 arithmetic wrong and reports no error.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv --without-pip "$folder/env"
python3 -m pip --disable-pip-version-check --python "$folder/env/bin/python" install --quiet --no-compile numpy==2.4.6 triton==3.9.0 torch==2.13.0+cpu \
  --extra-index-url https://download.pytorch.org/whl/cpu
cd "$folder"
env/bin/python - <<'EOF'
import os

os.environ["TRITON_INTERPRET"] = "1"
import torch
import triton
import triton.language as tl


@triton.jit
def arithmetic(values, sums, total, matrix, square, N: tl.constexpr):
    places = tl.arange(0, N)
    grid = places[:, None] * N + places[None, :]
    value = tl.load(values + places)
    tl.store(sums + places, value + value)
    tl.store(total, tl.sum(value, 0))
    tile = tl.load(matrix + grid)
    tl.store(square + grid, tl.dot(tile, tile))


def right(kind: torch.dtype) -> dict[str, bool]:
    """Whether each result is the exact one: all numbers are small integers, which every type here holds."""
    values = torch.full((16,), 2.0, dtype=kind)
    matrix = (torch.arange(256).reshape(16, 16) % 3).to(kind)
    sums, total, square = torch.zeros(16), torch.zeros(1), torch.zeros(16, 16)
    arithmetic[(1,)](values, sums, total, matrix, square, 16)
    print(f"observed: {kind}: 2 + 2 = {sums[0]:g}, sum of sixteen 2s = {total[0]:g}, first of the product = {square[0, 0]:g}")
    exact = matrix.float() @ matrix.float()
    return {"sum": bool((sums == 4).all()), "total": bool(total == 32), "product": torch.equal(square, exact)}


print("Triton", triton.__version__, "interpreter")
print(f"expected: 4, 32, {sum((k % 3) * (16 * k % 3) for k in range(16))} in each type, or an error")
exact = right(torch.float32)
rounded = right(torch.bfloat16)
raise SystemExit(0 if all(exact.values()) and not any(rounded.values()) else 1)
EOF
