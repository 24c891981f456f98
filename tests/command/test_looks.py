"""Looks in files, and those that ship: each stands for its painting, and for one model alone."""

from __future__ import annotations

import hashlib
import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from command_line import MODEL, Run, failed, pixels
from numpy.typing import NDArray
from PIL import Image

import fastnst
from fastnst import LookError, Stylizer, load_look
from fastnst.engine import AdainLook
from fastnst.format.lookfile import Source, StoredLook, from_bytes, to_bytes
from fastnst.stylize import find_model, look_source, looks, shipped_look

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

from drawings import DRAWINGS
from public_domain import PAINTINGS, pictures
from public_domain import source as painting_source

Pixels = NDArray[np.uint8]


@pytest.mark.usefixtures("work")
def test_a_look_stands_for_its_painting(run: Run) -> None:
    assert run("look", "style.png", "-o", "mine.look", *MODEL).code == 0
    for style, output in (("style.png", "painting.png"), ("mine.look", "look.png")):
        assert run("stylize", "content.png", style, "-o", output, *MODEL, "--alpha", "0.7").code == 0
    np.testing.assert_array_equal(pixels("look.png"), pixels("painting.png"))
    assert run("stylize", "content.png", "mine.look", "style.png", "-o", "mix.png", *MODEL, "--weights", "1,3").code == 0
    np.testing.assert_array_equal(pixels("mix.png").shape, pixels("look.png").shape)


@pytest.mark.parametrize("kind", ["adain", "wct"])
def test_saved_and_loaded_it_is_the_same(
    tmp_path: Path, kind: str, model_path: Path, wct_path: Path, photos: dict[str, Pixels]
) -> None:
    stylizer = Stylizer(model_path if kind == "adain" else wct_path, 1)
    look = stylizer.encode_style(photos["coffee"])
    look.save(tmp_path / "mine.look")
    again = load_look(tmp_path / "mine.look")
    assert again.model == look.model == stylizer.engine.identity
    np.testing.assert_array_equal(stylizer(photos["cat"], again), stylizer(photos["cat"], look))
    with pytest.raises(LookError, match="the look is of the model"):
        Stylizer(wct_path if kind == "adain" else model_path, 1)(photos["cat"], again)


def test_another_model_refuses_it_in_one_line(run: Run, work: Path, wct_path: Path) -> None:
    assert run("look", "style.png", "-o", "mine.look", *MODEL).code == 0
    result = run("stylize", "content.png", "mine.look", "-o", "out.png", "--model", wct_path)
    assert failed(result, "the look is of the model")
    assert not (work / "out.png").exists()
    with pytest.raises(ValueError, match="looks of different models cannot be mixed"):
        AdainLook(*np.ones((2, 3)), model=("a", "x")).mixed([AdainLook(*np.ones((2, 3)), model=("b", "y"))], [0.5, 0.5])


@pytest.mark.usefixtures("work")
def test_a_look_of_all_levels_or_some_stands_for_its_painting(run: Run, wct_path: Path) -> None:
    """Byte for byte: nothing of WCT's matrices is rounded."""
    model = ("--model", wct_path)
    assert run("look", "style.png", "-o", "mine.look", *model).code == 0
    assert run("look", "style.png", "-o", "deep.look", *model, "--levels", "2").code == 0
    for levels, look in (((), "mine.look"), (("--levels", "1"), "mine.look"), (("--levels", "2"), "deep.look")):
        for style, output in (("style.png", "painting.png"), (look, "look.png")):
            assert run("stylize", "content.png", style, "-o", output, *model, *levels, "--overwrite").code == 0
        np.testing.assert_array_equal(pixels("look.png"), pixels("painting.png"))
    assert failed(run("stylize", "content.png", "deep.look", "-o", "out.png", *model, "--levels", "1"), "without level 1")
    assert failed(run("stylize", "content.png", "mine.look", "-o", "out.png", *MODEL), "the look is of the model")


def test_a_look_names_its_painting() -> None:
    source = Source("Träume", "Ärtist", "about 1599", "ab" * 32)
    look = StoredLook("adain", "ab", "m", {"mean": np.ones(3)}, source)
    assert from_bytes(to_bytes(look)).source == source
    assert str(source) == "Ärtist, Träume, about 1599"
    nobody = to_bytes(StoredLook("adain", "ab", "m", {"mean": np.ones(3)}))
    assert from_bytes(nobody).source is None
    assert b"source" not in nobody  # as fastnst wrote it before it knew of any


@pytest.mark.parametrize(
    "source",
    [
        None,
        "Monet",
        [],
        {},
        {"title": "a", "artist": "b", "year": "c"},
        {"title": "a", "artist": "b", "year": 1889, "sha256": "d"},
        {"title": "a", "artist": "b", "year": "c", "sha256": "d", "more": "e"},
    ],
)
def test_a_strange_source_is_a_damaged_header(source: object) -> None:
    header = json.dumps({"kind": "adain", "model": "ab", "model_name": "m", "arrays": [], "source": source}).encode()
    data = struct.pack("<8sIII", b"FNSTLOOK", 1, len(header), zlib.crc32(header)) + header
    with pytest.raises(LookError, match="its header is damaged"):
        from_bytes(data)


