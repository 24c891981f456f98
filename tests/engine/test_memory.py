"""How much memory a picture may take: one parser and one default, for ``fastnst``, ``fastnst-stylize`` and Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from fastnst import Stylizer, _engine
from fastnst.cli import main
from fastnst.system import memory

M = 1 << 20
GOOD = {
    "512m": 512 * M,
    "512M": 512 * M,
    "512MB": 512 * M,
    "512mb": 512 * M,
    "512MiB": 512 * M,
    "512mib": 512 * M,
    "512Mi": 512 * M,
    " 512M\n": 512 * M,
    "2g": 2048 * M,
    "2GiB": 2048 * M,
    "1T": 1 << 40,
    "65536k": 64 * M,
    "67108864": 64 * M,
    "67108864B": 64 * M,
    "9223372036854775807": (1 << 63) - 1,
    "8388607T": 8388607 << 40,
}
BAD = [
    "",
    " ",
    "0",
    "0M",
    "-1",
    "+5",
    "1.5G",
    "5 M",
    "M",
    "MB",
    "5X",
    "5MM",
    "5BM",
    "5iB",
    "5Bi",
    "0x10",
    "1e9",
    "\uff15M",
    "lots",
]
TOO_MANY = ["9223372036854775808", "8388608T", "99999999999999999999999999", "18446744073709551617", "9007199254740993k"]


@pytest.fixture(scope="module")
def executable() -> str:
    found = shutil.which("fastnst-stylize", path=sysconfig.get_path("scripts")) or shutil.which("fastnst-stylize")
    assert found, "fastnst-stylize is not installed beside the package"
    return found


@pytest.mark.parametrize(("text", "count"), GOOD.items())
def test_numbers_of_bytes_are_read_alike_everywhere(text: str, count: int, executable: str, model_path: Path) -> None:
    assert memory.parse_bytes(text) == count
    assert Stylizer(model_path, max_memory=text).max_memory == count
    done = subprocess.run([executable, "absent", "a", "b", "-o", "c", "--max-memory", text], capture_output=True, text=True)
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "fastnst-stylize: absent: No such file or directory")


@pytest.mark.parametrize("text", [*BAD, *TOO_MANY])
def test_what_is_no_number_of_bytes_is_wrong_usage_everywhere(
    text: str, executable: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "more bytes than there can be" if text in TOO_MANY else "not a number of bytes such as 536870912, 512M or 2G"
    message = f"'{text}' is {words}"
    with pytest.raises(ValueError, match=re.escape(message)):
        memory.parse_bytes(text)
    with pytest.raises(SystemExit, match="2"):
        main(["stylize", "a.png", "b.png", "-o", "c.png", f"--max-memory={text}"])
    assert message in capsys.readouterr().err
    done = subprocess.run([executable, "absent", "a", "b", "-o", "c", "--max-memory", text], capture_output=True, text=True)
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, f"fastnst-stylize: --max-memory: {message}")


def system(root: Path, groups: str, limits: dict[str, str]) -> str:
    """A system with these control groups and limits."""
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "cgroup").write_text(groups)
    for name, limit in limits.items():
        path = root / "sys" / "fs" / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{limit}\n")
    return str(root)


MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
UNLIMITED = 9223372036854771712
"""What version 1 says where nothing is limited."""


@pytest.mark.parametrize(
    ("groups", "limits", "bytes_"),
    [
        ("", {}, MACHINE),
        ("0::/\n", {"memory.max": "max"}, MACHINE),
        ("0::/\n", {"memory.max": str(100 * M)}, 100 * M),
        ("0::/a/b\n", {"memory.max": "max", "a/memory.max": "max", "a/b/memory.max": str(70 * M)}, 70 * M),
        ("0::/a/b\n", {"a/memory.max": str(60 * M), "a/b/memory.max": "max"}, 60 * M),
        ("0::/a/b\n", {"a/memory.max": str(60 * M), "a/b/memory.max": str(80 * M), "c/memory.max": str(M)}, 60 * M),
        ("0::/\n", {"memory.max": str(MACHINE * 8)}, MACHINE),
        ("9:memory:/\n", {"memory/memory.limit_in_bytes": str(UNLIMITED)}, MACHINE),
        ("9:cpu:/x\n4:hugetlb,memory:/d/1\n", {"memory/d/1/memory.limit_in_bytes": str(90 * M)}, 90 * M),
        ("9:cpu:/d/1\n", {"memory/d/1/memory.limit_in_bytes": str(90 * M)}, MACHINE),
        ("4:memory:/docker/9a\n", {"memory/memory.limit_in_bytes": str(50 * M)}, 50 * M),
        ("4:memory:/d\n0::/s\n", {"memory/d/memory.limit_in_bytes": str(90 * M), "s/memory.max": str(30 * M)}, 30 * M),
        ("nonsense\n\n:\n0::\n", {"memory.max": "also nonsense"}, MACHINE),
    ],
)
def test_the_limits_of_control_groups_count(groups: str, limits: dict[str, str], bytes_: int, tmp_path: Path) -> None:
    assert _engine.machine_memory(system(tmp_path, groups, limits)) == bytes_


@pytest.mark.parametrize(
    ("pixels", "machine", "budget"),
    [
        (1, 1 << 40, 64 * M),
        (100_000_000, 1 << 40, 1_200_000_000),
        (100_000_000, 1 << 30, 1 << 28),
        (100_000_000, 100 * M, 64 * M),
        (100_000_000, 0, 1_200_000_000),
        (1 << 62, 1 << 40, 1 << 38),
    ],
)
def test_the_default_is_for_the_picture_and_at_most_a_quarter_of_the_machine(pixels: int, machine: int, budget: int) -> None:
    assert _engine.default_budget(pixels, machine) == budget


def test_generators_may_take_what_they_take_at_once(generator_path: Path) -> None:
    side, engine = 3000, Stylizer(generator_path).engine
    assert Stylizer(generator_path).budget(side, side) == memory.default_budget(side, side, engine.usual_bytes)
    assert engine.working_bytes(side, side) < engine.usual_bytes * side * side


def test_python_and_the_executable_take_the_default_of_this_machine(model_path: Path) -> None:
    machine = _engine.machine_memory()
    assert 0 < machine <= MACHINE
    for side in (100, 5000, 20_000):
        assert memory.default_budget(side, side) == _engine.default_budget(side * side, machine)
        assert Stylizer(model_path).budget(side, side) == memory.default_budget(side, side)
    main_file = (Path(__file__).parents[2] / "csrc" / "stylize_main.cpp").read_text()
    assert "default_budget(pixels, machine_memory())" in main_file and "SC_PHYS_PAGES" not in main_file


def test_arrays_need_no_more_than_the_budget_that_was_written_in_small_letters(model_path: Path) -> None:
    stylizer = Stylizer(model_path, max_memory="3mib")
    picture = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    assert np.array_equal(stylizer(picture, picture), Stylizer(model_path)(picture, picture))
