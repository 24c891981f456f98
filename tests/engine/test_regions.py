"""Regions: the weights, statistics and blends of the reference, byte for byte, whole and in tiles, on every instruction set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy_engine as reference
import numpy_palette
import numpy_regions
import pytest
from numpy.typing import NDArray
from numpy_engine import Lcg, pair_like, random_cascade, random_picture, run_layer, three_levels

from fastnst import _engine
from fastnst._engine import Tiling
from fastnst.engine import Engine, Look, Regions, instruction_sets
from fastnst.engine.palette import Palette, RegionPalette, colors_of
from fastnst.format.modelfile import AdainFile, WctFile, to_bytes
from fastnst.pictures.masks import Mask

Pixels = NDArray[np.uint8]
SIZE = (53, 71)


def random_mask(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """Soft in places, hard in others, with whole areas of nothing and of everything."""
    waves = np.sin(rng.uniform(1, 9) * np.linspace(0, 1, height))[:, None] + np.cos(
        rng.uniform(1, 9) * np.linspace(0, 1, width)
    )
    return np.clip(128 + rng.uniform(100, 900) * (waves - rng.uniform(-1, 1.5)), 0, 255).astype(np.uint8)


def random_masks(seed: int, count: int) -> list[Pixels]:
    rng = np.random.default_rng(seed)
    sides = (1, 2, 7, 16, 53, 71, 150, 301)
    return [random_mask(rng, *rng.choice(sides, 2)) for _ in range(count)]


def regions_of(masks: list[Pixels], looks: list[Look], strength: Pixels | None = None, *, rest: bool = True) -> Regions:
    return Regions(tuple(map(Mask, masks)), tuple(looks), None if strength is None else Mask(strength), rest)


@pytest.mark.parametrize("seed", range(12))
def test_weights_are_those_of_the_text(seed: int) -> None:
    *masks, strength = random_masks(seed, seed % 4 + 1)
    rng = np.random.default_rng(seed)
    height, width, step = (int(rng.choice(each)) for each in ((1, 9, 53), (1, 30, 71), (1, 2, 8, 16)))
    by, rest = strength if seed % 2 else None, seed % 3 > 0
    compiled = regions_of(masks, [], by, rest=rest).compiled
    shares = compiled.weights(height, width, step, False).transpose(1, 0, 2)
    np.testing.assert_array_equal(shares, numpy_regions.shares(masks, height, width, step))
    painted = compiled.weights(height, width, step, True).transpose(1, 0, 2)
    np.testing.assert_array_equal(painted, numpy_regions.painted(masks, by, rest, height, width, step))
    assert (shares.sum(0) == 256).all() and (painted.sum(0) == 256).all()


def test_a_mask_of_one_value_has_it_everywhere() -> None:
    """Whatever its size and the picture's, and exactly: white is all, black is nothing."""
    for value, weight in ((0, 0), (1, 1), (128, 129), (254, 255), (255, 256)):
        for shape in ((1, 1), (3, 200), (4096, 5)):
            for size in ((1, 1), (90, 31)):
                compiled = regions_of([np.full(shape, value, np.uint8)], []).compiled
                for step in (1, 8):
                    assert (compiled.weights(*size, step, False)[:, 0] == weight).all()


def test_a_mask_that_is_scaled_down_keeps_its_mean() -> None:
    """Antialiased: nothing is left out, as it would be if single pixels were picked."""
    lines = np.zeros((400, 600), np.uint8)
    lines[:, ::4] = 255
    weights = regions_of([lines], []).compiled.weights(40, 60, 1, False)[:, 0]
    assert np.abs(weights[:, 2:-2] - 64.0).max() <= 1


def with_regions(engine: Engine, content: Pixels, look: Look | None, regions: Regions, alpha: float, threads: int) -> Pixels:
    return engine.decode(engine.encode(content, threads), look, alpha, threads, regions=regions)


def smallest(engine: Engine, size: tuple[int, int], budget: int) -> Tiling | None:
    try:
        return engine.tiling(size, budget, 1)
    except ValueError:
        return None