HEADERS = {
    "no such numbers": (b'"f8"', b'"f7"'),
    "no such part": (b'"all"', b'"any"'),
    "not square": (b'"all"', b'"lower"'),
    "without a name": (b'["mean",[3],"f8","all"]', b"[]"),
    "without lengths": (b'["mean",[3],"f8","all"]', b'["mean"]'),
    "numbers in a list": (b'"f8"', b"[8]"),
    "infinite": (b"[3]", b"[1e999]"),
}
"""What stands in a header, and what it is damaged to."""


def damaged(data: bytes, how: str) -> bytes:
    if how == "flipped":
        return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
    body = data[20:]
    if how == "nan":
        body = body[:-8] + struct.pack("<d", float("nan"))
    if how == "fewer":
        body = body[:-8]
    if how in HEADERS:
        before, after = HEADERS[how]
        (length,) = struct.unpack_from("<I", data, 12)
        header = body[:length].replace(before, after)
        assert header != body[:length]
        body = header + body[length:]
        data = data[:12] + struct.pack("<I", len(header)) + data[16:]
    if how == "header":
        body = b"\xff" + body[1:]
    return data[:16] + struct.pack("<I", zlib.crc32(body)) + body


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _: b"painting", "is not a look of fastnst"),
        (lambda data: data[:11], "cut short"),
        (lambda data: data[:-20], "checksum"),
        (lambda data: data[:8] + struct.pack("<I", 9) + data[12:], "version 9, and this fastnst reads versions 1 to 2"),
        (lambda data: data[:12] + struct.pack("<I", 1 << 30) + data[16:], "cut short"),
        (lambda data: damaged(data, "flipped"), "checksum"),
        (lambda data: damaged(data, "nan"), "not all of its numbers are finite"),
        (lambda data: damaged(data, "fewer"), "not as many as its header says"),
        (lambda data: damaged(data, "header"), "header is damaged"),
        *((lambda data, how=how: damaged(data, how), "header is damaged") for how in HEADERS),
    ],
)
def test_damaged_files_are_one_line(tmp_path: Path, change: object, said: str) -> None:
    data = to_bytes(StoredLook("adain", "ab", "m", {"mean": np.full(3, 0.1), "std": np.full(3, 0.1)}))
    assert callable(change)
    (tmp_path / "a.look").write_bytes(change(data))
    with pytest.raises(LookError, match=said) as caught:
        load_look(tmp_path / "a.look")
    assert str(caught.value).startswith(f"{tmp_path / 'a.look'}: ")


def test_numbers_are_written_in_the_fewest_bytes_that_hold_them() -> None:
    exact = np.array([[0.1, 3.0, -2e300], [3.0, 1e-310, 0.0], [-2e300, 0.0, 7.0]])
    for array, size in (
        (exact, 6 * 8),
        (exact[:2], 6 * 8),
        (np.array([1 + 2**-23, 2.0**-126, -0.0]), 3 * 4),
        (np.array([1 + 2**-7, -(2.0**127), 0.0]), 3 * 2),
        (np.array([[1.0, 5.0], [5.0, 2.0]]), 3 * 2),
        (np.array(4.0), 2),
    ):
        data = to_bytes(StoredLook("wct", "ab", "m", {"a": array}))
        assert len(data) - 20 - struct.unpack_from("<I", data, 12)[0] == size
        again = from_bytes(data).arrays["a"]
        np.testing.assert_array_equal(again, array)
        np.testing.assert_array_equal(np.signbit(again), np.signbit(array))


def test_files_of_the_first_version_are_read() -> None:
    header = b'{"kind":"adain","model":"ab","model_name":"m","arrays":[["mean",[2]],["std",[2]]]}'
    body = header + struct.pack("<4d", 0.1, 2, 3, 4)
    data = b"FNSTLOOK" + struct.pack("<III", 1, len(header), zlib.crc32(body)) + body
    found = from_bytes(data)
    np.testing.assert_array_equal(found.arrays["mean"], [0.1, 2])
    np.testing.assert_array_equal(found.arrays["std"], [3, 4])


def test_arrays_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    for kind, arrays in (("adain", {"mean": np.ones(3)}), ("adain", {"mean": np.ones(3), "std": np.ones(4)}),
                         ("wct", {"mean.1": np.ones(3), "root.1": np.ones(3)}), ("wct", {}), ("gan", {})):  # fmt: skip
        (tmp_path / "a.look").write_bytes(to_bytes(StoredLook(kind, "ab", "m", arrays)))
        with pytest.raises(LookError):
            load_look(tmp_path / "a.look")


