"""The command ``fastnst``: argument parsing and printing; the work is done elsewhere, and imported only when asked for.

Exit codes: 0 done, 1 something failed, 2 wrong usage, 130 interrupted. A failure is one line on stderr;
``python -X dev -m fastnst`` adds the traceback.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import fastnst
from fastnst.progress import Progress

if TYPE_CHECKING:
    from fastnst.convert.forms import LayerReport
    from fastnst.jobs import Failure, Report, Settings, VideoReport
    from fastnst.plans import Plan
    from fastnst.stylize import Stylizer

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

OPERATIONS = ("adain", "wct", "relation", "embedding", "perceptual")
STEMS = (*OPERATIONS, "stylize", "training", "video", "translate", "large")
RECIPES = ("decoder", "collab", "ablation", "adain", "prune", "qat", "crd", "crd-tables")
DEFAULT_EVALUATION_SIZE = 512


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, ``sys.argv`` by default, and return its exit code."""
    _keep_file_names_printable()
    with _termination_as_interrupt():
        try:
            parsed = _parser().parse_args(arguments)
            command: Callable[[argparse.Namespace], int] = parsed.command
            code = command(parsed)
            sys.stdout.flush()  # here, where a broken pipe is still caught
            return code
        except KeyboardInterrupt:
            print("fastnst: interrupted", file=sys.stderr)
            with suppress(OSError):  # the reader of our output may have been interrupted as well
                sys.stdout.flush()
            # A thread of the engine may still be at work; a normal exit would wait for it, for seconds if the picture is large.
            os._exit(INTERRUPTED)
        except BrokenPipeError:
            # The reader of our output has gone. Python would complain once more when it flushes stdout at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FAILED
        except Exception as error:
            if sys.flags.dev_mode:
                traceback.print_exc()
            return _fail(_one_line(error))


# ---- stylize ----------------------------------------------------------------------------------------------------------------


def _stylize(arguments: argparse.Namespace) -> int:
    with _quiet_libraries():
        return _stylize_all(arguments)


def _stylize_all(arguments: argparse.Namespace) -> int:
    from fastnst import jobs, plans
    from fastnst.stylize import Stylizer

    if arguments.camera is not None:
        return _camera(arguments)
    if arguments.output is None:  # argparse cannot know: a camera needs none
        return _fail("the following arguments are required: -o/--output (see 'fastnst stylize --help')", USAGE)
    content: Path = arguments.content
    if arguments.weights and len(arguments.weights) != len(arguments.style):
        return _fail(f"--weights needs one number for each style: {len(arguments.style)}", USAGE)
    try:
        plan = plans.plan(content, arguments.output, arguments.overwrite)
    except plans.UsageError as error:
        return _fail(str(error), USAGE)
    start = time.perf_counter()
    stylizer = Stylizer(arguments.model, arguments.threads, arguments.max_memory)
    settings = _settings(arguments, arguments.style)
    try:
        jobs.check(stylizer, settings)
    except plans.UsageError as error:
        return _fail(str(error), USAGE)
    reports, failures = _follow(plan, stylizer, settings, arguments)
    if content.is_dir() and not (arguments.json or arguments.quiet):
        print(_summary(plan, reports, failures, time.perf_counter() - start))
    for failure in failures:
        _fail(failure.reason)
    return FAILED if failures else DONE


def _settings(arguments: argparse.Namespace, styles: Sequence[Path]) -> Settings:
    from fastnst.jobs import Settings

    return Settings(
        styles=styles,
        weights=arguments.weights,
        style_size=arguments.style_size,
        alpha=arguments.alpha,
        preserve_color=arguments.preserve_color,
        size=arguments.size,
        levels=arguments.levels,
        smooth=arguments.smooth,
        video_quality=arguments.video_quality,
    )