def in_tiles(
    engine: Engine, content: Pixels, look: Look | None, regions: Regions, alpha: float, folder: Path, **how: object
) -> Pixels:
    height, width = content.shape[:2]
    rows: list[Pixels] = []

    def read(first: int, into: Pixels) -> None:
        into[...] = content[first : first + len(into)]

    budget = engine.working_bytes(height, width, 1) // 5
    while (tiling := smallest(engine, (height, width), budget)) is None:
        budget += budget // 4
    assert tiling.height < height or tiling.width < width
    args = (alpha, tiling, str(folder), 2)
    engine.stylize_tiled((height, width), read, lambda new: rows.append(new.copy()), look, *args, regions=regions, **how)  # type: ignore[arg-type]
    return np.concatenate(rows)


def adain_reference(
    model: AdainFile, content: Pixels, looks: list[Look | None], masks: list[Pixels], strength: Pixels | None, alpha: float
) -> Pixels:
    features = reference.encode(model, content)
    stride = 2 ** sum(layer.pool != "none" for layer in model.encoder)
    shares = numpy_regions.shares(masks, *content.shape[:2], stride)
    weights = numpy_regions.painted(masks, strength, looks[-1] is not None, *content.shape[:2], stride)
    parts = [
        reference.renormalise(model, features, look.mean, look.std, alpha, share) if look is not None and share.any() else None
        for look, share in zip(looks, shares, strict=True)
    ]
    still = reference.renormalise(model, features, np.zeros(features.shape[2]), np.ones(features.shape[2]), 0.0)
    q = numpy_regions.blended(weights, [*parts, still])
    for layer in model.decoder:
        q = run_layer(q, layer)
    return q[: content.shape[0], : content.shape[1]]


def wct_reference(
    model: WctFile, content: Pixels, looks: list[Look | None], masks: list[Pixels], strength: Pixels | None, alpha: float
) -> Pixels:
    height, width = content.shape[:2]
    picture = content
    for number in sorted(model.stages, reverse=True):
        stage = model.stages[number]
        stride = 2 ** sum(layer.pool != "none" for layer in stage.encoder)
        q = reference.encode(stage, picture)
        shares = numpy_regions.shares(masks, height, width, stride)
        weights = numpy_regions.painted(masks, strength, looks[-1] is not None, height, width, stride)
        parts = []
        for look, share in zip(looks, shares, strict=True):
            if look is None or not share.any():
                parts.append(None)
                continue
            own = look.levels[number]  # type: ignore[attr-defined]
            parts.append(reference.recolour(stage, q, own.mean, own.root, alpha, share))
        none = np.zeros(q.shape[2])
        q = numpy_regions.blended(weights, [*parts, reference.recolour(stage, q, none, np.diag(none), 0.0)])
        for layer in stage.decoder:
            q = run_layer(q, layer)
        picture = q[:height, :width]
    return picture


@pytest.mark.parametrize("kind", ["adain", "wct", "cascade"])
@pytest.mark.parametrize("seed", range(4))
def test_pictures_are_those_of_the_reference(kind: str, seed: int) -> None:
    lcg = Lcg(seed)
    model = {"adain": lambda: pair_like(1), "wct": three_levels, "cascade": lambda: random_cascade(lcg)}[kind]()
    engine = Engine(to_bytes(model))
    content = random_picture(lcg, *SIZE)
    masks = random_masks(seed + 50, 1 + seed % 3)
    strength = random_masks(seed + 90, 1)[0] if seed % 2 else None
    looks: list[Look | None] = [engine.look(random_picture(lcg, 20 + 9 * i, 33)) for i in range(len(masks))]
    looks.append(None if seed == 2 else engine.look(random_picture(lcg, 31, 40)))
    alpha, threads = (1.0, 0.6)[seed % 2], 1 + seed % 3
    regions = regions_of(masks, [look for look in looks[:-1] if look], strength, rest=looks[-1] is not None)
    out = with_regions(engine, content, looks[-1], regions, alpha, threads)
    by_text = adain_reference if kind == "adain" else wct_reference
    np.testing.assert_array_equal(out, by_text(model, content, looks, masks, strength, alpha))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["adain", "wct"])
