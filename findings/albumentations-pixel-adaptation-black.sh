#!/usr/bin/env bash
# Albumentations' PixelDistributionAdaptation makes 8-bit pictures black, whatever the reference: even the picture itself.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv --without-pip "$folder/env"
python3 -m pip --disable-pip-version-check --python "$folder/env/bin/python" install --quiet --no-compile albumentations==2.0.8 \
  albucore==0.0.24 opencv-python-headless==4.12.0.88 numpy==2.2.6
cd "$folder"
NO_ALBUMENTATIONS_UPDATE=1 env/bin/python - <<'EOF'
import albumentations as A
import numpy as np

y, x = np.mgrid[:64, :64]
picture = np.stack([x * 3, y * 3, (x + y) * 2], -1).astype(np.uint8)
noise = np.random.default_rng(0).normal(120, 30, (64, 64, 3)).clip(0, 255).astype(np.uint8)

print("Albumentations", A.__version__)
found = []
for kind in ("pca", "standard", "minmax"):
    transform = A.PixelDistributionAdaptation(transform_type=kind, blend_ratio=(1, 1), metadata_key="references", p=1)
    for name, reference in (("itself", picture), ("noise", noise)):
        made = transform(image=picture, references=[reference])["image"]
        print(f"{kind}, {name} as the reference: expected a mean of {reference.mean():.0f}, observed {made.mean():.3f}")
        found.append(made.max() <= 1)
raise SystemExit(0 if all(found) else 1)
EOF
