"""The command with every pair of options, with all that arguments can be wrong in, and with names that break shells."""

from __future__ import annotations

import importlib.util
import io
import itertools
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from fastnst import cli
from fastnst.format.modelfile import to_bytes
from fastnst.verify import picture
from torture import corpora
from torture.crashes import hidden, video, workplace
from torture.framework import Outcome, check

ONE = "stylize content.png style.png -o out.png --model model.fnst"
OPTIONS = (
    "--alpha 0.25",
    "--weights 3",
    "--preserve-color",
    "--preserve-color lab",
    "--preserve-color match",
    "--preserve-color histogram",
    "--strip-metadata",
    "--format png",
    "--style-scale 2",
    "--style-scale auto",
    "--style-scale 0.5:0.5,2:0.5",
    "--seed 3",
    "--region style.png=content.png:2,style.png",
    "--alpha-map content.png",
    "--lossless",
    "--size 17",
    "--style-size 9",
    "--threads 3",
    "--max-memory 64M",
    "--smooth 0.5",
    "--video-quality 30",
    "--codec h264",
    "--overwrite",
    "--quiet",
    "--json",
)
"""Any two of them go together."""
DONE = """
styles | styles --json | completion bash | completion zsh | completion fish | look --help | styles --help
--version | --help | models | models --json | info | stylize --help | convert --help | evaluate --help | train --help
"""
FAILED = f"""
look missing.png -o a.look --model model.fnst | look text.png -o a.look --model model.fnst | styles --model wct-16x
styles --sheet missing.png -o a.png | models more | {ONE} --dry-run --model missing.fnst
stylize missing.png style.png -o out.png | stylize content.png missing.png -o out.png | stylize empty.png style.png -o out.png
stylize text.png style.png -o out.png | stylize content.png text.png -o out.png | stylize cut.png style.png -o out.png
{ONE} --region missing.png=style.png | {ONE} --region content.png=text.png | {ONE} --alpha-map text.png
{ONE} --labels content.png --region 99999999=style.png
stylize content.png in -o out.png | stylize clip.y4m clip.y4m -o out.y4m | stylize text.y4m style.png -o out.y4m
stylize content.png style.png -o taken.png | stylize content.png style.png -o missing/out.png
stylize content.png style.png -o text.png/out.png | stylize nothing style.png -o out | stylize clip.y4m style.png -o taken.y4m
{ONE} --size 99999 | {ONE} --size 99999999999999999999 | {ONE} --threads 1025 | {ONE} --threads 99999999999999999999
{ONE} --model missing.fnst | {ONE} --model text.png | {ONE} --model vgg | {ONE} --model in | {ONE} --model empty.png
{ONE} --levels 3 | {ONE} --model wct.fnst --levels 4 | stylize clip.y4m style.png -o out.y4m --model wct.fnst --smooth 0.5
{ONE} --style-size 99999 | stylize large.png style.png -o out.png --model model.fnst --max-memory 9K
stylize large.png -o out.png --model generator.fnst --max-memory 9K | stylize /dev/null style.png -o out.png
"""
WRONG = f"""
paint | --colour | info more | verify more | models --jso | stylize | stylize content.png style.png
stylize content.png -o out.png --model model.fnst | stylize content.png style.png -o out | stylize '' style.png -o out.png
stylize content.png style.png -o '' | stylize content.png style.png -o out.gif | stylize content.png style.png -o out.mp4
stylize content.png style.png -o in | stylize in style.png -o style.png | stylize in style.png -o in
stylize clip.y4m style.png -o out.png | stylize content.png style.png -o
stylize clip.y4m style.png -o clip.y4m --overwrite --model model.fnst | {ONE} --alpha 1.01 | {ONE} --alpha -0.01
{ONE} --alpha nan | {ONE} --alpha much | {ONE} --alpha | {ONE} --weights 1,2 | {ONE} --weights 0 | {ONE} --weights 1,,2
{ONE} --weights inf | {ONE} --weights=-1 | {ONE} --levels 0 | {ONE} --levels 3,3 | {ONE} --levels x | {ONE} --levels ''
{ONE} --size -1 | {ONE} --size 1.5 | {ONE} --style-size -1 | {ONE} --style-size x | {ONE} --threads 0 | {ONE} --threads -3
{ONE} --max-memory 0 | {ONE} --max-memory much | {ONE} --max-memory -5M | {ONE} --max-memory 1.5G | {ONE} --smooth 2
{ONE} --smooth -1 | {ONE} --video-quality -1 | {ONE} --video-quality x | {ONE} --camera x | {ONE} --camera -1 | {ONE} --over
{ONE} --virtual-camera | {ONE} --quality 50 | {ONE} --quality 0 | {ONE} --quality x | {ONE} --format jpg | {ONE} --format xcf
{ONE} --preserve-color=sepia | {ONE} --palette 1 --preserve-color lab | {ONE} --lossless --quality 3
{ONE} --region x | {ONE} --region =style.png | {ONE} --region content.png=style.png:-1 | {ONE} --labels content.png
{ONE} --model generator.fnst --region content.png=style.png
{ONE} --style-scale 9 | {ONE} --style-scale x | {ONE} --sample 0 | {ONE} --sample x | {ONE} --seed -1 | {ONE} --sheet a.png
{ONE} --name x.png | {ONE} --name {{x}} | {ONE} --each --weights 1 | stylize content.png in -o - --each --model model.fnst
look style.png | look style.png -o a.png | look | styles --sheet content.png | styles -o a.png | completion | completion csh
{ONE} --colour | {ONE} --camera 0 | {ONE} --model generator.fnst | stylize in/000.png in/001.png --weights 1,2 -o out.png
stylize content.png -o out.png --model generator.fnst --alpha 0.5
{ONE} --style-index 0 | {ONE} --style-index -1 | {ONE} --style-weights 1 | {ONE} --style-weights 0:0 | {ONE} --style-weights 0:x
stylize content.png -o out.png --model generator.fnst --style-index 0 | {ONE} --style-index 0 --style-weights 0:1
convert | convert a.safetensors | convert a.safetensors -o out.fnst | convert a.safetensors -o out.png --calibrate in
convert a.safetensors -o out.fnst --calibrate '' | convert a.safetensors -o out.fnst --calibrate in --nearly-dead much
convert a.safetensors -o out.fnst --calibrate in --nearly-dead 0.1 --keep-dead | train | train cooking | evaluate
evaluate adain-16x | evaluate adain-16x -o out | evaluate adain-16x -o out --content in | evaluate adain-16x -o out --style in
evaluate adain-16x -o out --testset a.json --content in | evaluate adain-16x -o out --size 8 | bench --device tpu
evaluate adain-16x -o out --against a | evaluate adain-16x -o out --pairs 0 | bench cooking | bench --limit 0 | bench --size 0
"""
NAMES = (
    b"two  words",
    b" around ",
    b"-dash",
    b"--help",
    b"caf\xe9",
    b"\xff\xfe\x80",
    "стиль 絵".encode(),
    b"new\nline",
    b"\x1b[31mred",
    b"'one\" `two` $HOME \\",
    b"*?[a-z]{1,2}",
    b"%s%n {0} \\x00",
    b"-",
    b"n" * 251,
)
"""Without suffixes; the last is as long as a name may be with one of four bytes."""


