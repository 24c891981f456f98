"""The kinds of model by their names. What only one kind needs is imported for its models alone."""

from __future__ import annotations

from fastnst.engine.adain import AdainEngine, AdainLook
from fastnst.engine.base import Kind, Look
from fastnst.format.lookfile import LookError, StoredLook


def kind_of(name: str) -> Kind:
    """The kind that the compiled engine calls so."""
    if name == "adain":
        return AdainEngine()
    if name == "wct":
        from fastnst.engine.wct import WctEngine

        return WctEngine()
    from fastnst.engine.generator import GeneratorEngine

    return GeneratorEngine()


def look_of(stored: StoredLook) -> Look:
    """The look that a file holds.

    Raises:
        LookError: it is of an unknown kind of model, or lacks something.
    """
    if stored.kind == "adain":
        return AdainLook.stored(stored)
    if stored.kind == "wct":
        from fastnst.engine.wct import WctLook

        return WctLook.stored(stored)
    raise LookError(f"it is of a kind of model that is not known here: {stored.kind!r}")
