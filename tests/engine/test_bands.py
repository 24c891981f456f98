"""Generators in bands: the bytes of the whole picture, whatever the graph, the size, the bands and where maps are put aside.

``FASTNST_CASES=5000 pytest tests/engine/test_bands.py`` runs the full number of random models.
"""

from __future__ import annotations

import os
import resource
import tempfile
from pathlib import Path

import numpy as np
import pytest
from numpy_engine import Lcg, Map, random_picture
from numpy_generator import Builder, resnet_like, skipped_lanes_cleared, transformer_like, unet_like, with_styles
from paths import RUNNABLE, answer_cases, on_path
from test_engine_generator import Case, random_case

from fastnst._engine import Tiling
from fastnst.bench.large.generators import write_cyclegan
from fastnst.engine import Engine, Pixels
from fastnst.format.graphfile import BORDERS, GeneratorFile
from fastnst.format.modelfile import to_bytes
from fastnst.stylize import Stylizer

CASES = int(os.environ.get("FASTNST_CASES", "300")) // 25


def in_bands(
    engine: Engine, picture: Map, tiling: Tiling, threads: int, folder: str | Path, parts: list[float] | None = None
) -> Pixels:
    """The picture in bands; it is read once and in order, and the progress goes from 0 to 1."""
    rows: list[Pixels] = []
    told, seen = [0.0], 0

    def read(first: int, into: Pixels) -> None:
        nonlocal seen
        assert first == seen
        seen += len(into)
        into[...] = picture[first : first + len(into)]

    size = picture.shape[0], picture.shape[1]
    write = lambda some: rows.append(some.copy())  # noqa: E731 -- they are gone when it returns
    engine.stylize_tiled(size, read, write, None, 1.0, tiling, str(folder), threads, told.append, styles=parts)
    assert told == sorted(told) and told[-1] == pytest.approx(1)
    return np.concatenate(rows)


def tilings(engine: Engine, size: tuple[int, int], threads: int) -> list[Tiling]:
    """Those of all budgets, from more than the whole takes down to the least."""
    found: list[Tiling] = []
    budget = 2 * engine.working_bytes(*size, threads=threads) + (1 << 20)
    while True:
        try:
            found.append(engine.tiling(size, budget, threads))
        except ValueError:
            return found
        assert found[-1].bytes <= budget and found[-1].width == size[1]
        budget = found[-1].bytes - 1


def check_case(case: Case) -> None:
    """The engine makes the same of it in all bands that there are."""
    engine, threads = Engine(case.model), (1, 4)[case.seed % 2]
    for tiling in tilings(engine, (case.picture.shape[0], case.picture.shape[1]), threads):
        out = in_bands(engine, case.picture, tiling, threads, tempfile.gettempdir(), case.parts)
        np.testing.assert_array_equal(out, case.out, f"seed {case.seed}, {case.picture.shape}, bands of {tiling.height}")


def check_all_bands(model: GeneratorFile, height: int, width: int, folder: Path, parts: list[float] | None = None) -> None:
    """All bands of a picture give the bytes of the whole; some are no higher than the deepest map's pixel, and in files."""
    engine, picture = Engine(to_bytes(model)), random_picture(Lcg(height), height, width)
    whole = engine.translate(picture, 2, styles=parts)
    for threads in (1, 4):
        found = tilings(engine, (height, width), threads)
        assert (found[0].height, found[0].in_memory) == (height, True) and not found[-1].in_memory
        assert found[-1].height <= 16 and 3 * found[-1].bytes < 2 * found[0].bytes
        for tiling in found:
            np.testing.assert_array_equal(in_bands(engine, picture, tiling, threads, folder, parts), whole)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("path", RUNNABLE)
def test_random_generators_in_bands_equal_the_reference(path: str) -> None:
    assert on_path(path, __file__, str(CASES)) == path


@pytest.mark.parametrize(("height", "width"), [(150, 33), (163, 21), (201, 40)])
def test_bands_of_every_height_equal_the_whole(height: int, width: int, tmp_path: Path) -> None:
    lcg = Lcg(height)
    check_all_bands(resnet_like(lcg, 9), height, width, tmp_path)
    check_all_bands(transformer_like(lcg, 5), height, width, tmp_path)
    check_all_bands(resnet_like(lcg, 4, blocks=1, separable=False), height, width, tmp_path)


def test_maps_that_are_read_far_away_wait(tmp_path: Path) -> None:
    """The skip connections of a U-Net, whose two parts are written in segments far from one another."""
    check_all_bands(skipped_lanes_cleared(unet_like(Lcg(5), 6)), 170, 23, tmp_path)


