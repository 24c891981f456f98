"""Which published layout trained tensors have: asked of every module in :mod:`fastnst.convert.layouts`.

A layout is one module there, found by its name. It has

* ``TITLE``: what networks of this layout are called;
* ``NAMES``: a regular expression that the names of its tensors match, and those of no other layout;
* ``read(sources)``: the network in one or several files (:class:`~fastnst.convert.tensors.Source`), and in words what it is. A
  tensor that is missing, left over or of another shape is a :class:`~fastnst.convert.tensors.LayoutError`.

An ONNX file says itself what it computes (:mod:`fastnst.convert.onnx.network`), and so needs none.

The layout whose names most tensors have is asked, and only that: so what is said to be wrong is wrong with the nearest one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Protocol, TypeAlias, cast

from fastnst.convert import layouts
from fastnst.convert.builder import Numbers
from fastnst.convert.pair import Pair
from fastnst.convert.stages import Stages
from fastnst.convert.tensors import LayoutError, Source, read_source
from fastnst.convert.trained_generator import TrainedGenerator

Trained: TypeAlias = Pair | Stages | TrainedGenerator


class Layout(Protocol):
    """What a module in :mod:`fastnst.convert.layouts` has."""

    TITLE: str
    NAMES: str

    def read(self, sources: Sequence[Source]) -> tuple[Trained, str]:
        """The network, and in words what it is."""


@dataclass(frozen=True)
class Recognised:
    """A trained network, and what is known of it.

    Attributes:
        what: it is, in words.
        layout: the name of its layout's module.
    """

    trained: Trained
    what: str
    layout: str
    sources: Sequence[Source]


def known_layouts() -> dict[str, Layout]:
    """All layouts by the names of their modules."""
    names = sorted(module.name for module in iter_modules(layouts.__path__))
    return {name: cast(Layout, import_module(f"{layouts.__name__}.{name}")) for name in names}


def recognise(paths: Sequence[Path], numbers: Numbers | None = None) -> Recognised:
    """The trained network in one or several files.

    Args:
        numbers: how a network in an ONNX file writes pictures; layouts know it themselves.

    Raises:
        OSError: a file cannot be read.
        ModuleNotFoundError: of ``onnx``, which an ONNX file needs.
        ValueError: one line about what is wrong with one, or about what it holds and the layout that is nearest to it.
    """
    graphs = [path for path in paths if path.suffix.lower() == ".onnx"]
    if graphs:
        if len(paths) > 1:
            raise ValueError(f"{graphs[0]}: an ONNX file is a whole network; {len(paths)} files are given")
        from fastnst.convert.onnx.network import read_network

        network, what, source = read_network(graphs[0], numbers)
        return Recognised(network, what, "onnx", [source])
    if numbers is not None:
        raise ValueError(f"{paths[0]}: how it writes pictures is said only of an ONNX file; layouts know it themselves")
    sources = [read_source(path) for path in paths]
    where = ", ".join(str(path) for path in paths)
    names = [name for source in sources for name in source.tensors]
    known = known_layouts()
    nearest = {name: sum(re.match(layout.NAMES, each) is not None for each in names) for name, layout in known.items()}
    best = max(nearest, key=lambda name: nearest[name])
    holds = f"its {len(names)} tensors are {', '.join(sorted(names)[:3])} .."
    if not nearest[best]:
        titles = "; ".join(layout.TITLE for layout in known.values())
        raise ValueError(f"{where}: no network that fastnst knows: {holds}; it knows {titles}")
    try:
        trained, what = known[best].read(sources)
    except LayoutError as error:
        raise ValueError(
            f"{where}: {error}, for {known[best].TITLE}, which is the nearest that fastnst knows: {holds}"
        ) from None
    return Recognised(trained, what, best, sources)
