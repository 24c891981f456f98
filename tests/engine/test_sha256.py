"""The checksum of model files, with the processor's own instructions and without."""

from __future__ import annotations

import hashlib

import pytest

from fastnst import _engine


@pytest.mark.parametrize("portable", [False, True])
def test_every_length_of_the_last_block(portable: bool) -> None:
    data = bytes(i * 7 % 251 for i in range(1000))
    for size in [*range(200), 999, 1000]:
        assert _engine.sha256(data[:size], portable) == hashlib.sha256(data[:size]).digest()
