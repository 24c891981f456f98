#!/usr/bin/env bash
# scikit-image's match_histograms cuts the fractions of 8-bit colours off where it is told their axis: half a level too dark.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv --without-pip "$folder/env"
python3 -m pip --disable-pip-version-check --python "$folder/env/bin/python" install --quiet --no-compile scikit-image==0.26.0 \
  numpy==2.4.6
cd "$folder"
env/bin/python - <<'EOF'
import numpy as np
import skimage
from skimage.exposure import match_histograms

generator = np.random.default_rng(0)
picture = generator.integers(0, 256, (64, 64, 3), np.uint8)
reference = generator.integers(0, 200, (97, 61, 3), np.uint8)
exact = match_histograms(picture.astype(float), reference.astype(float), channel_axis=-1)
colour = match_histograms(picture, reference, channel_axis=-1)
grey = match_histograms(picture[..., 0], reference[..., 0])

print("scikit-image", skimage.__version__)
print(f"expected: of uint8 comes uint8, rounded, whose mean is that of the reference, {reference.mean():.2f}")
print(f"observed: with channel_axis=-1 {colour.dtype} of mean {colour.mean():.2f}, each the floor of what float64 gives")
print(f"          ({exact.mean():.2f}); without it {grey.dtype} with its fractions")
floors = np.array_equal(colour, np.floor(exact)) and not np.array_equal(colour, np.rint(exact))
raise SystemExit(0 if colour.dtype == np.uint8 and floors and grey.dtype == np.float64 else 1)
EOF
