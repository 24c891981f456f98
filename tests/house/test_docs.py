"""README and docs: every shell line and every Python block runs, every link leads somewhere, every option exists.

Shell lines run in a folder with small pictures. A comment at the end of a line says why it cannot run here, in these words
and no others: ``needs the network``, ``needs a camera``, ``needs a browser``, ``needs a GPU``, ``needs emscripten``,
``needs ffmpeg``, ``needs DATA``, ``needs '.[bench]'``, ``needs '.[onnx]'``, ``takes minutes``, ``takes hours``. Of such a
line the commands, options, targets and extras are checked.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from command_server import command_server
from foreign_networks import Resnet
from numpy_engine import Lcg
from numpy_generator import resnet_like, with_styles
from PIL import Image

import fastnst
from fastnst.cli.commands.train import RECIPES
from fastnst.cli.registry import build_parser
from fastnst.format.modelfile import to_bytes

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/*.md")]
)
UNRUN = re.compile(
    r"#.*\b(needs (the network|a camera|a browser|a GPU|emscripten|ffmpeg|DATA)"
    r"|needs '\.\[(bench|onnx)\]'|takes (minutes|hours))\s*$"
)
LANGUAGES = {"c", "js", "python", "sh", "text"}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for match in re.finditer(r"^```([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield Block(page, text.count("\n", 0, match.start()) + 1, match[1], match[2])


def shell_lines(page: Path) -> list[str]:
    return [line for block in blocks(page) if block.language == "sh" for line in block.text.splitlines() if line]


# ---- what the lines find ----------------------------------------------------------------------------------------------------


def picture(seed: int, size: tuple[int, int] = (80, 64)) -> Image.Image:
    """Soft colours, not flat: such as a photograph has."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (8, 10, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the pages speak of."""
    folder = tmp_path_factory.mktemp("prepared")
    for seed, name in enumerate(
        ("photo.jpg", "painting.jpg", "one.jpg", "two.jpg", "photo.ppm", "painting.ppm", "scan.tif", "sky.png", "mask.png")
    ):
        picture(seed).save(folder / name)
    for seed, name in enumerate(("photos/a.jpg", "photos/more/b.png", "paintings/c.jpg", "paintings/d.jpg", "mixed/e.png")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture(seed).save(folder / name)
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4)).save(folder / "labels.png")
    frames = b"".join(b"FRAME\n" + bytes([80 + 20 * i]) * (64 * 48) + bytes([128]) * (2 * 32 * 24) for i in range(3))
    (folder / "clip.y4m").write_bytes(b"YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420jpeg\n" + frames)
    shutil.copy(folder / "clip.y4m", folder / "mixed" / "f.y4m")
    lcg = Lcg(4)
    (folder / "many.fnst").write_bytes(to_bytes(with_styles(resnet_like(lcg, 2, blocks=1), lcg, 13)))
    for name in ("examples/photo2painting.fnst", "fastnst/models/adain-16x.fnst"):
        shutil.copy(ROOT / name, folder / ("model.fnst" if "models" in name else Path(name).name))
    for run, weights in (("adain-16x", "adain-nano"), ("crd", "photo2painting")):
        (folder / "runs" / run).mkdir(parents=True)
        shutil.copy(ROOT / "train" / "weights" / f"{weights}.safetensors", folder / "runs" / run / "final.safetensors")
    torch.manual_seed(0)
    torch.save(Resnet(4, 1).state_dict(), folder / "latest_net_G.pth")
    (folder / "train").symlink_to(ROOT / "train")
    return folder


