"""Generators in bands: the bytes of the whole picture, whatever the graph, the size, the bands and where maps are put aside.

``FASTNST_CASES=5000 pytest tests/engine/test_bands.py`` runs the full number of random models.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from numpy_engine import Lcg, random_picture
from numpy_generator import Builder, resnet_like, transformer_like, unet_like
from numpy_generator import with_styles as with_styles
from numpy_engine import Map
from paths import RUNNABLE, answer_cases, on_path
from test_engine_generator import Case, random_case

from fastnst._engine import Tiling
from fastnst.engine import Engine
from fastnst.format.modelfile import to_bytes

CASES = int(os.environ.get("FASTNST_CASES", "300")) // 25


def in_bands(engine: Engine, picture: Map, tiling: Tiling, threads: int, parts: list[float], folder: str) -> Map:
    rows: list[Map] = []
    told: list[float] = []
    reads = [0]

    def read(first: int, into: Map) -> None:
        assert first == reads[0]  # once and in order
        reads[0] += len(into)
        into[...] = picture[first : first + len(into)]

    size = picture.shape[0], picture.shape[1]
    write = lambda some: rows.append(some.copy())  # noqa: E731 -- they are gone when it returns
    engine.stylize_tiled(size, read, write, None, 1.0, tiling, folder, threads, told.append, styles=parts)
    assert told == sorted(told) and told[-1] == pytest.approx(1)
    return np.concatenate(rows)


def tilings(engine: Engine, size: tuple[int, int], threads: int) -> list[Tiling]:
    """Of budgets from what is allowed at least to more than the whole takes."""
    found: dict[tuple[int, bool], Tiling] = {}
    budget = 2 * engine.working_bytes(*size, threads=threads) + (1 << 20)
    while True:
        try:
            tiling = engine.tiling(size, budget, threads)
        except ValueError:
            return list(found.values())
        found[tiling.height, tiling.in_memory] = tiling
        budget = tiling.bytes - 1
        

def check_case(case: Case) -> None:
    engine, threads = Engine(case.model), (1, 4)[case.seed % 2]
    for tiling in tilings(engine, case.picture.shape[:2], threads):
        out = in_bands(engine, case.picture, tiling, threads, case.parts, tempfile.gettempdir())
        message = f"seed {case.seed}, {case.picture.shape}, bands of {tiling.height}"
        np.testing.assert_array_equal(out, case.out, message)


@pytest.mark.parametrize("path", RUNNABLE)
def test_random_generators_in_bands_equal_the_reference(path: str) -> None:
    assert on_path(path, __file__, str(CASES)) == path

if __name__ == "__main__":
    answer_cases(random_case, check_case)
