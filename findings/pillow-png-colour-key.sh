#!/usr/bin/env bash
# A PNG may name one colour that is transparent. Pillow compares it with samples that it has scaled already.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv --without-pip "$folder/env"
python3 -m pip --disable-pip-version-check --python "$folder/env/bin/python" install --quiet pillow==13.0.0 numpy==2.4.6 pyvips==3.2.0 pyvips-binary==8.18.7
cd "$folder"
env/bin/python - <<'EOF'
import io
import struct
import zlib

import numpy as np
import PIL
import pyvips
from PIL import Image


def png(width: int, bits: int, kind: int, row: bytes, key: bytes) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, 1, bits, kind, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"tRNS", key) + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def grey(bits: int) -> bytes:
    """Every grey once, in order; 1 is the transparent one."""
    number = 0
    for value in range(2**bits):
        number = number << bits | value
    return png(2**bits, bits, 0, number.to_bytes(2**bits * bits // 8, "big"), struct.pack(">H", 1))


colours = (np.arange(8) * 4369 + 5).astype(">u2")[:, None].repeat(3, 1)
pictures = {
    "grey, 2 bits": grey(2),
    "grey, 4 bits": grey(4),
    "grey, 8 bits": grey(8),
    "RGB, 16 bits": png(8, 16, 2, colours.tobytes(), colours[1].tobytes()),
}
print("Pillow", PIL.__version__)
print("expected: pixel 1, and no other, is transparent after convert('RGBA'), as in libvips", pyvips.version(0))
observed = {}
for name, data in pictures.items():
    assert np.flatnonzero(pyvips.Image.new_from_buffer(data, "").numpy()[0, :, -1] == 0).tolist() == [1]
    alpha = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))[0, :, 3]
    observed[name] = np.flatnonzero(alpha == 0).tolist()
    print(f"observed: {name}: transparent pixels {observed[name]}")
raise SystemExit(0 if list(observed.values()) == [[], [], [1], []] else 1)
EOF
