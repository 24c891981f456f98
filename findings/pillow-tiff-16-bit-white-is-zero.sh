#!/usr/bin/env bash
# Pillow inverts an 8-bit TIFF whose zero is white, and leaves the same picture in 16 bits a negative.
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

stored = np.linspace(0, 255, 16).astype(np.uint8).reshape(1, 16).repeat(4, 0)  # 0, stored first, is white
tifffile.imwrite("8.tif", stored, photometric="miniswhite")
tifffile.imwrite("16.tif", stored.astype(np.uint16) * 257, photometric="miniswhite")

eight, sixteen = (np.asarray(Image.open(name)) for name in ("8.tif", "16.tif"))
libvips = [pyvips.Image.new_from_file(name).numpy() for name in ("8.tif", "16.tif")]
assert np.array_equal(libvips[0], 255 - stored)
assert np.array_equal(libvips[1], 65535 - stored.astype(np.uint16) * 257)

print("Pillow", PIL.__version__)
print("expected: white at the left and black at the right in both, as libvips", pyvips.version(0), "reads them:")
print("         ", libvips[0][0, [0, -1]].tolist(), libvips[1][0, [0, -1]].tolist())
print("observed:", eight[0, [0, -1]].tolist(), sixteen[0, [0, -1]].tolist())
surprising = np.array_equal(eight, 255 - stored) and np.array_equal(sixteen, stored.astype(np.uint16) * 257)
raise SystemExit(0 if surprising else 1)
EOF
