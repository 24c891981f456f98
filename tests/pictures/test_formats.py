"""A picture format is one file: a module in ``fastnst/pictures/formats``, which is found by its name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from torture.images import MODES

from fastnst.cli.values import FORMATS as NAMES
from fastnst.images import FORMATS as SUFFIXES
from fastnst.pictures.registry import FORMATS

SGI = r"""
from fastnst.pictures.format import Format, Writer, begins

FORMAT = Format(
    name="SGI", suffixes=(".sgi", ".rgb"), recognises=begins(b"\x01\xda"), decoders=("SGI",),
    writer=Writer(suffixes=(".sgi",), holds_alpha=True, metadata=()),
)
"""
USE = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
from fastnst.pictures import formats
formats.__path__.append(sys.argv[1])
from fastnst.images import READ_SUFFIXES, Picture, Saving, can_write, open_picture, picture_size, save_picture, usual_suffix
from fastnst.pictures.streams import open_rows, written_in_rows
path, pixels = Path(sys.argv[1], "a.sgi"), np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)
save_picture(Picture(Image.fromarray(pixels)), path)
assert (np.asarray(open_picture(path).rgb) == pixels).all() and path.read_bytes().startswith(b"\\x01\\xda")
assert can_write(path) and usual_suffix(path) == ".sgi" and ".rgb" in READ_SUFFIXES and picture_size(path) == (7, 5)
assert open_rows(path) is None and not written_in_rows(Saving.by(".sgi"))
"""


def test_a_module_is_a_format(tmp_path: Path) -> None:
    (tmp_path / "sgi.py").write_text(SGI)
    done = subprocess.run([sys.executable, "-c", USE, str(tmp_path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_format_that_is_written_can_be_named() -> None:
    written = {name.lower() for name, each in FORMATS.items() if each.writer}
    assert written == set(NAMES)
    assert written < set(SUFFIXES)
    assert {suffix: SUFFIXES[suffix] for suffix in ("jpeg", "jpe", "tiff", "png")} == {
        "jpeg": ".jpg", "jpe": ".jpe", "tiff": ".tif", "png": ".png",
    }  # fmt: skip


def test_every_format_is_mutated() -> None:
    """But HEIC, which Pillow alone cannot write."""
    assert {name.upper() for name in FORMATS} - {"HEIC"} <= set(MODES)


def test_no_two_formats_recognise_one_file() -> None:
    heads = [
        b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8L", b"BM", b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0",
        b"P6\n", b"P6#", b"P5 ", b"P7\n", b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miaf", b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    ]  # fmt: skip
    for head in heads:
        assert len([name for name, each in FORMATS.items() if each.recognises(head.ljust(64, b"\0"))]) == 1, head


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_pillow_writes_and_reads_pam_once_fastnst_is_imported(tmp_path: Path, mode: str) -> None:
    image = Image.frombytes("RGBA", (3, 2), bytes(range(24))).convert(mode)
    image.save(tmp_path / "a.pam")
    with Image.open(tmp_path / "a.pam") as found:
        assert (found.mode, found.tobytes()) == (mode, image.tobytes())


def test_pillow_refuses_other_modes_as_pam(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot write mode CMYK as PAM"):
        Image.new("CMYK", (3, 2)).save(tmp_path / "a.pam")
