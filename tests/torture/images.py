"""Pictures that are broken, enormous, or of an unusual kind."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from fastnst import Stylizer, images
from fastnst.format.modelfile import to_bytes
from fastnst.system.memory import peak_memory
from fastnst.verify import picture
from torture import corpora
from torture.forks import ended, forked, resident_memory
from torture.framework import Outcome, check, timed

MODES = {
    "JPEG": ("L", "RGB", "CMYK"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "AVIF": ("RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"),
    "BMP": ("1", "L", "P", "RGB"),
    "DIB": ("1", "L", "P", "RGB"),
    "PPM": ("1", "L", "RGB"),
    "PAM": ("L", "LA", "RGB", "RGBA"),
}
"""What each format that is read can hold."""
LOSSLESS: dict[str, dict[str, object]] = {"WEBP": {"lossless": True, "exact": True}, "AVIF": {"quality": 100}}


def image(mode: str, height: int = 15, width: int = 22) -> Image.Image:
    """A picture of a mode, its values within what the mode means."""
    pixels = picture(height, width, 5)
    if mode == "I;16":
        return Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    if mode == "F":
        return Image.fromarray(pixels[..., 0].astype(np.float32) / 255)
    found = Image.fromarray(pixels)
    if mode in {"LA", "RGBA"}:
        found.putalpha(Image.fromarray(pixels[..., 1]))
    return found.convert(mode)


def encoded(form: str, mode: str, **options: object) -> bytes:
    file = io.BytesIO()
    image(mode).save(file, format=form, **options)
    return file.getvalue()


def opened(path: Path, data: bytes) -> str | None:
    """The refusal of a picture in one line; None if it is read."""
    path.write_bytes(data)
    try:
        images.open_picture(path)
    except images.ImageError as error:
        return str(error)
    return None


def mutated(data: bytes, count: int, chance: random.Random) -> Iterator[bytes]:
    for number in range(count):
        body = bytearray(data)
        if number % 4 == 0:
            del body[chance.randrange(len(body)) :]
        elif number % 4 == 1:
            at = chance.randrange(len(body))
            body[at : at + 4] = struct.pack(chance.choice("<>") + "I", chance.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1)))
        else:
            for _ in range(chance.randint(1, 8)):
                body[chance.randrange(len(body))] = chance.randrange(256)
        yield bytes(body)


def survey(outcome: Outcome, files: Iterable[tuple[str, bytes]], read: Callable[[bytes], str | None]) -> float:
    """Have every file read, or refused in one line by what ``read`` returns; what it raises is a finding.

    Returns:
        Seconds that the slowest took.
    """
    slowest, accepted = 0.0, 0
    for number, (name, data) in enumerate(files):
        refusals: list[str | None] = []
        try:
            slowest = max(slowest, timed(lambda: refusals.append(read(data))))  # noqa: B023
        except Exception as error:  # whatever it is, it should have been an ImageError
            outcome.expect(False, f"{name} {number}: {type(error).__name__}: {error}")
            continue
        accepted += refusals[0] is None
        outcome.expect("\n" not in (refusals[0] or ""), f"{name} {number}: {refusals[0]!r}")
    outcome.note = f"{accepted} read all the same, slowest {1000 * slowest:.0f} ms"
    return slowest


@check("10,000 mutated images over 9 formats and their modes", quick=600, full=10_000)
def mutated_images(count: int) -> Outcome:
    """A damaged picture is read or refused in one line, by ImageError and nothing else."""
    outcome, chance = Outcome(), random.Random(5)
    kinds = [(form, mode) for form, modes in MODES.items() for mode in modes]
    each = -(-count // len(kinds))
    files = ((f"{form} {mode}", one) for form, mode in kinds for one in mutated(encoded(form, mode), each, chance))
    with TemporaryDirectory() as folder:
        survey(outcome, files, partial(opened, Path(folder) / "picture"))
    return outcome


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, *chunks: bytes, bits: int = 8) -> bytes:
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0))
    body = _chunk(b"IDAT", zlib.compress(bytes(4 << 20), 9))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + body + _chunk(b"IEND", b"")


def _tiff(width: int, height: int, strips: int, compression: int = 1) -> bytes:
    tags = ((256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, compression), (262, 3, 1, 1),
            (273, 4, strips, 200), (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, strips, 200))  # fmt: skip
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(400)


def bombs() -> dict[str, bytes]:
    """Small files that would unpack to what no memory holds."""
    jpeg, webp, zeros = encoded("JPEG", "RGB"), encoded("WEBP", "RGB"), zlib.compress(bytes(64 << 20), 9)
    size = jpeg.index(b"\xff\xc0") + 5
    return {
        "PNG of 14000 x 14000": _png(14000, 14000),
        "PNG of 1 x 2^31 - 1": _png(1, 2**31 - 1),
        "PNG of 2^31 - 1 x 1": _png(2**31 - 1, 1),
        "PNG of 2^31 - 1 squared, 16 bits": _png(2**31 - 1, 2**31 - 1, bits=16),
        "PNG with a profile of 64 MB": _png(20000, 20000, _chunk(b"iCCP", b"x\0\0" + zeros)),
        "PNG with a text of 64 MB": _png(20000, 20000, _chunk(b"zTXt", b"x\0\0" + zeros)),
        "JPEG of 65500 x 65500": jpeg[:size] + struct.pack(">HH", 65500, 65500) + jpeg[size + 4 :],
        "TIFF of 2^31 strips": _tiff(2**31 - 1, 2**31 - 1, 2**31 - 1),
        "TIFF of 2^32 - 1 x 1": _tiff(2**32 - 1, 1, 1),
        "TIFF of LZW, 60000 squared": _tiff(60000, 60000, 1, 5),
        "WebP of 16383 x 16383": _webp_of(webp, 16383, 16383),
        "BMP of 2^31 - 1 x -2^31": _bmp(2**31 - 1, -(2**31)),
        "PPM of 10^9 x 10^9": b"P6\n1000000000 1000000000\n255\n" + bytes(300),
    }


def _webp_of(webp: bytes, width: int, height: int) -> bytes:
    """A lossy WebP that says another size: two numbers of 14 bits behind the start code of its key frame."""
    at = webp.index(b"\x9d\x01\x2a") + 3
    return webp[:at] + struct.pack("<HH", width, height) + webp[at + 4 :]


def _bmp(width: int, height: int) -> bytes:
    data = bytearray(encoded("BMP", "RGB"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


@check("12 bombs refused with < 150 MB", quick=13, full=13)
def image_bombs(_: int) -> Outcome:
    """None is decoded: each is refused with hardly any memory."""
    outcome, slowest, most = Outcome(), 0.0, 0
    with TemporaryDirectory() as folder:
        for name, data in bombs().items():
            path, answer = Path(folder) / "bomb", Path(folder) / "answer"

            def attempt(path: Path = path, answer: Path = answer, data: bytes = data) -> int:
                refusals: list[str | None] = []
                held = resident_memory()
                seconds = timed(lambda: refusals.append(opened(path, data)))
                grown = (peak_memory() or 0) - held
                answer.write_text(f"{seconds} {grown} {refusals[0]}")
                return 0 if refusals[0] else 1

            code = ended(forked(attempt))
            outcome.expect(code == 0, f"{name}: {'read' if code == 1 else f'exit code {code}'}")
            if code in {0, 1}:
                seconds, grown = answer.read_text().split()[:2]
                slowest, most = max(slowest, float(seconds)), max(most, int(grown))
                outcome.expect(int(grown) < 150 << 20, f"{name}: {int(grown) >> 20} MB")
    outcome.note = f"slowest {1000 * slowest:.0f} ms, at most {most >> 20} MB"
    return outcome


@check("8 orientations x formats, every mode of every format", quick=60, full=60)
def kinds_of_pictures(_: int) -> Outcome:
    """Every mode of every format is read at its size, upright, with its transparency to the bit."""
    outcome = Outcome()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "picture"
        for form, modes in MODES.items():
            for mode in modes:
                path.write_bytes(encoded(form, mode, **LOSSLESS.get(form, {})))
                found = images.open_picture(path)
                alpha = np.asarray(image(mode).getchannel("A")) if mode in {"LA", "RGBA"} else None
                same = (found.alpha is None) if alpha is None else bool((np.asarray(found.alpha) == alpha).all())
                outcome.expect(found.rgb.size == (22, 15) and same, f"{form} {mode}")
        for form in ("JPEG", "PNG", "WEBP", "TIFF"):
            for orientation in range(1, 9):
                exif = Image.Exif()
                exif[0x0112] = orientation
                path.write_bytes(encoded(form, "RGB", exif=exif))
                turned = images.open_picture(path).rgb.size == ((22, 15) if orientation < 5 else (15, 22))
                outcome.expect(turned, f"{form}, orientation {orientation}")
    return outcome


@check("sizes 1x1 .. 17x17, 1x10000 and primes, with transparency", quick=60, full=292)
def sizes(count: int) -> Outcome:
    """A picture of any size comes back at this size, its transparency bit by bit."""
    outcome, chance = Outcome(), random.Random(6)
    every = [(height, width) for height in range(1, 18) for width in range(1, 18)]
    chosen = [(1, 10_000), (10_000, 1), (251, 127), *chance.sample(every, min(count - 3, len(every)))]
    with TemporaryDirectory() as folder:
        model, path = Path(folder) / "model.fnst", Path(folder) / "out.png"
        model.write_bytes(to_bytes(corpora.pair()))
        stylizer, style = Stylizer(model, 1), image("RGB")
        for height, width in chosen:
            content = image("RGBA", height, width)
            images.save_picture(images.to_srgb(stylizer(content, style)), path)
            found = images.open_picture(path)
            same = found.alpha is not None and found.alpha.tobytes() == content.getchannel("A").tobytes()
            outcome.expect(found.rgb.size == (width, height) and same, f"{height} x {width}")
    return outcome