@pytest.mark.parametrize("rest", [True, False])
def test_tiles_give_the_bytes_of_the_whole(kind: str, rest: bool, tmp_path: Path) -> None:
    engine = Engine(to_bytes(pair_like(1) if kind == "adain" else three_levels()))
    lcg, masks = Lcg(8), random_masks(21, 2)
    content = random_picture(lcg, 171, 190)
    looks = [engine.look(random_picture(lcg, 30, 20 + i)) for i in range(3)]
    regions = regions_of(masks, looks[:2], random_masks(22, 1)[0], rest=rest)
    whole = with_regions(engine, content, looks[2] if rest else None, regions, 0.9, 2)
    np.testing.assert_array_equal(in_tiles(engine, content, looks[2] if rest else None, regions, 0.9, tmp_path), whole)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["adain", "wct"])
def test_a_white_mask_is_the_plain_style(kind: str) -> None:
    """Byte for byte, for a weight of all is a power of two; and a black one is as if it were not there."""
    engine = Engine(to_bytes(pair_like(1) if kind == "adain" else three_levels()))
    lcg = Lcg(5)
    content, one, other = (random_picture(lcg, height, 45) for height in (62, 30, 37))
    look, another = engine.look(one), engine.look(other)
    plain = engine.decode(engine.encode(content), look, 0.8)
    white, black = np.full((3, 5), 255, np.uint8), np.zeros((3, 5), np.uint8)
    for rest in (None, another):
        regions = regions_of([white], [look], rest=rest is not None)
        np.testing.assert_array_equal(with_regions(engine, content, rest, regions, 0.8, 2), plain)
    np.testing.assert_array_equal(with_regions(engine, content, look, regions_of([black], [another]), 0.8, 2), plain)
    np.testing.assert_array_equal(with_regions(engine, content, look, regions_of([], [], white), 0.8, 2), plain)
    untouched = engine.decode(engine.encode(content), look, 0.0)
    np.testing.assert_array_equal(with_regions(engine, content, look, regions_of([], [], black), 0.8, 2), untouched)


def palette_reference(
    picture: Pixels, palettes: list[Palette | None], masks: list[Pixels], strength: Pixels | None, rest: bool
) -> Pixels:
    size = picture.shape[:2]
    shares = numpy_regions.shares(masks, *size, 1)
    parts: list[Pixels | None] = []
    for palette, share in zip(palettes, shares, strict=True):
        if palette is None or not share.any():
            parts.append(picture)
            continue
        own = numpy_palette.weighted_colors(picture, share)
        part = picture.copy()
        _engine.map_colors(part, own, palette.colors, palette.strength, 1)  # whose own test holds it to the formula
        parts.append(part)
    return numpy_regions.blended(numpy_regions.painted(masks, strength, rest, *size, 1), [*parts, picture])


@pytest.mark.parametrize("seed", range(6))
def test_every_region_has_the_palette_of_its_style(seed: int, tmp_path: Path) -> None:
    lcg, masks = Lcg(seed), random_masks(seed + 7, 1 + seed % 3)
    strength = random_masks(seed + 90, 1)[0] if seed % 2 else None
    picture, rest = random_picture(lcg, *SIZE), seed != 3
    palettes: list[Palette | None] = [Palette(colors_of(random_picture(lcg, 20, 20 + i)), 0.9) for i in range(len(masks))]
    palettes.append(Palette(colors_of(random_picture(lcg, 9, 30)), 0.9) if rest and seed != 4 else None)
    out = picture.copy()
    regions = regions_of(masks, [], strength, rest=rest)
    RegionPalette(tuple(palettes), regions.compiled).apply(out, 1 + seed % 3)
    np.testing.assert_array_equal(out, palette_reference(picture, palettes, masks, strength, rest))
    assert (out != picture).any()

    # The same in tiles, after decoding.
    engine = Engine(to_bytes(pair_like(1)))
    look, content = engine.look(random_picture(lcg, 33, 30)), random_picture(lcg, 140, 155)
    regions = regions_of(masks, [look] * len(masks), strength, rest=rest)
    palette = RegionPalette(tuple(palettes), regions.compiled)
    plain = with_regions(engine, content, look if rest else None, regions, 1.0, 1)
    palette.apply(plain, 1)
    tiled = in_tiles(engine, content, look if rest else None, regions, 1.0, tmp_path, palette=palette)
    np.testing.assert_array_equal(tiled, plain)