@dataclass(frozen=True)
class Command:
    """What to run, the exit code that it must have, and the output that it makes: nothing else may be there afterwards."""

    arguments: tuple[str, ...]
    code: int
    output: str = ""


def _lines(table: str) -> Iterator[tuple[str, ...]]:
    for line in table.replace("\n", "|").split("|"):
        if line.strip():
            yield tuple(shlex.split(line))


def _of_options() -> Iterator[Command]:
    for one, other in itertools.combinations(OPTIONS, 2):
        yield Command((*shlex.split(ONE), *shlex.split(one), *shlex.split(other)), 0, "out.png")
    for option in ("--levels 3", "--levels 1,3", "--levels 3 --alpha 0", "--preserve-color --levels 1"):
        yield Command((*shlex.split(ONE), "--model", "wct.fnst", *shlex.split(option)), 0, "out.png")
    for option in ("--size 20", "--preserve-color", "--threads 2", "--json", "--quiet"):
        one = f"stylize content.png -o out.png --model generator.fnst {option}"
        yield Command(tuple(shlex.split(one)), 0, "out.png")
    for name in ("png", "jpeg", "webp", "tiff", "bmp", "ppm", "pam"):
        arguments = ("stylize", "content.png", "style.png", "-o", "formatted", "--model", "model.fnst", "--format", name)
        yield Command(arguments, 0, "formatted")
    for words in ("--dry-run", "--dry-run --json", "--dry-run --each"):
        yield Command((*shlex.split(ONE), *shlex.split(words)), 0)
    look = ("look", "style.png", "-o", "a.look", "--model", "model.fnst", "--style-scale", "0.5")
    yield Command(look, 0, "a.look")
    into = ("stylize", "content.png", "style.png", "-o", "names/", "--model", "model.fnst")
    yield Command(into, 0, "names/content.png")
    yield Command((*into, "--each", "--name", "{style}_{content}.{ext}"), 0, "names/style_content.png")
    for suffix in ("jpg", "JPEG", "png", "webp", "tif", "tiff", "bmp", "ppm", "pam"):
        arguments = ("stylize", "content.png", "style.png", "-o", f"out.{suffix}", "--model", "model.fnst")
        yield Command(arguments, 0, f"out.{suffix}")


