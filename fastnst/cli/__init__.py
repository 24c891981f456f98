"""The command ``fastnst``: argument parsing and printing. The work is done in modules that are imported when needed.

Exit codes: 0 done, 1 something failed, 2 wrong usage, 130 interrupted. A failure is one line on stderr;
``python -X dev -m fastnst`` adds the traceback.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress

from fastnst.cli.errors import (
    FAILED,
    INTERRUPTED,
    fail,
    keep_file_names_printable,
    one_line,
    open_closed_streams,
    termination_as_interrupt,
)
from fastnst.cli.registry import build_parser

_OBJECTS_BETWEEN_COLLECTIONS = 10_000
"""Importing what one picture needs makes tens of thousands of objects, none of them garbage: to look for it at every 700, as
Python does by itself, takes a twentieth of the command's time."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, ``sys.argv`` by default, and return its exit code."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    open_closed_streams()
    keep_file_names_printable()
    with termination_as_interrupt():
        try:
            return _run(arguments)
        except KeyboardInterrupt:
            pass  # only below, when the exception and with it every suspended frame is gone, has all cleaning up been done
        print("fastnst: interrupted", file=sys.stderr)
        with suppress(OSError):  # the reader of our output may have been interrupted as well
            sys.stdout.flush()
        # A thread of the engine may still be at work; a normal exit would wait for it, for seconds if the picture is large.
        os._exit(INTERRUPTED)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        given = sys.argv[1:] if arguments is None else list(arguments)
        parsed = build_parser(given[0] if given else None).parse_args(given)
        command: Callable[[argparse.Namespace], int] = parsed.command
        code = command(parsed)
        sys.stdout.flush()  # here, where a broken pipe is still caught
        return code
    except BrokenPipeError:
        # The reader of our output has gone. Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if sys.flags.dev_mode:
            traceback.print_exc()
        return fail(one_line(error))
