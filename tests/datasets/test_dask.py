"""The recipe of the docs for Dask. Needs dask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastnst.transforms import RandomStyle

bag = pytest.importorskip("dask.bag", reason="dask is not installed")


def test_a_bag_in_two_processes_gives_the_same_bytes(tmp_path: Path) -> None:
    paths = []
    for at in range(4):
        paths.append(tmp_path / f"{at}.png")
        Image.fromarray(np.random.default_rng(at).integers(0, 256, (20, 24, 3), np.uint8)).save(paths[-1])
    style = RandomStyle([np.full((16, 16, 3), 90, np.uint8)], 1.0, model="adain-nano")

    def stylized(path: Path) -> bytes:
        return style(Image.open(path), index=path.name).tobytes()

    done = bag.from_sequence(paths, partition_size=2).map(stylized).compute(scheduler="processes", num_workers=2)
    assert done == [stylized(path) for path in paths]