def test_the_rest_is_the_content_itself() -> None:
    lcg, mask = Lcg(3), np.zeros((10, 20), np.uint8)
    mask[:, :8] = 255
    content, result = random_picture(lcg, 40, 60), random_picture(lcg, 40, 60)
    weights = numpy_regions.shares([mask], 40, 60, 1)
    wanted = numpy_regions.blended(weights[::-1], [content, result])
    regions = regions_of([mask], [], rest=False)
    out = result.copy()
    for first in range(0, 40, 13):
        regions.keep_rest(40, first, content[first : first + 13], out[first : first + 13], 2)
    np.testing.assert_array_equal(out, wanted)
    np.testing.assert_array_equal(out[:, 30:], content[:, 30:])
    np.testing.assert_array_equal(out[:, :20], result[:, :20])


def test_sums_of_many_bright_pixels_do_not_overflow() -> None:
    """Nor do the products of such sums, which pass 2^64."""
    white = np.full((2048, 2048, 3), 255, np.uint8)
    white[0, 0] = 254
    regions = regions_of([np.full((1, 1), 255, np.uint8)], [])
    style = random_picture(Lcg(1), 20, 20)
    plain = white.copy()
    Palette(colors_of(style)).apply(plain, 2)
    RegionPalette((Palette(colors_of(style)), None), regions.compiled).apply(white, 2)
    np.testing.assert_array_equal(white, plain)


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (70, 2)])
def test_regions_smaller_than_a_feature(size: tuple[int, int]) -> None:
    engine = Engine(to_bytes(pair_like(1)))
    lcg, mask = Lcg(9), np.zeros(size, np.uint8)
    mask[-1, -1] = 255
    look, content = engine.look(random_picture(lcg, 1, 2)), random_picture(lcg, *size)
    for rest in (None, engine.look(random_picture(lcg, 30, 30))):
        out = with_regions(engine, content, rest, regions_of([mask], [look], rest=rest is not None), 1.0, 1)
        assert out.shape == content.shape


def digest_of_regions() -> str:
    """Of pictures with regions, by the instruction set in use."""
    import hashlib

    found = hashlib.sha256()
    for model in (pair_like(1), three_levels()):
        lcg, engine = Lcg(11), Engine(to_bytes(model))
        content, masks = random_picture(lcg, *SIZE), random_masks(4, 2)
        looks = [engine.look(random_picture(lcg, 30, 20 + i)) for i in range(3)]
        regions = regions_of(masks, looks[:2], random_masks(6, 1)[0])
        out = with_regions(engine, content, looks[2], regions, 1.0, 2)
        RegionPalette(tuple(Palette(look.colors) for look in looks if look.colors), regions.compiled).apply(out, 2)
        found.update(out.tobytes())
    return found.hexdigest()


def test_every_instruction_set_gives_the_same_bytes() -> None:
    wanted = digest_of_regions()
    for name in [name for name, runs in instruction_sets() if runs]:
        command = [sys.executable, "-c", "import test_regions; print(test_regions.digest_of_regions())"]
        paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1] / "support"), *sys.path])
        environment = os.environ | {"FASTNST_ISA": name, "PYTHONPATH": paths}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == wanted, name


@pytest.mark.parametrize(
    ("masks", "part"),
    [
        ([np.zeros((4097, 1), np.uint8)], "1 to 4096 pixels"),
        ([np.zeros((0, 3), np.uint8)], "1 to 4096 pixels"),
        ([np.zeros((3, 3, 1), np.uint8)], "H x W"),
        ([np.zeros((1, 1), np.uint8)] * 65, "at most 64 regions"),
    ],
)
def test_masks_that_cannot_be(masks: list[Pixels], part: str) -> None:
    with pytest.raises(ValueError, match=part):
        regions_of(masks, []).compiled.weights(3, 3, 1, False)


def test_regions_need_a_look_each() -> None:
    engine = Engine(to_bytes(pair_like(1)))
    picture, white = random_picture(Lcg(1), 20, 20), np.full((1, 1), 255, np.uint8)
    with pytest.raises(ValueError, match="one look for each region"):
        with_regions(engine, picture, None, regions_of([white], [], rest=False), 1.0, 1)
    other = Engine(to_bytes(three_levels())).look(picture)
    with pytest.raises(ValueError, match="look"):
        with_regions(engine, picture, None, regions_of([white], [other], rest=False), 1.0, 1)
