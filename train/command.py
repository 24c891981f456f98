"""``fastnst train RECIPE``: from a command line to a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from .process_group import ProcessGroup, joined
from .settings import RunOptions, SettingsT, parse


def start(
    recipe: str,
    description: str | None,
    defaults: SettingsT,
    run: Callable[[SettingsT, RunOptions, ProcessGroup], object],
    argv: Sequence[str] | None,
    epilog: str = "",
) -> None:
    """Parse ``argv``, ``sys.argv`` by default, join the other processes, and ``run``.

    Args:
        recipe: the name of the recipe.
        description: the docstring of its module, whose first line is shown.
        defaults: the default settings.
        epilog: text that ``--help`` shows below the settings.
    """
    settings, options = parse(recipe, (description or "").splitlines()[0], defaults, argv, epilog)
    if options.threads:
        torch.set_num_threads(options.threads)
    with joined(options.device) as processes:
        run(settings, options, processes)
