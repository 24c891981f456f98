"""RandomStyle: the same sample and epoch give the same bytes, as whatever kind they come and however many workers there are."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fastnst
from fastnst import transforms
from fastnst.engine import Look, Pixels
from fastnst.jobs import lookstore

MODEL = "adain-nano"


def noise(seed: int, *shape: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


STYLES = [noise(seed, 40, 48, 3) for seed in range(5)]


def style_of(**options: Any) -> transforms.RandomStyle:
    return transforms.RandomStyle(STYLES, **{"p": 1.0, "model": MODEL, **options})


@pytest.fixture(scope="module")
def style() -> transforms.RandomStyle:
    return style_of(alpha=(0.5, 1.0), mix=2, seed=3)


@pytest.fixture(scope="module")
def pictures() -> Pixels:
    return noise(9, 6, 24, 32, 3)


def test_a_style_of_a_list_is_that_of_a_call(pictures: Pixels) -> None:
    one = transforms.RandomStyle(STYLES[0], p=1, alpha=0.7, model=MODEL, palette=0.5)
    wanted = fastnst.Stylizer(MODEL)(pictures[0], STYLES[0], alpha=0.7, palette=0.5)
    np.testing.assert_array_equal(one(pictures[0]), wanted)


def test_draws_depend_on_seed_epoch_and_sample_alone(pictures: Pixels) -> None:
    style = style_of(p=0.5, alpha=(0.0, 1.0))
    once = [style(each) for each in pictures]
    again = [style(each) for each in pictures[::-1]][::-1]
    for one, other in zip(once, again, strict=True):
        np.testing.assert_array_equal(one, other)
    by_index = [style(pictures[0], index=index) for index in range(8)]
    assert len({each.tobytes() for each in by_index}) > 3
    np.testing.assert_array_equal(style(pictures[1], index=5, epoch=4), style(pictures[1], index=5, epoch=4))
    style.set_epoch(4)
    later = [style(pictures[0], index=index) for index in range(8)]
    assert any((one != other).any() for one, other in zip(by_index, later, strict=True))
    np.testing.assert_array_equal(later[3], style_of(p=0.5, alpha=(0.0, 1.0))(pictures[0], index=3, epoch=4))
    other = style_of(p=0.5, alpha=(0.0, 1.0), seed=1)
    assert any((style(each, epoch=0) != other(each)).any() for each in pictures)


def test_the_chance_is_kept_to(pictures: Pixels) -> None:
    picture = pictures[0]

    def stylized(p: float) -> int:
        style = style_of(p=p)
        return sum(style(picture, index=index) is not picture for index in range(100))

    assert (stylized(0), stylized(1)) == (0, 100)
    assert 15 < stylized(0.3) < 45


def test_every_kind_gives_the_same_pixels(style: transforms.RandomStyle, pictures: Pixels) -> None:
    torch = pytest.importorskip("torch")
    array = pictures[0]
    wanted = style(array)
    assert wanted.dtype == np.uint8
    assert (wanted != array).any()
    image = style(Image.fromarray(array))
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), wanted)
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    for dtype in (torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64):
        given = tensor if dtype == torch.uint8 else (tensor / 255).to(dtype)
        key = None if dtype != torch.bfloat16 else 0  # eight bits do not fit into it: another picture, and so another draw
        result = style(given, index=key)
        assert (result.dtype, result.shape) == (dtype, given.shape)
        if key is None:
            back = result if dtype == torch.uint8 else (result.double() * 255).round().byte()
            np.testing.assert_array_equal(back.permute(1, 2, 0).numpy(), wanted)
    floats = style((array / 255).astype(np.float32))
    assert floats.dtype == np.float32
    np.testing.assert_array_equal(np.rint(floats * 255).astype(np.uint8), wanted)


def test_a_batch_is_drawn_for_picture_by_picture(pictures: Pixels) -> None:
    torch = pytest.importorskip("torch")
    style = style_of(p=0.5, seed=1)
    wanted = np.stack([style(each) for each in pictures])
    np.testing.assert_array_equal(style(pictures), wanted)
    batch = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    np.testing.assert_array_equal(style(batch).permute(0, 2, 3, 1).numpy(), wanted)
    indexed = style(pictures, index=range(6))
    np.testing.assert_array_equal(indexed[4], style(pictures[4], index=4))
    with pytest.raises(ValueError, match="a batch of 6 needs as many indices, not 2"):
        style(pictures, index=[0, 1])


def test_pictures_of_a_batch_that_are_left_alone_keep_their_very_floats() -> None:
    style, batch = style_of(p=0.5), np.random.default_rng(1).random((8, 16, 16, 3), np.float32)
    result = style(batch)
    alone = [np.array_equal(one, other) for one, other in zip(result, batch, strict=True)]
    assert 0 < sum(alone) < 8


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_modes_stay(style: transforms.RandomStyle, mode: str) -> None:
    bands = len(Image.new(mode, (1, 1)).getbands())
    image = Image.fromarray(noise(4, 20, 30, bands)[..., 0] if bands == 1 else noise(4, 20, 30, bands))
    result = style(image)
    assert (result.mode, result.size) == (mode, image.size)
    if "A" in mode:
        np.testing.assert_array_equal(np.asarray(result.getchannel("A")), np.asarray(image.getchannel("A")))
    samples = np.asarray(image) if bands > 1 else np.asarray(image)[..., None]
    np.testing.assert_array_equal(style(samples).reshape(np.asarray(result).shape), np.asarray(result))


@pytest.mark.parametrize("mode", ["P", "CMYK", "1"])
def test_other_modes_become_rgb_whether_stylized_or_not(mode: str) -> None:
    image = Image.fromarray(noise(4, 20, 30, 3)).convert(mode)
    assert style_of(p=0)(image).mode == "RGB"
    assert style_of(p=1)(image).mode == "RGB"


def test_hidden_colours_do_not_show(style: transforms.RandomStyle) -> None:
    shown = noise(5, 32, 32, 4)
    shown[:, :16, 3] = 0
    other = shown.copy()
    other[:, :16, :3] = 7
    np.testing.assert_array_equal(style(shown, index=1)[:, 16:], style(other, index=1)[:, 16:])


def test_of_a_sample_the_pictures_alone_change(style: transforms.RandomStyle, pictures: Pixels) -> None:
    torch = pytest.importorskip("torch")
    tensor, mask = torch.from_numpy(pictures[0]).permute(2, 0, 1), torch.zeros(3, 24, 32)
    result = style({"image": tensor, "mask": mask, "name": "x"}, 7)
    assert result[1] == 7
    assert result[0]["mask"] is mask
    assert torch.equal(result[0]["image"], style(tensor))
    both = style([Image.fromarray(pictures[0]), Image.fromarray(pictures[1]), mask], index=2)
    np.testing.assert_array_equal(np.asarray(both[1]), style(pictures[1], index=2))
    assert both[2] is mask
    array, label = style(pictures[0], 3)
    assert label == 3
    np.testing.assert_array_equal(array, style(pictures[0]))


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (np.zeros((4, 4, 5), np.uint8), r"not \[4, 4, 5\]"),
        (np.zeros((4, 4, 3), np.int64), "not of int64"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        (np.full((4, 4, 3), 2.5), "put RandomStyle before what normalises"),
        (np.full((4, 4, 3), np.nan), "floats from nan"),
        ("text", "needs a picture"),
        ({}, "needs a picture"),
    ],
)
def test_what_is_no_picture_is_refused(style: transforms.RandomStyle, value: Any, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        style(value)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"p": 1.5}, "p must lie"),
        ({"p": float("nan")}, "p must lie"),
        ({"alpha": 2}, "alpha must lie"),
        ({"alpha": (0.8, 0.2)}, "from less to more"),
        ({"mix": 6}, "mix must be 1 to 5"),
        ({"mix": 0}, "mix must be 1 to 5"),
        ({"palette": 3}, "palette must lie"),
        ({"preserve_color": "hue"}, "hue"),
        ({"seed": -1}, "seed must be"),
        ({"styles": []}, "at least one style"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], part: str) -> None:
    with pytest.raises(ValueError, match=part):
        transforms.RandomStyle(**{"styles": STYLES, "model": MODEL, **options})


def test_a_model_without_a_style_is_refused(generator_path: Path) -> None:
    with pytest.raises(ValueError, match="takes no style"):
        transforms.RandomStyle(STYLES, model=generator_path)


# ---- styles of files --------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Styles as files, one of them larger than styles are taken."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "styles" / "more").mkdir(parents=True)
    Image.fromarray(STYLES[0]).save(tmp_path / "styles" / "a.png")
    Image.fromarray(noise(8, 600, 700, 3)).save(tmp_path / "styles" / "more" / "b.png")
    return tmp_path / "styles"


def test_styles_of_a_folder_names_of_looks_and_looks(folder: Path) -> None:
    stylizer = fastnst.Stylizer(MODEL)
    style = transforms.RandomStyle([folder, "woodcut", stylizer.encode_style(STYLES[1])], model=MODEL)
    assert len(style.looks) == 4
    large = transforms.RandomStyle(noise(8, 600, 700, 3), model=MODEL)
    assert mean_of(style.looks[1]).tolist() == mean_of(large.looks[0]).tolist()
    (folder / "none").mkdir()
    with pytest.raises(ValueError, match="no pictures in this folder"):
        transforms.RandomStyle(folder / "none")
    with pytest.raises(ValueError, match="no such file"):
        transforms.RandomStyle("nothing.png")


def mean_of(look: Look) -> Any:
    return look.named_arrays()["mean"]


def test_looks_are_made_once_and_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = transforms.RandomStyle(folder, model=MODEL)
    (kept,) = {path.parents[1] for path in folder.parent.rglob("*.look")}
    assert kept == folder.parent / "cache" / "fastnst" / "looks"
    made: list[Path] = []
    make = transforms.Looks._made

    def counted(self: Any, style: Path, *rest: Any) -> Look:
        made.append(style)
        return make(self, style, *rest)

    monkeypatch.setattr(transforms.Looks, "_made", counted)
    again = transforms.RandomStyle(folder, model=MODEL)
    assert made == []
    for one, other in zip(first.looks, again.looks, strict=True):
        assert [each.tolist() for each in one.arrays()] == [each.tolist() for each in other.arrays()]
    damaged = next(kept.rglob("*.look"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    transforms.RandomStyle(folder, model=MODEL)
    assert len(made) == 1
    Image.fromarray(STYLES[2]).save(folder / "a.png")  # the same name, another picture
    transforms.RandomStyle(folder, model=MODEL)
    transforms.RandomStyle(folder, model=MODEL, style_size=30)
    transforms.RandomStyle(folder, model="adain-16x")
    assert len(made) == 1 + 1 + 2 + 2
    transforms.RandomStyle(folder, model=MODEL, style_cache=False)
    assert len(made) == 6 + 2


def test_a_folder_that_cannot_hold_looks_does_not_stop_anything(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    store = lookstore.LookStore(tmp_path / "file")
    look = fastnst.Stylizer(MODEL).encode_style(STYLES[0])
    assert store.look(("x",), lambda: look) is look
    assert store.error is not None
    assert "looks cannot be kept here" in store.error


# ---- workers ----------------------------------------------------------------------------------------------------------------


def test_a_pickled_model_that_ships_is_a_name_and_any_other_its_bytes(model_path: Path, tmp_path: Path) -> None:
    assert len(pickle.dumps(fastnst.Stylizer(MODEL))) < 4096
    own = tmp_path / "own.fnst"
    own.write_bytes(model_path.read_bytes())
    stylizer = fastnst.Stylizer(own, 1)
    packed = pickle.dumps(stylizer)
    own.unlink()
    again = pickle.loads(packed)
    assert again.engine.identity == stylizer.engine.identity
    np.testing.assert_array_equal(again(noise(1, 20, 20, 3), STYLES[0]), stylizer(noise(1, 20, 20, 3), STYLES[0]))


def test_a_pickled_name_that_stands_for_another_model_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pickle.dumps(fastnst.Stylizer(MODEL))
    other = fastnst.Stylizer("adain-16x").path
    monkeypatch.setattr("fastnst.engine.shipped_model", lambda _: other)
    with pytest.raises(fastnst.ModelError, match="ships another model of this name"):
        pickle.loads(packed)


def test_torch_is_not_imported(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np; from fastnst.transforms import RandomStyle;"
        "a = np.zeros((9, 9, 3), np.uint8); RandomStyle([a], p=1, model='adain-nano')(a);"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


class Numbered:
    """A data set of pictures; the style is told the index of each, or not."""

    def __init__(self, pictures: Pixels, style: transforms.RandomStyle, indexed: bool) -> None:
        self.pictures, self.style, self.indexed = pictures, style, indexed

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Any:
        import torch

        picture = torch.from_numpy(self.pictures[index]).permute(2, 0, 1)
        return self.style(picture, index=index if self.indexed else None)


@pytest.mark.parametrize("indexed", [True, False])
def test_any_number_of_workers_gives_the_same_bytes(pictures: Pixels, indexed: bool) -> None:
    torch = pytest.importorskip("torch")
    data = Numbered(pictures, style_of(p=0.7, alpha=(0.2, 1.0), seed=5), indexed)

    def epoch(workers: int, how: str | None = None) -> Any:
        loader = torch.utils.data.DataLoader(data, batch_size=2, num_workers=workers, multiprocessing_context=how)
        return torch.cat(list(loader))

    wanted = epoch(0)
    assert (wanted != torch.from_numpy(pictures).permute(0, 3, 1, 2)).any()
    runs: list[Callable[[], Any]] = [lambda: epoch(1, "fork"), lambda: epoch(2, "fork")]
    if indexed:  # a process that imports torch anew takes seconds
        runs.append(lambda: epoch(2, "spawn"))
    for run in runs:
        assert torch.equal(run(), wanted)
    data.style.set_epoch(1)
    assert not torch.equal(epoch(0), wanted)
    assert torch.equal(epoch(1, "fork"), epoch(0))


# ---- other libraries --------------------------------------------------------------------------------------------------------


def test_inside_torchvision(style: transforms.RandomStyle, pictures: Pixels) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("torchvision", reason="torchvision is not installed", exc_type=ImportError)
    from torchvision import tv_tensors
    from torchvision.transforms import v2

    image, target = v2.Compose([v2.ToImage(), style, v2.ToDtype(torch.float32, scale=True)])(
        Image.fromarray(pictures[0]), {"mask": tv_tensors.Mask(torch.zeros(24, 32)), "label": 1}
    )
    assert isinstance(image, tv_tensors.Image)
    assert isinstance(target["mask"], tv_tensors.Mask)
    np.testing.assert_array_equal((image * 255).round().byte().permute(1, 2, 0).numpy(), style(pictures[0]))
    video = style(tv_tensors.Video(torch.from_numpy(pictures[:2]).permute(0, 3, 1, 2)), index=3)
    assert isinstance(video, tv_tensors.Video)
    np.testing.assert_array_equal(video[1].permute(1, 2, 0).numpy(), style(pictures[1], index=3))


def test_inside_albumentations(pictures: Pixels) -> None:
    albumentations = pytest.importorskip("albumentations", reason="albumentations is not installed")
    from fastnst.integrations.albumentations import RandomStyle

    face = RandomStyle(STYLES, p=1.0, model=MODEL, alpha=(0.5, 1.0), mix=2, seed=3)
    mask = np.zeros((24, 32), np.uint8)
    result = albumentations.Compose([face])(image=pictures[0], mask=mask)
    np.testing.assert_array_equal(result["image"], style_of(alpha=(0.5, 1.0), mix=2, seed=3)(pictures[0]))
    np.testing.assert_array_equal(result["mask"], mask)
