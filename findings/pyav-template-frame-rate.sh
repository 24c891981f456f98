#!/usr/bin/env bash
# A stream that PyAV makes from a template has no frame rate: packets copied to AVI come out at 1000 frames a second.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv --without-pip "$folder/env"
python3 -m pip --disable-pip-version-check --python "$folder/env/bin/python" install --quiet --no-compile av==18.1.0 numpy==2.4.6
cd "$folder"
env/bin/python - <<'EOF'
import av
import numpy as np

with av.open("in.mkv", "w") as made:
    stream = made.add_stream("mpeg4", rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    for number in range(10):
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number * 20, np.uint8), "rgb24")
        frame.pts = number
        made.mux(stream.encode(frame))
    made.mux(stream.encode())

with av.open("in.mkv") as source, av.open("out.avi", "w") as output:
    template = source.streams.video[0]
    copy = output.add_stream_from_template(template)
    given, kept = template.average_rate, copy.average_rate
    for packet in source.demux(template):
        if packet.dts is not None:
            packet.stream = copy
            output.mux(packet)

with av.open("out.avi") as source:
    written = source.streams.video[0].average_rate
print("PyAV", av.__version__)
print(f"expected: {given} frames a second in the template, the copied stream and the file")
print(f"observed: {given} in the template, {kept} in the copied stream, {written} in the file")
raise SystemExit(0 if given == 25 and kept is None and written == 1000 else 1)
EOF