def _follow(
    plan: Plan, stylizer: Stylizer, settings: Settings, arguments: argparse.Namespace
) -> tuple[list[Report | VideoReport], list[Failure]]:
    """Do all, and print each result as it comes."""
    from fastnst import jobs
    from fastnst.video import PIPE, is_video

    reports: list[Report | VideoReport] = []
    failures: list[Failure] = []
    folder = arguments.content.is_dir()
    moving = folder or is_video(arguments.content)
    out = sys.stderr if arguments.output == PIPE else sys.stdout
    with Progress(len(plan.tasks), shown=not arguments.quiet and sys.stderr.isatty(), at_once=moving) as progress:
        on_frame = progress.within if folder else progress.reach
        for result in jobs.run(plan.tasks, stylizer, settings, on_frame, progress.part):
            if isinstance(result, jobs.Failure):
                failures.append(result)
            else:
                reports.append(result)
                if arguments.json:
                    print(json.dumps(result.as_json()), file=out, flush=True)
                elif not (folder or arguments.quiet):
                    print(f"{result.task.output}  {result.width}x{result.height}  {result.pace}", file=out)
            if folder:
                progress.advance()
    return reports, failures


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
    from fastnst import jobs
    from fastnst.stylize import Stylizer
    from fastnst.video.camera import show

    if arguments.output is not None:
        return _fail("--camera shows pictures and writes none: leave -o away", USAGE)
    stylizer = Stylizer(arguments.model, arguments.threads)
    if stylizer.engine.translates:
        return _fail("--camera needs a model that takes a style", USAGE)
    settings = _settings(arguments, [arguments.content, *arguments.style])
    show(arguments.camera, stylizer, jobs.video_recipe(jobs.read_styles(stylizer, settings), settings), arguments.size)
    return DONE


# ---- the other commands -----------------------------------------------------------------------------------------------------


def _models(arguments: argparse.Namespace) -> int:
    models = fastnst.models()
    if arguments.json:
        for model in models:
            print(json.dumps({**vars(model), "path": str(model.path)}))
        return DONE
    header = ("name", "kind", "parameters", "file bytes", "MACs/pixel", "distilled from")
    rows = [
        (
            model.name,
            model.kind,
            f"{model.parameters:,}",
            f"{model.file_bytes:,}",
            f"{model.macs_per_pixel:,.0f}",
            model.distilled_from or "-",
        )
        for model in models
    ]
    _print_table([header, *rows])
    return DONE


def _info(_: argparse.Namespace) -> int:
    from fastnst.info import facts

    _print_table(facts())
    return DONE


def _verify(_: argparse.Namespace) -> int:
    from fastnst.verify import verify

    code = DONE
    for result in verify():
        where = f"{result.path}, {result.threads} threads" if result.pictures else result.path
        if result.wrong:
            code = _fail(f"{where}: {len(result.wrong)} differ, such as {result.wrong[0]}")
        else:
            print(f"pass: {where}: {result.pictures} pictures")
    return code


def _print_table(rows: Iterable[Sequence[str]]) -> None:
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    for row in zip(*columns, strict=True):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _convert(arguments: argparse.Namespace) -> int:
    if arguments.output.suffix != ".fnst":
        return _fail(f"{arguments.output}: the suffix of a model is .fnst", USAGE)
    try:
        from fastnst.convert import convert
    except ModuleNotFoundError as error:
        return _fail(f"fastnst convert needs {error.name}: pip install 'fastnst[torch]'")
    card = convert(
        arguments.source,
        arguments.calibrate,
        arguments.output,
        name=arguments.name,
        overwrite=arguments.overwrite,
        winograd=arguments.winograd,
        keep_dead=arguments.keep_dead,
        nearly_dead=arguments.nearly_dead,
        report=_print_layers if arguments.report else None,
    )
    fidelity = f"  {card['psnr']} dB beside float" if "psnr" in card else ""
    print(f"{arguments.output}  {card['parameters']:,} parameters  {arguments.output.stat().st_size:,} bytes{fidelity}")
    return DONE


def _print_layers(reports: Sequence[LayerReport]) -> None:
    from fastnst.convert.forms import table

    _print_table(table(reports))


def _train(arguments: argparse.Namespace) -> int:
    try:
        recipe = import_module(f"fastnst.train.{arguments.recipe.replace('-', '_')}")
    except ModuleNotFoundError as error:
        return _fail(f"fastnst train needs {error.name}: pip install 'fastnst[train]'")
    recipe.main(arguments.arguments)
    return DONE


