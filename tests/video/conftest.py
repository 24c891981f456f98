"""What tests of videos share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def work(tmp_path: Path, model_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with ``model.fnst`` and ``style.png``."""
    (tmp_path / "model.fnst").symlink_to(model_path)
    Image.fromarray(np.random.default_rng(2).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(tmp_path / "style.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path
