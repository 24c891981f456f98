"""How a process that only makes pictures starts and ends sooner."""

from __future__ import annotations

import atexit
import gc
import os
import sys

_OBJECTS_BETWEEN_COLLECTIONS = 200_000


def lean() -> None:
    """Leave out what takes as long as a small picture and does nothing for it. Call it before NumPy is imported, and only in
    commands that make pictures, because it affects the whole process and its children.

    The library of NumPy's wheels that multiplies matrices (OpenBLAS) starts one thread for each core as it is loaded, and all
    of them spin for tens of milliseconds until they sleep: on cores that the engine needs, or another program. Nothing here
    multiplies large matrices. A value that the user has set is kept.

    Importing what one picture needs makes more than a hundred thousand objects, none of them garbage. Python looks for it from
    time to time, and once more among all that is left when it exits: what is frozen then it leaves alone.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    atexit.unregister(_freeze)
    atexit.register(_freeze)


def _freeze() -> None:
    if "torch" not in sys.modules:  # whose libraries count what is left, and complain
        gc.freeze()