def _evaluate(arguments: argparse.Namespace) -> int:
    from fastnst.plans import UsageError

    if (arguments.testset is None) == (arguments.content is None and arguments.style is None):
        return _fail("give either --testset, or --content and --style", USAGE)
    if (arguments.content is None) != (arguments.style is None):
        return _fail("--content and --style go together", USAGE)
    try:
        from fastnst.evaluate import evaluate, report, steps
        from fastnst.evaluate.pictures import pair_folders, read_testset
    except ModuleNotFoundError as error:
        return _fail(f"fastnst evaluate needs {error.name}: pip install 'fastnst[torch]'")
    if not arguments.overwrite and (taken := report.taken(arguments.output)):
        return _fail(f"{taken}: exists already; --overwrite replaces it")
    if arguments.testset:
        pairs, size = read_testset(arguments.testset)
    else:
        pairs, size = pair_folders(arguments.content, arguments.style), DEFAULT_EVALUATION_SIZE
    pairs = pairs[: arguments.pairs]
    try:
        with Progress(steps(pairs), shown=sys.stderr.isatty()) as progress:
            evaluation = evaluate(
                arguments.models,
                pairs,
                arguments.size or size,
                weights=arguments.weights,
                against=dict(arguments.against),
                threads=arguments.threads,
                advance=progress.advance,
            )
    except UsageError as error:
        return _fail(str(error), USAGE)
    for model in evaluation.models:
        print(json.dumps({"name": model.name, **report.summary(model)}) if arguments.json else report.one_line(model))
    page = report.write(evaluation, arguments.output)
    if not arguments.json:
        print(page)
    return DONE


def _stem(text: str) -> str:
    if text not in STEMS:  # argparse's own choices refuse none at all
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(STEMS)}, got {text!r}")
    return text


def _bench(arguments: argparse.Namespace) -> int:
    try:
        from fastnst.bench.run import run

        if arguments.layers is not None:
            from fastnst.bench import layers

            print(layers.write(arguments.layers, arguments.size, arguments.output))
            return DONE
        status = run(
            arguments.stems,
            quick=arguments.quick,
            compare=arguments.compare,
            device=arguments.device,
            limit=arguments.limit,
            folder=arguments.output,
        )
    except ModuleNotFoundError as error:
        return _fail(f"fastnst bench needs {error.name}: pip install 'fastnst[bench]'")
    return {0: DONE, 2: INTERRUPTED}.get(status, FAILED)  # pytest's numbers


# ---- arguments --------------------------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all errors of fastnst."""

    def error(self, message: str) -> NoReturn:
        _fail(f"{message} (see '{self.prog} --help')")
        raise SystemExit(USAGE)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="fastnst", description="Neural style transfer, small and fast.", allow_abbrev=False, epilog=_EXIT_CODES
    )
    parser.add_argument("--version", action="version", version=f"fastnst {fastnst.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
        added.set_defaults(command=run)
        return added

    _add_stylize_arguments(command("stylize", _stylize, "stylize a picture, a video or a folder of them"))

    models = command("models", _models, "list the models inside the package")
    models.add_argument("--json", action="store_true", help="one JSON line per model")

    command("info", _info, "print what this machine offers")
    command("verify", _verify, "check that every path of this machine makes the same pictures as all others")

    convert = command("convert", _convert, "quantise a trained model for the engine (needs torch)")
    convert.add_argument("source", type=_path, metavar="IN", help="trained model, .safetensors")
    convert.add_argument("-o", "--output", type=_path, metavar="OUT", required=True, help="engine model, .fnst")
    convert.add_argument(
        "--calibrate", type=_path, metavar="FOLDER", required=True, help="pictures that the value ranges are measured on"
    )
    convert.add_argument("--name", help="name on the model's card; default: that of the file")
    forms = (
        "layers in Winograd's form: never (default), always, auto: those faster by it here that lose little, or numbers: 3,4"
    )
    convert.add_argument("--winograd", default="never", metavar="LAYERS", help=forms)
    dead = convert.add_mutually_exclusive_group()
    kept = "keep channels of an AdaIN pair that stay zero by a margin in every picture; they are removed otherwise"
    dead.add_argument("--keep-dead", action="store_true", help=kept)
    nearly = "remove those too that never exceed this share of their layer's largest value: 0.002 is half a step of 8 bits"
    dead.add_argument("--nearly-dead", type=float, default=0.0, metavar="SHARE", help=nearly)
    convert.add_argument("--report", action="store_true", help="print times, quality and form of every layer")
    convert.add_argument("--overwrite", action="store_true", help="replace an existing output")

    train = command("train", _train, "run a training recipe (needs torch)")
    train.add_argument("recipe", choices=RECIPES, metavar="RECIPE", help=" or ".join(RECIPES))
    train.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="--help shows those of the recipe")

    _add_evaluate_arguments(command("evaluate", _evaluate, "compare models on pairs of pictures (needs torch)"))

    bench = command("bench", _bench, "measure operations beside their rivals, on a GPU where there is one (needs torch)")
    stems = f"some of {', '.join(STEMS)}; default: {', '.join(OPERATIONS)}"
    bench.add_argument("stems", nargs="*", type=_stem, metavar="STEM", help=stems)
    bench.add_argument("--quick", action="store_true", help="the main sizes alone, with fewer visits")
    bench.add_argument("--compare", action="store_true", help="print times beside those of the last committed report")
    bench.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda where there is one")
    bench.add_argument("--limit", type=_positive, metavar="SECONDS", help="begin no operation after so long; default: no limit")
    bench.add_argument("--layers", metavar="NAME_OR_FILE", help="of an AdaIN model instead: the time of each layer")
    bench.add_argument(
        "--size", type=_at_least(1), default=512, metavar="N", help="of --layers: the picture's sides; default: 512"
    )
    bench.add_argument("-o", "--output", type=_path, metavar="FOLDER", help="for the reports; default: bench/results")
    return parser


