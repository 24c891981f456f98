"""Child processes in Python. They find the same modules as this process, whatever their working directory is."""

from __future__ import annotations

import os
import sys

_RUN = "import sys; sys.path[:] = {path!r}; import runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"


def python_module(module: str, *arguments: str) -> list[str]:
    """The command that runs ``module`` as a script in a new process with the same ``sys.path``.

    ``python -m`` would look in the current folder first; in a source tree of fastnst it would find the package without its
    compiled engine, although an installed one is running. The option ``-P`` prevents that only from Python 3.11 on, and ``-I``
    also ignores ``PYTHONPATH`` and the user's own site-packages.
    """
    # An empty entry stands for the current folder, which may be another one by the time the command runs.
    path = [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100, Path would not take "" for the current folder
    return [sys.executable, "-c", _RUN.format(path=path, module=module), *arguments]
