#!/usr/bin/env bash
# The first video stream that FFmpeg finds in an animated AVIF is a still picture: the usual loop of PyAV gives one frame.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv --without-pip "$folder/env"
python3 -m pip --disable-pip-version-check --python "$folder/env/bin/python" install --quiet --no-compile av==18.1.0 pillow==13.0.0
cd "$folder"
env/bin/python - <<'EOF'
import av
import PIL
from PIL import Image

first, *others = [Image.new("RGB", (64, 48), (number * 20, 100, 200)) for number in range(10)]
first.save("clip.avif", save_all=True, append_images=others, duration=100)


def decoded(index):
    with av.open("clip.avif") as source:
        return sum(1 for _ in source.decode(video=index))


with Image.open("clip.avif") as picture:
    held = picture.n_frames
with av.open("clip.avif") as source:
    streams = [(stream.frames, stream.disposition.name) for stream in source.streams.video]
    best = source.streams.best("video").index
counts = [decoded(index) for index in range(len(streams))]
print("PyAV", av.__version__, "with FFmpeg", av.ffmpeg_version_info, "and Pillow", PIL.__version__)
print(f"expected: decode(video=0) gives the {held} frames that Pillow finds")
print(f"observed: decode(video=0) gives {counts[0]}; the video streams have {counts} frames")
print("          what streams say of themselves, frames and disposition:", streams)
print(f'          streams.best("video") is stream {best}')
raise SystemExit(0 if held == 10 and counts == [1, 10] and best == 1 else 1)
EOF
