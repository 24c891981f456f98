"""The command ``fastnst`` for shell scripts of tests, without a start of Python for every line.

Most lines take less time than Python needs to start and to import what they use. So one process imports that once, and what a
script finds as ``fastnst`` hands its arguments, folder and streams over to it. It forks: each line is a process of its own,
with nothing of the lines before. A line with an environment of its own, such as ``FASTNST_ISA=scalar``, runs the installed
command, for some variables count when modules are imported.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

IMPORTED = (
    *("PIL.Image", "numpy", "torch", "av"),
    *("fastnst.engine", "fastnst.jobs", "fastnst.video", "fastnst.convert", "fastnst.evaluate", "fastnst.train.settings"),
)
"""What lines use, by far most of the time that they take to start."""
CLIENT = """#!{python} -IS
import json, os, socket, sys
own = {{name: text for name, text in os.environ.items() if name not in {changing!r}}}
if own != json.loads({environment!r}):
    os.execv({command!r}, [{command!r}, *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as line:
    line.connect({address!r})
    words = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(line, [len(words).to_bytes(4, "big")], [0, 1, 2])
    line.sendall(words)
    code = line.recv(1)
sys.exit(code[0] if code else "the command broke off")
"""
CHANGING = ("_", "COLUMNS", "LINES", "OLDPWD", "PATH", "PWD", "SHLVL", "PYTEST_CURRENT_TEST")
"""Variables that differ from line to line, and say nothing to the command."""


@contextlib.contextmanager
def command_server() -> Iterator[Path]:
    """A folder for the PATH, with the command in it."""
    with tempfile.TemporaryDirectory(prefix="fastnst") as folder:  # a short name, as those of sockets must be
        address, client = str(Path(folder) / "socket"), Path(folder) / "fastnst"
        command = str(Path(sys.executable).parent / "fastnst")
        environment = json.dumps({name: text for name, text in os.environ.items() if name not in CHANGING})
        client.write_text(
            CLIENT.format(python=sys.executable, changing=CHANGING, environment=environment, command=command, address=address)
        )
        client.chmod(0o755)
        server = subprocess.Popen([sys.executable, __file__, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with server:  # its standard input is closed at the end, and that ends it
            assert server.stdout is not None and server.stdout.readline() == b"ready\n"
            yield Path(folder)


def serve(address: str) -> None:
    """Answer until standard input is closed."""
    for module in IMPORTED:
        import_module(module)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)  # noqa: T201
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:  # whose lines have ended
                    pass
            if listener not in ready:
                return
            line, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                os._exit(answer(line))
            line.close()


def answer(line: socket.socket) -> int:
    """Run the command line that is asked for, as if it had started this process."""
    size, streams, _, _ = socket.recv_fds(line, 4, 3)
    with line.makefile("rb") as request:
        words, folder, environment = json.loads(request.read(int.from_bytes(size, "big")))
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["fastnst", *words]
    code: object
    try:
        code = import_module("fastnst.cli").main()
    except SystemExit as end:
        code = end.code
    if isinstance(code, str):
        print(code, file=sys.stderr)  # noqa: T201
    code = code if isinstance(code, int) else int(code is not None)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    line.send(bytes([code]))
    return code


if __name__ == "__main__":
    serve(sys.argv[1])
