"""Generators of several styles: one, or a mixture, for pictures, folders and videos, and what is refused in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy_engine import Lcg, random_picture
from numpy_generator import resnet_like, translate, with_styles
from PIL import Image

from fastnst import Stylizer, cli
from fastnst.engine import Engine
from fastnst.format.graphfile import GeneratorFile
from fastnst.format.modelfile import to_bytes
from fastnst.options import Options
from fastnst.system.errors import UsageError
from fastnst.video.job import identity_of

STYLES = 5
PICTURE = random_picture(Lcg(1), 33, 46)


@pytest.fixture(scope="module")
def model() -> GeneratorFile:
    lcg = Lcg(4)
    made = with_styles(resnet_like(lcg, 3, blocks=1), lcg, STYLES)
    return replace(made, card={"name": "many", "kind": "generator", "styles": STYLES})


@pytest.fixture(scope="module")
def many(model: GeneratorFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("styles") / "many.fnst"
    path.write_bytes(to_bytes(model))
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for name in "ab":
        Image.fromarray(PICTURE).save(folder / f"{name}.png")
    return folder


def stylized(many: Path, photo: Path, out: Path, *more: str) -> np.ndarray:
    assert cli.main(["stylize", str(photo), "--model", str(many), "-o", str(out), "--quiet", "--overwrite", *more]) == 0
    with Image.open(out) as image:
        return np.asarray(image)


def test_a_style_by_its_number(model: GeneratorFile, many: Path, photos: Path, tmp_path: Path) -> None:
    stylizer = Stylizer(many)
    assert stylizer.styles == STYLES
    for style in range(STYLES):
        wanted = translate(model, PICTURE, [float(each == style) for each in range(STYLES)])
        np.testing.assert_array_equal(stylizer(PICTURE, style_index=style), wanted)
    np.testing.assert_array_equal(
        stylized(many, photos / "a.png", tmp_path / "a.png", "--style-index", "4"), stylizer(PICTURE, style_index=4)
    )
    np.testing.assert_array_equal(stylized(many, photos / "a.png", tmp_path / "b.png"), stylizer(PICTURE, style_index=0))


def test_weights_are_taken_relative_to_their_sum(model: GeneratorFile, many: Path, photos: Path, tmp_path: Path) -> None:
    stylizer = Stylizer(many)
    wanted = translate(model, PICTURE, [0.0, 0.75, 0.0, 0.25, 0.0])
    np.testing.assert_array_equal(stylizer(PICTURE, style_weights={1: 3.0, 3: 1.0}), wanted)
    np.testing.assert_array_equal(stylizer(PICTURE, style_weights={3: 0.25, 1: 0.75, 2: 0}), wanted)
    np.testing.assert_array_equal(stylized(many, photos / "a.png", tmp_path / "a.png", "--style-weights", "1:3,3:1"), wanted)
    assert not np.array_equal(wanted, stylizer(PICTURE, style_index=1))


def test_folders_and_videos_are_in_that_style(many: Path, photos: Path, tmp_path: Path) -> None:
    wanted = Stylizer(many)(PICTURE, style_index=2)
    asked = ["--model", str(many), "--style-index", "2", "--quiet"]
    assert cli.main(["stylize", str(photos), "-o", str(tmp_path / "all"), *asked]) == 0
    for name in "ab":
        with Image.open(tmp_path / "all" / f"{name}.png") as image:
            np.testing.assert_array_equal(np.asarray(image), wanted)
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(3):
        Image.fromarray(PICTURE).save(frames / f"f{number}.png")
    out = tmp_path / "made"
    out.mkdir()
    assert cli.main(["stylize", str(frames / "f%d.png"), "-o", str(out / "g%d.png"), *asked]) == 0
    for number in range(3):
        with Image.open(out / f"g{number}.png") as image:
            np.testing.assert_array_equal(np.asarray(image.convert("RGB")), wanted)


def test_a_video_of_another_style_is_not_gone_on_with(many: Path) -> None:
    stylizer = Stylizer(many)
    chosen = [None, [(0, 1.0)], [(1, 1.0)], [(0, 0.5), (1, 0.5)]]
    assert len({identity_of(stylizer, Options(style_weights=each)) for each in chosen}) == len(chosen)


def test_models_says_how_many_styles_there_are(many: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", str(many)]) == 0
    assert f"{STYLES} styles" in " ".join(capsys.readouterr().out.split())
    assert cli.main(["models", str(many), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["styles"] == STYLES


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--style-index", "5"], "there is no style 5: this model has 5, numbered 0 to 4"),
        (["--style-index", "-1"], "-1"),
        (["--style-index", "x"], "not a whole number"),
        (["--style-weights", "1:0.5,9:0.5"], "there is no style 9"),
        (["--style-weights", "1"], "'1' is no style with its weight"),
        (["--style-weights", "1:-1,2:1"], "at least 0"),
        (["--style-weights", "1:0,2:0"], "not all be 0"),
        (["--style-weights", "1:nan"], "at least 0"),
        (["--style-weights", "1:0.5,1:0.5"], "two weights"),
        (["--style-weights", "1:1", "--style-index", "1"], "not allowed with"),
    ],
)
def test_what_is_no_style_is_refused_in_one_line(
    many: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    out = tmp_path / "out.png"
    command = ["stylize", str(photos / "a.png"), "--model", str(many), "-o", str(out), *more]
    try:
        code = cli.main(command)
    except SystemExit as stopped:
        code = int(str(stopped.code))
    assert code == 2
    assert words in capsys.readouterr().err.strip().splitlines()[-1]
    assert not out.exists()


def test_other_models_have_no_styles_of_their_own(
    model_path: Path, generator_path: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, out = str(photos / "a.png"), str(tmp_path / "out.png")
    for model, style in ((model_path, [photo]), (generator_path, [])):
        assert cli.main(["stylize", photo, *style, "--model", str(model), "-o", out, "--style-index", "0"]) == 2
        assert "no styles of its own" in capsys.readouterr().err
    stylizer = Stylizer(model_path)
    with pytest.raises(UsageError, match="no styles of its own"):
        stylizer(PICTURE, PICTURE, style_weights={0: 1.0})
    assert stylizer.styles == Engine(generator_path).styles == 0
    with pytest.raises(ValueError, match="give one of them"):
        stylizer(PICTURE, PICTURE, style_index=0, style_weights={0: 1.0})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"style_index": 1.0}, "must be a whole number, not 1.0"),
        ({"style_index": "1"}, "must be a whole number, not '1'"),
        ({"style_weights": {1.5: 1}}, "must be a whole number, not 1.5"),
        ({"style_weights": {1: "x"}}, "numbers of at least 0"),
        ({"style_weights": {1: None}}, "numbers of at least 0"),
        ({"style_weights": {1: 10**400}}, "numbers of at least 0"),
        ({"style_weights": {1: 1e308, 2: 1e308}}, "too large to be summed"),
        ({"style_weights": {}}, "not all be 0"),
        ({"style_weights": [0.5, 0.5]}, "must be weights by numbers of styles"),
        ({"style_weights": "1:2"}, "must be weights by numbers of styles"),
    ],
)
def test_python_says_what_is_no_style_in_one_line(many: Path, given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Stylizer(many)(PICTURE, **given)
    assert np.array_equal(Stylizer(many)(PICTURE, style_index=np.int64(1)), Stylizer(many)(PICTURE, style_index=1))


def test_a_folder_of_another_style_is_named_as_it_was_asked_for(
    many: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "set"
    asked = ["stylize", str(photos), "--model", str(many), "-o", str(out), "--sample", "1", "--quiet"]
    assert cli.main([*asked, "--style-index", "2"]) == 0
    assert cli.main([*asked, "--style-weights", "2:1,3:0.5"]) == 2
    assert "style-weights was 2:1.0 and is 2:1.0,3:0.5 now" in capsys.readouterr().err
    (record,) = out.rglob("job.json")
    record.write_text(json.dumps({name: x for name, x in json.loads(record.read_text()).items() if name != "style-weights"}))
    assert cli.main(asked) == 0, "a release that knew no styles gave none"
