"""The generator in `examples/` is small and makes the same picture on every instruction set."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastnst import Stylizer, engine
from fastnst.verify import picture

STUDENT = Path(__file__).parents[2] / "examples" / "photo2painting.fnst"
GOLDEN = "41fb5f2973a321ba5c52574eca0c99157d22b44a4d44d6415dfd75fa538f60fd"


def digest() -> str:
    return hashlib.sha256(Stylizer(STUDENT)(picture(61, 90, 5)).tobytes()).hexdigest()


@pytest.mark.parametrize("path", [name for name, supported in engine.instruction_sets() if supported])
def test_its_picture_is_the_golden_one(path: str) -> None:
    environment = os.environ | {"FASTNST_ISA": path}
    done = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == GOLDEN


def test_it_is_small_and_says_where_it_comes_from() -> None:
    assert STUDENT.stat().st_size < 200_000
    card = Stylizer(STUDENT).engine.card
    assert (card["kind"], card["name"], card["parameters"]) == ("generator", "photo2painting", 137_347)
    assert card["psnr"] >= 34
    assert card["trained_with"]["settings"]["pictures"] == "gan/unpaired_photo2art"


if __name__ == "__main__":
    print(digest())  # noqa: T201
