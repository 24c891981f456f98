"""The command ``stylize``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from fastnst.cli.errors import DONE, FAILED, USAGE, fail, quiet_libraries, warn
from fastnst.cli.parser import add_stylize_arguments as add_arguments
from fastnst.cli.progress import Progress

if TYPE_CHECKING:
    from fastnst.jobs.plans import Failure, Plan
    from fastnst.jobs.reports import Report, VideoReport
    from fastnst.options import Options
    from fastnst.stylize import Stylizer

__all__ = ["HELP", "add_arguments", "run"]

HELP = "stylize a picture, a video or a folder of them"


def run(arguments: argparse.Namespace) -> int:
    with quiet_libraries():
        return _stylize_all(arguments)


def _stylize_all(arguments: argparse.Namespace) -> int:
    from fastnst.jobs import plans, run
    from fastnst.stylize import Stylizer
    from fastnst.system.errors import UsageError

    if arguments.camera is not None:
        return _camera(arguments)
    if arguments.output is None:  # argparse cannot know: a camera needs none
        return fail("the following arguments are required: -o/--output (see 'fastnst stylize --help')", USAGE)
    content: Path = arguments.content
    if arguments.weights and len(arguments.weights) != len(arguments.style):
        return fail(f"--weights needs one number for each style: {len(arguments.style)}", USAGE)
    try:
        plan = plans.plan(content, arguments.output, arguments.overwrite)
        start = time.perf_counter()
        stylizer = Stylizer(arguments.model, arguments.threads, arguments.max_memory)
        options = _options(arguments, arguments.style)
        run.check(stylizer, options)
    except UsageError as error:
        return fail(str(error), USAGE)
    reports: list[Report | VideoReport] = []
    failures: list[Failure] = []
    try:
        for result in _results(plan, stylizer, options, arguments):
            if isinstance(result, plans.Failure):
                failures.append(result)
            else:
                reports.append(result)
        if content.is_dir() and not (arguments.json or arguments.quiet):
            print(_summary(plan, reports, failures, time.perf_counter() - start))
    finally:  # those of a run that is interrupted, too
        for report in reports:
            for line in report.warnings:
                warn(line)
        for failure in failures:
            fail(failure.reason)
    return FAILED if failures else DONE


def _options(arguments: argparse.Namespace, styles: Sequence[Path]) -> Options:
    from fastnst.options import Options

    return Options(
        styles=styles,
        weights=arguments.weights,
        style_size=arguments.style_size,
        alpha=arguments.alpha,
        colors=arguments.colors,
        palette=arguments.palette,
        size=arguments.size,
        levels=arguments.levels,
        smoothing=arguments.smooth,
        video_quality=arguments.video_quality,
    )


def _results(
    plan: Plan, stylizer: Stylizer, options: Options, arguments: argparse.Namespace
) -> Iterator[Report | VideoReport | Failure]:
    """Do all, and print each result as it comes; failures are for the end, but for their lines of JSON."""
    from fastnst.jobs import run
    from fastnst.jobs.plans import Failure
    from fastnst.video import PIPE, is_video

    folder = arguments.content.is_dir()
    moving = folder or is_video(arguments.content, arguments.output)
    out = sys.stderr if arguments.output == PIPE else sys.stdout
    with Progress(
        len(plan.failures) + len(plan.tasks), shown=not arguments.quiet and sys.stderr.isatty(), at_once=moving
    ) as progress:
        on_frame = progress.within if folder else progress.reach
        for result in chain(plan.failures, run.run(plan.tasks, stylizer, options, on_frame, progress.part)):
            if arguments.json:
                print(json.dumps(result.as_json()), file=out, flush=True)
            elif not (arguments.quiet or isinstance(result, Failure)):
                if not folder:
                    print(f"{result.task.output}  {result.width}x{result.height}  {result.pace}{result.losses}", file=out)
                elif result.losses:
                    print(f"{result.task.output}{result.losses}")
            yield result
            if folder:
                progress.advance()


def _summary(plan: Plan, reports: list[Report | VideoReport], failures: list[Failure], seconds: float) -> str:
    parts = [f"{len(reports)} stylized"]
    if plan.already_there:
        parts.append(f"{plan.already_there} already there")
    if failures:
        parts.append(f"{len(failures)} failed")
    if plan.left_alone:
        parts.append(f"{plan.left_alone} other files left alone")
    pictures = [report.engine_milliseconds for report in reports if hasattr(report, "engine_milliseconds")]
    if reports:
        parts.append(f"{seconds:.1f} s" + (f", engine {sum(pictures) / len(pictures):.1f} ms a picture" if pictures else ""))
    return ", ".join(parts)


def _camera(arguments: argparse.Namespace) -> int:
    from fastnst.jobs import run
    from fastnst.stylize import Stylizer
    from fastnst.video.camera import show

    if arguments.output is not None:
        return fail("--camera shows pictures and writes none: omit -o", USAGE)
    stylizer = Stylizer(arguments.model, arguments.threads)
    if not stylizer.engine.takes_style:
        return fail("--camera needs a model that takes a style", USAGE)
    options = _options(arguments, [arguments.content, *arguments.style])
    show(arguments.camera, stylizer, run.with_look(stylizer, options))
    return DONE
