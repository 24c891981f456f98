"""The file of a generator: written and read alike, and refused in one line wherever a node is not sound."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import numpy_generator as reference
import pytest
from numpy_engine import Cursor, Lcg, random_picture
from numpy_generator import Builder, resnet_like, unet_like

from fastnst.engine import Engine, ModelError
from fastnst.format.graphfile import Affine, Convolution, GeneratorFile, Node, Paint, node_bytes
from fastnst.format.modelfile import to_bytes

DIGEST = 32
HOSTILE = (0, 1, 2, 3, 4, 8, 15, 255, 256, 1024, 1025, 65536, 65537, 2**31 - 1, 2**31, 2**32 - 1)


def small() -> GeneratorFile:
    """Every type of node and every form, an addition, and a map of two writers."""
    graph = Builder(Lcg(4))
    raw = graph.convolution(0, 5, 3, stride=2)
    x = graph.affine(raw, normalises=True, negative=0.0)
    stream = graph.affine(raw, wide=True)
    raw = graph.convolution(x, 5, 3, form="depthwise", border="constant")
    stream = graph.affine(raw, wide=True, addend=stream, normalises=True)
    x = graph.affine(stream)
    up = graph.convolution(x, 4, 4, stride=2, form="transposed")
    x = graph.affine(up, negative=0.2)
    graph.affine(graph.convolution(0, 3, 1), target=x)
    return reference.skipped_lanes_cleared(graph.paint(graph.convolution(x, 3, 7, border="reflected")))


def refused(model: GeneratorFile | bytes) -> str:
    """The one line with which the engine refuses a model."""
    with pytest.raises(ModelError) as caught:
        Engine(model if isinstance(model, bytes) else to_bytes(model))
    message = str(caught.value)
    assert "\n" not in message
    return message


def changed(place: int, **fields: Any) -> GeneratorFile:
    """The small model with fields of one node replaced."""
    nodes = list(small().nodes)
    nodes[place] = replace(nodes[place], **fields)
    return GeneratorFile({}, nodes)


def styled() -> GeneratorFile:
    """The small model in three styles."""
    return reference.with_styles(small(), Lcg(9), 3, every=2)


def resealed(data: bytes) -> bytes:
    body = data[:8] + struct.pack("<Q", len(data)) + data[16:-DIGEST]
    return body + hashlib.sha256(body).digest()


def places(kind: type[Node]) -> list[int]:
    return [place for place, node in enumerate(small().nodes) if isinstance(node, kind)]


@pytest.mark.parametrize("make", [small, styled, lambda: resnet_like(Lcg(1), 3), lambda: unet_like(Lcg(2), 5)])
def test_nodes_are_read_as_they_were_written(make: Callable[[], GeneratorFile]) -> None:
    model = make()
    for node in model.nodes:
        data = node_bytes(node, model.written)
        cursor = Cursor(data)
        again = reference.parse_node(cursor, model.styles)
        assert cursor.at == len(data)
        assert type(again) is type(node)
        for name, value in vars(node).items():
            np.testing.assert_array_equal(getattr(again, name), np.float32(value) if name == "negative" else value)


@pytest.mark.parametrize("make", [small, styled])
def test_the_small_model_runs(make: Callable[[], GeneratorFile]) -> None:
    model, picture = make(), random_picture(Lcg(1), 21, 30)
    np.testing.assert_array_equal(Engine(to_bytes(model)).translate(picture), reference.translate(model, picture))


@pytest.mark.parametrize("make", [small, styled])
def test_truncated_and_flipped_files(make: Callable[[], GeneratorFile]) -> None:
    sound = to_bytes(make())
    for length in range(0, len(sound), 7):
        refused(sound[:length])
    for at in range(0, len(sound), 5):
        refused(sound[:at] + bytes([sound[at] ^ 1 << at % 8]) + sound[at + 1 :])


@pytest.mark.parametrize("make", [small, styled])
def test_truncated_with_a_right_checksum(make: Callable[[], GeneratorFile]) -> None:
    sound = to_bytes(make())
    for length in range(48, len(sound) - DIGEST, 3):
        refused(resealed(sound[:length] + bytes(DIGEST)))


@pytest.mark.parametrize("make", [small, styled])
def test_fields_of_hostile_value_crash_nothing(make: Callable[[], GeneratorFile]) -> None:
    """Refused, or a model that runs: whatever stands in the head of a node."""
    model, before = replace(make(), card={}), 48 + 4
    sound = to_bytes(model)
    picture = random_picture(Lcg(1), 9, 9)
    affine = 10 if model.styles else 9
    for node in model.nodes:
        fields = 11 if isinstance(node, Convolution) else affine if isinstance(node, Affine) else 2
        for field in range(fields):
            for value in HOSTILE:
                at = before + 4 * field
                data = resealed(sound[:at] + struct.pack("<I", value) + sound[at + 4 :])
                with suppress(ModelError):
                    Engine(data).translate(picture)
        before += len(node_bytes(node, model.written))


@pytest.mark.parametrize("value", [0, 1025, 2**32 - 1])
def test_numbers_of_nodes(value: int) -> None:
    sound = to_bytes(small())
    assert "nodes" in refused(resealed(sound[:24] + struct.pack("<I", value) + sound[28:]))


@pytest.mark.parametrize("value", [0, 1025, 2**32 - 1])
def test_numbers_of_styles(value: int) -> None:
    sound = to_bytes(styled())
    assert "styles outside 1..1024" in refused(resealed(sound[:28] + struct.pack("<I", value) + sound[32:]))


def test_styles_that_no_node_has() -> None:
    assert "styles that no node has" in refused(_unstyled(styled()))


def _unstyled(model: GeneratorFile) -> bytes:
    """A file that says how many styles there are, and has one row of everything."""
    first = GeneratorFile({}, [reference.of_style(node, [1.0, *[0.0] * (model.styles - 1)]) for node in model.nodes])
    header = to_bytes(replace(model, card={}))[:52]
    return resealed(header + b"".join(node_bytes(node, 5) for node in first.nodes) + bytes(DIGEST))


@pytest.mark.parametrize("place", range(2))
@pytest.mark.parametrize("name", ["slope", "offset"])
def test_numbers_of_a_style_that_are_none(name: str, place: int) -> None:
    model = styled()
    node = model.nodes[NORM]
    array = getattr(node, name).copy()
    array[1 + place, -1] = np.nan
    nodes = [*model.nodes[:NORM], replace(node, **{name: array}), *model.nodes[NORM + 1 :]]
    assert "ordinary number" in refused(GeneratorFile({}, nodes))


@pytest.mark.parametrize("at", [32, 36, 40, 44])
def test_reserved_fields_beside_styles(at: int) -> None:
    sound = to_bytes(styled())
    assert "reserved" in refused(resealed(sound[:at] + b"\1\0\0\0" + sound[at + 4 :]))


@pytest.mark.parametrize("at", [28, 32, 36, 40, 44])
def test_reserved_fields(at: int) -> None:
    sound = to_bytes(small())
    assert "reserved" in refused(resealed(sound[:at] + b"\1\0\0\0" + sound[at + 4 :]))


def test_versions_before_4_have_neither_kernel_9_nor_repeated_borders() -> None:
    graph = Builder(Lcg(3))
    wide = graph.paint(graph.convolution(0, 3, 9))
    repeats = changed(TRANSPOSED, border="repeated")
    for model, words in ((wide, "a kernel outside 0..7"), (repeats, "a kind of border outside 0..1")):
        Engine(to_bytes(model))
        assert words in refused(replace(model, version=2))
    assert "format version 6" in refused(replace(wide, version=6))


def test_bytes_after_the_last_node() -> None:
    sound = to_bytes(small())
    assert "after the last" in refused(resealed(sound[:-DIGEST] + bytes(4) + sound[-DIGEST:]))


CONV, DEPTHWISE, TRANSPOSED, SECOND, LAST = places(Convolution)
NORM, STREAM, SUM, NARROW, FIRST_PART, SECOND_PART = places(Affine)
(PAINT,) = places(Paint)


@pytest.mark.parametrize(
    ("place", "fields", "words"),
    [
        (CONV, {"source": 40}, "none has written"),
        (CONV, {"target": 9}, "not the next"),
        (CONV, {"target": 0}, "not the next"),
        (CONV, {"stride": 1, "weights": np.ones((5, 4, 4, 3), np.int8)}, "unknown shape"),
        (CONV, {"outside": 98}, None),
        (DEPTHWISE, {"border": "reflected"}, None),
        (DEPTHWISE, {"source": 1}, "bytes belong"),
        (DEPTHWISE, {"source": 0}, "channels"),
        (TRANSPOSED, {"border": "reflected"}, "unknown shape"),
        (LAST, {"border": "constant"}, None),
        (NORM, {"source": 0}, "16 bits belong"),
        (NORM, {"negative": -0.5}, "0..1"),
        (NORM, {"negative": 1.5}, "0..1"),
        (NORM, {"negative": float("nan")}, "0..1"),
        (STREAM, {"zero": 3}, "zero point"),
        (SUM, {"addend": 2}, "16 bits belong"),
        (NARROW, {"addend": 3}, "adds to bytes"),
        (NARROW, {"epsilon": np.ones(5, np.float32)}, "not the sums of a convolution"),
        (SECOND_PART, {"target": 2}, "written already"),
        (SECOND_PART, {"target": 1}, "written already"),
        (PAINT, {"thresholds": np.arange(255, 0, -1).astype(np.int16)}, "in order"),
        (PAINT, {"source": 1}, "channels"),
    ],
)
def test_nodes_that_do_not_fit(place: int, fields: dict[str, Any], words: str | None) -> None:
    """``None`` stands for a change that is sound."""
    model = changed(place, **fields)
    if words is None:
        picture = random_picture(Lcg(1), 12, 12)
        np.testing.assert_array_equal(Engine(to_bytes(model)).translate(picture), reference.translate(model, picture))
    else:
        assert words in refused(model)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e21])
@pytest.mark.parametrize("name", ["slope", "offset", "epsilon"])
def test_numbers_that_are_none(name: str, value: float) -> None:
    array = np.ones(5, np.float32)
    array[-1] = value
    assert "ordinary number" in refused(changed(NORM, **{name: array}))


@pytest.mark.parametrize("value", [0.0, -1.0, 1e-30])
def test_epsilons_that_could_divide_by_nothing(value: float) -> None:
    assert "epsilon" in refused(changed(NORM, epsilon=np.full(5, value, np.float32)))


@pytest.mark.parametrize("place", [CONV, DEPTHWISE, TRANSPOSED])
def test_convolutions_that_could_overflow(place: int) -> None:
    node = small().nodes[place]
    assert isinstance(node, Convolution)
    bias = np.full_like(node.bias, 2**31 - 1)
    assert "accumulator" in refused(changed(place, bias=bias))
    assert "output" in refused(changed(place, multiplier=np.full_like(node.multiplier, 1e6)))
    assert "ordinary" in refused(changed(place, multiplier=np.zeros_like(node.multiplier)))


def test_a_transposed_convolution_is_safe_in_every_phase() -> None:
    node = small().nodes[TRANSPOSED]
    assert isinstance(node, Convolution)
    bias = node.bias.copy()
    bias[3, -1] = -(2**31)
    assert "accumulator" in refused(changed(TRANSPOSED, bias=bias))


def test_borders_of_one_map_that_differ() -> None:
    graph = Builder(Lcg(1))
    first = graph.affine(graph.convolution(0, 3, 3, border="reflected"))
    graph.affine(graph.convolution(0, 3, 3), target=first)
    model = graph.paint(graph.convolution(first, 3, 1))
    assert "border" in refused(model)


def test_a_picture_comes_out_once_and_last() -> None:
    nodes = list(small().nodes)
    assert "last node" in refused(GeneratorFile({}, nodes[:-1]))
    assert "last node" in refused(GeneratorFile({}, [*nodes, nodes[-1]]))


def test_maps_that_nothing_reads() -> None:
    graph = Builder(Lcg(1))
    graph.convolution(0, 4, 1)
    assert "no node reads" in refused(graph.paint(graph.convolution(0, 3, 1)))


def test_a_picture_of_another_size() -> None:
    graph = Builder(Lcg(1))
    assert "smaller than the picture" in refused(graph.paint(graph.convolution(0, 3, 3, stride=2)))
    graph = Builder(Lcg(1))
    assert "larger than the picture" in refused(graph.paint(graph.convolution(0, 3, 3, stride=2, form="transposed")))