def test_styles_are_mixed_in_bands(tmp_path: Path) -> None:
    lcg = Lcg(3)
    check_all_bands(with_styles(transformer_like(lcg, 4), lcg, 3), 150, 30, tmp_path, [0.2, 0.5, 0.3])


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (9, 1), (3, 2), (4, 2)])
def test_every_border_at_the_edges_of_bands(kernel: int, stride: int, border: str, tmp_path: Path) -> None:
    """Beside a wider window of the same map, which needs more of its border."""
    graph = Builder(Lcg(kernel))
    x = graph.affine(graph.convolution(0, 5, 7, border=border), normalises=True)
    y = graph.affine(graph.convolution(x, 4, kernel, stride=stride, border=border), normalises=True)
    form = "transposed" if stride == 2 else "full"
    y = graph.convolution(y, 6, 3, stride=stride, form=form)
    z = graph.affine(graph.convolution(x, 6, 7, border=border), wide=True)
    x = graph.affine(graph.affine(y, wide=True, addend=z))
    check_all_bands(graph.paint(graph.convolution(x, 3, 3)), 160, 20, tmp_path)


def test_a_network_of_the_published_shape_takes_a_fraction_of_the_memory(tmp_path: Path) -> None:
    """A larger picture takes wider rows, and no more of them."""
    write_cyclegan(tmp_path / "cyclegan.fnst", filters=16)
    engine = Engine(tmp_path / "cyclegan.fnst")
    least = [tilings(engine, (side, 512), 2)[-1].bytes for side in (512, 2048)]
    assert 12 * least[0] < engine.working_bytes(512, 512, 2) and least[1] < 1.1 * least[0]
    # At this size, of a network 4 times as wide, the whole takes 3.8 GB.
    write_cyclegan(tmp_path / "wide.fnst", filters=64, blocks=1)
    assert not Engine(tmp_path / "wide.fnst").tiling((4096, 4096), 60 << 20, 2).in_memory


def test_too_small_a_budget_is_refused_with_what_it_takes(generator_path: Path) -> None:
    engine = Engine(generator_path)
    least = tilings(engine, (500, 300), 1)[-1].bytes
    with pytest.raises(ValueError, match=r"a picture of 300 x 500 pixels takes at least \d+\.\d MB of memory, and 0\.1 MB are"):
        engine.tiling((500, 300), 100_000, 1)
    assert engine.tiling((500, 300), least, 1).bytes == least
    with pytest.raises(ValueError, match="takes no style"):
        engine.tiling((500, 300), 10**9, 1, decodes=False)


def test_what_calls_raise_comes_out_and_ends_the_work(generator_path: Path, tmp_path: Path) -> None:
    engine, picture = Engine(generator_path), random_picture(Lcg(1), 200, 60)
    tiling = tilings(engine, (200, 60), 1)[-1]

    def fails(*_: object) -> None:
        raise OSError("no more")

    def reads(first: int, rows: Pixels) -> None:
        rows[...] = picture[first : first + len(rows)]

    def works(*_: object) -> None:
        pass

    for read, write, tell in ((fails, works, works), (reads, fails, works), (reads, works, fails)):
        with pytest.raises(OSError, match="no more"):
            engine.stylize_tiled((200, 60), read, write, None, 1.0, tiling, str(tmp_path), tell=tell)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_hold_the_maps_is_named(generator_path: Path, tmp_path: Path) -> None:
    engine, picture = Engine(generator_path), random_picture(Lcg(1), 200, 60)
    tiling = tilings(engine, (200, 60), 1)[-1]
    with pytest.raises(RuntimeError, match="nowhere: No such file"):
        in_bands(engine, picture, tiling, 1, tmp_path / "nowhere")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # files of that size are as a disk that is full
    try:
        with pytest.raises(RuntimeError, match=f"a temporary file in {tmp_path}: File too large"):
            in_bands(engine, picture, tiling, 1, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("colors", [False, "luma", "match", "histogram"])
def test_a_stylizer_with_little_memory_gives_the_same(colors: bool | str, generator_path: Path) -> None:
    content = random_picture(Lcg(2), 260, 110)
    wanted = Stylizer(generator_path)(content, preserve_color=colors)
    stylizer = Stylizer(generator_path, max_memory="700K")
    assert stylizer.plan((260, 110)).tiling
    np.testing.assert_array_equal(stylizer(content, preserve_color=colors), wanted)


if __name__ == "__main__":
    answer_cases(random_case, check_case)
