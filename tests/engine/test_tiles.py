"""Pictures in tiles: the bytes of the whole picture, whatever the size, the tiles, the budget and where features are kept."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import random_layer
from numpy.typing import NDArray
from numpy_engine import Lcg, pair_like, random_cascade, random_model, random_picture, three_levels

from fastnst._engine import Tiling
from fastnst.engine import AdainLook, Engine
from fastnst.engine.wct import WctLook
from fastnst.format.modelfile import AdainFile, to_bytes
from fastnst.stylize import Stylizer

Pixels = NDArray[np.uint8]
CASES = int(os.environ.get("FASTNST_CASES", "300")) // 30
PARTS = (0.15, 0.4, 0.8, 4.0)  # of what the whole picture takes


class Run:
    """A picture that is stylized in tiles, and a record of the calls that the engine made."""

    def __init__(self, engine: Engine, content: Pixels, folder: Path, threads: int = 1) -> None:
        self.engine, self.content, self.folder, self.threads = engine, content, str(folder), threads
        self.rows: list[Pixels] = []
        self.told: list[float] = []
        self.reads: list[tuple[int, int]] = []

    def read(self, first: int, rows: Pixels) -> None:
        self.reads.append((first, len(rows)))
        rows[...] = self.content[first : first + len(rows)]

    def stylize(self, look: object, tiling: Tiling, alpha: float = 0.7) -> Pixels:
        size = self.content.shape[:2]
        write = lambda rows: self.rows.append(rows.copy())  # noqa: E731 -- they are gone when it returns
        args = (size, self.read, write, look, alpha, tiling, self.folder, self.threads)
        self.engine.stylize_tiled(*args, tell=self.told.append)
        return np.concatenate(self.rows)


def tilings(engine: Engine, size: tuple[int, int], threads: int, *, decodes: bool = True) -> list[Tiling]:
    """Those of all budgets that are enough."""
    found, whole = [], engine.working_bytes(*size, threads=threads)
    for part in PARTS:
        with suppress(ValueError):
            found.append(engine.tiling(size, int(part * whole), threads, decodes=decodes))
    assert found
    return found


def test_random_models_in_tiles_equal_the_whole_picture(tmp_path: Path) -> None:
    seen = set()
    for seed in range(CASES):
        lcg, threads = Lcg(seed), 1 + seed % 3
        some_in_form = partial(random_model, winograd=seed % 8 == 0)
        models = {0: some_in_form, 1: random_cascade, 2: lambda _: pair_like(1), 3: lambda _: three_levels()}
        engine = Engine(to_bytes(models[seed % 4](lcg)))
        content, style = random_picture(lcg, 1 + lcg.below(150), 1 + lcg.below(150)), random_picture(lcg, 40, 33)
        look = engine.look(style, threads)
        whole = engine.decode(engine.encode(content, threads), look, 0.7, threads)
        for tiling in tilings(engine, content.shape[:2], threads):
            run = Run(engine, content, tmp_path, threads)
            np.testing.assert_array_equal(run.stylize(look, tiling), whole, f"seed {seed}, tiles of {tiling.height}")
            assert run.told == sorted(run.told) and run.told[-1] == pytest.approx(1)
            cut = tiling.height < content.shape[0] or tiling.width < content.shape[1]
            seen.add((seed % 2, cut, tiling.in_memory))
    # Both kinds of models, whole and cut, in memory and in a file.
    assert {(kind, True, kept) for kind in (0, 1) for kept in (True, False)} <= seen
    assert not list(tmp_path.iterdir())


def test_looks_in_tiles_equal_those_of_the_whole_picture(tmp_path: Path) -> None:
    style = random_picture(Lcg(5), 130, 201)
    for model in (pair_like(2), three_levels()):
        engine = Engine(to_bytes(model))
        whole = engine.look(style, 1)
        for tiling in tilings(engine, style.shape[:2], 1, decodes=False):
            run = Run(engine, style, tmp_path)
            look = engine.look_tiled(style.shape[:2], run.read, tiling, 1)
            for one, other in zip(arrays(look), arrays(whole), strict=True):
                np.testing.assert_array_equal(one, other)


def arrays(look: AdainLook | WctLook) -> list[NDArray[np.float64]]:
    colors = list(look.colors or ())
    if isinstance(look, AdainLook):
        return [look.mean, look.std, *colors]
    return [array for coloring in look.levels.values() for array in (coloring.mean, coloring.root)] + colors


def test_rows_are_read_once_and_in_order(tmp_path: Path) -> None:
    engine, content = Engine(to_bytes(pair_like(1))), random_picture(Lcg(1), 400, 75)
    run = Run(engine, content, tmp_path)
    run.stylize(engine.look(content), engine.tiling((400, 75), engine.working_bytes(400, 75) // 2, 1))
    assert len(run.reads) > 2
    assert [first for first, _ in run.reads] == list(np.cumsum([0, *(count for _, count in run.reads)])[:-1])


def test_a_smaller_budget_takes_less_memory_and_more_work() -> None:
    engine, last = Engine(to_bytes(pair_like(1))), None
    for budget in (10**10, 10**9, 10**8, 3 * 10**7):
        tiling = engine.tiling((20_000, 30_000), budget, 2)
        assert tiling.bytes <= budget
        area = tiling.height * tiling.width
        assert last is None or area < last
        last = area


def test_too_small_a_budget_is_refused_with_what_it_takes() -> None:
    engine = Engine(to_bytes(pair_like(1)))
    with pytest.raises(ValueError, match=r"3000 x 2000 pixels takes at least \d+\.\d MB of memory, and 1\.0 MB are allowed"):
        engine.tiling((2000, 3000), 1_000_000, 1)
    with pytest.raises(ValueError, match="1 to 16777216"):
        engine.tiling((2**25, 1), 10**12, 1)


def test_networks_that_change_size_in_odd_ways_are_not_cut() -> None:
    """An encoder that enlarges maps: parts of a picture would not become parts of its features."""
    rng = np.random.default_rng(1)
    shapes = ((3, 6, False, "floor"), (6, 6, False, "floor"), (6, 6, True, "none"), (6, 6, True, "none"), (6, 3, False, "none"))
    layers = [random_layer(rng, i, o, upsample=up, pool=pool, zero=0) for i, o, up, pool in shapes]
    card = {"name": "odd", "kind": "adain"}
    Engine(to_bytes(AdainFile(card, layers[:2], layers[2:], 0.02, 0.02, 0))).tiling((64, 64), 10**9, 1)
    odd = Engine(to_bytes(AdainFile(card, layers[:3], layers[3:], 0.02, 0.02, 0)))
    with pytest.raises(ValueError, match="cannot be run in parts"):
        odd.tiling((64, 64), 10**9, 1)


def test_an_error_of_a_reader_or_writer_comes_out(tmp_path: Path) -> None:
    engine, content = Engine(to_bytes(pair_like(1))), random_picture(Lcg(1), 90, 75)
    look, tiling = engine.look(content), engine.tiling((90, 75), 10**9, 1)

    def fails(*_: object) -> None:
        raise OSError("no more")

    def works(*_: object) -> None:
        pass

    run = Run(engine, content, tmp_path)
    for read, write, tell in ((fails, works, works), (run.read, fails, works), (run.read, works, fails)):
        with pytest.raises(OSError, match="no more"):
            engine.stylize_tiled((90, 75), read, write, look, 1.0, tiling, "", tell=tell)


def test_a_folder_that_cannot_hold_the_features_is_named(tmp_path: Path) -> None:
    engine, content = Engine(to_bytes(pair_like(1))), random_picture(Lcg(1), 300, 300)
    tiling = engine.tiling((300, 300), engine.working_bytes(300, 300) // 5, 1)
    assert not tiling.in_memory
    with pytest.raises(RuntimeError, match="nowhere: No such file"):
        Run(engine, content, tmp_path / "nowhere").stylize(engine.look(content), tiling)
    with pytest.raises(RuntimeError, match="caf\udce9: No such file"):  # a name that is not UTF-8
        Run(engine, content, tmp_path / "caf\udce9").stylize(engine.look(content), tiling)


@pytest.mark.parametrize("kind", ["model_path", "wct_path"])
def test_a_stylizer_with_little_memory_gives_the_same(kind: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(kind)
    content, style = random_picture(Lcg(2), 170, 210), random_picture(Lcg(3), 130, 120)
    wanted = Stylizer(path)(content, style, alpha=0.8, preserve_color=True)
    for memory in ("800K", 500_000):
        stylizer = Stylizer(path, max_memory=memory)
        assert stylizer.plan((170, 210)).tiling
        np.testing.assert_array_equal(stylizer(content, style, alpha=0.8, preserve_color=True), wanted)


@pytest.mark.parametrize("memory", [0, -1, "", "M", "1.5G", "12 Q", "much"])
def test_memory_is_a_number_of_bytes(model_path: Path, memory: object) -> None:
    with pytest.raises(ValueError, match="is not a number of bytes"):
        Stylizer(model_path, max_memory=memory)  # type: ignore[arg-type]
