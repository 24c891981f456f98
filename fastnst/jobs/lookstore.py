"""Looks of style files, kept in a folder from run to run, so that thousands of paintings are encoded once."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from fastnst.engine import Look, load_look
from fastnst.format.lookfile import SUFFIX, LookError
from fastnst.system.atomic import remove_stale_partials

_VERSION = 1  # of how a look is made of a file, models aside


class LookStore:
    """A folder of looks, by what they were made of.

    The name of a file is a digest of the model's file, of the style's file and of what it was encoded by; in it is a look
    with its own checksum. A damaged one is made anew. Several processes may share the folder.

    Args:
        folder: is made when the first look is kept.

    Attributes:
        made: how many looks were not there and had to be made.
        error: why looks cannot be kept, in one line; None while they can. They are made all the same.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.made = folder, 0
        self.error: str | None = None

    def look(self, what: tuple[object, ...], make: Callable[[], Look]) -> Look:
        """The look of ``what``, which ``make`` makes where it is not there."""
        digest = hashlib.sha256(repr((_VERSION, *what)).encode()).hexdigest()
        path = self.folder / digest[:2] / f"{digest}{SUFFIX}"
        with suppress(LookError, OSError):
            return load_look(path)
        look = make()
        self.made += 1
        if self.error is None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                remove_stale_partials(path.parent)
                look.save(path)
            except OSError as error:
                self.error = f"{self.folder}: looks cannot be kept here: {error.strerror or error}"
        return look


def store_of(place: bool | str | Path) -> LookStore | None:
    """The store in a folder; True stands for the user's cache folder, False for none."""
    if place is False:
        return None
    return LookStore(user_cache() / "looks" if place is True else Path(place))


def user_cache() -> Path:
    """The folder for what fastnst can make again: below that which the user or the system has for caches."""
    if told := os.environ.get("XDG_CACHE_HOME"):
        base = Path(told)
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return base / "fastnst"
