"""Whether a file is a picture or a video: decided by its first bytes, and by its name only where those are not known."""

from __future__ import annotations

import enum
import re
from pathlib import Path

from fastnst.images import VIDEO_SUFFIXES
from fastnst.pictures.registry import format_of
from fastnst.system.atomic import PIPE, peeked_input

ANIMATIONS = (".gif", ".webp", ".apng")
"""Pictures that move; only what moves becomes one."""
WRITE_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".y4m", *ANIMATIONS)
Y4M_MAGIC = b"YUV4MPEG2"

SEQUENCE = re.compile(r"%(0\d+)?d")
"""In a name, the place of a picture's number."""

_HEAD = 4096  # bytes that are examined
_OTHER_PICTURES = (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51", b"8BPS")
"""Pictures that are not read, but which FFmpeg would take for videos of one frame: JPEG 2000, Photoshop."""
_PICTURE_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"avif", b"jp2 ", b"crx ")
_ANIMATION_BRANDS = (b"avis", b"msf1", b"hevc", b"hevx")
"""Major brands of ISO base media files, which hold pictures, sequences of them or videos: ISO/IEC 14496-12, 23008-12."""
_WEBP_MOVES = 2
"""A flag of WebP's extended header."""
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"pnot")
_VIDEOS = (
    Y4M_MAGIC,
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"FLV\x01",
    b"0&\xb2u\x8ef\xcf\x11",  # ASF: .wmv, .asf
    b"OggS",
    b"\0\0\x01\xba",  # MPEG's program stream,
    b"\0\0\x01\xb3",  # and its bare video
    b"nut/multimedia container",
    b".RMF",
    b"DKIF",  # IVF
    b"\x06\x0e+4",  # MXF
)
_TRANSPORT = ((188, 0), (192, 4), (204, 0))
"""Length of a packet of an MPEG transport stream, and the offset of its byte 0x47: broadcast, .m2ts, with error correction."""


class _Kind(enum.Enum):
    PICTURE = enum.auto()
    ANIMATION = enum.auto()  # a picture or a video, depending on the output
    VIDEO = enum.auto()
    UNKNOWN = enum.auto()


def is_video(content: Path, output: Path | None = None) -> bool:
    """Whether a content is treated as a video.

    Args:
        content: a file, or ``-`` for standard input; this waits for its first byte.
        output: where it is known. An animated GIF or PNG, and a file of which neither content nor name is known, is a video
            only if the output is one.
    """
    if content == PIPE:
        # No picture begins as a y4m does. Only one byte is compared, because a pipe may have delivered no more so far.
        return peeked_input()[:1] in (Y4M_MAGIC[:1], b"")
    if is_sequence(content):
        return True
    kind = _kind(content)
    if kind in (_Kind.PICTURE, _Kind.VIDEO):
        return kind is _Kind.VIDEO
    asked = output is not None and (output == PIPE or is_sequence(output) or output.suffix.lower() in WRITE_SUFFIXES)
    asked = asked and (kind is _Kind.ANIMATION or (output is not None and output.suffix.lower() not in ANIMATIONS))
    return asked or (kind is _Kind.UNKNOWN and content.suffix.lower() in VIDEO_SUFFIXES)


def moves(mask: Path) -> bool:
    """Whether a mask is one for each frame of a video: a clip or animation, or a folder or pattern of pictures."""
    if mask == PIPE:
        return False
    return mask.is_dir() or is_video(mask) or _kind(mask) is _Kind.ANIMATION or unread_animation(mask) is not None


def unread_animation(path: Path) -> str | None:
    """The kind of a picture that moves, if FFmpeg does not read its frames with their transparency; None for other files."""
    head = _head(path)
    if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and head[20:21] and head[20] & _WEBP_MOVES:
        return "animated WebP"
    if head[4:8] == b"ftyp" and head[8:12] in _ANIMATION_BRANDS:
        return "AVIF or HEIF sequence"
    return None


def is_sequence(path: Path) -> bool:
    """Whether a path is the pattern of pictures with numbers, such as ``frame_%04d.png``."""
    return len(SEQUENCE.findall(path.name)) == 1 and not path.exists()


def is_y4m(content: Path) -> bool:
    """Whether a file is a y4m video: by its first bytes, or by its name where those are not known."""
    head = _head(content)
    return head.startswith(Y4M_MAGIC) or (content.suffix.lower() == ".y4m" and _kind_of(head) is _Kind.UNKNOWN)


def lacks_index(path: Path) -> bool:
    """Whether a file is an MP4 or MOV without ``moov``, the box that says where its frames are."""
    if _head(path)[4:8] not in _BOXES:
        return False
    with path.open("rb") as file:
        at, size = 0, path.stat().st_size
        while at < size:
            file.seek(at)
            box = file.read(16)
            length = int.from_bytes(box[:4], "big")
            if length == 1:  # a length of 64 bits follows
                length = int.from_bytes(box[8:], "big")
            if box[4:8] == b"moov":
                return False
            if length < 8:
                break
            at += length
    return True


def _kind(path: Path) -> _Kind:
    return _kind_of(_head(path))


def _head(path: Path) -> bytes:
    if not path.is_file():
        return b""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError:
        return b""  # the reader that opens it reports why


def _kind_of(head: bytes) -> _Kind:
    if head.startswith(b"GIF8") or (head.startswith(b"\x89PNG") and b"acTL" in head.split(b"IDAT")[0]):
        return _Kind.ANIMATION
    if head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS + _ANIMATION_BRANDS:
        return _Kind.PICTURE if head[8:12] in _PICTURE_BRANDS else _Kind.ANIMATION
    if head.startswith(_OTHER_PICTURES) or (head[4:8] != b"ftyp" and format_of(head)):
        return _Kind.PICTURE
    if head.startswith(_VIDEOS) or (head.startswith(b"RIFF") and head[8:12] == b"AVI ") or head[4:8] in _BOXES:
        return _Kind.VIDEO
    if any(len(head) > 2 * size + at and all(head[at + i * size] == 0x47 for i in range(3)) for size, at in _TRANSPORT):
        return _Kind.VIDEO
    return _Kind.UNKNOWN
