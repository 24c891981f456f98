"""Errors that all rooms share."""


class UsageError(ValueError):
    """Arguments that contradict each other or what is on the disk."""
