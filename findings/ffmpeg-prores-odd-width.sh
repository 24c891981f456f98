#!/usr/bin/env bash
# FFmpeg's prores_ks writes the last column of chroma wrong, without an error, where a 4:2:2 picture is 65, 81, 97 ... wide.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv --without-pip "$folder/env"
python3 -m pip --disable-pip-version-check --python "$folder/env/bin/python" install --quiet --no-compile av==18.1.0 numpy==2.4.6
cd "$folder"
env/bin/python - <<'EOF'
import av
import numpy as np

COLOUR = (500, 900, 200)  # Y, Cb and Cr of every pixel, of 1023
WIDTHS = range(64, 99)


def plain(width):
    frame = av.VideoFrame(width, 48, "yuv422p10le")
    for plane, level in zip(frame.planes, COLOUR):
        plane.update(np.full(plane.buffer_size // 2, level, "<u2").tobytes())
    return frame


def samples(plane):
    rows = np.frombuffer(plane, "<u2").reshape(-1, plane.line_size // 2)
    return rows[: plane.height, : plane.width].astype(int)


def errors(codec, width):
    """How far Y, Cb and Cr are off after encoding and decoding: the worst of the last column, and of all others."""
    with av.open("clip.mov", "w") as target:
        stream = target.add_stream(codec, rate=5)
        stream.width, stream.height, stream.pix_fmt = width, 48, "yuv422p10le"
        target.mux(stream.encode(plain(width)))
        target.mux(stream.encode(None))
    with av.open("clip.mov") as source:
        frame = next(source.decode(video=0))
    off = [abs(samples(plane) - level) for plane, level in zip(frame.planes, COLOUR)]
    return [int(each[:, -1].max()) for each in off], max(int(each[:, :-1].max()) for each in off)


last, others = zip(*(errors("prores_ks", width) for width in WIDTHS))
spoiled = [width for width, off in zip(WIDTHS, last) if max(off) > 100]
try:
    errors("prores_aw", 65)
    other_encoder = "takes it"
except av.ArgumentError as error:
    other_encoder = f"refuses it ({error.strerror})"

print("PyAV", av.__version__, "with FFmpeg", av.ffmpeg_version_info)
print("expected: pictures of one colour come back in it, whatever their width; or such a width is refused")
print("observed: of the widths 64 to 98 the last column is spoiled at", spoiled)
print("          at 65 Y, Cb and Cr of the last column are off by", last[1], "of 1023; all other columns by", max(others))
print("          FFmpeg's other encoder, prores_aw, given 65:", other_encoder)
raise SystemExit(0 if spoiled == [65, 81, 97] and max(others) < 10 else 1)
EOF
