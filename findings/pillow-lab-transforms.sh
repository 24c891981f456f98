#!/usr/bin/env bash
# A transform from Lab to sRGB that Pillow builds is replaced by a coarse table (Little CMS optimises it): vivid colours are up to
# 30 levels off, although the bytes of the Lab picture say them to within one.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv --without-pip "$folder/env"
python3 -m pip --disable-pip-version-check --python "$folder/env/bin/python" install --quiet pillow==13.0.0 numpy==2.4.6
cd "$folder"
env/bin/python - <<'EOF'
import numpy as np
import PIL
from PIL import Image, ImageCms

SRGB_OF_XYZ_D50 = [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540], [0.0719453, -0.2289914, 1.4052427]]


def by_the_formula(lab: Image.Image) -> np.ndarray:
    """sRGB of 8-bit Lab by CIE's definition and IEC 61966-2-1."""
    raw = np.asarray(lab)[0]
    lightness = raw[:, 0].astype(float) * 100 / 255
    a, b = (raw[:, i].view(np.int8).astype(float) for i in (1, 2))
    f = np.stack([(lightness + 16) / 116 + a / 500, (lightness + 16) / 116, (lightness + 16) / 116 - b / 200], -1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1, 0.8249]
    linear = (xyz @ np.array(SRGB_OF_XYZ_D50).T).clip(0, 1)
    return np.rint(255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


grid = np.linspace(0, 255, 9).astype(np.uint8)
colours = Image.fromarray(np.stack(np.meshgrid(grid, grid, grid), -1).reshape(1, -1, 3))
srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
picture = ImageCms.profileToProfile(colours, srgb, lab, outputMode="LAB")
wanted = by_the_formula(picture)
print("Pillow", PIL.__version__, "with Little CMS", ImageCms.core.littlecms_version)
print("expected: at most 2 levels from the formula")
observed = {}
for name, flags in (("default", ImageCms.Flags(0)), ("NOOPTIMIZE", ImageCms.Flags.NOOPTIMIZE)):
    transform = ImageCms.buildTransform(lab, srgb, "LAB", "RGB", flags=flags)
    made = np.asarray(ImageCms.applyTransform(picture, transform))[0].astype(int)
    apart = np.abs(made - wanted).max(1)
    worst = int(apart.argmax())
    observed[name] = int(apart.max())
    print(f"observed: {name}: {observed[name]} levels, {wanted[worst].astype(int).tolist()} becomes {made[worst].tolist()}")
raise SystemExit(0 if observed["default"] > 20 and observed["NOOPTIMIZE"] <= 2 else 1)
EOF
