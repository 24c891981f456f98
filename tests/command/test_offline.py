"""Nothing reaches the network while tests run, here or in processes that they start."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest


def test_sockets_are_blocked() -> None:
    with socket.socket() as plug, pytest.raises(AssertionError, match="connects"):
        plug.connect(("192.0.2.1", 80))
    with pytest.raises(AssertionError, match="looks"):
        socket.getaddrinfo("example.com", 80)


def test_sockets_are_blocked_in_children() -> None:
    script = "import socket; socket.socket().connect(('192.0.2.1', 80))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1 and "a test connects" in done.stderr
