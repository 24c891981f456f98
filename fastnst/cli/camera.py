"""The options of ``stylize`` about a camera, and what they do."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fastnst.cli import datasets
from fastnst.cli.errors import DONE, USAGE, fail
from fastnst.cli.values import at_least

if TYPE_CHECKING:
    from fastnst.options import Options

_FOR_FILES = ("each", "sample", "sheet", "name", "dry_run", "format", "quality", "lossless", "strip_metadata", "regions",
              "labels", "alpha_map", "start", "end", "deinterlace", "tone_map", "rate", "audio", "video_quality",
              "codec")  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    camera = "show what camera N sees instead; every picture given is a style (default: camera 0)"
    parser.add_argument("--camera", type=at_least(0), nargs="?", const=0, metavar="N", help=camera)
    virtual = (
        "with --camera: show it not in a window but to other programs, as a camera that they can choose; needs pyvirtualcam"
    )
    parser.add_argument("--virtual-camera", action="store_true", help=virtual)


def is_asked_for(arguments: argparse.Namespace) -> bool:
    """Whether a camera is to be shown."""
    return arguments.camera is not None or arguments.virtual_camera


def show(arguments: argparse.Namespace, options_of: Callable[[argparse.Namespace, Sequence[Path]], Options]) -> int:
    """Show the camera until it is closed; the exit code."""
    from fastnst.jobs.looks import Looks
    from fastnst.stylize import Stylizer
    from fastnst.system.errors import UsageError
    from fastnst.video import camera

    styles = [arguments.content, *arguments.style, *arguments.styles]
    try:
        _check(arguments)
        stylizer = Stylizer(arguments.model, arguments.threads)
        if not stylizer.engine.takes_style:
            raise UsageError("--camera needs a model that takes a style")
        options = options_of(arguments, styles)
        stylizer.check(options)
        ready = Looks(stylizer, options).options(styles)
    except UsageError as error:
        return fail(str(error), USAGE)

    def tell(device: str) -> None:
        if not arguments.quiet:
            print(f"other programs find it as {device}; Ctrl-C ends it", flush=True)

    screen = camera.VirtualCamera(tell) if arguments.virtual_camera else camera.Window()
    camera.show(arguments.camera, stylizer, ready, screen)
    return DONE


def _check(arguments: argparse.Namespace) -> None:
    """Raise UsageError for what does not go with a camera."""
    from fastnst.system.errors import UsageError

    if arguments.camera is None:
        raise UsageError("--virtual-camera shows what a camera sees: say which one by --camera")
    for name in (*_FOR_FILES, *datasets.FOR_FILES):
        if getattr(arguments, name) not in (None, False, []):
            option = name.removesuffix("s") if name == "regions" else name.replace("_", "-")
            raise UsageError(f"--camera shows pictures and writes none: --{option} is for files")
    if arguments.output is not None:
        raise UsageError("--camera shows pictures and writes none: omit -o")
