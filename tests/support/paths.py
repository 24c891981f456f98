"""One run of the reference, and the engine on every instruction set that this machine can run.

The instruction set is chosen once per process, when the engine is first used. So a file of tests is a program, too: it computes
what is wanted, and forks once for every instruction set.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from fastnst import _engine
from fastnst.engine import instruction_set, instruction_sets

Case = TypeVar("Case")

RUNNABLE = [name for name, runs in instruction_sets() if runs]


def on_path(path: str, file: str, *arguments: str) -> Any:
    """What the program ``file`` answers on an instruction set. It calls :func:`answer`, and runs once for all of them."""
    found, error = _answers(file, *arguments)[path]
    assert not error, error
    return found


@functools.cache
def _answers(file: str, *arguments: str) -> dict[str, tuple[Any, str]]:
    environment = os.environ | {"TRITON_INTERPRET": "0"}
    command = [sys.executable, file, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def answer_cases(case: Callable[[int], Case], check: Callable[[Case], None]) -> None:
    """Answers with the instruction set, once the engine's results were right there; the first argument is how many cases."""
    cases = [case(seed) for seed in range(int(sys.argv[1]))]

    def compared() -> str:
        for each in cases:
            check(each)
        assert _engine.kernel_calls()[instruction_set()] > 0 or not cases
        return instruction_set()

    answer(compared)


def answer(call: Callable[[], object]) -> None:
    """Prints what ``call`` returns on every instruction set; this process must not have used the engine."""
    json.dump({path: _forked(path, call) for path in RUNNABLE}, sys.stdout)


def _forked(path: str, call: Callable[[], object]) -> tuple[Any, str]:
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(500)  # whoever waits would wait for a child that hangs
        os.environ["FASTNST_ISA"] = path
        try:
            text = json.dumps((call(), ""))
        except BaseException:
            text = json.dumps((None, traceback.format_exc()))
        with os.fdopen(theirs, "w") as pipe:
            pipe.write(text)
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        text = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return json.loads(text) if code == 0 else (None, f"{path}: the process ended with {code}")
