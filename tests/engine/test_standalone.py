"""``fastnst-stylize``: the same bytes as from Python, natively and on an emulated Arm processor; clean failures."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut, coffee
from torture import native
from torture.framework import NotHereError

from fastnst import cli
from fastnst.engine import Engine
from fastnst.stylize import Stylizer

ROOT = Path(__file__).parents[2]


def ppm(pixels: NDArray[np.uint8]) -> bytes:
    return b"P6\n# a comment\n%d %d\n255\n" % (pixels.shape[1], pixels.shape[0]) + pixels.tobytes()


def pam(pixels: NDArray[np.uint8]) -> bytes:
    height, width, depth = pixels.shape
    return b"P7\nWIDTH %d\nHEIGHT %d\nDEPTH %d\nMAXVAL 255\nENDHDR\n" % (width, height, depth) + pixels.tobytes()


@pytest.fixture(scope="session")
def executable() -> str:
    found = shutil.which("fastnst-stylize", path=sysconfig.get_path("scripts")) or shutil.which("fastnst-stylize")
    assert found, "fastnst-stylize is not installed beside the package"
    return found


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    content, style = astronaut()[:101, 200:277].copy(), coffee()[100:190, 100:250].copy()
    (tmp_path / "content.ppm").write_bytes(ppm(content))
    (tmp_path / "style.ppm").write_bytes(ppm(style))
    return content, style


def expected(model: Path, content: NDArray[np.uint8], style: NDArray[np.uint8], **options: Any) -> NDArray[np.uint8]:
    return Stylizer(model)(content, style, **options)


def test_same_bytes_as_python(executable: str, model_path: Path, tmp_path: Path, pictures: tuple) -> None:
    command = [executable, model_path, tmp_path / "content.ppm", tmp_path / "style.ppm", "-o", tmp_path / "out.ppm"]
    subprocess.run([*command, "--alpha", "0.6", "--threads", "3"], check=True)
    wanted = expected(model_path, *pictures, alpha=0.6)
    assert (tmp_path / "out.ppm").read_bytes() == ppm(wanted).replace(b"# a comment\n", b"")


def translated(model: Path, content: NDArray[np.uint8]) -> bytes:
    return ppm(Engine(model).translate(content)).replace(b"# a comment\n", b"")


def test_a_generator_needs_no_style(
    executable: str, generator_path: Path, model_path: Path, tmp_path: Path, pictures: tuple
) -> None:
    content, out = tmp_path / "content.ppm", tmp_path / "out.ppm"
    subprocess.run([executable, generator_path, content, "-o", out, "--threads", "2"], check=True)
    assert out.read_bytes() == translated(generator_path, pictures[0])
    no = tmp_path / "no.ppm"
    for model, more, says in (
        (generator_path, [tmp_path / "style.ppm"], "takes no style"),
        (generator_path, ["--alpha", "0.5"], "takes no style"),
        (generator_path, ["--levels", "1"], "takes no style"),
        (model_path, [], "needs a style"),
    ):
        done = subprocess.run([executable, model, content, *more, "-o", no], capture_output=True, text=True)
        assert done.returncode == 2 and says in done.stderr and not no.exists()


def test_colours_of_the_content(
    executable: str, model_path: Path, generator_path: Path, tmp_path: Path, pictures: tuple
) -> None:
    files, out = [tmp_path / "content.ppm", tmp_path / "style.ppm"], ["-o", "-", "--max-memory", "3M"]
    for mode in ("luma", "lab", "match", "histogram"):
        done = subprocess.run([executable, model_path, *files, *out, "--preserve-color", mode], capture_output=True, check=True)
        assert done.stdout == ppm(expected(model_path, *pictures, preserve_color=mode)).replace(b"# a comment\n", b""), mode
    command = [executable, generator_path, files[0], "-o", "-", "--preserve-color=lab"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout == ppm(Stylizer(generator_path)(pictures[0], preserve_color="lab")).replace(b"# a comment\n", b"")
    for words, says in (
        (["--preserve-color", "sepia"], "--preserve-color takes luma, lab, match or histogram, not 'sepia'"),
        (["--preserve-color", "lab", "--palette", "1"], "--palette and --preserve-color exclude each other"),
    ):
        failed = subprocess.run([executable, model_path, *files, *out, *words], capture_output=True, text=True)
        assert (failed.returncode, failed.stdout) == (2, "") and says in failed.stderr


def test_styles_of_a_models_own(
    executable: str, styled_path: Path, generator_path: Path, tmp_path: Path, pictures: tuple
) -> None:
    stylizer, content = Stylizer(styled_path), pictures[0]
    chosen = {
        (): stylizer(content),
        ("--style-index", "4"): stylizer(content, style_index=4),
        ("--style-weights", "3:1,1:0.5"): stylizer(content, style_weights={1: 0.5, 3: 1}),
    }
    command = [executable, styled_path, tmp_path / "content.ppm", "-o", "-"]
    for words, wanted in chosen.items():
        done = subprocess.run([*command, *words], capture_output=True, check=True)
        assert done.stdout == ppm(wanted).replace(b"# a comment\n", b"")
    for model, words, code, says in (
        (styled_path, ["--style-index", "5"], 2, "there is no style 5"),
        (generator_path, ["--style-index", "0"], 2, "has no styles of its own"),
        (styled_path, ["--style-weights", "1"], 2, "'1' is no style with its weight"),
        (styled_path, ["--style-weights", "1:x"], 2, "'1:x' has no weight of at least 0"),
        (styled_path, ["--style-weights", "1:-1"], 2, "'1:-1' has no weight of at least 0"),
        (styled_path, ["--style-weights", "1:1,1:1"], 2, "a style is given two weights"),
        (styled_path, ["--style-weights", "1:0"], 1, "not all 0"),
    ):
        failed = subprocess.run([executable, model, *command[2:], *words], capture_output=True, text=True)
        assert (failed.returncode, failed.stdout) == (code, "") and says in failed.stderr


def expected_levels(model: Path, content: NDArray[np.uint8], style: NDArray[np.uint8], levels: list[int]) -> bytes:
    return ppm(expected(model, content, style, levels=levels)).replace(b"# a comment\n", b"")


def test_levels_of_wct(executable: str, wct_path: Path, model_path: Path, tmp_path: Path, pictures: tuple) -> None:
    files = [tmp_path / "content.ppm", tmp_path / "style.ppm", "-o", "-"]
    for option, levels in ([], [4, 2, 1]), (["--levels", "1,4"], [4, 1]):
        done = subprocess.run([executable, wct_path, *files, *option], capture_output=True, check=True)
        assert done.stdout == expected_levels(wct_path, *pictures, levels)
    for model, text, code, words in (
        (wct_path, "5", 1, "no level 5"),
        (wct_path, "4,4", 2, "twice"),
        (model_path, "4", 1, "AdaIN"),
        (wct_path, "4,", 2, "--levels"),
        (wct_path, "4.5", 2, "--levels"),
        (wct_path, "9", 2, "--levels"),
    ):
        failed = subprocess.run([executable, model, *files, "--levels", text], capture_output=True, text=True)
        assert failed.returncode == code
        assert words in failed.stderr
        assert not failed.stdout


@pytest.mark.usefixtures("pictures")
def test_regions_are_those_of_the_command_line(
    executable: str, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    color, opaque = coffee()[:40, :60], (np.arange(40 * 60 * 4) % 251).astype(np.uint8).reshape(40, 60, 4)
    Path("other.ppm").write_bytes(ppm(astronaut()[300:360, 100:190].copy()))
    Path("color.ppm").write_bytes(ppm(color.copy()))
    Path("opaque.pam").write_bytes(pam(opaque))
    Path("slope.pgm").write_bytes(b"P5 200 2 255\n" + bytes(range(200)) * 2)
    rest, mixed = ["style.ppm"], ["--region", "opaque.pam=style.ppm:1,other.ppm:2.5"]
    for style, options in (
        (rest, ["--region", "color.ppm=other.ppm"]),
        ([], ["--region=slope.pgm=other.ppm", "--threads", "2"]),
        (rest, [*mixed, "--region", "slope.pgm=other.ppm", "--alpha", "0.7"]),
        ([], [*mixed, "--alpha-map", "slope.pgm"]),
        (rest, ["--alpha-map", "color.ppm", "--palette", "0.5"]),
    ):
        command = ["stylize", "content.ppm", *style, "-o", "wanted.ppm", "--overwrite", "--model", str(model_path)]
        assert cli.main([*command, "--style-size", "0", *options]) == 0
        for tiles in ([], ["--max-memory", "500K"]):
            command = [executable, str(model_path), "content.ppm", *style, "-o", "out.ppm", "--overwrite", *options, *tiles]
            subprocess.run(command, check=True)
            assert Path("out.ppm").read_bytes() == Path("wanted.ppm").read_bytes(), command


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        ("--region mask.pgm", 2, "'mask.pgm' does not name a mask and a style"),
        ("--region =style.ppm", 2, "does not name a mask and a style"),
        ("--region mask.pgm=", 2, "does not name a mask and a style"),
        ("--region mask.pgm=style.ppm,", 2, "does not name a mask and a style"),
        ("--region mask.pgm=style.ppm,,style.ppm", 2, "does not name a mask and a style"),
        ("--region mask.pgm=style.ppm,:2,style.ppm", 2, "does not name a mask and a style"),
        ("--region mask.pgm=style.ppm:0,style.ppm:0", 2, "weights are not all 0"),
        ("--region mask.pgm=style.ppm:-1", 2, "a weight is at least 0"),
        ("--region mask.pgm=style.ppm:nan", 2, "a weight is at least 0"),
        ("--region -=style.ppm --alpha-map -", 2, "only one of the pictures can be standard input"),
        ("--region none.pgm=style.ppm", 1, "none.pgm: No such file"),
        ("--region mask.pgm=none.ppm", 1, "none.ppm: No such file"),
        ("--region wide.pgm=style.ppm", 1, "wide.pgm: a mask has at most 4096 pixels a side"),
        ("--region style.txt=style.ppm", 1, "style.txt: "),
        ("--alpha-map=", 1, "No such file"),
    ],
)
def test_regions_that_are_none_are_refused(
    given: str, code: int, says: str, executable: str, model_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "mask.pgm").write_bytes(b"P5 2 1 255\n" + bytes(2))
    (tmp_path / "wide.pgm").write_bytes(b"P5 4097 1 255\n" + bytes(4097))
    (tmp_path / "style.txt").write_text("no picture")
    command = [executable, model_path, "content.ppm", "style.ppm", "-o", "no.ppm", *given.split()]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, stdin=subprocess.DEVNULL)
    assert done.returncode == code and says in done.stderr.splitlines()[0]
    assert not list(tmp_path.glob("no*"))


def test_pipes_and_alpha_channel(executable: str, model_path: Path, tmp_path: Path, pictures: tuple) -> None:
    content, style = pictures
    transparency = (1 + np.arange(content.shape[0] * content.shape[1]) % 255).astype(np.uint8).reshape(*content.shape[:2], 1)
    given = pam(np.concatenate([content, transparency], axis=2))
    done = subprocess.run(
        [executable, model_path, "-", tmp_path / "style.ppm", "-o", "-"], input=given, check=True, capture_output=True
    )
    pixels = np.frombuffer(done.stdout.split(b"ENDHDR\n", 1)[1], np.uint8).reshape(*content.shape[:2], 4)
    assert np.array_equal(pixels[..., :3], expected(model_path, content, style))
    assert np.array_equal(pixels[..., 3:], transparency)


def cut_outs(depth: int) -> list[bytes]:
    """A disc with holes and a soft edge in a PAM, on hidden black and on hidden white."""
    y, x = np.mgrid[:261, :333]
    alpha = np.clip((110 - np.hypot(x - 180, y - 120)) * 64, 0, 255).astype(np.uint8)
    alpha[::7, ::5] = 0
    colors = np.stack([x, y, x ^ y], axis=2).astype(np.uint8)[..., : depth - 1]
    return [pam(np.dstack([np.where(alpha[..., None] > 0, colors, below), alpha]).astype(np.uint8)) for below in (0, 255)]


def from_python(model: Path, folder: Path, content: str, style: str, *options: str, output: str = "python.pam") -> bytes:
    arguments = [str(folder / content), str(folder / style), "-o", str(folder / output), "--model", str(model)]
    assert cli.main(["stylize", *arguments, "--style-size", "0", "--overwrite", "--quiet", *options]) == 0
    return (folder / output).read_bytes()


@pytest.mark.parametrize("depth", [2, 4])
@pytest.mark.parametrize("options", [[], ["--alpha", "0.6", "--palette", "0.3"]])
@pytest.mark.parametrize("kind", ["adain", "wct"])
@pytest.mark.usefixtures("pictures")
def test_hidden_colors_change_nothing(
    executable: str, model_path: Path, wct_path: Path, tmp_path: Path, kind: str, depth: int, options: list[str]
) -> None:
    """Below the transparent pixels of a content or a style, at once, in tiles and from a pipe: as Python."""
    model = model_path if kind == "adain" else wct_path
    cuts = cut_outs(depth)
    for content, style in (("cut.pam", "style.ppm"), ("content.ppm", "cut.pam")):
        found = []
        for cut in cuts:
            (tmp_path / "cut.pam").write_bytes(cut)
            command = [executable, model, tmp_path / content, tmp_path / style, "-o", tmp_path / "out.pam", "--overwrite"]
            for most in ([], ["--max-memory", "1600K"]):
                subprocess.run([*command, *options, *most], check=True)
                found.append((tmp_path / "out.pam").read_bytes())
            piped = [executable, model, *("-" if each == "cut.pam" else tmp_path / each for each in (content, style))]
            more = ["-o", tmp_path / "out.pam", "--overwrite", *options, "--max-memory", "1600K"]
            subprocess.run([*piped, *more], input=cut, check=True)
            found.append((tmp_path / "out.pam").read_bytes())
            found.append(from_python(model, tmp_path, content, style, *options))
        assert all(each == found[0] for each in found)
    assert not list(tmp_path.glob(".fastnst*"))


def test_hidden_colors_change_no_translation(executable: str, generator_path: Path, tmp_path: Path) -> None:
    found = []
    for cut in cut_outs(4):
        (tmp_path / "cut.pam").write_bytes(cut)
        command = [executable, generator_path, tmp_path / "cut.pam", "-o", "-"]
        found.append(subprocess.run(command, check=True, capture_output=True).stdout)
        arguments = [str(tmp_path / "cut.pam"), "-o", str(tmp_path / "python.pam"), "--model", str(generator_path)]
        assert cli.main(["stylize", *arguments, "--overwrite", "--quiet"]) == 0
        found.append((tmp_path / "python.pam").read_bytes())
    assert all(each == found[0] for each in found)


@pytest.mark.usefixtures("pictures")
def test_every_kind_of_input_and_output_is_as_from_python(executable: str, model_path: Path, tmp_path: Path) -> None:
    """Grey, transparency, headers with tabs and comments; an output is what its name says, a PPM as seen on white paper."""
    rgb, grey = astronaut()[:64, :72], astronaut()[:64, :72, :1]
    half = (np.arange(64 * 72) % 256).astype(np.uint8).reshape(64, 72, 1)
    spaced = b"P7\n# of a comment\nWIDTH\t72 \nHEIGHT  64\nDEPTH 1\nMAXVAL \t255\nTUPLTYPE GRAYSCALE\nENDHDR\n"
    files = {
        "rgb.ppm": ppm(rgb),
        "grey.pgm": b"P5 72 64 255\n" + grey.tobytes(),
        "grey.pam": spaced + grey.tobytes(),
        "rgb.pam": pam(rgb),
        "grey-alpha.pam": pam(np.dstack([grey, half])),
        "rgb-alpha.pam": pam(np.dstack([rgb, half])),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        for output in ("out.ppm", "out.pam", "out.PAM"):
            for content, style in ((name, "style.ppm"), ("content.ppm", name)):
                paths = [tmp_path / content, tmp_path / style]
                subprocess.run([executable, model_path, *paths, f"--output={tmp_path / output}", "--overwrite"], check=True)
                found = (tmp_path / output).read_bytes()
                assert found == from_python(model_path, tmp_path, content, style, output=f"python-{output}"), (name, output)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "too short"),
        (b"not a picture at all", "neither"),
        (b"P6\n4 4\n255\n" + bytes(47), "cut short"),
        (b"P6\n99999999 99999999\n255\n", "pixels"),
        (b"P6\n4 4\n65535\n" + bytes(96), "maximum"),
        (b"P7\nWIDTH 2\nHEIGHT 2\nDEPTH 7\nMAXVAL 255\nENDHDR\n" + bytes(28), "depth"),
    ],
)
@pytest.mark.usefixtures("pictures")
def test_bad_pictures_fail_in_one_line(executable: str, model_path: Path, tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "bad.ppm").write_bytes(content)
    command = [executable, model_path, tmp_path / "bad.ppm", tmp_path / "style.ppm", "-o", tmp_path / "out.ppm"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "bad.ppm" in done.stderr and says in done.stderr and done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("out*"))


@pytest.mark.usefixtures("pictures")
def test_existing_output_and_usage(executable: str, model_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.ppm"
    out.write_bytes(b"precious")
    command = [executable, model_path, tmp_path / "content.ppm", tmp_path / "style.ppm", "-o", out]
    assert subprocess.run(command, capture_output=True).returncode == 1
    assert out.read_bytes() == b"precious"
    for wrong in (["--alpha", "2"], ["--alpha=2"], ["--threads", "2.5"], ["--levels=3,3"], ["--overwrite=1"], ["--alpha"]):
        assert subprocess.run([*command, *wrong], capture_output=True).returncode == 2
    assert subprocess.run(command[:-2], capture_output=True).returncode == 2
    assert subprocess.run([*command, "--overwrite"]).returncode == 0
    assert out.read_bytes().startswith(b"P6")


@pytest.mark.usefixtures("pictures")
def test_a_folder_is_no_picture_and_no_model(executable: str, model_path: Path, tmp_path: Path) -> None:
    files = [tmp_path / "content.ppm", tmp_path / "style.ppm"]
    for arguments in ([tmp_path, *files], [model_path, tmp_path, files[1]], [model_path, files[0], tmp_path]):
        done = subprocess.run([executable, *arguments, "-o", tmp_path / "out.ppm"], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (1, f"fastnst-stylize: {tmp_path}: Is a directory\n")


@pytest.fixture(scope="session")
def arm_executable() -> list[str]:
    """The command that runs it, emulated."""
    try:
        return native.build("arm-stylize")
    except NotHereError as missing:
        pytest.skip(f"{missing} (Debian: g++-aarch64-linux-gnu, qemu-user)")


@pytest.mark.skipif(platform.machine() == "aarch64", reason="runs natively here")
@pytest.mark.parametrize("isa", ["neondot", "neon", "scalar"])
@pytest.mark.parametrize("threads", ["1", "3"])
def test_arm_gives_the_same_bytes(
    arm_executable: list[str], model_path: Path, tmp_path: Path, pictures: tuple, isa: str, threads: str
) -> None:
    command = [*arm_executable, model_path, tmp_path / "content.ppm", tmp_path / "style.ppm", "-o", "-"]
    done = subprocess.run(
        [*command, "--threads", threads], check=True, capture_output=True, env={**os.environ, "FASTNST_ISA": isa}
    )
    wanted = expected(model_path, *pictures)
    assert done.stdout == ppm(wanted).replace(b"# a comment\n", b"")


@pytest.mark.skipif(platform.machine() == "aarch64", reason="runs natively here")
@pytest.mark.parametrize("isa", ["neondot", "neon", "scalar"])
def test_arm_whitens_and_colours_the_same(
    arm_executable: list[str], wct_path: Path, tmp_path: Path, pictures: tuple, isa: str
) -> None:
    command = [*arm_executable, wct_path, tmp_path / "content.ppm", tmp_path / "style.ppm", "-o", "-"]
    done = subprocess.run([*command, "--threads", "2"], check=True, capture_output=True, env={**os.environ, "FASTNST_ISA": isa})
    assert done.stdout == expected_levels(wct_path, *pictures, [4, 2, 1])


@pytest.mark.skipif(platform.machine() == "aarch64", reason="runs natively here")
@pytest.mark.parametrize("isa", ["neondot", "neon", "scalar"])
def test_arm_translates_the_same(
    arm_executable: list[str], generator_path: Path, tmp_path: Path, pictures: tuple, isa: str
) -> None:
    command = [*arm_executable, generator_path, tmp_path / "content.ppm", "-o", "-"]
    done = subprocess.run([*command, "--threads", "2"], check=True, capture_output=True, env={**os.environ, "FASTNST_ISA": isa})
    assert done.stdout == translated(generator_path, pictures[0])


@pytest.mark.skipif(platform.machine() == "aarch64", reason="runs natively here")
def test_arm_fills_hidden_pixels_the_same(arm_executable: list[str], model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.pam").write_bytes(cut_outs(4)[0])
    command = [*arm_executable, model_path, tmp_path / "cut.pam", tmp_path / "cut.pam", "-o", "-"]
    done = subprocess.run(command, check=True, capture_output=True, env={**os.environ, "FASTNST_ISA": "neondot"})
    assert done.stdout == from_python(model_path, tmp_path, "cut.pam", "cut.pam")


@pytest.mark.usefixtures("pictures")
def test_arm_refuses_a_path_it_does_not_have(arm_executable: list[str], model_path: Path, tmp_path: Path) -> None:
    command = [*arm_executable, model_path, tmp_path / "content.ppm", tmp_path / "style.ppm", "-o", "-"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "FASTNST_ISA": "avx2"})
    assert done.returncode == 1 and "avx2" in done.stderr and "neondot" in done.stderr
