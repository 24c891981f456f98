"""Nothing leaves this machine while tests run: Python imports this module by its name in every process that they start."""

from __future__ import annotations

import socket
from typing import Any

_connect, _getaddrinfo = socket.socket.connect, socket.getaddrinfo
_LOCAL = ("127.", "::1", "localhost")


def _is_local(host: object) -> bool:
    return host is None or (isinstance(host, str) and (host.startswith(_LOCAL) or host in {"", socket.gethostname()}))


def connect(self: socket.socket, address: Any) -> None:
    if self.family != getattr(socket, "AF_UNIX", None) and not _is_local(address[0]):
        raise AssertionError(f"a test connects to {address}")
    _connect(self, address)


def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
    if not _is_local(host):
        raise AssertionError(f"a test looks {host} up")
    return _getaddrinfo(host, *arguments, **options)


socket.socket.connect = connect  # type: ignore[method-assign, assignment]
socket.getaddrinfo = getaddrinfo
