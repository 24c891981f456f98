#!/usr/bin/env bash
# Grey and alpha in separate planes of a TIFF: libvips stretches both planes sideways.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv --without-pip "$folder/env"
python3 -m pip --disable-pip-version-check --python "$folder/env/bin/python" install --quiet numpy==2.4.6 tifffile==2026.3.3 pyvips==3.2.0 pyvips-binary==8.18.7
cd "$folder"
env/bin/python - <<'EOF'
import numpy as np
import pyvips
import tifffile

y, x = np.mgrid[0:4, 0:6]
planes = np.stack([x * 40, y * 60]).astype(np.uint8)  # grey grows to the right, alpha downwards
kind = dict(photometric="minisblack", extrasamples=["unassalpha"])
tifffile.imwrite("planes.tif", planes, planarconfig="separate", **kind)
tifffile.imwrite("pixels.tif", np.moveaxis(planes, 0, -1), planarconfig="contig", **kind)
assert np.array_equal(tifffile.imread("planes.tif"), planes)

interleaved = np.moveaxis(pyvips.Image.new_from_file("pixels.tif").numpy(), -1, 0)
separate = np.moveaxis(pyvips.Image.new_from_file("planes.tif").numpy(), -1, 0)
print("libvips", ".".join(str(pyvips.version(part)) for part in range(3)), "in pyvips-binary")
print("expected: the first rows of grey are", planes[0, :2].tolist())
print("observed: interleaved", interleaved[0, :2].tolist())
print("          separate   ", separate[0, :2].tolist())
surprising = np.array_equal(interleaved, planes) and not np.array_equal(separate, planes)
raise SystemExit(0 if surprising else 1)
EOF
