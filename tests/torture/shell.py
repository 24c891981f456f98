"""The command as shells start it: with pipes, closed streams and other locales, and on folders of any size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torture.commands import furnished
from torture.crashes import digests, hidden, workplace
from torture.framework import Outcome, check

COMMAND = (sys.executable, "-m", "fastnst")
PLAIN = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""Names are ASCII to Python then, and all other bytes strange."""


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"}
    return {**inherited, **more}


def ended(*arguments: str | bytes, data: bytes = b"", **environment: str) -> tuple[int, bytes, bytes]:
    """Exit code, stdout and stderr of a command that is given ``data``."""
    done = subprocess.run([*COMMAND, *arguments], input=data, capture_output=True, env=_environment(environment), check=False)
    return done.returncode, done.stdout, done.stderr


def redirected(how: str, *arguments: str) -> tuple[int, bytes]:
    """Exit code and what is left of stderr of a command behind which a shell writes ``how``."""
    line = ["sh", "-c", f'exec "$@" {how}', "sh", *COMMAND, *arguments]
    done = subprocess.run(line, capture_output=True, env=_environment({}), check=False)
    return done.returncode, done.stderr


MODEL = ("style.png", "--model", "model.fnst", "--quiet")
PICTURE = ("stylize", "content.png", "style.png", "--model", "model.fnst", "-o")


def _one_line(result: tuple[int, bytes], code: int = 1) -> bool:
    """A failure in a line."""
    return result[0] == code and result[1].startswith(b"fastnst: error: ") and result[1].count(b"\n") == 1


def _refused(result: tuple[int, bytes, bytes], code: int = 1) -> bool:
    """The same, and nothing on stdout."""
    return _one_line(result[::2], code) and not result[1]


def _video(content: str, output: str) -> bool:
    """A y4m through pipes, on one side or on both, is that of files."""
    clip = Path("clip.y4m").read_bytes()
    wanted = ended("stylize", "clip.y4m", *MODEL, "-o", "wanted.y4m", "--overwrite")
    code, said, errors = ended("stylize", content, *MODEL, "-o", output, data=clip if content == "-" else b"")
    made = said if output == "-" else Path(output).read_bytes()
    return wanted == (0, b"", b"") and (code, errors) == (0, b"") and made == Path("wanted.y4m").read_bytes()


def _cut_video(data: Callable[[bytes], bytes]) -> bool:
    """What is no whole y4m is refused; of one that is cut, whole frames may have gone out before."""
    code, said, errors = ended("stylize", "-", *MODEL, "-o", "-", data=data(Path("clip.y4m").read_bytes()))
    return (
        code == 1 and errors.startswith(b"fastnst: error: ") and errors.count(b"\n") == 1 and (not said or said[:4] == b"YUV4")
    )


def _locale(name: bytes, **environment: str) -> bool:
    """A name of any bytes reaches the output and what is printed."""
    Path(os.fsdecode(name)).write_bytes(Path("content.png").read_bytes())
    output = b"out of " + name
    arguments = ("stylize", name, "style.png", "-o", output, "--model", "model.fnst")
    first, second = (ended(*arguments, **environment) for _ in range(2))
    return first[0] == 0 and first[1].startswith(output + b"  ") and first[2] == b"" and _refused(second)


