#!/usr/bin/env bash
# PyAV copies a transparent video packet by packet: WebM no longer says that it is transparent, ProRes 4444 is called HQ.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv --without-pip "$folder/env"
python3 -m pip --disable-pip-version-check --python "$folder/env/bin/python" install --quiet numpy==2.4.6 av==18.1.0
cd "$folder"
env/bin/python - <<'EOF'
import av
import numpy as np

picture = np.full((64, 64, 4), 200, np.uint8)
picture[:, :32, 3] = 0  # the left half is transparent


def write(path, codec, pix_fmt, options):
    with av.open(path, "w") as target:
        stream = target.add_stream(codec, rate=5, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 64, pix_fmt
        for _ in range(4):
            target.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgba").reformat(format=pix_fmt)))
        target.mux(stream.encode(None))


def copy(path, to):
    with av.open(path) as source, av.open(to, "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)


def said(path):
    with av.open(path) as source:
        stream = source.streams.video[0]
        return stream.metadata.get("alpha_mode"), stream.codec_context.codec_tag, stream.profile


write("first.webm", "libvpx-vp9", "yuva420p", {})
write("first.mov", "prores_ks", "yuva444p10le", {"profile": "4444"})
copy("first.webm", "second.webm")
copy("first.mov", "second.mov")
webm, mov = [said("first.webm")[0], said("second.webm")[0]], [said("first.mov")[1:], said("second.mov")[1:]]
print("PyAV", av.__version__)
print("expected: the copies say of themselves what the first files do")
print("observed: alpha_mode of WebM, first and copy:", webm)
print("          tag and profile of ProRes, first and copy:", mov)
surprising = webm == ["1", None] and mov == [("ap4h", "4444"), ("apch", "HQ")]
raise SystemExit(0 if surprising else 1)
EOF
