#!/usr/bin/env bash
# A TIFF of 16-bit RGB in separate planes, uncompressed, opens in Pillow as a picture of other colours.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv --without-pip "$folder/env"
python3 -m pip --disable-pip-version-check --python "$folder/env/bin/python" install --quiet --no-compile pillow==13.0.0 numpy==2.4.6 tifffile==2026.3.3 pyvips==3.2.0 pyvips-binary==8.18.7
cd "$folder"
env/bin/python - <<'EOF'
import numpy as np
import PIL
import pyvips
import tifffile
from PIL import Image

height, width = 8, 12
planes = np.zeros((3, height, width), np.uint16)
planes[0] = np.arange(width) * 5000  # red grows to the right; green and blue are 0
tifffile.imwrite("plain.tif", planes, photometric="rgb", planarconfig="separate")
tifffile.imwrite("deflated.tif", planes, photometric="rgb", planarconfig="separate", compression="zlib")

right = tifffile.imread("plain.tif")
assert np.array_equal(right, planes)
libvips = pyvips.Image.new_from_file("plain.tif").numpy()
assert np.array_equal(libvips, np.moveaxis(planes, 0, -1))

plain = np.asarray(Image.open("plain.tif"))
deflated = np.asarray(Image.open("deflated.tif"))
true = np.moveaxis(planes >> 8, 0, -1)
print("Pillow", PIL.__version__)
print("expected: 8 bits of each sample; red of the first row", true[0, :, 0].tolist())
print("observed: deflated    ", deflated[0, :, 0].tolist())
print("          uncompressed", plain[0, :, 0].tolist(), "and no error; libvips reads it right")
surprising = np.array_equal(deflated, true) and plain.shape == true.shape and not np.array_equal(plain, true)
raise SystemExit(0 if surprising else 1)
EOF
