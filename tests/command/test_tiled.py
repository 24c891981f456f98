"""``fastnst stylize --max-memory``: files of any size, the pixels of the whole picture, nothing half-written or left behind."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from row_pictures import smooth

from fastnst import cli
from fastnst.bench.large.synthetic import write_ppm
from fastnst.engine import Engine
from fastnst.pictures.streams import Rows, open_rows
from fastnst.system import memory

SIZE = (261, 333)  # height, width
LITTLE = "1600K"
FOR_ALPHA = "3400K"  # whose hidden pixels are filled in bands


@pytest.fixture
def work(tmp_path: Path, model_path: Path, wct_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with models and pictures, which is also the current one."""
    monkeypatch.chdir(tmp_path)
    for name, path in (("adain.fnst", model_path), ("wct.fnst", wct_path)):
        (tmp_path / name).write_bytes(path.read_bytes())
    pixels = smooth(*SIZE, 4)
    pixels[20:150, 40:200, 3] = 0
    Image.fromarray(pixels).save("alpha.png")
    opaque = Image.fromarray(pixels).convert("RGB")
    for name in ("content.png", "content.ppm", "content.tif", "content.webp"):
        opaque.save(name, **({"lossless": True} if name.endswith("webp") else {}))
    Image.fromarray(smooth(70, 90, 3)).save("style.png")
    # Pieces of less than this picture, so that all that is done piece by piece is.
    monkeypatch.setattr("fastnst.pictures.png_writer.CHUNK_BYTES", 1 << 15)  # which imports it, before what it takes changes
    monkeypatch.setattr("fastnst.pictures.rows.CHUNK_BYTES", 1 << 15)
    monkeypatch.setattr("fastnst.pictures.png_reader.CHUNK_BYTES", 1 << 15)
    monkeypatch.setattr("fastnst.pictures.rows.RowWriter.memory", 1 << 15)
    monkeypatch.setattr("fastnst.pictures.png_writer.PngWriter.memory", 1 << 17)
    monkeypatch.setattr("fastnst.jobs.pictures._BLEND_BYTES", 1 << 17)
    return tmp_path


def stylize(content: str, output: str, *options: str, style: str = "style.png", model: str = "adain.fnst") -> int:
    return cli.main(["stylize", content, style, "-o", output, "--model", model, "--overwrite", "--quiet", *options])


def pixels(name: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(name))


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize("content", ["content.png", "content.ppm", "content.tif", "content.webp", "alpha.png"])
@pytest.mark.parametrize("options", [(), ("--preserve-color", "--alpha", "0.5"), ("--preserve-color=histogram",)])
def test_every_kind_of_file_gives_the_pixels_of_the_whole_picture(content: str, options: tuple[str, ...]) -> None:
    for output in ("out.png", "out.tif", "out.ppm", "out.pam", "out.bmp"):
        assert stylize(content, f"whole.{output}", *options) == 0
        assert stylize(content, output, "--max-memory", FOR_ALPHA if content == "alpha.png" else LITTLE, *options) == 0
        np.testing.assert_array_equal(pixels(output), pixels(f"whole.{output}"), output)
    assert not list(Path().glob(".*"))


@pytest.mark.usefixtures("work")
def test_wct_and_its_levels() -> None:
    for levels in ("4,2,1", "2", "1"):
        assert stylize("content.png", "whole.png", "--levels", levels, model="wct.fnst") == 0
        assert stylize("content.ppm", "out.png", "--levels", levels, "--max-memory", LITTLE, model="wct.fnst") == 0
        np.testing.assert_array_equal(pixels("out.png"), pixels("whole.png"), levels)


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize("model", ["adain.fnst", "wct.fnst"])
def test_a_large_style_is_read_in_rows(model: str) -> None:
    for style, most in (("alpha.png", FOR_ALPHA), ("content.tif", LITTLE)):
        assert stylize("style.png", "whole.png", "--style-size", "0", style=style, model=model) == 0
        assert stylize("style.png", "out.png", "--style-size", "0", "--max-memory", most, style=style, model=model) == 0
        np.testing.assert_array_equal(pixels("out.png"), pixels("whole.png"), style)


@pytest.mark.usefixtures("work")
def test_the_report_says_what_was_planned(capsys: pytest.CaptureFixture[str]) -> None:
    assert stylize("content.ppm", "out.ppm", "--json", "--max-memory", LITTLE) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["working_memory"] <= memory.parse_bytes(LITTLE)
    whole = Engine("adain.fnst").working_bytes(*SIZE)
    assert report["working_memory"] < whole
    assert (report["height"], report["width"]) == SIZE
    assert report["planned_memory"] > report["working_memory"]
    assert all(value >= 0 for value in report["seconds"].values())


