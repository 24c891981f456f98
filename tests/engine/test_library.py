"""``libfastnst``: the engine for programs in C. The same bytes as from Python, errors as statuses, nothing else to be seen."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import fastnst
from fastnst import Stylizer, _engine
from fastnst.engine import Engine, instruction_sets

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "build" / "libfastnst"
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]

pytestmark = pytest.mark.skipif(sys.platform != "linux" or shutil.which("cc") is None, reason="needs cc, on Linux")


@pytest.fixture(scope="session")
def library() -> Path:
    subprocess.run([sys.executable, "setup.py", "-q", "build_libfastnst"], cwd=ROOT, check=True)
    return LIBRARY


def compiled(source: Path, out: Path, *flags: str | Path) -> Path:
    subprocess.run(["cc", *WARNINGS, f"-I{ROOT / 'include'}", source, "-o", out, *flags], check=True)
    return out


@pytest.fixture(scope="session")
def program(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``tests/support/library.c``, linked with the shared library."""
    out = tmp_path_factory.mktemp("library") / "program"
    return compiled(ROOT / "tests" / "support" / "library.c", out, f"-L{library}", "-lfastnst", f"-Wl,-rpath,{library}")


def picture(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    slope = np.linspace(0, 200, width, dtype=np.float64)[None, :, None] * rng.random(3)
    return (slope + rng.integers(0, 56, (height, width, 3))).astype(np.uint8)


CONTENT, STYLE, OTHER = picture(1, 75, 131), picture(2, 60, 50), picture(3, 33, 64)


def arguments(folder: Path, *models: Path) -> list[Path]:
    pictures = {"content": CONTENT, "style": STYLE, "other": OTHER}
    for name, pixels in pictures.items():
        (folder / name).write_bytes(b"%d %d\n" % pixels.shape[:2] + pixels.tobytes())
    (folder / "out").mkdir()
    return [*models, *(folder / name for name in pictures), folder / "out"]


def test_a_program_in_c_gets_the_pixels_of_python(
    program: Path, model_path: Path, wct_path: Path, generator_path: Path, styled_path: Path, tmp_path: Path
) -> None:
    subprocess.run([program, *arguments(tmp_path, model_path, wct_path, generator_path, styled_path)], check=True)
    adain, wct = Stylizer(model_path), Stylizer(wct_path)
    plain = adain(CONTENT, STYLE)
    luma = adain(CONTENT, STYLE, alpha=0.6, preserve_color=True)
    wanted = {
        "plain": plain,
        "tiles": plain,
        "rows": plain,
        "mixed": adain(CONTENT, [STYLE, OTHER], weights=[0.3, 0.1], alpha=0.6, palette=0.5),
        "luma": luma,
        "rows_luma": luma,
        "cascade": wct(CONTENT, STYLE),
        "levels": wct(CONTENT, STYLE, levels=[4, 1]),
        "translated": Engine(generator_path).translate(CONTENT),
        **dict.fromkeys(
            ("translated_histogram", "translated_tiles", "translated_rows"),
            Stylizer(generator_path)(CONTENT, preserve_color="histogram"),
        ),
        "first_style": Stylizer(styled_path)(CONTENT),
        "own_styles": Stylizer(styled_path)(CONTENT, style_weights={3: 1, 1: 3}),
        "second_header": Stylizer(styled_path)(CONTENT, style_index=0),
        "first_header": plain,
        "first_header_luma": adain(CONTENT, STYLE, preserve_color=True),
    }
    column, row = np.arange(30)[None, :], np.arange(20)[:, None]
    left = np.broadcast_to((column < 12) * np.uint8(255), (20, 30)).copy()
    slope = (column * 7 + row * 2).astype(np.uint8)
    by_place = {
        "lab": adain(CONTENT, STYLE, preserve_color="lab"),
        "match": adain(CONTENT, STYLE, preserve_color="match"),
        "histogram": adain(CONTENT, STYLE, preserve_color="histogram"),
        "alpha_map": adain(CONTENT, STYLE, alpha=0.8, alpha_map=slope),
        "regions": adain(CONTENT, STYLE, regions=[(left, OTHER), (slope, STYLE)]),
        "rest": adain(CONTENT, regions=[(left, OTHER)]),
        "rest_lab": adain(CONTENT, regions=[(left, OTHER)], alpha_map=slope, preserve_color="lab"),
    }
    wanted |= by_place | {f"rows_{name}": pixels for name, pixels in by_place.items()}
    assert {path.name for path in (tmp_path / "out").iterdir()} == wanted.keys()  # and nothing that was put aside
    for name, pixels in wanted.items():
        assert (tmp_path / "out" / name).read_bytes() == pixels.tobytes(), name


def test_no_byte_is_lost_or_read_before_it_was_written(
    program: Path,
    model_path: Path,
    wct_path: Path,
    generator_path: Path,
    styled_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if shutil.which("valgrind") is None:
        pytest.skip("needs valgrind")
    # Not the first that runs, for valgrind knows no AVX-512; plain C++ takes it three times as long.
    monkeypatch.setenv("FASTNST_ISA", "avx2" if ("avx2", True) in instruction_sets() else "scalar")
    # The worker threads live as long as the process, as does what is theirs: still reachable, and so not lost.
    command = [
        "valgrind",
        "-q",
        "--error-exitcode=9",
        "--leak-check=full",
        "--show-leak-kinds=definite,indirect",
        "--errors-for-leak-kinds=definite,indirect",
    ]
    done = subprocess.run(
        [*command, program, *arguments(tmp_path, model_path, wct_path, generator_path, styled_path)],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_only_the_interface_can_be_seen(library: Path) -> None:
    header = (ROOT / "include" / "fastnst.h").read_text()
    declared = set(re.findall(r"^FASTNST_API [^(]*?(\w+)\(", header, re.MULTILINE))
    symbols = subprocess.run(
        ["nm", "-D", "--defined-only", library / "libfastnst.so.0"], capture_output=True, text=True, check=True
    ).stdout
    assert {line.split()[-1] for line in symbols.splitlines()} == declared
    dynamic = subprocess.run(["readelf", "-d", library / "libfastnst.so.0"], capture_output=True, text=True, check=True).stdout
    assert "soname: [libfastnst.so.0]" in dynamic


def test_the_header_has_the_version_of_the_package() -> None:
    header = (ROOT / "include" / "fastnst.h").read_text()
    assert f'#define FASTNST_VERSION "{fastnst.__version__}"' in header


def test_an_instruction_set_that_cannot_run_is_an_error(
    library: Path, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "set.c"
    source.write_text(
        "#include <fastnst.h>\n#include <stdio.h>\n"
        "int main(int count, char** arguments) {\n"
        "  fastnst_model* model = NULL;\n"
        "  const char* name = fastnst_instruction_set();\n"
        '  printf("%s %d\\n", name == NULL ? "none" : name, fastnst_model_open(arguments[count - 1], &model));\n'
        '  printf("%s\\n", fastnst_error());\n'
        "  fastnst_model_free(model);\n"
        "  return 0;\n}\n"
    )
    out = compiled(source, tmp_path / "set", library / "libfastnst.a", "-lstdc++", "-lm", "-pthread", "-ldl")

    def answer() -> list[str]:
        return subprocess.run([out, model_path], capture_output=True, text=True, check=True).stdout.splitlines()

    monkeypatch.setenv("FASTNST_ISA", "scalar")
    assert answer() == ["scalar 0", ""]
    monkeypatch.setenv("FASTNST_ISA", "abacus")
    first, why = answer()
    assert (first, why.split(";")[0]) == ("none 5", "FASTNST_ISA=abacus cannot run on this processor")
    monkeypatch.delenv("FASTNST_ISA")
    assert answer() == [f"{_engine.instruction_sets()[0][0]} 0", ""] or not _engine.instruction_sets()[0][1]


def test_the_program_of_the_documentation_runs(library: Path, model_path: Path, tmp_path: Path) -> None:
    (code,) = re.findall(r"```c\n(.*?)```", (ROOT / "docs" / "c.md").read_text(), re.DOTALL)
    (tmp_path / "program.c").write_text(code)
    out = compiled(tmp_path / "program.c", tmp_path / "program", f"-L{library}", "-lfastnst", f"-Wl,-rpath,{library}")
    for name, pixels in {"content": CONTENT, "style": STYLE}.items():
        (tmp_path / f"{name}.ppm").write_bytes(b"P6\n%d %d\n255\n" % pixels.shape[1::-1] + pixels.tobytes())
    command = [out, model_path, tmp_path / "content.ppm", tmp_path / "style.ppm"]
    made = subprocess.run(command, capture_output=True, check=True).stdout
    wanted = Stylizer(model_path)(CONTENT, STYLE, alpha=0.8)
    assert made == b"P6\n%d %d\n255\n" % CONTENT.shape[1::-1] + wanted.tobytes()
    failed = subprocess.run([out, tmp_path / "content.ppm", *command[2:]], capture_output=True, text=True)
    assert failed.returncode == 1 and "not a fastnst model" in failed.stderr and failed.stdout == ""
