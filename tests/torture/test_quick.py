"""Every check of the list with its quick figure."""

from __future__ import annotations

import pytest

from torture import everything
from torture.framework import Check, NotHereError


@pytest.mark.parametrize("check", [each for each in everything() if each.quick], ids=lambda check: check.name)
def test_check(check: Check) -> None:
    try:
        outcome = check.run(check.quick)
    except NotHereError as missing:
        pytest.skip(str(missing))
    assert not outcome.findings, "\n".join(outcome.findings[:20])
    assert outcome.reached > 0
