"""Threads that cannot begin, and signals while another one works."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import Future

import pytest

from fastnst.system import threads


def test_room_for_threads() -> None:
    threads.room_for_threads(1)
    with pytest.raises(MemoryError):
        threads.room_for_threads(1 << 36)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_a_thread_that_cannot_begin_is_not_waited_for() -> None:
    script = """
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from fastnst.system.threads import room_for_threads
kept = bytearray(64 << 20)  # whose memory malloc has again when the limit has come
held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
del kept
resource.setrlimit(resource.RLIMIT_AS, (held, resource.getrlimit(resource.RLIMIT_AS)[1]))
with ThreadPoolExecutor(1) as pool:
    for room in range(9):
        try:
            room_for_threads(1)
        except MemoryError:
            break
        pool.submit(int).result()
print("ended")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "ended", done.stderr


def test_what_a_job_came_to() -> None:
    job: Future[int] = Future()
    threading.Timer(0.25, job.set_result, (3,)).start()
    assert threads.awaited(job) == 3
    job = Future()
    job.set_exception(KeyError("x"))
    with pytest.raises(KeyError):
        threads.awaited(job)
