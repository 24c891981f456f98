"""``fastnst stylize --region``: parts of a picture in styles of their own, from files and from Python."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from command_line import MODEL, Pixels, Run, failed, files_in, pixels
from PIL import Image

from fastnst import Stylizer
from fastnst.cli.regions import region
from fastnst.images import as_mask, open_mask

LEFT, RIGHT = (slice(None), slice(0, 60)), (slice(None), slice(130, None))  # of the 235 columns of the content


@pytest.fixture
def masks(work: Path, photo_folder: Path) -> Path:
    """``half.png``, white on the left; ``soft.png``; ``alpha.png``, opaque on the left; and ``other.png``, one more style."""
    with Image.open("content.png") as content:
        width, height = content.size
    half = np.zeros((height // 2, width // 3), np.uint8)
    half[:, : half.shape[1] // 2] = 255
    Image.fromarray(half).save("half.png")
    Image.fromarray(np.linspace(0, 255, 40).astype(np.uint8)[None].repeat(7, 0)).save("soft.png")
    painted = np.zeros((*half.shape, 4), np.uint8)
    painted[..., 3] = half
    Image.fromarray(painted).save("alpha.png")
    Image.open(photo_folder / "flower.png").save("other.png")
    return work


def stylized(run: Run, name: str, *arguments: str) -> Pixels:
    """The pixels of a run that has to succeed."""
    result = run("stylize", *arguments, "-o", name, *MODEL)
    assert (result.code, result.err) == (0, "")
    return pixels(name)


@pytest.mark.usefixtures("masks")
@pytest.mark.parametrize("more", [(), ("--preserve-color",), ("--palette", "0"), ("--alpha", "0.5")])
def test_the_command_and_python_give_the_same(run: Run, more: tuple[str, ...]) -> None:
    regions = ("--region", "half.png=other.png", "--region", "soft.png=style.png")
    made = stylized(run, "out.png", "content.png", "style.png", *regions, *more)
    style, other = pixels("style.png"), pixels("other.png")
    given = {
        (): {},
        ("--preserve-color",): {"preserve_color": True},
        ("--palette", "0"): {"palette": 0.0},
        ("--alpha", "0.5"): {"alpha": 0.5},
    }[more]
    half, soft = (np.asarray(Image.open(name)) for name in ("half.png", "soft.png"))
    stylizer = Stylizer("model.fnst")
    python = stylizer(pixels("content.png"), style, regions=[(half, other), (Image.fromarray(soft), style)], **given)  # type: ignore[arg-type]
    np.testing.assert_array_equal(python, made)
    assert (stylizer(pixels("content.png"), style, **given) != made).any()  # type: ignore[arg-type]


@pytest.mark.usefixtures("masks")
def test_what_no_mask_covers_stays_as_it_is_without_a_style(run: Run) -> None:
    made, content = stylized(run, "out.png", "content.png", "--region", "half.png=style.png"), pixels("content.png")
    np.testing.assert_array_equal(made[RIGHT], content[RIGHT])
    assert (made[LEFT] != content[LEFT]).mean() > 0.9
    for mode in ("luma", "histogram"):
        made = stylized(run, f"{mode}.png", "content.png", "--region", "half.png=style.png", f"--preserve-color={mode}")
        np.testing.assert_array_equal(made[RIGHT], content[RIGHT])


@pytest.mark.usefixtures("masks")
def test_as_many_regions_as_there_may_be(run: Run) -> None:
    made = stylized(run, "out.png", "content.png", *(("--region", "half.png=style.png") * 64))
    np.testing.assert_array_equal(made[RIGHT], pixels("content.png")[RIGHT])
    assert (made[LEFT] != pixels("content.png")[LEFT]).any()


@pytest.mark.usefixtures("masks")
def test_white_and_black_masks(run: Run) -> None:
    """All white is the plain style byte for byte, all black is as if there were no region."""
    for name, value in (("white", 255), ("black", 0)):
        Image.new("L", (3, 9), value).save(f"{name}.png")
    plain = stylized(run, "plain.png", "content.png", "style.png")
    np.testing.assert_array_equal(stylized(run, "a.png", "content.png", "--region", "white.png=style.png"), plain)
    np.testing.assert_array_equal(stylized(run, "b.png", "content.png", "other.png", "--region", "white.png=style.png"), plain)
    np.testing.assert_array_equal(stylized(run, "c.png", "content.png", "style.png", "--region", "black.png=other.png"), plain)
    np.testing.assert_array_equal(stylized(run, "d.png", "content.png", "style.png", "--alpha-map", "white.png"), plain)
    none = stylized(run, "e.png", "content.png", "--region", "black.png=other.png")
    np.testing.assert_array_equal(none, pixels("content.png"))
    still = stylized(run, "f.png", "content.png", "style.png", "--alpha-map", "black.png")
    np.testing.assert_array_equal(still, stylized(run, "g.png", "content.png", "style.png", "--alpha", "0"))


@pytest.mark.usefixtures("masks")
def test_a_mask_is_its_transparency_where_it_has_some(run: Run) -> None:
    made = [
        stylized(run, f"{name}-out.png", "content.png", "style.png", "--region", f"{name}.png=other.png")
        for name in ("half", "alpha")
    ]
    np.testing.assert_array_equal(*made)
    opaque = np.full((4, 4, 4), 255, np.uint8)
    opaque[:2, :, :3] = 0
    assert as_mask(Image.fromarray(opaque)).values.tolist() == [[0] * 4] * 2 + [[255] * 4] * 2


def test_masks_of_every_depth(tmp_path: Path) -> None:
    """Grey of 1, 8 and 16 bits, arrays of bytes and of truth: the same mask."""
    wanted = np.array([[0, 255, 255], [255, 0, 0]], np.uint8)
    images = [Image.fromarray(wanted), Image.fromarray(wanted).convert("1"), Image.fromarray(wanted.astype(np.uint16) * 257)]
    for at, image in enumerate(images):
        image.save(tmp_path / f"{at}.png")
        np.testing.assert_array_equal(open_mask(tmp_path / f"{at}.png").values, wanted)
        np.testing.assert_array_equal(as_mask(image).values, wanted)
    for array in (wanted, wanted > 0, np.asfortranarray(wanted)):
        np.testing.assert_array_equal(as_mask(array).values, wanted)
    for bad in (wanted.astype(float), wanted[0], np.zeros((0, 3), np.uint8), wanted[..., None]):
        with pytest.raises(ValueError, match="a mask must be"):
            as_mask(bad)
    with pytest.raises(ValueError, match="not list"):
        as_mask([[0, 255]])  # type: ignore[arg-type]


def test_large_masks_are_shrunk_to_the_mean_of_what_each_pixel_covers(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    values = rng.integers(0, 256, (37, 50), np.uint8)
    monkeypatch.setattr("fastnst.pictures.masks.MAX_SIDE", 16)
    monkeypatch.setattr("fastnst.pictures.masks.CHUNK_BYTES", 150)
    covers = [np.array([[max(0, min((i + 1) * n, (j + 1) * 16) - max(i * n, j * 16)) for j in range(n)] for i in range(16)])
              for n in values.shape]  # fmt: skip
    sums = covers[0] @ values.astype(int) @ covers[1].T
    np.testing.assert_array_equal(as_mask(values).values, (2 * sums + 37 * 50) // (2 * 37 * 50))


@pytest.mark.usefixtures("masks")
def test_tiles_give_the_pixels_of_the_whole(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    # Pieces of less than this picture, so that all that is done piece by piece is.
    for name in ("png_writer.CHUNK_BYTES", "png_reader.CHUNK_BYTES", "rows.CHUNK_BYTES"):  # rows last: the others take its own
        monkeypatch.setattr(f"fastnst.pictures.{name}", 1 << 15)
    monkeypatch.setattr("fastnst.jobs.pictures._BLEND_BYTES", 1 << 16)
    monkeypatch.setattr("fastnst.pictures.rows.RowWriter.memory", 1 << 15)
    monkeypatch.setattr("fastnst.pictures.png_writer.PngWriter.memory", 1 << 17)
    small = Image.open("content.png")
    small.resize((small.width * 2, small.height * 2)).save("large.png")
    for at, regions in enumerate([("style.png", "--region", "half.png=other.png"), ("--region", "half.png=other.png")]):
        for mode in ((), ("--preserve-color=lab",), ("--alpha-map", "soft.png")):
            whole = stylized(run, f"whole{at}.png", "large.png", *regions, *mode, "--overwrite")
            options = (*regions, *mode, "--max-memory", "2500K", "--overwrite", "--json")
            planned = run("stylize", "large.png", "-o", f"tiled{at}.png", *MODEL, *options, "--dry-run")
            assert json.loads(planned.out)["tile"], planned.err
            result = run("stylize", "large.png", "-o", f"tiled{at}.png", *MODEL, *options)
            assert result.code == 0, result.err
            np.testing.assert_array_equal(pixels(f"tiled{at}.png"), whole)
    assert not list(Path().glob(".*"))


@pytest.mark.usefixtures("masks")
def test_several_styles_in_a_region_are_mixed_by_their_weights(run: Run) -> None:
    made = stylized(run, "a.png", "content.png", "--region", "half.png=style.png:3,other.png")
    stylizer, half = Stylizer("model.fnst"), Image.open("half.png")
    look = stylizer.mix([pixels("style.png"), pixels("other.png")], [3, 1])
    np.testing.assert_array_equal(stylizer(pixels("content.png"), regions=[(half, look)]), made)
    equal = stylizer(pixels("content.png"), regions=[(half, [pixels("style.png"), pixels("other.png")])])
    np.testing.assert_array_equal(stylized(run, "b.png", "content.png", "--region", "half.png=style.png,other.png"), equal)


@pytest.mark.usefixtures("masks")
def test_looks_and_scales_of_regions(run: Run) -> None:
    assert run("look", "other.png", "-o", "other.look", *MODEL).code == 0
    by_look = stylized(run, "a.png", "content.png", "style.png", "--region", "half.png=other.look")
    np.testing.assert_array_equal(stylized(run, "b.png", "content.png", "style.png", "--region", "half.png=other.png"), by_look)
    scaled = stylized(run, "c.png", "content.png", "style.png", "--region", "half.png=other.png", "--style-scale", "auto")
    half = Image.open("half.png")
    python = Stylizer("model.fnst")(
        pixels("content.png"), pixels("style.png"), style_scale="auto", regions=[(half, pixels("other.png"))]
    )
    np.testing.assert_array_equal(python, scaled)
    result = run("stylize", "content.png", "--region", "half.png=woodcut", "-o", "d.png")  # of the default model
    assert (result.code, result.err) == (0, "")


@pytest.mark.usefixtures("masks")
def test_a_region_of_one_pixel_and_a_style_smaller_than_a_feature(run: Run) -> None:
    with Image.open("content.png") as content:
        point = Image.new("L", content.size)
    point.putpixel((40, 30), 255)
    point.save("point.png")
    Image.new("RGB", (1, 2), "red").save("tiny.png")
    plain = stylized(run, "plain.png", "content.png", "style.png")
    made = stylized(run, "out.png", "content.png", "style.png", "--region", "point.png=tiny.png")
    change = np.abs(made.astype(int) - plain).sum(2)
    assert change[20:41, 30:51].max() > 30  # around it, and elsewhere only the colours that are left for the palette step
    change[10:51, 20:61] = 0
    assert change.max() <= 6
    assert made.shape == plain.shape


@pytest.mark.usefixtures("masks")
def test_a_folder_of_contents_takes_the_mask_for_each(run: Run) -> None:
    Path("in").mkdir()
    content = Image.open("content.png").convert("RGB")
    for at, size in enumerate([(90, 60), (33, 80)]):
        content.resize(size).save(f"in/{at}.png")
    arguments = ("stylize", "in", "style.png", "-o", "out", *MODEL, "--region", "half.png=other.png")
    assert run(*arguments, "--quiet").code == 0
    half = Image.open("half.png")
    for at in range(2):
        alone = Stylizer("model.fnst")(pixels(f"in/{at}.png"), pixels("style.png"), regions=[(half, pixels("other.png"))])
        np.testing.assert_array_equal(pixels(f"out/{at}.png"), alone)
    assert "2 already there" in run(*arguments).out


@pytest.mark.usefixtures("masks")
def test_videos_take_masks_that_stay_in_place(run: Run) -> None:
    rng = np.random.default_rng(1)
    frames = b"".join(b"FRAME\n" + rng.integers(30, 220, 48 * 32 * 3 // 2, np.uint8).tobytes() for _ in range(2))
    Path("clip.y4m").write_bytes(b"YUV4MPEG2 W48 H32 F25:1 Ip A1:1 C420jpeg\n" + frames)
    Image.new("L", (3, 2), 255).save("white.png")
    made = {}
    for name, options in {
        "plain": ("style.png", "--smooth", "0"),
        "white": ("other.png", "--region", "white.png=style.png"),
        "half": ("other.png", "--region", "half.png=style.png"),
    }.items():
        result = run("stylize", "clip.y4m", "-o", f"{name}.y4m", *MODEL, *options, "--quiet")
        assert (result.code, result.err) == (0, "")
        made[name] = Path(f"{name}.y4m").read_bytes()
    assert made["white"] == made["plain"] != made["half"]
    smooth = run("stylize", "clip.y4m", "-o", "d.y4m", *MODEL, "--region", "half.png=style.png", "--smooth", "0.5")
    assert failed(smooth, "clip.y4m: --smooth follows statistics of whole frames, and regions have their own")


def save_palette_png(path: Path, indices: Pixels) -> None:
    """One whose palette is not monotone: what is shown says nothing about the number."""
    image = Image.fromarray(indices).convert("P")
    image.putdata(indices.ravel().tolist())
    image.putpalette([value for at in range(256) for value in ((at * 77) % 256, 255 - at, 9)])
    image.save(path)


def labels_of(kind: str, path: Path, numbers: Pixels) -> None:
    if kind == "palette":
        save_palette_png(path, numbers)
    elif kind == "panoptic":  # red + 256 green + 65536 blue
        Image.fromarray(np.stack([numbers, numbers // 3, numbers * 0], axis=-1).astype(np.uint8)).save(path)
    else:
        Image.fromarray(numbers if kind == "grey" else numbers.astype(np.uint16) * 300).save(path)


@pytest.mark.usefixtures("masks")
@pytest.mark.parametrize(("kind", "number"), [("palette", 3), ("grey", 3), ("deep", 900), ("panoptic", 3 + 256)])
def test_labels_are_the_numbers_as_they_are_stored(run: Run, kind: str, number: int) -> None:
    half = np.asarray(Image.open("half.png"))
    labels_of(kind, Path("labels.png"), np.where(half > 0, np.uint8(3), np.uint8(7)))
    wanted = stylized(run, "a.png", "content.png", "style.png", "--region", "half.png=other.png")
    by_label = ("--labels", "labels.png", "--region", f"{number}=other.png")
    np.testing.assert_array_equal(stylized(run, "b.png", "content.png", "style.png", *by_label), wanted)
    result = run("stylize", "content.png", "-o", "c.png", *MODEL, "--labels", "labels.png", "--region", "77=other.png")
    assert failed(result, "labels.png: has no pixel of label 77")


@pytest.mark.usefixtures("masks")
def test_a_dry_run_looks_at_masks_and_their_styles(run: Run) -> None:
    arguments = ("stylize", "content.png", "-o", "out.png", *MODEL, "--dry-run")
    shown = json.loads(run(*arguments, "--json", "--region", "half.png=style.png").out)
    plain = json.loads(run("stylize", "content.png", "style.png", "-o", "out.png", *MODEL, "--dry-run", "--json").out)
    assert shown["planned_memory"] > plain["planned_memory"]
    assert failed(run(*arguments, "--region", "none.png=style.png"), "none.png: no such file")
    assert failed(run(*arguments, "--region", "half.png=none.png"), "none.png: no such file")
    assert not Path("out.png").exists()


def broken_png(path: Path) -> None:
    data = zlib.compress(b"\0" * 3)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 30, 30, 8, 0, 0, 0, 0)), (b"IDAT", data)]
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


@pytest.mark.usefixtures("masks")
@pytest.mark.parametrize(
    ("options", "part", "code"),
    [
        (("--region", "half.png"), "does not name a mask and a style", 2),
        (("--region", "=style.png"), "does not name a mask and a style", 2),
        (("--region", "half.png=style.png,"), "a file name is empty", 2),
        (("--region", "half.png=style.png:-1"), "a weight is at least 0", 2),
        (("--region", "half.png=style.png:0,other.png:0"), "not all 0", 2),
        (("--region", "half.png=style.png:nan"), "a weight is at least 0", 2),
        (("--region", "half.png=http://a/b.png"), "is an address", 2),
        (("--region", "none.png=style.png"), "none.png: no such file", 1),
        (("--region", "half.png=none.png"), "none.png: no such file", 1),
        (("--region", "broken.png=style.png"), "broken.png: broken picture", 1),
        (("--region", "clip.mp4=style.png"), "clip.mp4", 1),
        (("--alpha-map", "none.png"), "none.png: no such file", 1),
        (("--labels", "half.png"), "--labels is for regions that name one of its numbers", 2),
        (("--labels", "half.png", "--region", "half.png=style.png"), "--labels is for regions", 2),
        (("--labels", "none.png", "--region", "3=style.png"), "none.png: no such file", 1),
        (("--labels", "broken.png", "--region", "3=style.png"), "broken.png: broken picture", 1),
        (("--labels", "photo.jpg", "--region", "3=style.png"), "photo.jpg: is no PNG", 1),
        (("--region", "3=style.png"), "3: no such file", 1),
        (("--camera", "--region", "half.png=style.png"), "--region is for files", 2),
        (("--camera", "--codec", "vp9"), "--codec is for files", 2),
        (("--camera", "--end", "3"), "--end is for files", 2),
        (("--region", "half.png=style.png:1e308,other.png:1e308"), "weights are too large to be summed", 1),
        (("--region", "half.png=style.png") * 65, "content.png: there may be at most 64 regions", 1),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(run: Run, options: tuple[str, ...], part: str, code: int) -> None:
    broken_png(Path("broken.png"))
    Path("clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(30))
    Image.open("content.png").convert("RGB").save("photo.jpg")
    before = files_in(Path())
    output = () if "--camera" in options else ("-o", "out.png")
    result = run("stylize", "content.png", "style.png", *output, *MODEL, *options)
    assert failed(result, part, code=code)
    assert files_in(Path()) == before


def test_generators_have_no_regions(generator_path: Path) -> None:
    stylizer, picture = Stylizer(generator_path), np.zeros((32, 32, 3), np.uint8)
    for given in ({"regions": [(picture[..., 0], picture)]}, {"alpha_map": picture[..., 0]}):
        with pytest.raises(ValueError, match="takes no style"):
            stylizer(picture, **given)  # type: ignore[call-overload]


def test_an_alpha_map_needs_a_style(model_path: Path) -> None:
    picture = np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(ValueError, match="needs a style"):
        Stylizer(model_path)(picture, alpha_map=picture[..., 0])


@pytest.mark.parametrize(
    ("text", "mask", "styles", "weights"),
    [
        ("a.png=b.png", "a.png", ["b.png"], [1]),
        ("a.png=b.png:2.5,woodcut", "a.png", ["b.png", "woodcut"], [2.5, 1]),
        ("a.png=odd:name.png", "a.png", ["odd:name.png"], [1]),
        ("3=b=c.png", "3", ["b=c.png"], [1]),
    ],
)
def test_a_region_by_its_text(text: str, mask: str, styles: list[str], weights: list[float]) -> None:
    found = region(text)
    assert (str(found.mask), list(map(str, found.styles)), list(found.weights or ())) == (mask, styles, weights)
