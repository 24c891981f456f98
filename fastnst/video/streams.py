"""The streams and tags of a video beside its picture (sound, subtitles, covers, attachments), and which an output can hold."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastnst.video.container import ContainerSource, is_cover, open_container, pyav
from fastnst.video.encoder import CONTAINERS
from fastnst.video.frames import VideoError
from fastnst.video.part import Cut

_ABOUT_THE_FILE = frozenset(
    ("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "vendor_id", "rotate", "alpha_mode", "bps",
     "number_of_frames", "number_of_bytes", "handler_name", "variant_bitrate", "metadatacreator", "metadatadate")
)  # fmt: skip
"""Tags, in lower case, about how the file was written, not about what it shows: they are not copied."""
_SOUND_ENCODERS = {".webm": "libopus"}
_COVER_TYPES = {"png": "image/png", "mjpeg": "image/jpeg", "bmp": "image/bmp", "gif": "image/gif", "webp": "image/webp"}
_OLD_LANGUAGES = {
    "bod": "tib", "deu": "ger", "ell": "gre", "hye": "arm", "isl": "ice", "kat": "geo", "mkd": "mac", "msa": "may",
    "mya": "bur", "nld": "dut", "sqi": "alb", "zho": "chi",
}  # fmt: skip
"""MOV stores languages as numbers, which FFmpeg knows only by the bibliographic codes of ISO 639-2."""
_TRIED = 2000  # packets that are read to find the first one of each stream


class Sound:
    """A file of which the sound is taken.

    Attributes:
        path, container, index, warnings: as of :class:`fastnst.video.container.ContainerSource`; no stream is its video.

    Raises:
        VideoError: it cannot be read, or has no sound.
    """

    index = -1

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warnings: list[str] = []
        self.container = open_container(path)
        if not self.container.streams.audio:
            self.container.close()
            raise VideoError(f"{path}: has no sound")


@dataclass
class Companions:
    """What happens to the streams beside the video, each by its index in the source.

    Attributes:
        copied: streams that are copied packet by packet.
        encoded: sound that no container can copy, and the codec that it is encoded with.
        attached: cover pictures that become attachments.
        left_out: the kinds of the streams that the output cannot hold.
    """

    copied: list[int] = field(default_factory=list)
    encoded: dict[int, str] = field(default_factory=dict)
    attached: list[int] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def companions(source: ContainerSource | Sound, output: Path) -> Companions:
    """Decide for each stream of ``source``, or for its sound alone, what the container ``output`` can do with it.

    Raises:
        VideoError: it cannot hold the sound, but another container can.
    """
    suffix = output.suffix.lower()
    found = Companions()
    firsts = _first_packets(source)
    for stream in source.container.streams:
        kind = kind_of(stream, source)
        if kind is None or (isinstance(source, Sound) and stream.type != "audio"):
            continue
        if _holds(CONTAINERS[suffix][0], stream, firsts.get(stream.index)):
            found.copied.append(stream.index)
        elif is_cover(stream) and suffix == ".mkv":
            found.attached.append(stream.index)
        elif stream.type == "audio":
            others = [other for other in CONTAINERS if _holds(CONTAINERS[other][0], stream, firsts.get(stream.index))]
            codec = stream.codec_context.name if stream.codec_context else "of an unknown kind"
            if others:
                raise VideoError(
                    f"{output}: {suffix} cannot hold the sound of {source.path} ({codec}): take {' or '.join(reversed(others))}"
                )
            if stream.codec_context is None:
                found.left_out.append(kind)
            else:
                found.encoded[stream.index] = made = _SOUND_ENCODERS.get(suffix, "aac")
                source.warnings.append(f"{source.path}: its sound ({codec}) fits into no output and was re-encoded as {made}")
        else:
            found.left_out.append(kind)
    return found


def all_kinds(source: ContainerSource) -> list[str]:
    """Everything beside the picture that ``source`` holds; a y4m can hold none of it."""
    kinds = [kind_of(stream, source) for stream in source.container.streams]
    found = [kind for kind in kinds if kind]
    if source.tags.display_matrix:
        found.append("rotation")
    if source.container.chapters():
        found.append("chapters")
    return found + _named(_facts(source.container, [source.index]))


def kind_of(stream: Any, source: ContainerSource | Sound) -> str | None:
    """The kind of a stream in words; ``None`` for the video, and for streams that stand for chapters and time codes."""
    from av.stream import Discard

    if stream.index == source.index:
        return None
    if stream.type == "data" and (stream.discard == Discard.all or "timecode" in stream.metadata):
        return None
    if stream.type == "attachment":
        return f"attachment {stream.metadata.get('filename', '')}".strip()
    return "cover picture" if is_cover(stream) else stream.type


def copy_facts(source: Any, to: Any) -> None:
    """Copy the tags and the disposition of a stream."""
    to.metadata.update(own_tags(source.metadata, keep=("handler_name",)))
    language = to.metadata.get("language")
    if language in _OLD_LANGUAGES and to.container.format.name == "mov":
        to.metadata["language"] = _OLD_LANGUAGES[language]
    to.disposition = source.disposition


def own_tags(metadata: dict[str, str], keep: Sequence[str] = ()) -> dict[str, str]:
    """The tags that are not about how a file was written."""
    technical = _ABOUT_THE_FILE.difference(keep)
    return {k: v for k, v in metadata.items() if k.lower() not in technical and not k.lower().startswith("_statistics")}


def lost(source: Path, kept: Sequence[int], output: Path, cut: Cut | None = None) -> list[str]:
    """The tags and chapters of ``source``, or of a part of it, that are missing in ``output``, which is finished.

    Args:
        kept: indices of the streams of ``source`` that are in ``output``, in its order; the video first.
    """
    with open_container(source) as original, open_container(output) as made:
        found = _named(_facts(original, kept) - _facts(made, range(min(len(kept), len(made.streams)))))
        chapters = cut.chapters(original.chapters()) if cut else original.chapters()
        return found + (["chapters"] if len(made.chapters()) < len(chapters) else [])


def add_cover(output: Any, stream: Any, data: bytes) -> None:
    """Add a cover picture as an attachment, which is how Matroska stores covers."""
    mime = stream.metadata.get("mimetype") or _COVER_TYPES.get(stream.codec_context.name, "image/png")
    suffix = mime.removeprefix("image/").replace("jpeg", "jpg")
    output.add_attachment(stream.metadata.get("filename") or f"cover.{suffix}", mime, data)


def _facts(container: Any, indices: Iterable[int]) -> set[tuple[str, str]]:
    """The names of all tags, each with the stream that has it; those of the video, the first stream, count as the file's."""
    found = {(name.lower(), "") for name in own_tags(container.metadata)}
    for place, index in enumerate(indices):
        stream = container.streams[index]
        if is_cover(stream):  # attachments keep their name only
            continue
        of = f" of {stream.type} {place}" if place else ""
        tags = {(name.lower(), value) for name, value in own_tags(stream.metadata).items()}
        # The time of creation is that of the file.
        found |= {(name, of) for name, value in tags if (name, value) != ("language", "und") and name != "creation_time"}
    return found


def _named(tags: Iterable[tuple[str, str]]) -> list[str]:
    return [f"tag {name}{of}" for name, of in sorted(tags, key=lambda tag: (tag[1], tag[0]))]


def _first_packets(source: ContainerSource | Sound) -> dict[int, Any]:
    found: dict[int, Any] = {}
    with open_container(source.path) as container:
        for number, packet in enumerate(container.demux()):
            if packet.size:
                found.setdefault(packet.stream.index, packet)
            if number == _TRIED or len(found) == len(container.streams):
                break
    return found


def _holds(container: str, stream: Any, packet: Any) -> bool:
    """Whether a container can hold a stream, found out by writing it alone to memory."""
    av = pyav()
    if stream.type == "attachment" or is_cover(stream):
        return container == ("matroska" if stream.type == "attachment" else "mp4")
    if stream.type not in ("audio", "video", "subtitle", "data"):
        return False
    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            made = trial.add_stream_from_template(stream, opaque=True)
            copy_facts(stream, made)
            trial.start_encoding()
            if packet is not None:
                packet.pts = packet.dts = 0
                packet.stream = made
                trial.mux(packet)
    except (ValueError, av.FFmpegError):
        return False
    return True