CASES: dict[str, Callable[[], Any]] = {
    "video from pipe to pipe": partial(_video, "-", "-"),
    "video from a pipe to a file": partial(_video, "-", "one.y4m"),
    "video from a file to a pipe": partial(_video, "clip.y4m", "-"),
    "nothing in a pipe": partial(_cut_video, lambda data: data[:0]),
    "a picture in a pipe": partial(_cut_video, lambda data: b"\x89PNG\r\n\x1a\n" + data),
    "half a header in a pipe": partial(_cut_video, lambda data: data[:15]),
    "half a frame in a pipe": partial(_cut_video, lambda data: data[:-700]),
    "a name of UTF-8 where names are ASCII": partial(_locale, "стиль.png".encode(), **PLAIN),
    "a name of other bytes where names are ASCII": partial(_locale, b"caf\xe9.png", **PLAIN),
    "a name of other bytes where names are UTF-8": partial(_locale, b"na\xefve.png", LC_ALL="C.UTF-8"),
    "no command": lambda: _refused(ended(), 2),
    "an unknown option": lambda: _refused(ended("stylize", "content.png", "--colour"), 2),
    "a folder of which a part fails": lambda: ended("stylize", "twice", *MODEL, "-o", "out")[0] == 2,
    "a full disk instead of stdout": lambda: _one_line(redirected(">/dev/full", "models")),
    "a reader that has gone": lambda: redirected("| true", "models")[1] == b"",
    "stdout closed": lambda: redirected(">&-", "models") == (0, b""),
    "stderr closed": lambda: redirected("2>&-", "models")[0] == 0,
    "stdin closed": lambda: redirected("<&-", "models")[0] == 0,
    "all closed, a picture": lambda: redirected("<&- >&- 2>&-", *PICTURE, "closed.png", "--quiet") == (0, b""),
    "stderr closed, a failure": lambda: redirected("2>&-", "stylize", "missing.png", *MODEL, "-o", "out.png")[0] == 1,
    "stderr closed, wrong usage": lambda: redirected("2>&-", "paint")[0] == 2,
    "stdout closed, a report": lambda: redirected(">&-", *PICTURE, "said.png", "--json") == (0, b""),
    "stderr closed, a picture": lambda: redirected("2>&-", *PICTURE, "heard.png")[0] == 0,
    "verify": lambda: ended("verify")[::2] == (0, b""),
}


@check("stdin, stdout and locales of the command", quick=0, full=100)
def standard_streams(count: int) -> Outcome:
    """Pipes carry videos, names of any bytes arrive, and streams that are closed or full end in no traceback."""
    outcome = Outcome()
    with furnished() as folder:
        for name, holds in list(CASES.items())[:count]:
            outcome.expect(holds(), name)
        outcome.expect(not hidden(folder), f"left: {hidden(folder)}")
    return outcome


def _stylized(folder: Path, content: str, output: str) -> list[dict[str, Any]]:
    """What a process says of the pictures that it has done."""
    names = [str(folder / each) for each in (content, "style.png", output, "model.fnst")]
    code, said, errors = ended("stylize", *names[:2], "-o", names[2], "--model", names[3], "--threads", "1", "--json")
    if code or errors:
        raise RuntimeError(f"{content}: exit code {code}: {os.fsdecode(errors)}")
    return [json.loads(line) for line in said.splitlines()]


def _states(folder: Path) -> dict[str, tuple[int, int]]:
    """Name -> what changes when a file is written anew."""
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.iterdir()}


@check("a folder of 10,000 pictures: all done, 64 MB, nothing the second time", quick=150, full=10_000)
def many_files(count: int) -> Outcome:
    """A folder of any number of pictures is done in the memory of a small one, and only once."""
    outcome, few = Outcome(), min(count, 100)
    with workplace(count) as folder:
        (folder / "few").mkdir()
        for index in range(few):
            (folder / "few" / f"{index:03}.png").hardlink_to(folder / "in" / f"{index:03}.png")
        small, large = (_stylized(folder, content, f"{content} done") for content in ("few", "in"))
        made = digests(folder / "in done")
        outcome.expect(len(large) == count and made.keys() == digests(folder / "in").keys(), f"{len(made)} outputs")
        outcome.expect(digests(folder / "few done").items() <= made.items(), "other pixels than in a small folder")
        grown = large[-1]["peak_memory"] - small[-1]["peak_memory"]
        outcome.expect(grown < 64 << 20, f"{grown} bytes more memory")
        before = _states(folder / "in done")
        again = _stylized(folder, "in", "in done")
        outcome.expect(not again and _states(folder / "in done") == before, f"{len(again)} pictures done again")
        outcome.expect(not hidden(folder), f"left: {hidden(folder)[:3]}")
    outcome.reached, outcome.note = count, f"{grown / 2**20:.1f} MB more than for {few}"
    return outcome
