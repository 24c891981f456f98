"""The kernels of the training operations for other instruction sets than the one that is chosen here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastnst import _engine

FILES = sorted(set(Path(__file__).parent.glob("test_kernels_*.py")) - {Path(__file__)})
VARIANTS = {"scalar": "baseline", "avx2": "avx2", "avx512": "avx512"}
"""Values of FASTNST_ISA and the variants that they choose."""
CHOSEN = _engine.operations_variant()
OTHERS = [isa for isa, runs in _engine.instruction_sets() if runs and VARIANTS.get(isa, CHOSEN) != CHOSEN]


@pytest.mark.parametrize("isa", OTHERS)
def test_every_variant(isa: str) -> None:
    """All tests of kernels once more, in a process of its own: the variant is chosen once per process."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            *FILES,
            f"{__file__}::test_the_chosen_variant_runs",
        ],
        env=os.environ | {"FASTNST_ISA": isa, "TRITON_INTERPRET": "0", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout


def test_the_chosen_variant_runs() -> None:
    assert VARIANTS.get(os.environ.get("FASTNST_ISA", ""), CHOSEN) == CHOSEN
    assert CHOSEN in VARIANTS.values()
