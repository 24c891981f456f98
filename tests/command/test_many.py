"""Several contents, several styles each alone, and what they are called; plans that are only printed; completion."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from command_line import MODEL, Run, failed, files_in, pixels
from PIL import Image

from fastnst import Stylizer
from fastnst import engine as engines
from fastnst.jobs.names import Name
from fastnst.jobs.plans import unlike


@pytest.fixture
def styles(work: Path, photo_folder: Path) -> Path:
    """A folder of three styles."""
    (work / "styles").mkdir()
    for name in ("coffee", "flower", "china"):
        shutil.copy(photo_folder / f"{name}.png", work / "styles" / f"{name}.png")
    (work / "styles" / "notes.txt").write_text("no style")
    return work / "styles"


@pytest.mark.usefixtures("styles")
def test_every_style_alone(run: Run) -> None:
    assert run("stylize", "content.png", "styles", "-o", "out", *MODEL, "--each", "--alpha", "0.6").code == 0
    assert files_in(Path("out")) == {"content-china.png", "content-coffee.png", "content-flower.png"}
    assert run("stylize", "content.png", "styles/flower.png", "-o", "one.png", *MODEL, "--alpha", "0.6").code == 0
    np.testing.assert_array_equal(pixels("out/content-flower.png"), pixels("one.png"))
    assert run("stylize", "content.png", "styles", "-o", "out", *MODEL, "--each").out.startswith("0 stylized, 3 already there")


@pytest.mark.usefixtures("styles")
def test_a_content_is_encoded_once_for_all_styles(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []
    encode = engines.Engine.encode

    def counted(self: engines.Engine, image: engines.Pixels, threads: int | None = None) -> engines.Features:
        encoded.append(image.shape)
        return encode(self, image, threads)

    monkeypatch.setattr(engines.Engine, "encode", counted)
    assert run("stylize", "content.png", "--style", "styles", "-o", "out", *MODEL, "--each").code == 0
    assert len(encoded) == 1


def test_every_style_alone_in_python(model_path: Path, wct_path: Path, photo_folder: Path) -> None:
    content, *styles = (Image.open(photo_folder / f"{name}.png") for name in ("cat", "coffee", "flower"))
    for path in (model_path, wct_path):
        stylizer = Stylizer(path, 1)
        for result, style in zip(stylizer.each(content, styles, alpha=0.7, preserve_color="lab"), styles, strict=True):
            assert isinstance(result, Image.Image)
            wanted = stylizer(content, style, alpha=0.7, preserve_color="lab")
            np.testing.assert_array_equal(np.asarray(result), np.asarray(wanted))
    pixels_ = np.asarray(content.convert("RGB"))
    assert [type(each) for each in stylizer.each(pixels_, [np.asarray(styles[0].convert("RGB"))])] == [np.ndarray]


@pytest.mark.usefixtures("styles")
def test_several_contents_and_a_sheet(run: Run) -> None:
    words = ("stylize", "content.png", "style.png", "--style", "styles", "--each", "-o", "out", "--sheet", "sheet.png", *MODEL)
    assert run(*words).code == 0
    assert len(files_in(Path("out"))) == 6
    with Image.open("sheet.png") as sheet:
        assert sheet.width > 3 * 200
        assert sheet.height > 2 * 200
    assert failed(run(*words), "sheet.png: exists already")


@pytest.mark.usefixtures("styles")
def test_names_do_not_clash(run: Run) -> None:
    Path("more").mkdir()
    shutil.copy("style.png", "more/content.png")
    contents = ("content.png", "more/content.png", "--style", "styles/china.png")
    assert run("stylize", *contents, "-o", "out", *MODEL).code == 0
    assert files_in(Path("out")) == {"content.png", "content-2.png"}
    assert run("stylize", *contents, "--style", "more/content.png", "--each", "-o", "each/", *MODEL).code == 0
    assert len(files_in(Path("each"))) == 4


def test_unlike_names() -> None:
    assert unlike(["a.png", "a.jpg", "b", "a.png", "a-2.png"]) == ["a.png", "a-2.jpg", "b", "a-3.png", "a-2-2.png"]
    assert len({Path(name).stem for name in unlike(["a", "a-2", "a", "a", "a-2"])}) == 5


@pytest.mark.usefixtures("styles")
def test_names_by_a_template(run: Run) -> None:
    options = ("--each", "--name", "{style}/{content}_x.{ext}", "--format", "webp")
    assert run("stylize", "content.png", "styles", "-o", "out/", *MODEL, *options).code == 0
    assert files_in(Path("out")) == {f"{style}/content_x.webp" for style in ("china", "coffee", "flower")}
    clash = run("stylize", "content.png", "styles", "-o", "same/", *MODEL, "--each", "--name", "{content}.{ext}")
    assert clash.code == 1
    assert clash.err.count("is also that of") == 3


@pytest.mark.parametrize("template", ["{contents}", "{content", "../{content}", "/x/{content}", "{0}.png", "{content!r}", ""])
def test_templates_that_cannot_be(template: str) -> None:
    with pytest.raises(ValueError, match=r"^'"):
        Name(template)


@pytest.mark.usefixtures("styles")
def test_samples_are_the_same_for_the_same_seed(run: Run) -> None:
    def chosen(seed: int) -> set[str]:
        folder = Path(f"out{seed}")
        shutil.rmtree(folder, ignore_errors=True)
        options = ("--style", "styles", "--sample", "1", "--seed", str(seed))
        assert run("stylize", "content.png", "style.png", "-o", f"{folder}/", *MODEL, *options).code == 0
        return {name for name in files_in(folder) if not name.startswith(".fastnst-job/")}

    assert chosen(1) == chosen(1)
    assert len(chosen(2)) == 2
    assert len({frozenset(chosen(seed)) for seed in range(4)}) > 1


@pytest.mark.usefixtures("work")
def test_one_picture_into_a_folder(run: Run) -> None:
    assert run("stylize", "content.png", "style.png", "-o", "new/", *MODEL).code == 0
    assert files_in(Path("new")) == {"content.png"}


@pytest.mark.usefixtures("styles")
def test_a_broken_style_among_several_fails_alone(run: Run) -> None:
    Path("styles/bad.png").write_text("no picture")
    result = run("stylize", "content.png", "styles", "-o", "out", *MODEL, "--each")
    assert result.code == 1
    assert "styles/bad.png: not a picture" in result.err
    assert len(files_in(Path("out"))) == 3


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("content.png", "styles", "-o", "out", "--each", "--weights", "1,2"), "take every style alone"),
        (("content.png", "style.png", "-o", "out.png", "--sheet", "s.png"), "--sheet shows several results"),
        (("content.png", "style.png", "-o", "out.png", "--name", "{style}.png"), "--name is for outputs in a folder"),
        (("content.png", "styles", "-o", "out", "--each", "--sheet", "s.txt"), "the suffix of a sheet"),
        (("content.png", "styles", "-o", "-", "--each"), "one picture or video"),
        (("content.png", "styles", "-o", "style.png", "--each"), "is a file; name a folder"),
        (("content.png", "styles", "-o", "out", "--sample", "0"), "0 is less than 1"),
        (("content.png", "styles", "-o", "out", "--each", "--name", "{x}"), "the fields of a name are"),
    ],
)
def test_wrong_usage(run: Run, styles: Path, arguments: tuple[str, ...], part: str) -> None:
    before = files_in(styles.parent)
    assert failed(run("stylize", *MODEL, *arguments), part, code=2)
    assert files_in(styles.parent) == before


# ---- plans that are only printed --------------------------------------------------------------------------------------------


def test_a_dry_run_writes_nothing_and_says_what_the_run_then_does(run: Run, folder: Path) -> None:
    before = files_in(folder.parent)
    result = run("stylize", folder, "style.png", "-o", "out", *MODEL, "--dry-run", "--json")
    assert files_in(folder.parent) == before
    assert result.code == 1
    assert "bad.jpg: not a picture" in result.err
    told = {each["output"]: (each["width"], each["height"]) for each in map(json.loads, result.out.splitlines())}
    run("stylize", folder, "style.png", "-o", "out", *MODEL)
    done = {f"out/{name}" for name in files_in(Path("out"))}
    assert set(told) == done
    for output, size in told.items():
        with Image.open(output) as image:
            assert image.size == size


@pytest.mark.usefixtures("work")
def test_a_dry_run_tells_tiles_and_memory(run: Run) -> None:
    Image.fromarray(np.zeros((900, 1100, 3), np.uint8)).save("large.png")
    options = ("stylize", "large.png", "style.png", "-o", "out.ppm", *MODEL, "--max-memory", "9M", "--dry-run")
    result = run(*options, "--json")
    assert result.code == 0
    told = json.loads(result.out)
    assert told["tile"][0] < 900
    assert 0 < told["planned_memory"] <= 9 << 20
    assert "in tiles of" in run(*options).out
    assert failed(run("stylize", "large.png", "nothing.png", "-o", "out.png", *MODEL, "--dry-run"), "nothing.png: no such file")


# ---- completion -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_every_option(run: Run, shell: str) -> None:
    script = run("completion", shell).out
    for word in ("stylize", "styles", "style-scale", "preserve-color", "strip-metadata", "histogram"):
        assert word in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script.encode(), check=True)


def test_bash_completes(run: Run, tmp_path: Path) -> None:
    (tmp_path / "script").write_text(run("completion", "bash").out)
    ask = 'source ./script; COMP_WORDS=({}); COMP_CWORD={}; _fastnst; echo "${{COMPREPLY[@]}}"'
    for words, at, wanted in (
        ("fastnst sty", 1, {"stylize", "styles"}),
        ("fastnst stylize --preserve-color h", 3, {"histogram"}),
        ("fastnst stylize --qua", 2, {"--quality"}),
    ):
        done = subprocess.run(["bash", "-c", ask.format(words, at)], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert set(done.stdout.split()) == wanted
