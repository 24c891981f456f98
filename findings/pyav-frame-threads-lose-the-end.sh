#!/usr/bin/env bash
# PyAV decodes several frames at a time: a damaged packet near the end takes the good ones after it along, without an error.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv --without-pip "$folder/env"
python3 -m pip --disable-pip-version-check --python "$folder/env/bin/python" install --quiet --no-compile av==18.1.0 numpy==2.4.6
cd "$folder"
env/bin/python - <<'EOF'
from pathlib import Path

import av
import numpy as np

FRAMES, DAMAGED = 20, 17

with av.open("clip.mov", "w") as target:
    stream = target.add_stream("prores_ks", rate=10)  # every frame stands for itself
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv422p10le"
    for number in range(FRAMES):
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number * 10, np.uint8), "rgb24")
        frame.pts = number
        target.mux(stream.encode(frame.reformat(format="yuv422p10le")))
    target.mux(stream.encode(None))

with av.open("clip.mov") as source:
    places = [packet.pos for packet in source.demux(video=0) if packet.size]
data = bytearray(Path("clip.mov").read_bytes())
data[places[DAMAGED] : places[DAMAGED] + 16] = bytes(16)  # the start of a frame, with the mark by which it is known
Path("damaged.mov").write_bytes(data)


def read(path, threads):
    """The numbers of the frames that are missing, and how often an error was raised."""
    seen, errors = set(), 0
    with av.open(path) as source:
        stream = source.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = threads, 8
        for packet in source.demux(stream):
            try:
                seen |= {round(frame.time * 10) for frame in packet.decode()}
            except av.InvalidDataError:
                errors += 1
    return sorted(set(range(FRAMES)) - seen), errors


whole, automatic, slices = read("clip.mov", "AUTO"), read("damaged.mov", "AUTO"), read("damaged.mov", "SLICE")
print("PyAV", av.__version__)
print(f"expected: of {FRAMES} frames, number {DAMAGED} damaged, that one is missing, and one error is raised")
print('observed: thread_type "SLICE": missing', slices[0], "errors", slices[1])
print('          thread_type "AUTO":  missing', automatic[0], "errors", automatic[1])
surprising = whole == ([], 0) and slices == ([17], 1) and automatic == ([17, 18, 19], 0)
raise SystemExit(0 if surprising else 1)
EOF