def _of_names() -> Iterator[Command]:
    containers = [".y4m", ".mp4"] if importlib.util.find_spec("av") else [".y4m"]
    for name in map(os.fsdecode, NAMES):
        model = ("--model", "model.fnst", "--quiet")
        for suffix in (".png", *containers):
            source = f"names/{name}{suffix}"
            yield Command(("stylize", source, "style.png", "-o", f"out/{name}{suffix}", *model), 0, f"out/{name}{suffix}")
            yield Command(("stylize", source, "style.png", "-o", f"taken/{name}{suffix}", *model), 1)
        # In the current folder, where a name may look like an option.
        options = (*model, f"--output={name}.tif", "--", f"{name}.png", "style.png")
        yield Command(("stylize", *options), 0, f"{name}.tif")
        yield Command(("stylize", "content.png", f"./{name}.png", "-oout.png", f"--model={name[:250]}.fnst"), 0, "out.png")
        yield Command(("stylize", f"names/{name}", "style.png", "-o", f"out/{name}", *model), 0, f"out/{name}/{name}.png")
        tiles = ("stylize", "large.png", "style.png", "-o", f"names/{name}/out.tif", "--max-memory", "8M", *model)
        yield Command(tiles, 0, f"names/{name}/out.tif")
        yield Command(("stylize", f"./{name}.jpg", "style.png", "-o", "out.png", *model), 1)
        yield Command(("stylize", "content.png", "style.png", "-o", f"./{name}/out.png", f"--model={name}.jpg"), 1)
        yield Command((name,), 0 if name == "--help" else 2)


def commands() -> list[Command]:
    """All that are run in this process: the pairs of options, what fails, what is wrong, strange names."""
    found = [*_of_options(), *(Command(each, 0) for each in _lines(DONE)), *(Command(each, 1) for each in _lines(FAILED))]
    return [*found, *(Command(each, 2) for each in [(), *_lines(WRONG)]), *_of_names()]


@contextmanager
def furnished() -> Iterator[Path]:
    """The current folder, with all files that the commands name."""
    before = Path.cwd()
    with workplace(2) as folder:
        os.chdir(folder)
        try:
            Path("wct.fnst").write_bytes(to_bytes(corpora.cascade()))
            Path("generator.fnst").write_bytes(to_bytes(corpora.generator()))
            for name in ("content.png", "taken.png"):
                Path(name).write_bytes(Path("in/000.png").read_bytes())
            Image.fromarray(picture(800, 900, 2)).save("large.png")
            video(Path("clip.y4m"), 3)
            Path("taken.y4m").write_bytes(b"")
            Path("empty.png").touch()
            for name in ("text.png", "text.y4m"):
                Path(name).write_text("neither a picture nor a video")
            Path("cut.png").write_bytes(Path("large.png").read_bytes()[:999])
            Path("nothing").mkdir()
            yield folder
        finally:
            os.chdir(before)


def _add_names() -> None:
    """Pictures, videos, models and folders of every strange name."""
    for name in ("names", "out", "taken"):
        Path(name).mkdir()
    png, y4m, model = (Path(name).read_bytes() for name in ("content.png", "clip.y4m", "model.fnst"))
    mp4 = b""
    if importlib.util.find_spec("av"):
        run(("stylize", "clip.y4m", "style.png", "-o", "clip.mp4", "--model", "model.fnst", "--quiet"))
        mp4 = Path("clip.mp4").read_bytes()
    for name in map(os.fsdecode, NAMES):
        for file, data in ((f"{name}.png", png), (f"{name[:250]}.fnst", model), (f"{name}/{name}.png", png)):
            for place in (Path("names"), Path()) if "/" not in file else (Path("names"),):
                (place / file).parent.mkdir(exist_ok=True)
                (place / file).write_bytes(data)
        for suffix, data in ((".png", png), (".y4m", y4m), (".mp4", mp4)):
            for place in ("names", "taken"):
                Path(f"{place}/{name}{suffix}").write_bytes(data)


def files() -> dict[str, tuple[int, int]]:
    """Every file under the current folder, with what changes when it is written anew."""
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in Path().rglob("*") if path.is_file()}


def run(arguments: tuple[str, ...]) -> tuple[int, str]:
    """Exit code and what is said on stderr, in this process."""
    heard = io.BytesIO()
    out, errors = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(heard, "utf-8", "backslashreplace")
    with redirect_stdout(out), redirect_stderr(errors):
        try:
            code = cli.main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
    errors.flush()
    return code, heard.getvalue().decode()


def broken(command: Command, code: int, said: str, before: dict[str, tuple[int, int]]) -> str:
    """What is not as promised: the code, a line for a failure and none for a success, the output alone and only after that."""
    after = files()
    made = {name for name, state in after.items() if before.get(name) != state}
    for name in made - before.keys():
        Path(name).unlink()
    line = said.removeprefix("fastnst: error: ").removesuffix("\n")
    spoken = said == "" if command.code == 0 else line.isprintable() and said == f"fastnst: error: {line}\n"
    if code == command.code and spoken and made == {command.output} - {""} and before.keys() <= after.keys():
        return ""
    return f"exit code {code} instead of {command.code}, made {sorted(made)}: {said!r}"


@check("60 flag combinations, all exit codes, strange names", quick=90, full=1000)
def flag_combinations(count: int) -> Outcome:
    """Each ends with the right exit code and at most one line, and with its output or none."""
    outcome, every = Outcome(), commands()
    with furnished():
        _add_names()
        before = files()
        for command in every[:: max(1, len(every) // count)]:
            code, said = run(command.arguments)
            fault = broken(command, code, said, before)
            outcome.expect(not fault, f"{command.arguments!r}: {fault}")
        outcome.expect(files() == before and not hidden(Path()), "files are left or changed")
    return outcome