_EXIT_CODES = "Exit codes: 0 done, 1 something failed, 2 wrong usage, 130 interrupted."


_STYLE_HELP = "a picture, or several to mix; none for a model that translates pictures by itself"


def _add_stylize_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    contents = "a picture, a video, or a folder of them (with the folders in it); - is a y4m on standard input"
    add("content", type=_path, metavar="CONTENT", help=contents)
    style = add("style", type=_path, nargs="+", default=[], metavar="STYLE", help=_STYLE_HELP)
    style.required = False  # nargs="*" would take none where an option follows CONTENT, and refuse the STYLE after that
    outputs = "output file; a folder where CONTENT is a folder; - is a y4m on standard output"
    add("-o", "--output", type=_path, metavar="OUT", help=outputs)
    add("--model", metavar="NAME_OR_FILE", help="a shipped model's name or a .fnst file; default: the shipped default")
    add("--alpha", type=_alpha, default=1.0, metavar="A", help="0 = content, 1 = full style (default)")
    add("--weights", type=_weights, metavar="W,W...", help="parts of the styles, such as 0.7,0.3; default: equal parts")
    add("--levels", type=_levels, metavar="L,L...", help="levels of a WCT model, such as 5,4,3,2,1; default: all it has")
    add("--preserve-color", action="store_true", help="keep the content's colours")
    add("--size", type=_at_least(0), default=0, metavar="N", help="short side of the content in pixels; 0 = as it is (default)")
    add(
        "--style-size",
        type=_at_least(0),
        metavar="N",
        help="short side of the styles in pixels; 0 = as they are; default: larger styles are shrunk to 512",
    )
    add("--threads", type=_at_least(1), metavar="N", help="default: the cores this process may use")
    add(
        "--max-memory",
        type=_bytes,
        metavar="BYTES",
        help="working memory, such as 512M or 2G: larger pictures are done in tiles, with the same pixels; default: 12 bytes "
        "for each pixel, at least 64M, at most a quarter of the machine's",
    )
    add(
        "--smooth",
        type=_alpha,
        metavar="S",
        help="of a video: how slowly the content's statistics follow the frames, 0 = at once, 1 = only at cuts; default: "
        "0.5 for AdaIN models",
    )
    qualities = "of a video: the encoder's number, 0 = best; default: 18 for H.264, 24 for WebM's VP9"
    add("--video-quality", type=_at_least(0), metavar="N", help=qualities)
    camera = "show what camera N sees instead; every picture given is a style (default: camera 0)"
    add("--camera", type=_at_least(0), nargs="?", const=0, metavar="N", help=camera)
    add("--overwrite", action="store_true", help="replace existing outputs; without it a folder run does what is missing")
    add("--quiet", action="store_true", help="print nothing but errors")
    add("--json", action="store_true", help="one JSON line per picture or video: size, seconds, bytes of memory")