@pytest.fixture
def here(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of it as the current folder, with the commands of this environment on the PATH. No page's variables are left."""
    folder = tmp_path / "here"
    shutil.copytree(prepared, folder, symlinks=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    with patch.dict(os.environ):
        yield folder


@pytest.fixture(scope="module")
def forking() -> Iterator[Path]:
    """A folder with a ``fastnst`` that starts faster."""
    with command_server() as folder:
        yield folder


def make_clip(folder: Path) -> None:
    """``clip.mp4`` of what ``clip.y4m`` holds."""
    av = pytest.importorskip("av")
    with av.open(str(folder / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for seed in range(3):
            frame = av.VideoFrame.from_image(picture(seed, (64, 48)))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


# ---- code -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_of_a_page_runs(page: Path, here: Path, forking: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the top to the bottom: names of Python and files of the shell last from block to block."""
    found = list(blocks(page))
    assert {block.language for block in found} <= LANGUAGES
    if "clip.mp4" in "".join(block.text for block in found):
        make_clip(here)
    if page.name != "README.md":  # whose lines run what is installed
        monkeypatch.setenv("PATH", os.pathsep.join([str(forking), os.environ["PATH"]]))
    names: dict[str, object] = {"__name__": "__main__"}
    for block in found:
        if block.language == "sh":
            script = "\n".join(line for line in block.text.splitlines() if not UNRUN.search(line))
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True)
            assert done.returncode == 0, f"{page.name}:{block.line}: {done.stderr[-2000:]}"
        elif block.language == "python":
            run_python(block, names)


def run_python(block: Block, names: dict[str, object]) -> None:
    path = Path(f"{block.page.stem}-{block.line}.py")
    path.write_text(block.text)
    names.update(runpy.run_path(str(path), init_globals=names))


# ---- lines that cannot run here ---------------------------------------------------------------------------------------------


def unrun_lines() -> list[tuple[str, str]]:
    return [(page.name, line) for page in PAGES for line in shell_lines(page) if UNRUN.search(line)]


@pytest.mark.parametrize(("page", "line"), unrun_lines())
def test_a_line_that_cannot_run_here_is_one_that_could(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)
    commands = [list(group) for group in split_pipe(words)]
    assert commands, page
    for command in commands:
        check_command([word for word in command if not re.fullmatch(r"[A-Z_]+=.*", word)])


def split_pipe(words: list[str]) -> Iterator[list[str]]:
    start = 0
    for end in [*(i for i, word in enumerate(words) if word == "|"), len(words)]:
        yield words[start:end]
        start = end + 1


def check_command(words: list[str]) -> None:
    name, *rest = words
    if name == "pip":
        check_extras(rest)
    elif name == "make":
        targets = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[0].split()
        assert rest and set(rest) <= set(targets)
    elif name == "fastnst":
        check_fastnst(rest)
    elif name == "torchrun":
        module = rest[rest.index("-m") + 1]
        check_recipe(module.rpartition(".")[2], rest[rest.index("-m") + 2 :])
    elif name == "python" and rest[0] == "-m":
        check_torture(rest[1:])
    elif name == "python":
        assert (ROOT / rest[0]).is_file()
    elif "/" in name:
        assert os.access(ROOT / name, os.X_OK)
    else:
        assert name == "ffmpeg"  # somebody else's options


def check_extras(words: list[str]) -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert words[0] == "install"
    for word in words[1:]:
        extras = re.fullmatch(r"\.(?:\[([\w,]+)\])?", word)
        assert extras is not None, word
        for extra in filter(None, (extras[1] or "").split(",")):
            assert re.search(rf"^{extra} = \[", text, re.MULTILINE), extra


def check_fastnst(words: list[str]) -> None:
    with contextlib.suppress(SystemExit):
        arguments = build_parser().parse_args(words)
        if words[0] == "train":
            check_recipe(arguments.recipe, arguments.arguments)
        return
    pytest.fail(f"fastnst {shlex.join(words)}: refused")


class UnderstoodError(Exception):
    """The arguments of a recipe are in order; it need not run."""


def check_recipe(name: str, words: list[str]) -> None:
    module = importlib.import_module(RECIPES[name])
    settings = importlib.import_module("fastnst.train.settings")
    known = settings.filled

    def understood(*arguments: object) -> object:
        if arguments[2] == "command line":
            known(*arguments)
            raise UnderstoodError
        return known(*arguments)

    def begun(_: object) -> None:
        raise UnderstoodError

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        if name == "campaign":
            patch.setattr(module.Campaign, "run", begun)
        else:
            patch.setattr(settings, "filled", understood)
        with pytest.raises(UnderstoodError):
            module.main(words)


def check_torture(words: list[str]) -> None:
    torture = importlib.import_module("torture")
    names = {check.name for check in torture.everything()}
    if words[0] == "torture":
        assert set(words[1:]) <= names
    else:
        importlib.import_module(words[0])


# ---- options and links ------------------------------------------------------------------------------------------------------


def options() -> set[str]:
    """Every option of any command, recipes and the stand-alone program included, and of programs that pages name."""
    found = set()
    parser = build_parser()
    (commands,) = [action for action in parser._actions if hasattr(action, "choices") and isinstance(action.choices, dict)]
    for command in [parser, *commands.choices.values()]:
        found |= {option for action in command._actions for option in action.option_strings}
    for path in (ROOT / "train").rglob("*.py"):
        found |= {f"--{name.replace('_', '-')}" for name in re.findall(r"^    (\w+): \w+ =", path.read_text(), re.MULTILINE)}
    found |= set(re.findall(r'"(--[\w-]+)"', (ROOT / "train" / "settings.py").read_text()))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_that_a_page_names_exist(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    named = {option for code in re.findall(r"`([^`\n]+)`", prose) for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", code)}
    assert named <= options()


def links(page: Path) -> list[str]:
    prose = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", prose)


def anchors(page: Path) -> set[str]:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.is_file(), f"{page.name}: {link}"
        assert target.is_relative_to(ROOT)
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text().partition("nav:")[2]
    assert [page.name for page in ROOT.glob("docs/*.md") if f": {page.name}" not in navigation] == []


def test_readme_is_two_screens() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 110


def test_gallery_is_small() -> None:
    pictures = list((ROOT / "docs" / "gallery").iterdir())
    assert pictures and sum(path.stat().st_size for path in pictures) < 1_100_000


# ---- the built pages --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those in FASTNST_PAGES, where `make docs` has just left them, or new ones."""
    if "FASTNST_PAGES" in os.environ:
        return Path(os.environ["FASTNST_PAGES"])
    pytest.importorskip("mkdocs", reason="the docs extra is not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_pages_request_nothing_from_other_hosts(site: Path) -> None:
    loaded = re.compile(r'<(?:script|link|img|iframe|source|object)\b[^>]*\b(?:src|href|data)="((?:https?:)?//[^"]+)"')
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(PAGES)
    assert {page.name: found for page in pages if (found := loaded.findall(page.read_text()))} == {}
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import\s)['\"]?(?:https?:)?//", styles) == []


def test_reference_has_every_operation_and_its_formula(site: Path) -> None:
    page = (site / "ops-reference.html").read_text()
    ops = importlib.import_module("fastnst.ops")
    assert [name for name in ops.__all__ if f'.{name}"' not in page] == []
    assert page.count("<math") >= 10
    assert ".. math::" not in page and ":func:" not in page


def test_pages_show_no_markup(site: Path) -> None:
    for page in ("python.html", "format.html", "index.html"):
        assert not re.search(r":(?:mod|class|func|meth):`", (site / page).read_text())


def test_version_of_the_package_is_in_the_changelog() -> None:
    assert f"## {fastnst.__version__}" in (ROOT / "CHANGELOG.md").read_text()
