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

from fastnst.engine import Engine
from fastnst.stylize import Stylizer

ROOT = Path(__file__).parents[2]
ARM_COMPILER, ARM_EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"


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


def expected_levels(model: Path, content: NDArray[np.uint8], style: NDArray[np.uint8], levels: list[int]) -> bytes:
    return ppm(expected(model, content, style, levels=levels)).replace(b"# a comment\n", b"")


def test_levels_of_wct(executable: str, wct_path: Path, model_path: Path, tmp_path: Path, pictures: tuple) -> None:
    files = [tmp_path / "content.ppm", tmp_path / "style.ppm", "-o", "-"]
    for option, levels in ([], [4, 2, 1]), (["--levels", "1,4"], [4, 1]):
        done = subprocess.run([executable, wct_path, *files, *option], capture_output=True, check=True)
        assert done.stdout == expected_levels(wct_path, *pictures, levels)
    for model, text, code, words in (
        (wct_path, "5", 1, "no level 5"),
        (wct_path, "4,4", 1, "twice"),
        (model_path, "4", 1, "AdaIN"),
        (wct_path, "4,", 2, "--levels"),
        (wct_path, "4.5", 2, "--levels"),
        (wct_path, "9", 2, "--levels"),
    ):
        failed = subprocess.run([executable, model, *files, "--levels", text], capture_output=True, text=True)
        assert failed.returncode == code
        assert words in failed.stderr
        assert not failed.stdout


def test_pipes_and_alpha_channel(executable: str, model_path: Path, tmp_path: Path, pictures: tuple) -> None:
    content, style = pictures
    transparency = (np.arange(content.shape[0] * content.shape[1]) % 256).astype(np.uint8).reshape(*content.shape[:2], 1)
    given = pam(np.concatenate([content, transparency], axis=2))
    done = subprocess.run(
        [executable, model_path, "-", tmp_path / "style.ppm", "-o", "-"], input=given, check=True, capture_output=True
    )
    pixels = np.frombuffer(done.stdout.split(b"ENDHDR\n", 1)[1], np.uint8).reshape(*content.shape[:2], 4)
    assert np.array_equal(pixels[..., :3], expected(model_path, content, style))
    assert np.array_equal(pixels[..., 3:], transparency)


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
    assert subprocess.run([*command, "--alpha", "2"], capture_output=True).returncode == 2
    assert subprocess.run(command[:-2], capture_output=True).returncode == 2
    assert subprocess.run([*command, "--overwrite"]).returncode == 0
    assert out.read_bytes().startswith(b"P6")


@pytest.fixture(scope="session")
def arm_executable(tmp_path_factory: pytest.TempPathFactory) -> str:
    if not (shutil.which(ARM_COMPILER) and shutil.which(ARM_EMULATOR)):
        pytest.skip(f"needs {ARM_COMPILER} and {ARM_EMULATOR} (Debian: g++-aarch64-linux-gnu, qemu-user)")
    out = tmp_path_factory.mktemp("arm") / "fastnst-stylize"
    csrc = ROOT / "csrc"
    x86 = {"kernels_avx2.cpp", "kernels_avxvnni.cpp", "kernels_avx512vnni.cpp"}
    sources = [csrc / "stylize_main.cpp", *(csrc / "base").glob("*.cpp"), *(csrc / "engine").glob("*.cpp")]
    subprocess.run(
        [ARM_COMPILER, "-std=c++20", "-O1", "-static", "-pthread", "-ffp-contract=off", "-march=armv8.2-a+dotprod", "-Wall",
         "-Werror", f"-I{csrc}", *(path for path in sources if path.name not in x86), "-o", out],
        check=True,
    )  # fmt: skip
    return str(out)


@pytest.mark.skipif(platform.machine() == "aarch64", reason="runs natively here")
@pytest.mark.parametrize("isa", ["neondot", "scalar"])
@pytest.mark.parametrize("threads", ["1", "3"])
def test_arm_gives_the_same_bytes(
    arm_executable: str, model_path: Path, tmp_path: Path, pictures: tuple, isa: str, threads: str
) -> None:
    command = [ARM_EMULATOR, arm_executable, model_path, tmp_path / "content.ppm", tmp_path / "style.ppm", "-o", "-"]
    done = subprocess.run(
        [*command, "--threads", threads], check=True, capture_output=True, env={**os.environ, "FASTNST_ISA": isa}
    )
    wanted = expected(model_path, *pictures)
    assert done.stdout == ppm(wanted).replace(b"# a comment\n", b"")


@pytest.mark.skipif(platform.machine() == "aarch64", reason="runs natively here")
@pytest.mark.parametrize("isa", ["neondot", "scalar"])
def test_arm_whitens_and_colours_the_same(
    arm_executable: str, wct_path: Path, tmp_path: Path, pictures: tuple, isa: str
) -> None:
    command = [ARM_EMULATOR, arm_executable, wct_path, tmp_path / "content.ppm", tmp_path / "style.ppm", "-o", "-"]
    done = subprocess.run([*command, "--threads", "2"], check=True, capture_output=True, env={**os.environ, "FASTNST_ISA": isa})
    assert done.stdout == expected_levels(wct_path, *pictures, [4, 2, 1])


@pytest.mark.skipif(platform.machine() == "aarch64", reason="runs natively here")
@pytest.mark.parametrize("isa", ["neondot", "scalar"])
def test_arm_translates_the_same(arm_executable: str, generator_path: Path, tmp_path: Path, pictures: tuple, isa: str) -> None:
    command = [ARM_EMULATOR, arm_executable, generator_path, tmp_path / "content.ppm", "-o", "-"]
    done = subprocess.run([*command, "--threads", "2"], check=True, capture_output=True, env={**os.environ, "FASTNST_ISA": isa})
    assert done.stdout == translated(generator_path, pictures[0])


@pytest.mark.usefixtures("pictures")
def test_arm_refuses_a_path_it_does_not_have(arm_executable: str, model_path: Path, tmp_path: Path) -> None:
    command = [ARM_EMULATOR, arm_executable, model_path, tmp_path / "content.ppm", tmp_path / "style.ppm", "-o", "-"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "FASTNST_ISA": "avx2"})
    assert done.returncode == 1 and "avx2" in done.stderr and "neondot" in done.stderr
