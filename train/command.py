"""``fastnst train RECIPE``: from a command line to a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from .settings import Place, SettingsT, parse
from .world import World, joined


def start(
    recipe: str,
    description: str | None,
    defaults: SettingsT,
    run: Callable[[SettingsT, Place, World], object],
    argv: Sequence[str] | None,
    epilog: str = "",
) -> None:
    """Parse ``argv``, ``sys.argv`` by default, join the other processes, and ``run``.

    Args:
        recipe: its name.
        description: a module's text, whose first line is shown.
        defaults: of the settings.
        epilog: what ``--help`` says below them.
    """
    settings, place = parse(recipe, (description or "").splitlines()[0], defaults, argv, epilog)
    if place.threads:
        torch.set_num_threads(place.threads)
    with joined(place.device) as world:
        run(settings, place, world)
