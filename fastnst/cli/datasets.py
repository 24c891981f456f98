"""What ``fastnst stylize`` offers for data sets: its options, and how a job with them is done."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fastnst.cli.errors import warn
from fastnst.cli.values import at_least, path

if TYPE_CHECKING:
    from fastnst.jobs.names import Part
    from fastnst.jobs.plans import Outputs, Plan
    from fastnst.jobs.run import Result
    from fastnst.options import Options
    from fastnst.video.job import OnFrame


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of data sets alone; ``--sample`` and ``--seed`` are the command's."""
    group = parser.add_argument_group(
        "data sets",
        "With --sample, --shard or --manifest, and with archives (.tar, .parquet), several pictures are done at a time, and "
        "the folder of outputs records of which job it is. See docs/datasets.md.",
    )
    add = group.add_argument
    crop = "cut the square of N pixels in the middle out of the content, after --size"
    add("--crop", type=at_least(0), default=0, metavar="N", help=crop)
    shards = "do only part I of N, 1/N to N/N, as the names of the contents tell: for N processes or machines"
    add("--shard", type=part, metavar="I/N", help=shards)
    manifest = "write a line of JSON for each output: input, output, style, alpha and SHA-256"
    add("--manifest", type=path, metavar="FILE", help=manifest)
    stores = group.add_mutually_exclusive_group()
    cache = "keep looks of styles here from run to run; default: in the user's cache folder"
    stores.add_argument("--style-cache", type=path, metavar="FOLDER", help=cache)
    stores.add_argument("--no-style-cache", action="store_true", help="make the looks of styles anew")


def part(text: str) -> Part:
    """The value of ``--shard``."""
    from fastnst.jobs.names import Part

    try:
        return Part.of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


FOR_FILES = ("crop", "shard", "manifest", "style_cache", "no_style_cache")
"""Attributes of options that say something of files."""


class DataSet:
    """A job with a record in its folder of outputs, of which several pictures are done at a time.

    Raises:
        UsageError: the folder of outputs is another job's.
    """

    def __init__(
        self, plan: Plan, outputs: Outputs, styles: Sequence[tuple[Path, ...]], options: Options, arguments: argparse.Namespace
    ) -> None:
        from fastnst.engine import default_threads
        from fastnst.jobs import records
        from fastnst.jobs.lookstore import store_of
        from fastnst.jobs.plans import Choice
        from fastnst.jobs.run import BulkOptions
        from fastnst.stylize import Stylizer

        self.plan, self.options, self.folder, self.file = plan, options, outputs.path, arguments.manifest
        cores = arguments.threads or default_threads()
        memory = None if arguments.max_memory is None else max(1, arguments.max_memory // cores)
        self.stylizer = Stylizer(arguments.model, 1, memory)
        store = store_of(False if arguments.no_style_cache else arguments.style_cache or True)
        self.bulk = BulkOptions(cores, store, digests=self.file is not None)
        self._told = records.identity(self.stylizer, options, Choice(outputs, styles, arguments.sample, arguments.seed))
        records.check(self.folder, self._told, plan, outputs.overwrite)
        self._digests: dict[Path, str] = {}

    def run(self, on_frame: OnFrame) -> Iterator[Result]:
        """Say whose folder it is, and do all that is missing there."""
        from fastnst.jobs import records, run, shards

        records.write(self.folder, self._told)
        yield from shards.failures_before(self.plan, self.folder)
        for result in run.run(self.plan.tasks, self.stylizer, self.options, on_frame, bulk=self.bulk):
            digest = getattr(result, "sha256", None)
            if digest is not None:
                self._digests[result.task.output] = digest
            yield result

    def end(self) -> None:
        """All is done: see it to the disk, and write the manifest, if there is to be one."""
        from fastnst.jobs import manifests

        if hasattr(os, "sync"):
            os.sync()
        if self.file is not None:
            manifests.write(self.file, self.plan, self.folder, self.options.alpha, self._digests)
        store = self.bulk.store
        if store is not None and store.error is not None:
            warn(store.error)


def job_of(
    plan: Plan, outputs: Outputs, styles: Sequence[tuple[Path, ...]], options: Options, arguments: argparse.Namespace
) -> DataSet | None:
    """The job on a data set that a run is, if it is one.

    Raises:
        UsageError: what is asked for cannot be; see also :class:`DataSet`.
    """
    from fastnst.system.errors import UsageError

    if 0 < arguments.size < arguments.crop:
        raise UsageError(f"--crop {arguments.crop} is more than --size {arguments.size} leaves")
    asked = arguments.sample is not None or arguments.shard is not None or arguments.manifest is not None
    if not (asked or any(task.samples is not None for task in plan.every)):
        return None
    if not plan.in_folder:
        if arguments.sample is not None and arguments.manifest is None:
            return None  # of one style
        raise UsageError(f"{outputs.path}: --manifest tells of outputs in a folder; end the folder's name with /")
    return DataSet(plan, outputs, styles, options, arguments)
