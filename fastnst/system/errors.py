"""Errors that all packages share."""

import errno

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


class UsageError(ValueError):
    """Arguments that contradict each other or what is on the disk."""


def full_disk(error: BaseException | None) -> bool:
    """Whether an error came of a disk that is full, or of a quota: what comes after it would fail as well."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__
    return False