@pytest.mark.usefixtures("work")
def test_too_little_memory_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for style_size, name in (("8", "content.ppm: a picture of 333 x 261"), ("0", "style.png: a picture of 90 x 70")):
        assert stylize("content.ppm", "out.ppm", "--max-memory", "150K", "--style-size", style_size) == 1
        error = capsys.readouterr().err
        assert f"{name} pixels takes at least" in error and error.count("\n") == 1
    assert not Path("out.ppm").exists() and not list(Path().glob(".*"))


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize("memory", ["much", "0", "-5M"])
def test_memory_that_is_no_number_is_wrong_usage(memory: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        stylize("content.ppm", "out.ppm", f"--max-memory={memory}")
    assert caught.value.code == 2 and "is not a number of bytes" in capsys.readouterr().err


@pytest.mark.usefixtures("work")
def test_a_full_disk_is_one_line_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("fastnst.pictures.formats.ppm.PpmWriter.write", full)
    assert stylize("content.ppm", "out.ppm", "--max-memory", LITTLE) == 1
    assert capsys.readouterr().err == "fastnst: error: out.ppm: cannot be written: No space left on device\n"
    assert not Path("out.ppm").exists() and not list(Path().glob(".*"))


@pytest.mark.usefixtures("work")
def test_tiles_go_into_a_folder_whose_name_is_not_utf8() -> None:
    folder = os.fsdecode(b"caf\xe9")
    Path(folder).mkdir()
    assert stylize("content.ppm", "whole.ppm") == 0
    assert stylize("content.ppm", f"{folder}/out.ppm", "--max-memory", LITTLE) == 0
    assert (pixels(f"{folder}/out.ppm") == pixels("whole.ppm")).all()


@pytest.mark.usefixtures("work")
def test_a_content_that_is_read_again_is_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def counted(path: Path) -> Rows | None:
        opened.append(path.name)
        return open_rows(path)

    monkeypatch.setattr("fastnst.jobs.pictures.open_rows", counted)
    assert stylize("alpha.png", "out.png", "--max-memory", FOR_ALPHA, "--preserve-color") == 0
    assert opened == ["alpha.png"]


@pytest.mark.usefixtures("work")
def test_a_content_cut_short_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    data = Path("content.png").read_bytes()
    Path("cut.png").write_bytes(data[: len(data) * 2 // 3])
    assert stylize("cut.png", "out.png", "--max-memory", LITTLE) == 1
    error = capsys.readouterr().err
    assert "cut.png: broken picture" in error and error.count("\n") == 1
    assert not Path("out.png").exists() and not list(Path().glob(".*"))


def translate(model: Path, content: str, output: str, *options: str) -> int:
    return cli.main(["stylize", content, "-o", output, "--model", str(model), "--overwrite", "--quiet", *options])


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize("content", ["content.ppm", "content.png", "alpha.png"])
def test_a_generator_in_bands_gives_the_pixels_of_the_whole(content: str, generator_path: Path) -> None:
    for colors in ((), ("--preserve-color", "lab"), ("--preserve-color", "match")):
        assert translate(generator_path, content, "whole.png", *colors) == 0
        assert translate(generator_path, content, "out.png", "--max-memory", FOR_ALPHA, *colors) == 0
        assert (pixels("out.png") == pixels("whole.png")).all()
    assert not list(Path().glob(".*"))


@pytest.mark.usefixtures("work")
def test_a_folder_of_pictures_through_a_generator_in_bands(generator_path: Path) -> None:
    Path("in").mkdir()
    for name in ("content.ppm", "alpha.png"):
        Path(name).rename(f"in/{name}")
    assert translate(generator_path, "in", "whole", "--format", "png") == 0
    assert translate(generator_path, "in", "out", "--format", "png", "--max-memory", FOR_ALPHA) == 0
    found = sorted(path.name for path in Path("out").glob("*.png"))
    assert found and all((pixels(f"out/{name}") == pixels(f"whole/{name}")).all() for name in found)


@pytest.mark.usefixtures("work")
def test_a_disk_too_full_for_the_maps_is_one_line(generator_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files may grow no larger, which is as a disk that is full."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        assert translate(generator_path, "content.ppm", "out.png", "--max-memory", LITTLE) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    error = capsys.readouterr().err
    assert "a temporary file in ." in error and "File too large" in error and error.count("\n") == 1
    assert not Path("out.png").exists() and not list(Path().glob(".*"))


def test_a_generators_memory_is_as_planned(tmp_path: Path, generator_path: Path) -> None:
    """A long picture of which whole maps would take many times as much; in a process of its own, for its memory."""
    if sys.platform != "linux":
        pytest.skip("only Linux says what a process has held")
    write_ppm(tmp_path / "long.ppm", 4000, 1000)
    command = [sys.executable, "-m", "fastnst", "stylize", "long.ppm", "-o", "out.ppm", "--model", generator_path]
    done = subprocess.run([*command, "--max-memory", "24M", "--json"], cwd=tmp_path, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert (report["width"], report["height"]) == (1000, 4000)
    assert report["working_memory"] <= memory.parse_bytes("24M")
    assert report["peak_memory"] < 1.1 * report["planned_memory"] < 120 << 20 < Engine(generator_path).working_bytes(4000, 1000)


def test_memory_is_as_planned(tmp_path: Path, model_path: Path) -> None:
    """A long picture of which whole maps would take many times as much; in a process of its own, for its memory."""
    if sys.platform != "linux":
        pytest.skip("only Linux says what a process has held")
    write_ppm(tmp_path / "long.ppm", 120, 15_000)
    Image.fromarray(smooth(40, 40, 3)).save(tmp_path / "style.png")
    command = [sys.executable, "-m", "fastnst", "stylize", "long.ppm", "style.png", "-o", "out.ppm", "--model", model_path]
    done = subprocess.run([*command, "--max-memory", "24M", "--json"], cwd=tmp_path, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert (report["width"], report["height"]) == (15_000, 120)
    assert report["working_memory"] <= memory.parse_bytes("24M")
    assert report["peak_memory"] < 1.1 * report["planned_memory"] < 120 << 20