@pytest.mark.usefixtures("work")
def test_wrong_use_of_looks(run: Run) -> None:
    assert failed(run("look", "style.png", "-o", "mine.png", *MODEL), "the suffix of a look is .look", code=2)
    assert failed(run("look", "missing.png", "-o", "mine.look", *MODEL), "missing.png: no such file")
    assert run("look", "style.png", "-o", "mine.look", *MODEL).code == 0
    assert failed(run("look", "style.png", "-o", "mine.look", *MODEL), "exists already")
    scaled = run("stylize", "content.png", "mine.look", "-o", "out.png", *MODEL, "--style-scale", "2")
    assert failed(scaled, "is a look, which has its size already", code=2)


def test_a_loaded_model_knows_itself_by_its_bytes(model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.fnst").write_bytes(model_path.read_bytes())
    one, other = (Stylizer(path).engine.identity[0] for path in (model_path, tmp_path / "copy.fnst"))
    assert one == other
    assert from_bytes(to_bytes(StoredLook("adain", one, "m", {"mean": np.ones(1)}))).model == one


# ---- looks that ship --------------------------------------------------------------------------------------------------------

WITH_LOOKS = tuple(model.name for model in fastnst.models())


@pytest.mark.parametrize("model", WITH_LOOKS)
def test_shipped_looks_belong_to_the_shipped_model(model: str) -> None:
    """If not: make models."""
    names = fastnst.looks(model)
    assert len(names) >= 12
    assert names == fastnst.looks(WITH_LOOKS[0])
    identity = Stylizer(model).engine.identity[0]
    for name in names:
        look = load_look(shipped_look(name, model))
        assert look.model is not None
        assert look.model[0] == identity
        assert look.colors is not None


@pytest.mark.parametrize("model", WITH_LOOKS)
def test_shipped_looks_are_of_drawings_or_name_their_painting(model: str) -> None:
    sources = {name: look_source(name, model) for name in looks(model)}
    paintings = {name: source for name, source in sources.items() if source is not None}
    assert sources.keys() - paintings.keys() == DRAWINGS.keys()
    for name, source in paintings.items():
        assert (source.title, source.artist, source.year) == PAINTINGS[name]
        assert len(bytes.fromhex(source.sha256)) == 32


def test_pictures_of_paintings_are_found_by_their_names(tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name.replace('-', '_')}.jpg" for name in PAINTINGS}
    for path in files.values():
        path.write_bytes(path.name.encode())
    assert pictures(tmp_path) == files
    source = painting_source("irises", files["irises"])
    assert source == Source("Irises", "Vincent van Gogh", "1889", hashlib.sha256(b"irises.jpg").hexdigest())
    files["irises"].unlink()
    with pytest.raises(ValueError, match="no picture of the name irises"):
        pictures(tmp_path)


def test_shipped_looks_are_small() -> None:
    folder = find_model("adain-16x").parent / "looks"
    assert sum(path.stat().st_size for path in folder.rglob("*.look")) < 1_000_000


@pytest.mark.usefixtures("work")
def test_a_shipped_look_by_its_name(run: Run) -> None:
    assert run("stylize", "content.png", "woodcut", "-o", "out.png").code == 0
    wanted = Stylizer()(pixels("content.png"), load_look(shipped_look("woodcut", "adain-16x")))
    np.testing.assert_array_equal(pixels("out.png"), wanted)
    Path("woodcut").mkdir()  # a file of this name is meant before that
    assert failed(run("stylize", "content.png", "woodcut", "-o", "two.png"), "is a folder")


@pytest.mark.usefixtures("work")
def test_a_look_of_other_models_is_named(run: Run) -> None:
    result = run("stylize", "content.png", "woodcut", "-o", "out.png", *MODEL)
    assert failed(result, "this look ships for adain-16x", "and not for ")
    for name, words in (("woodcutt", "; near to it is woodcut"), ("qqq", "")):
        line = f"{name}: no such file or look{words} (fastnst styles lists them)"
        assert failed(run("stylize", "content.png", name, "-o", "out.png"), line)


@pytest.mark.usefixtures("work")
def test_styles_lists_and_shows_them(run: Run) -> None:
    listed = run("styles")
    assert [line.split()[0] for line in listed.out.splitlines()] == fastnst.looks()
    assert "woodcut" in listed.out.splitlines()
    assert [json.loads(line)["name"] for line in run("styles", "--json").out.splitlines()] == fastnst.looks()
    assert failed(run("styles", "--sheet", "content.png"), "go together", code=2)
    assert failed(run("styles", *MODEL), "no looks ship for ")
    assert run("styles", "--sheet", "content.png", "-o", "sheet.png", "--model", "adain-nano").code == 0
    with Image.open("sheet.png") as image:
        assert min(image.size) > 900
    assert failed(run("styles", "--sheet", "content.png", "-o", "sheet.png"), "exists already")
