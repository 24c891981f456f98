"""How the engine refuses model files."""

from __future__ import annotations

import pytest

from fastnst.engine import Engine, ModelError


def refused(data: bytes) -> str:
    """The message with which the engine refuses ``data``: one line."""
    with pytest.raises(ModelError) as caught:
        Engine(data)
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message
