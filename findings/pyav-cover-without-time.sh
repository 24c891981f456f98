#!/usr/bin/env bash
# PyAV gives the packet of a cover picture no time, so a copying loop that skips packets without one loses the cover.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv --without-pip "$folder/env"
python3 -m pip --disable-pip-version-check --python "$folder/env/bin/python" install --quiet --no-compile av==18.1.0 numpy==2.4.6
cd "$folder"
env/bin/python - <<'EOF'
import io
from fractions import Fraction

import av
import numpy as np
from av.stream import Disposition


def jpeg() -> bytes:
    data = io.BytesIO()
    with av.open(data, "w", format="image2pipe") as made:
        stream = made.add_stream("mjpeg", rate=1)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuvj420p"
        made.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90, np.uint8), "rgb24")))
        made.mux(stream.encode())
    return data.getvalue()


with av.open("in.mp4", "w") as made:
    stream = made.add_stream("mpeg4", rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    cover = made.add_stream("mjpeg", rate=1)
    cover.width = cover.height = 32
    cover.pix_fmt = "yuvj420p"
    cover.disposition = Disposition.attached_pic
    made.start_encoding()
    packet = av.Packet(jpeg())
    packet.stream, packet.pts, packet.dts, packet.time_base = cover, 0, 0, Fraction(1, 90000)
    made.mux(packet)
    for number in range(5):
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number * 40, np.uint8), "rgb24")
        frame.pts = number
        made.mux(stream.encode(frame))
    made.mux(stream.encode())


def covers(path: str) -> int:
    """How many non-empty packets of cover pictures a file holds."""
    with av.open(path) as source:
        return sum(p.size > 0 for p in source.demux() if p.stream.disposition & Disposition.attached_pic)


times = []
with av.open("in.mp4") as source, av.open("out.mp4", "w") as output:
    copies = {}
    for stream in source.streams:
        copies[stream.index] = output.add_stream_from_template(stream)
        copies[stream.index].disposition = stream.disposition
    for packet in source.demux():
        if packet.size and packet.stream.disposition & Disposition.attached_pic:
            times.append((packet.pts, packet.dts))
        if packet.dts is None:  # meant for the empty packet at the end of each stream
            continue
        packet.stream = copies[packet.stream.index]
        output.mux(packet)

print("PyAV", av.__version__)
print("expected: the cover's packet has a time, such as 0, and the copy holds 1 cover")
print(f"observed: its pts and dts are {times}; covers in the file: {covers('in.mp4')}, in the copy: {covers('out.mp4')}")
raise SystemExit(0 if times == [(None, None)] and covers("in.mp4") == 1 and covers("out.mp4") == 0 else 1)
EOF