def _add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    shapes = "a shipped model's name, a .fnst file or a trained .safetensors file; NAME=MODEL names its row"
    add("models", nargs="+", metavar="MODEL", help=shapes)
    add("-o", "--output", type=_path, required=True, metavar="FOLDER", help="for evaluation.md, evaluation.json and the sheet")
    add("--testset", type=_path, metavar="FILE", help='JSON: {"size": N, "pairs": [{"content": FILE, "style": FILE}, ...]}')
    add("--content", type=_path, metavar="FOLDER", help="instead of a test set: photographs, and by --style paintings")
    add("--style", type=_path, metavar="FOLDER", help="the first by name goes with the first photograph, and so on")
    add(
        "--weights",
        type=_path,
        metavar="FOLDER",
        help="of the scoring networks vgg19*.safetensors and lpips_alex*.safetensors; what is not there is not measured",
    )
    add(
        "--against",
        type=_against,
        action="append",
        default=[],
        metavar="ROW=ROW",
        help="PSNR of the first row's pictures beside the second's, such as int8 beside float; may be repeated",
    )
    size = f"short side in pixels; default: the test set's, or {DEFAULT_EVALUATION_SIZE}"
    add("--size", type=_at_least(32), metavar="N", help=size)
    add("--pairs", type=_at_least(1), metavar="N", help="the first N pairs alone")
    add("--threads", type=_at_least(1), metavar="N", help="default: the cores this process may use")
    add("--overwrite", action="store_true", help="replace existing outputs")
    add("--json", action="store_true", help="one JSON line per model")


def _against(text: str) -> tuple[str, str]:
    row, _, other = text.partition("=")
    if not row or not other or row == other:
        raise argparse.ArgumentTypeError(f"{text!r} does not name two rows, such as int8=float")
    return row, other


def _path(text: str) -> Path:
    if not text:  # Path("") would be the current folder
        raise argparse.ArgumentTypeError("a file name is empty")
    return Path(text)


def _alpha(text: str) -> float:
    alpha = _number(text)
    if not 0 <= alpha <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not in 0..1")
    return alpha


def _weights(text: str) -> list[float]:
    weights = [_number(part) for part in text.split(",")]
    if not all(0 <= weight < math.inf for weight in weights) or not 0 < sum(weights) < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: weights are at least 0 and not all 0")
    return weights


def _levels(text: str) -> list[int]:
    levels = [_at_least(1)(part) for part in text.split(",")]
    if len(set(levels)) < len(levels):
        raise argparse.ArgumentTypeError(f"{text}: a level is given twice")
    return levels


def _bytes(text: str) -> int:
    from fastnst.memory import parse_bytes

    try:
        return parse_bytes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _positive(text: str) -> float:
    number = _number(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def _at_least(least: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if number < least:
            raise argparse.ArgumentTypeError(f"{number} is less than {least}")
        return number

    return convert


# ---- errors and signals -----------------------------------------------------------------------------------------------------


def _fail(message: str, code: int = FAILED) -> int:
    # A file name may hold anything, line ends and the terminal's control sequences included.
    visible = re.sub(r"[\x00-\x1f\x7f]", lambda match: f"\\x{ord(match[0]):02x}", message)
    print(f"fastnst: error: {visible}", file=sys.stderr)
    return code


def _one_line(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "not enough memory"
    if isinstance(error, OSError) and error.filename:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    if isinstance(error, ValueError | OSError | RuntimeError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _keep_file_names_printable() -> None:
    """Names that are not UTF-8 go out as the bytes that came in."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Decoders in C write complaints of their own to file 2; a failure is one line, and that is ours. Not with ``-X dev``."""
    stream = sys.__stderr__
    if stream is None or stream is not sys.stderr or sys.flags.dev_mode:
        yield
        return
    stream.flush()
    ours, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    sys.stderr = os.fdopen(ours, "w", buffering=1, encoding=stream.encoding, errors=stream.errors)
    try:
        yield
    finally:
        os.dup2(ours, 2)
        sys.stderr.close()
        sys.stderr = stream


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """SIGTERM cleans up as Ctrl-C does."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    # Only the main thread may set handlers, and one that somebody else has set or ignored stays.
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
