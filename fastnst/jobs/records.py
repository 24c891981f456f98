"""The record of a data set job in its folder of outputs: which job it is, and what came of every archive."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from fastnst.jobs.journals import FOLDER
from fastnst.jobs.plans import Choice, Plan
from fastnst.options import Options
from fastnst.stylize import Stylizer
from fastnst.system.atomic import atomic_output, remove_stale_partials
from fastnst.system.errors import UsageError

_FILE = "job.json"
_NOT_THE_PICTURES = {"styles", "look", "smoothing", "video_quality", "codec"}
"""Options that another line of the record has, or none."""
_NOTHING = str(None)
"""What a record says of an option that was not given. One that it does not know, of another release, was not given either."""


def identity(stylizer: Stylizer, options: Options, choice: Choice) -> dict[str, str]:
    """All that the outputs depend on beside the contents, by names for messages."""
    outputs = choice.outputs
    digest, model = stylizer.engine.identity
    told = {
        "model": f"{model} {digest[:16]}",
        "styles": _styles(choice.styles),
        "sample": choice.sample,
        "seed": choice.seed if choice.sample is not None else None,
        "name": outputs.name.template if outputs.name else None,
        "format": outputs.suffix,
        "quality": outputs.quality,
        "lossless": outputs.lossless,
    }
    told |= {field.name: getattr(options, field.name) for field in fields(options) if field.name not in _NOT_THE_PICTURES}
    if options.style_weights is not None:
        told["style_weights"] = ",".join(f"{number}:{weight}" for number, weight in options.style_weights)
    return {name.replace("_", "-"): str(value) for name, value in told.items()}


def _styles(styles: Sequence[tuple[Path, ...]]) -> str:
    """How many there are, and a digest of their names and lengths: reading all of them would take long."""
    digest = hashlib.sha256()
    for each in styles:
        for path in each:
            digest.update(f"{os.fsencode(path.name)!r}:{path.stat().st_size if path.is_file() else 0};".encode())
        digest.update(b"\n")
    return f"{len(styles)} of digest {digest.hexdigest()[:16]}"


def check(folder: Path, told: Mapping[str, str], plan: Plan, overwrite: bool) -> None:
    """Whether ``folder`` is that of this job, or of none.

    Raises:
        UsageError: it is of another; says in what they differ.
    """
    try:
        known = json.loads((folder / FOLDER / _FILE).read_bytes())
        if not isinstance(known, dict):
            raise TypeError
    except FileNotFoundError:
        if plan.already_there and not overwrite:
            raise UsageError(
                f"{folder}: holds {plan.already_there} of the outputs, but no record of the job that made them: name another "
                "folder, or --overwrite replaces them"
            ) from None
        return
    except (ValueError, TypeError):
        raise UsageError(f"{folder / FOLDER / _FILE}: is damaged: name another folder, or remove this one") from None
    changed = [(name, known.get(name, _NOTHING), told.get(name, _NOTHING)) for name in {**known, **told}]
    differences = ", ".join(f"{name} was {was} and is {now} now" for name, was, now in changed if was != now)
    if differences:
        raise UsageError(f"{folder}: is the folder of another job: {differences}; name another folder")


def write(folder: Path, told: Mapping[str, str]) -> None:
    """Say whose folder this is, if it does not say so yet."""
    record = folder / FOLDER
    record.mkdir(parents=True, exist_ok=True)
    remove_stale_partials(record)
    if not (record / _FILE).exists():
        with atomic_output(record / _FILE) as file:
            file.write((json.dumps(told, indent=1) + "\n").encode())
