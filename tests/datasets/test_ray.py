"""Ray Data: rows of any size and channels, and a worker that is lost while it works. Needs ray."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ray = pytest.importorskip("ray", reason="ray is not installed")
pytest.importorskip("ray.data", reason="ray's data extra is not installed")

from fastnst.integrations.ray import _Actor, stylize  # noqa: E402
from fastnst.transforms import RandomStyle  # noqa: E402

STYLES = [np.random.default_rng(seed).integers(0, 256, (30, 30, 3), np.uint8) for seed in range(3)]
pytestmark = pytest.mark.filterwarnings("ignore")  # ray's own


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Two workers of this machine and two to read, or the cluster that RAY_ADDRESS names."""
    if "RAY_ADDRESS" in os.environ:
        ray.init()
    else:
        ray.init(num_cpus=4, include_dashboard=False, object_store_memory=100_000_000)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of several sizes, some of them grey."""
    folder = tmp_path_factory.mktemp("ray")
    for at in range(12):
        image = Image.fromarray(np.random.default_rng(at).integers(0, 256, (20 + at % 3, 24, 3), np.uint8))
        (image.convert("L") if at % 4 == 3 else image).save(folder / f"{at:02}.png")
    return folder


def check(rows: list[dict[str, Any]], folder: Path) -> None:
    """Every picture once, and as the transform makes it."""
    assert sorted(Path(row["path"]).name for row in rows) == sorted(path.name for path in folder.iterdir())
    style = RandomStyle(STYLES, 1.0, model="adain-nano")
    for row in rows:
        content = np.asarray(Image.open(row["path"]))
        wanted = style(content if content.ndim == 3 else content[..., None], index=row["path"])
        np.testing.assert_array_equal(np.asarray(row["image"]).reshape(wanted.shape), wanted)


@pytest.mark.usefixtures("cluster")
def test_grey_rows_and_several_sizes(folder: Path) -> None:
    ds = ray.data.read_images(str(folder), include_paths=True)
    check(stylize(ds, STYLES, actors=2, model="adain-nano", batch_size=2).take_all(), folder)


@pytest.mark.usefixtures("cluster")
def test_a_worker_that_is_killed_loses_nothing_and_does_nothing_twice(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "killed"

    class Mortal(_Actor):
        """Kills its process once, in the middle of a batch."""

        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            time.sleep(0.05)
            try:
                mark.touch(exist_ok=False)
            except FileExistsError:
                return super().__call__(batch)
            os.kill(os.getpid(), signal.SIGKILL)
            return batch

    monkeypatch.setattr("fastnst.integrations.ray._Actor", Mortal)
    ds = ray.data.read_images(str(folder), include_paths=True)
    check(stylize(ds, STYLES, actors=2, model="adain-nano", batch_size=1).take_all(), folder)
    assert mark.exists()
