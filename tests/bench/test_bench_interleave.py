"""What other processes use of the cores while a benchmark measures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fastnst.bench import interleave

# user nice system idle iowait irq softirq steal guest guest_nice, in ticks
TICKS = "100 0 20 900 30 1 1 2 50 0"


@pytest.fixture
def stat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three cores, of which this process may use the last two; the second is idle at first, the third waits for a disk."""
    path = tmp_path / "stat"
    path.write_text(f"cpu  {TICKS}\ncpu0 {TICKS}\ncpu1 0 0 0 5 0 0 0 0 0 0\ncpu2 7 0 0 5 9 0 0 0 0 0\nintr 5 cpu1\n")
    monkeypatch.setattr(interleave, "STAT", path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {1, 2})
    return path


def test_only_cores_that_may_be_used_count_as_busy(stat: Path) -> None:
    assert interleave.busy_seconds() == pytest.approx(7 / os.sysconf("SC_CLK_TCK"))
    stat.unlink()
    assert interleave.busy_seconds() == 0


@pytest.mark.parametrize(("ticks", "own", "share"), [(0, 0, 0), (30, 0, 0.15), (30, 0.3, 0), (10, 0.3, 0), (900, 0, 1)])
def test_others_share_of_two_cores_in_a_second(
    ticks: int, own: float, share: float, stat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As steps of the system's clock may be counted late, it is never below none nor above all."""
    monkeypatch.setattr(os, "sysconf", lambda _name: 100)
    now, used = [5.0], [1.0]
    monkeypatch.setattr(interleave.time, "monotonic", lambda: now[0])
    others = interleave.Bystanders(lambda: used[0])
    now[0], used[0] = 6.0, 1.0 + own
    stat.write_text(stat.read_text().replace("cpu1 0", f"cpu1 {ticks}"))
    assert others.share() == pytest.approx(share)
