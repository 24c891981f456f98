"""The command ``stylize``."""

from __future__ import annotations

import argparse
import glob
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from fastnst.cli import camera, datasets
from fastnst.cli.errors import DONE, FAILED, USAGE, fail, hint, quiet_libraries, warn
from fastnst.cli.progress import Progress
from fastnst.cli.regions import add_arguments as add_region_arguments
from fastnst.cli.regions import regions_of
from fastnst.cli.values import (
    COLORS,
    FORMATS,
    KEEPS_COLOR,
    StoreOutput,
    at_least,
    byte_count,
    level_list,
    output_name,
    path,
    percent,
    picture_format,
    scales,
    share,
    style_number,
    style_weights,
    weight_list,
)
from fastnst.cli.video_options import add_video_arguments, clip_of

if TYPE_CHECKING:
    from fastnst.jobs.plans import Failure, Outputs, Plan
    from fastnst.jobs.reports import Done
    from fastnst.options import Options
    from fastnst.stylize import Stylizer

_LARGE = 2048  # pixels of a short side: four times that of a style
HELP = "stylize a picture, a video or a folder of them"
STYLE_HELP = (
    "a picture, or several to mix; a .look file; or the name of a look that ships, see fastnst styles; none for a model that "
    "translates pictures by itself, or where --region says all"
)
MANY_HELP = "a style; may be repeated; all names without an option are contents then"
SCALE_HELP = (
    "see the styles S times as large, 0.25 to 4; auto gives them the short side of the content, so that strokes keep in "
    "proportion to it; several are mixed by their shares: 0.5:0.5,2:0.5"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    contents = "a picture, a video, or a folder of them (with the folders in it); - is a picture or a y4m on standard input"
    add("content", type=path, metavar="CONTENT", help=contents)
    style = add("style", type=path, nargs="+", default=[], metavar="STYLE", help=STYLE_HELP)
    style.required = False  # nargs="*" would take none where an option follows CONTENT, and refuse the STYLE after that
    add("--style", dest="styles", type=path, action="append", default=[], metavar="STYLE", help=MANY_HELP)
    outputs = "output file; a folder where there are several results or the name ends with /; - is standard output"
    add("-o", "--output", action=StoreOutput, metavar="OUT", help=outputs)
    parser.set_defaults(output_is_folder=False)
    add("--each", action="store_true", help="take every style alone, and every picture of a STYLE that is a folder")
    sample = "as --each, but only N of the styles for each content, chosen at random by --seed"
    add("--sample", type=at_least(1), metavar="N", help=sample)
    add("--seed", type=at_least(0), default=0, metavar="N", help="of --sample: the same number chooses the same; default: 0")
    names = "of outputs in a folder, such as {content}-{style}.{ext}, which is the default with --each"
    add("--name", type=output_name, metavar="TEMPLATE", help=names)
    add(
        "--sheet",
        type=path,
        metavar="FILE",
        help="write one more picture of all results: styles across, contents down",
    )
    add("--model", metavar="NAME_OR_FILE", help="a shipped model's name or a .fnst file; default: the shipped default")
    add("--alpha", type=share, default=1.0, metavar="A", help="0 = content, 1 = full style (default)")
    add("--weights", type=weight_list, metavar="W,W...", help="parts of the styles, such as 0.7,0.3; default: equal parts")
    _add_own_styles(parser)
    add("--levels", type=level_list, metavar="L,L...", help="levels of a WCT model, such as 5,4,3,2,1; default: all it has")
    add_region_arguments(add)
    colors = parser.add_mutually_exclusive_group()
    colors.add_argument(
        KEEPS_COLOR,
        dest="colors",
        choices=COLORS,
        nargs="?",
        const=COLORS[0],
        default="palette",
        metavar="MODE",
        help="keep the content's colours: luma (default) or lab take the lightness alone from the result, match gives it the "
        "content's mean and covariance of colours, histogram the content's histograms",
    )
    palette = (
        "how far colours are moved to the style's: 0 = as the network makes them, 1 = all the way (default); times --alpha"
    )
    colors.add_argument("--palette", type=share, metavar="P", help=palette)
    add("--size", type=at_least(0), default=0, metavar="N", help="short side of the content in pixels; 0 = as it is (default)")
    add(
        "--style-size",
        type=at_least(0),
        metavar="N",
        help="short side of the styles in pixels; 0 = as they are; default: larger styles are shrunk to 512",
    )
    formats = f"of pictures whose output's suffix does not say it: {', '.join(FORMATS)}; in folders, of all of them"
    add("--format", type=picture_format, metavar="NAME", help=formats)
    fidelity = parser.add_mutually_exclusive_group()
    quality = "of JPEG, WebP and AVIF, 1 to 100; default: 95, of AVIF 90"
    fidelity.add_argument("--quality", type=percent, metavar="N", help=quality)
    lossless = "write WebP so that it gives back the very pixels, as PNG and TIFF always do"
    fidelity.add_argument("--lossless", action="store_true", help=lossless)
    strips = "leave EXIF, XMP, IPTC and resolution of the content out of the output; they are kept otherwise"
    add("--strip-metadata", action="store_true", help=strips)
    add("--style-scale", type=scales, metavar="S", help=SCALE_HELP)
    add("--threads", type=at_least(1), metavar="N", help="default: the cores this process may use")
    add(
        "--max-memory",
        type=byte_count,
        metavar="BYTES",
        help="working memory, such as 512M or 2G: larger pictures are done in tiles, with the same pixels; default: 12 bytes "
        "for each pixel, 256 with a generator, at least 64M, at most a quarter of the machine's",
    )
    add_video_arguments(parser)
    camera.add_arguments(parser)
    datasets.add_arguments(parser)
    add("--dry-run", action="store_true", help="print what would be done: outputs, sizes, tiles and memory; write nothing")
    add("--overwrite", action="store_true", help="replace existing outputs; without it a folder run does what is missing")
    add("--quiet", action="store_true", help="print nothing but errors")
    add(
        "--json",
        action="store_true",
        help="one JSON line per picture or video: size, seconds, bytes of memory, what was left out, or its error",
    )


def _add_own_styles(parser: argparse.ArgumentParser) -> None:
    """Options for models that have styles of their own."""
    own = parser.add_mutually_exclusive_group()
    number = "the number of a style, for a model that has several of its own (fastnst models FILE says how many); default: 0"
    own.add_argument("--style-index", dest="style_weights", type=style_number, metavar="N", help=number)
    mixed = "such styles mixed, N:W,N:W.. such as 3:0.5,12:0.5; weights are taken relative to their sum"
    own.add_argument("--style-weights", type=style_weights, metavar="N:W...", help=mixed)


def run(arguments: argparse.Namespace) -> int:
    from fastnst.system.lean import lean

    lean()
    with quiet_libraries():
        return _stylize_all(arguments)


def _stylize_all(arguments: argparse.Namespace) -> int:
    from fastnst.jobs import plans, run
    from fastnst.stylize import Stylizer
    from fastnst.system.errors import UsageError

    if camera.is_asked_for(arguments):
        return camera.show(arguments, _options)
    if arguments.output is None:  # argparse cannot know: a camera needs none
        return fail("the following arguments are required: -o/--output (see 'fastnst stylize --help')", USAGE)
    try:
        contents, styles = _contents_and_styles(arguments)
        outputs = _outputs(arguments)
        plan = plans.plan(contents, styles, outputs, arguments.sample, arguments.seed, arguments.shard)
        _check_sheet(arguments, plan)
        stylizer = Stylizer(arguments.model, arguments.threads, arguments.max_memory)
        options = _options(arguments, styles[0])
        run.check(stylizer, options)
        job = datasets.job_of(plan, outputs, styles, options, arguments)
        if arguments.dry_run:
            return _preview(plan, stylizer, options, arguments)
        return _do(plan, stylizer, options, arguments, job)
    except UsageError as error:
        return fail(str(error), USAGE)


def _do(plan: Plan, stylizer: Stylizer, options: Options, arguments: argparse.Namespace, job: datasets.DataSet | None) -> int:
    """Do all that is planned, and print what came of it; the exit code."""
    from fastnst.jobs.plans import Failure

    start = time.perf_counter()
    reports: list[Done] = []
    failures: list[Failure] = []
    try:
        for result in _results(plan, stylizer, options, arguments, job):
            if isinstance(result, Failure):
                failures.append(result)
            else:
                reports.append(result)
        if job is not None:
            job.end()
        if arguments.sheet is not None:
            _write_sheet(arguments.sheet, plan)
        if plan.in_folder and not (arguments.json or arguments.quiet):
            print(_summary(plan, reports, failures, time.perf_counter() - start))
    finally:  # those of a run that is interrupted, too
        for report in reports:
            for line in report.warnings:
                warn(line)
        if not (arguments.quiet or arguments.json):
            _hint(options, reports)
        for failure in failures:
            fail(failure.reason)
    return FAILED if failures else DONE


def _contents_and_styles(arguments: argparse.Namespace) -> tuple[list[Path], list[tuple[Path, ...]]]:
    """Contents, and the styles of each result that every one of them gets.

    Raises:
        UsageError: what is given contradicts itself.
        ImageError: a folder of styles without pictures.
    """
    from fastnst.jobs.plans import pictures_in
    from fastnst.system.errors import UsageError

    contents, styles = [arguments.content], list(arguments.style)
    if arguments.styles:
        contents, styles = [*contents, *styles], arguments.styles
    contents, styles = _matching(contents), _matching(styles)
    if arguments.each or arguments.sample is not None:
        if arguments.weights:
            raise UsageError("--weights mixes styles, and --each and --sample take every style alone")
        alone = [path for style in styles for path in (pictures_in(style) if style.is_dir() else [style])]
        return contents, [(style,) for style in alone] or [()]
    if arguments.weights and len(arguments.weights) != len(styles):
        raise UsageError(f"--weights needs one number for each style: {len(styles)}")
    return contents, [tuple(styles)]


def _matching(paths: Sequence[Path]) -> list[Path]:
    """Paths, a pattern such as ``*.jpg`` among them as the files that match it, for shells that leave that to programs."""
    found: list[Path] = []
    for given in paths:
        matches = [] if os.path.lexists(given) or not glob.has_magic(str(given)) else sorted(glob.glob(str(given)))  # noqa: PTH207
        found += map(Path, matches or [str(given)])
    return found


def _check_sheet(arguments: argparse.Namespace, plan: Plan) -> None:
    """Raise if the sheet that is asked for cannot be."""
    from fastnst.images import can_write
    from fastnst.system.errors import UsageError

    if arguments.sheet is None:
        return
    if not plan.in_folder:
        raise UsageError("--sheet shows several results: give several contents, or styles with --each")
    if not can_write(arguments.sheet):
        raise UsageError(f"{arguments.sheet}: the suffix of a sheet is that of a picture, such as .png")
    if os.path.lexists(arguments.sheet) and not arguments.overwrite:
        raise FileExistsError(f"{arguments.sheet}: exists already; --overwrite replaces it")


def _write_sheet(path: Path, plan: Plan) -> None:
    from fastnst.images import Picture, save_picture
    from fastnst.jobs.sheets import sheet_of_tasks

    save_picture(Picture(sheet_of_tasks(plan.every)), path)


def _preview(plan: Plan, stylizer: Stylizer, options: Options, arguments: argparse.Namespace) -> int:
    """Print what would be done."""
    from fastnst.images import ImageError
    from fastnst.jobs.plans import Failure
    from fastnst.jobs.preview import preview
    from fastnst.stylize import LookError

    failures = list(plan.failures)
    out = sys.stderr if str(arguments.output) == "-" else sys.stdout
    for task in plan.tasks:
        try:
            found = preview(task, stylizer, options)
        except (ImageError, LookError) as error:
            failures.append(Failure(task, str(error)))
            continue
        print(json.dumps(found.as_json()) if arguments.json else found.line(), file=out)
    if plan.in_folder and not (arguments.json or arguments.quiet):
        print(f"{len(plan.tasks)} to do, {plan.already_there} already there, {len(failures)} cannot be done", file=out)
    for failure in failures:
        fail(failure.reason)
    return FAILED if failures else DONE


def _hint(options: Options, reports: Sequence[Done]) -> None:
    """Say once that strokes are small beside a large picture."""
    if options.style_scale is not None or not options.styles:
        return
    large = [report for report in reports if min(report.width, report.height) >= _LARGE]
    if large:
        hint(
            f"strokes are small on {large[0].task.output}, {large[0].width} x {large[0].height} pixels: --style-scale auto "
            "keeps them in proportion"
        )


def _outputs(arguments: argparse.Namespace) -> Outputs:
    from fastnst.jobs.plans import Outputs

    return Outputs(
        path=arguments.output,
        folder=arguments.output_is_folder,
        name=arguments.name,
        overwrite=arguments.overwrite,
        suffix=arguments.format,
        quality=arguments.quality,
        lossless=arguments.lossless,
        strip_metadata=arguments.strip_metadata,
    )


def _options(arguments: argparse.Namespace, styles: Sequence[Path]) -> Options:
    from fastnst.options import Options

    return Options(
        styles=styles,
        weights=arguments.weights,
        style_weights=arguments.style_weights,
        style_size=arguments.style_size,
        style_scale=arguments.style_scale,
        alpha=arguments.alpha,
        colors=arguments.colors,
        palette=arguments.palette,
        size=arguments.size,
        crop=arguments.crop,
        levels=arguments.levels,
        smoothing=arguments.smooth,
        video_quality=arguments.video_quality,
        codec=arguments.codec,
        regions=regions_of(arguments),
        alpha_map=arguments.alpha_map,
        labels=arguments.labels,
        clip=clip_of(arguments),
        strip_metadata=arguments.strip_metadata,
    )


def _results(
    plan: Plan, stylizer: Stylizer, options: Options, arguments: argparse.Namespace, job: datasets.DataSet | None
) -> Iterator[Done | Failure]:
    """Do all, and print each result as it comes; failures are for the end, but for their lines of JSON."""
    from fastnst.jobs import run
    from fastnst.jobs.plans import Failure
    from fastnst.video import PIPE, is_video

    folder = plan.in_folder
    moving = folder or is_video(arguments.content, arguments.output)
    out = sys.stderr if arguments.output == PIPE else sys.stdout
    with Progress(
        len(plan.failures) + len(plan.tasks), shown=not arguments.quiet and sys.stderr.isatty(), at_once=moving
    ) as progress:
        on_frame = progress.within if folder else progress.reach
        done = job.run(on_frame) if job else run.run(plan.tasks, stylizer, options, on_frame, progress.part)
        for result in chain(plan.failures, done):
            if arguments.json:
                print(json.dumps(result.as_json()), file=out, flush=True)
            elif not (arguments.quiet or isinstance(result, Failure)):
                if not folder:
                    print(f"{result.task.output}  {result.width}x{result.height}  {result.pace}{result.losses}", file=out)
                elif result.losses:
                    print(f"{result.task.output}{result.losses}")
            yield result
            if folder and not (isinstance(result, Failure) and result.inside):
                progress.advance()


def _summary(plan: Plan, reports: list[Done], failures: list[Failure], seconds: float) -> str:
    from fastnst.jobs.reports import Report

    parts = [f"{sum(report.made for report in reports)} stylized"]
    if plan.already_there:
        parts.append(f"{plan.already_there} already there")
    if failures:
        parts.append(f"{len(failures)} failed")
    if plan.left_alone:
        parts.append(f"{plan.left_alone} other files left alone")
    pictures = [report.engine_milliseconds for report in reports if isinstance(report, Report)]
    if reports:
        parts.append(f"{seconds:.1f} s" + (f", engine {sum(pictures) / len(pictures):.1f} ms a picture" if pictures else ""))
    return ", ".join(parts)
