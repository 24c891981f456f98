"""Python processes that fastnst starts: they import what this process imports, wherever they are started."""

from __future__ import annotations

import os
import sys

_RUN = "import sys; sys.path[:] = {path!r}; import runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"


def python_module(module: str, *arguments: str) -> list[str]:
    """The command that runs ``module`` as a script in a new process, which looks for modules where this one does.

    ``python -m`` would look in the current folder first. In a source tree of fastnst that is the package without its engine,
    although an installed one is running. The options ``-P`` and ``-I`` prevent that too, but the first came with Python 3.11,
    and the second ignores ``PYTHONPATH`` and what users install for themselves alone.
    """
    # An empty entry stands for the current folder, which may be another one by the time the command runs.
    path = [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100, Path would not take "" for the current folder
    return [sys.executable, "-c", _RUN.format(path=path, module=module), *arguments]
