"""The trained pair that tests of conversion share, as a file, and the pictures that it is calibrated on."""

from __future__ import annotations

from pathlib import Path

import pytest
from trained_pair import Trained, calibration_photographs


@pytest.fixture(scope="session")
def trained() -> Trained:
    return Trained()


@pytest.fixture(scope="session")
def source(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained.saved(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return calibration_photographs(tmp_path_factory.mktemp("pictures"))
