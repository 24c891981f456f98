"""Errors that all packages share."""


class UsageError(ValueError):
    """Arguments that contradict each other or what is on the disk."""
