"""Every way in which an operator of ONNX is taken: the float graph computes what ONNX's own reference does."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from onnx_graphs import Graph

from fastnst.convert.builder import Numbers
from fastnst.convert.graph import FloatConv, run_float
from fastnst.convert.recognition import recognise
from fastnst.convert.trained_generator import TrainedGenerator

onnx = pytest.importorskip("onnx", reason="needs onnx: pip install '.[onnx]'")

from onnx.reference import ReferenceEvaluator  # noqa: E402

Case = Callable[[Graph, str], str]
"""From a map of 6 channels as large as the picture to another one."""


def half(then: Case) -> Case:
    """Of a map half as large; what comes out is again."""

    def case(g: Graph, x: str) -> str:
        low = g.conv(x, 6, 6, 3, strides=[2, 2])
        return g.add("ConvTranspose", [then(g, low), g.weights(6, 6, 4, 4)], strides=[2, 2], pads=[1] * 4)

    return case


def doubled(then: Case) -> Case:
    """Of a map half as large; what comes out is as large as the picture."""
    return lambda g, x: then(g, g.conv(x, 6, 6, 3, strides=[2, 2]))


def one(operator: str, *constants: object, **attributes: object) -> Case:
    return lambda g, x: g.add(operator, [x, *("" if c is None else g.constant(c) for c in constants)], **attributes)


def conv(kernel: int, inputs: int = 6, outputs: int = 6, **attributes: object) -> Case:
    return lambda g, x: g.conv(x, inputs, outputs, kernel, **attributes)


def turned(kernel: int, group: int = 1, **attributes: object) -> Case:
    return lambda g, x: g.add("ConvTranspose", [x, g.weights(6, 6 // group, kernel, kernel)], group=group, **attributes)


def resize(mode: str, scales: list[float], then: Case = lambda _, x: x, **attributes: object) -> Case:
    return lambda g, x: then(g, g.add("Resize", [x, "", g.constant(scales)], mode=mode, **attributes))


def linear(places: str) -> Case:
    return resize("linear", [1, 1, 2, 2], coordinate_transformation_mode=places)


def chain(*cases: Case) -> Case:
    def case(g: Graph, x: str) -> str:
        for each in cases:
            x = each(g, x)
        return x

    return case


def shuffled(g: Graph, x: str) -> str:
    return g.add("DepthToSpace", [g.conv(x, 6, 24)], blocksize=2, mode="CRD")


def sized(mode: str) -> Case:
    """As PyTorch writes ``interpolate(x, size=other.shape[2:])``."""

    def case(g: Graph, x: str) -> str:
        low = g.conv(x, 6, 6, 3, strides=[2, 2])
        channels = g.add("Slice", [g.add("Shape", [low]), g.constant([0], np.int64), g.constant([2], np.int64)])
        sides = g.add("Slice", [g.add("Shape", [x]), g.constant([2], np.int64), g.constant([4], np.int64)])
        sizes = g.add("Concat", [channels, sides], axis=0)
        return g.add(
            "Resize",
            [low, "", "", sizes],
            mode=mode,
            coordinate_transformation_mode="half_pixel",
            nearest_mode="round_prefer_floor",
        )

    return case


def floored(g: Graph, x: str) -> str:
    """As PyTorch's first exporters wrote ``interpolate(x, scale_factor=2)``: scales from sizes from scales."""
    low = g.conv(x, 6, 6, 3, strides=[2, 2])
    shape = g.add("Cast", [g.add("Shape", [low])], to=1)
    sides = g.add("Slice", [shape, g.constant([2], np.int64), g.constant([4], np.int64)])
    large = g.add("Floor", [g.add("Mul", [sides, g.constant([2, 2])])])
    scales = g.add("Concat", [g.constant([1, 1]), g.add("Div", [large, sides])], axis=0)
    return g.add("Resize", [low, "", scales], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")


def both(operator: str, a: Case, b: Case) -> Case:
    return lambda g, x: g.add(operator, [a(g, x), b(g, x)])


def joined(*cases: Case) -> Case:
    return lambda g, x: g.conv(g.add("Concat", [each(g, x) for each in cases], axis=1), 6 * len(cases), 6, 1)


def norm(g: Graph, x: str) -> str:
    return g.add("InstanceNormalization", [x, g.constant([1, 2, 0.5, 1, -1, 1]), g.weights(6)], epsilon=1e-3)


def batch(g: Graph, x: str) -> str:
    given = [g.constant([1, 2, 0.5, 1, -1, 1]), g.weights(6), g.weights(6), g.constant([1, 2, 0.5, 1, 3, 1])]
    return g.add("BatchNormalization", [x, *given], epsilon=1e-3)


def moments(how: str) -> Case:
    """An instance norm as it is spelt out: with squares by Mul or Pow, roots by Sqrt or Pow, folded as TensorFlow does."""

    def case(g: Graph, x: str) -> str:
        axes = {"axes": [2, 3], "keepdims": 1}
        mean = g.add("GlobalAveragePool", [x]) if how == "pooled" else g.add("ReduceMean", [x], **axes)
        centred = g.add("Sub", [x, mean])
        gain, shift, eps = (
            g.constant(np.linspace(0.5, 2, 6).reshape(1, 6, 1, 1)),
            g.weights(6, 1, 1, spread=0.2),
            g.constant(1e-3),
        )
        if how == "squares":
            square = g.add("ReduceMean", [g.add("Mul", [x, x])], **axes)
            variance = g.add("Sub", [square, g.add("Mul", [mean, mean])])
        else:
            square = g.add("Pow", [centred, g.constant(2)]) if how == "pow" else g.add("Mul", [centred, centred])
            variance = g.add("ReduceMean", [square], **axes)
        total = g.add("Add", [variance, eps])
        if how == "tensorflow":
            inverse = g.add("Mul", [g.add("Reciprocal", [g.add("Sqrt", [total])]), gain])
            moved = g.add("Sub", [shift, g.add("Mul", [mean, inverse])])
            return g.add("Add", [g.add("Mul", [x, inverse]), moved])
        root = g.add("Pow", [total, g.constant(0.5)]) if how == "pow" else g.add("Sqrt", [total])
        unit = g.add("Div", [centred, root])
        return unit if how == "bare" else g.add("Add", [g.add("Mul", [unit, gain]), shift])

    return case


def quantised(g: Graph, x: str) -> str:
    """Weights of 8 bits, and a bias of 32, with a scale for each channel."""
    g.opset = 21
    weight, bias = (
        g.constant(g.random.integers(-127, 128, (6, 6, 3, 3)), np.int8),
        g.constant(g.random.integers(-99, 99, 6), np.int32),
    )
    scales = g.constant(np.linspace(0.002, 0.004, 6))
    given = [g.add("DequantizeLinear", [weight, scales, g.constant([0] * 6, np.int8)], axis=0)]
    given.append(g.add("DequantizeLinear", [bias, scales, g.constant([0] * 6, np.int32)], axis=0))
    return g.add("Conv", [x, *given], pads=[1] * 4)


halving_mean = one("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
relu, leaky = one("Relu"), one("LeakyRelu", alpha=0.2)
shift = one("Add", np.linspace(-1, 1, 6).reshape(6, 1, 1))
gain = one("Mul", np.linspace(-1, 1.5, 6).reshape(1, 6, 1, 1))

CASES: dict[str, Case] = {
    "Conv of kernel 5": conv(5),
    "Conv of kernel 2": conv(2, pads=[0, 0, 1, 1]),
    "Conv of kernel 4, stride 1": conv(4, pads=[1, 2, 2, 1]),
    "Conv with gaps": conv(3, dilations=[2, 2], pads=[2] * 4),
    "Conv in groups": conv(3, group=2),
    "Conv for each channel of kernel 7": conv(7, group=6),
    "Conv for each channel": conv(3, group=6),
    "Conv by a row": lambda g, x: g.add("Conv", [x, g.weights(6, 6, 1, 5)], pads=[0, 2, 0, 2]),
    "Conv that halves by kernel 1": lambda g, x: turned(2, strides=[2, 2])(g, conv(1, strides=[2, 2])(g, x)),
    "Conv that halves by kernel 2": lambda g, x: turned(2, strides=[2, 2])(g, conv(2, strides=[2, 2], pads=[0] * 4)(g, x)),
    "Conv that halves as TensorFlow does": lambda g, x: turned(3, strides=[2, 2], pads=[0, 0, 1, 1])(
        g, conv(3, strides=[2, 2], pads=[0, 0, 1, 1])(g, x)
    ),
    "Conv that halves each channel": doubled(lambda g, x: turned(4, strides=[2, 2], pads=[1] * 4)(g, conv(3, group=6)(g, x))),
    "ConvTranspose of stride 1": turned(3, pads=[1] * 4),
    "ConvTranspose of an upsampled map": half(
        lambda g, x: g.conv(turned(3, pads=[1] * 4)(g, resize("nearest", [1, 1, 2, 2])(g, x)), 6, 6, 3, strides=[2, 2])
    ),
    "AveragePool that halves": lambda g, x: turned(2, strides=[2, 2])(g, halving_mean(g, x)),
    "AveragePool": one("AveragePool", kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1),
    "Pad of edges, one-sided": lambda g, x: conv(2, pads=[0] * 4)(
        g, g.add("Pad", [x, g.constant([0, 0, 1, 0, 0, 0, 0, 1], np.int64)], mode="edge")
    ),
    "Pad before a ReLU": lambda g, x: conv(3, pads=[0] * 4)(
        g, relu(g, g.add("Pad", [x, g.constant([0, 0, 1, 1, 0, 0, 1, 1], np.int64)], mode="reflect"))
    ),
    "Resize, nearest, before kernel 1": doubled(resize("nearest", [1, 1, 2, 2], conv(1))),
    "Resize, nearest, before kernel 5": doubled(resize("nearest", [1, 1, 2, 2], conv(5))),
    "Resize, nearest, before groups": doubled(resize("nearest", [1, 1, 2, 2], conv(3, group=6))),
    "Resize, nearest, before a norm": doubled(resize("nearest", [1, 1, 2, 2], norm)),
    "Resize, nearest, and what is added": both("Add", doubled(resize("nearest", [1, 1, 2, 2])), conv(1)),
    "Resize, nearest, twice": doubled(
        lambda g, x: resize("nearest", [1, 1, 2, 2], resize("nearest", [1, 1, 2, 2]))(g, g.conv(x, 6, 6, 3, strides=[2, 2]))
    ),
    "Resize, linear": doubled(resize("linear", [1, 1, 2, 2])),
    "Resize, linear, as PyTorch has it": doubled(linear("pytorch_half_pixel")),
    "Resize, linear, asymmetric": doubled(linear("asymmetric")),
    "Resize to the size of another map": sized("nearest"),
    "Resize, linear, to the size of another map": sized("linear"),
    "Resize by scales of sizes of scales": floored,
    "Slice that cuts nothing off": lambda g, x: g.add(
        "Slice", [x, g.constant([0, 0], np.int64), g.constant([2**40, 2**40], np.int64), g.constant([2, 3], np.int64)]
    ),
    "Resize by 1": resize("nearest", [1, 1, 1, 1]),
    "DepthToSpace": doubled(shuffled),
    "DepthToSpace, rows of blocks": doubled(chain(conv(3, 6, 24), one("DepthToSpace", blocksize=2))),
    "DepthToSpace of kernel 1": doubled(chain(conv(1, 6, 24), leaky, one("DepthToSpace", blocksize=2, mode="CRD"))),
    "DepthToSpace of a sum": doubled(chain(both("Add", conv(1, 6, 24), conv(3, 6, 24)), one("DepthToSpace", blocksize=2))),
    "SpaceToDepth": lambda g, x: turned(2, strides=[2, 2])(g, g.conv(one("SpaceToDepth", blocksize=2)(g, x), 24, 6, 1)),
    "PRelu of one slope": one("PRelu", [[[0.3]]]),
    "PRelu of many slopes": one("PRelu", np.linspace(-0.5, 1.5, 6).reshape(6, 1, 1)),
    "Clip to 0..6": chain(one("Mul", 4.0), one("Clip", 0.0, 6.0)),
    "Clip to -1..1 and a sum": both("Add", one("Clip", -1.0, 1.0), conv(1)),
    "Clip to 0.2..0.8": one("Clip", 0.2, 0.8),
    "Clip to -0.8..-0.2": one("Clip", -0.8, -0.2),
    "Clip of no ends": one("Clip"),
    "Clip from -0.5 on, and a norm": chain(one("Clip", -0.5), norm),
    "constants before and behind a ReLU": chain(shift, relu, gain, shift, leaky, one("Sub", 0.25), one("Div", 0.5)),
    "a constant less a map": lambda g, x: g.add("Sub", [g.constant(1), relu(g, x)]),
    "Neg": chain(relu, one("Neg")),
    "Sub": both("Sub", relu, conv(3)),
    "Sum": lambda g, x: g.add("Sum", [x, conv(1)(g, x), relu(g, x)]),
    "Add of a concatenation": lambda g, x: g.add("Add", [g.add("Concat", [g.conv(x, 6, 3), g.conv(x, 6, 3)], axis=1), x]),
    "Concat within zeros": lambda g, x: g.conv(g.add("Concat", [x, leaky(g, x)], axis=1), 12, 6, 3),
    "Concat of clipped maps": joined(one("Clip", -0.3, 0.3), relu),
    "a norm": norm,
    "a norm of a sum": chain(both("Add", conv(1), conv(3)), norm),
    "a norm twice": chain(norm, norm),
    "a norm behind a ReLU": chain(relu, norm),
    "a norm and a constant": chain(conv(1), norm, gain, shift),
    "two norms of a map": both("Add", norm, batch),
    "a batch norm": batch,
    "a batch norm behind a ReLU": chain(relu, batch, relu),
    "a norm spelt out": moments("plain"),
    "a norm spelt out without weights": moments("bare"),
    "a norm spelt out by powers": moments("pow"),
    "a norm spelt out by squares": moments("squares"),
    "a norm spelt out by pooling": moments("pooled"),
    "a norm spelt out as TensorFlow does": moments("tensorflow"),
    "weights of 8 bits": quantised,
}  # fmt: skip


def built(case: Case, opset: int = 17) -> tuple[Graph, str]:
    g = Graph(opset)
    x = case(g, g.conv("x", 3, 6))
    return g, g.add("Tanh", [g.conv(x, 6, 3, 1)])


def read(model: object, folder: Path, numbers: Numbers | None = None) -> TrainedGenerator:
    onnx.checker.check_model(model)
    onnx.save(model, folder / "network.onnx")
    trained = recognise([folder / "network.onnx"], numbers).trained
    assert isinstance(trained, TrainedGenerator)
    return trained


def ran(folder: Path, picture: np.ndarray) -> np.ndarray:
    (made,) = ReferenceEvaluator(str(folder / "network.onnx")).run(None, {"x": picture})
    return np.asarray(made)


def photograph(low: float = -1, high: float = 1) -> np.ndarray:
    return np.random.default_rng(0).uniform(low, high, (1, 3, 16, 24)).astype(np.float32)


@pytest.mark.parametrize("name", CASES)
def test_what_is_taken(name: str, tmp_path: Path) -> None:
    g, y = built(CASES[name])
    trained, picture = read(g.model(y), tmp_path), photograph()
    wanted = ran(tmp_path, picture)
    assert wanted.std() > 0.05
    np.testing.assert_allclose(run_float(trained.nodes, torch.from_numpy(picture)).numpy(), wanted, rtol=0, atol=2e-4)


ALONE = ("DepthToSpace of kernel 1", "Clip to 0..6", "Neg", "Sum", "a norm", "a norm and a constant")
KINDS = ("Conv", "Pad", "PRelu", "Resize, nearest, before kernel 1", "constants", "a batch", "Sub")
FREE = [name for name in CASES if name.startswith(KINDS) or name in ALONE]
"""Cases that take no more convolutions than the network has."""


def test_a_map_of_which_only_the_size_is_read(tmp_path: Path) -> None:
    def case(g: Graph, x: str) -> str:
        low = g.conv(x, 6, 6, 3, strides=[2, 2])
        sides = g.add("Slice", [g.add("Shape", [g.conv(x, 6, 9)]), g.constant([2], np.int64), g.constant([4], np.int64)])
        sizes = g.add("Concat", [g.constant([1, 6], np.int64), sides], axis=0)
        return g.add("Resize", [low, "", "", sizes], mode="linear")

    g, y = built(case)
    trained, picture = read(g.model(y), tmp_path), photograph()
    targets = [node.target for node in trained.nodes if isinstance(node, FloatConv)]
    assert len(targets) == 4 and max(targets) == len(trained.nodes) - 1
    made = run_float(trained.nodes, torch.from_numpy(picture)).numpy()
    np.testing.assert_allclose(made, ran(tmp_path, picture), rtol=0, atol=2e-4)


def test_transposed_groups(tmp_path: Path) -> None:
    """As PyTorch has them; ONNX's own reference does not do them."""
    g = Graph()
    low = g.conv("x", 3, 6, 3, strides=[2, 2])
    weight = g.weights(6, 3, 4, 4)
    y = g.add("ConvTranspose", [low, weight], group=2, strides=[2, 2], pads=[1] * 4)
    trained = read(g.model(g.add("Tanh", [g.conv(y, 6, 3, 1)])), tmp_path)
    x = torch.from_numpy(photograph())
    first, first_bias, last, last_bias = (torch.from_numpy(np.float32(g.constants[f"k{i}"])) for i in (0, 1, 3, 4))
    y = F.conv2d(x, first, first_bias, stride=2, padding=1)
    y = F.conv_transpose2d(y, torch.from_numpy(np.float32(g.constants[weight])), stride=2, padding=1, groups=2)
    torch.testing.assert_close(run_float(trained.nodes, x), F.conv2d(y, last, last_bias).tanh(), rtol=0, atol=1e-4)


DOCUMENTED = (Path(__file__).parents[2] / "docs" / "models.md").read_text()


def documented() -> dict[str, str]:
    """The operators that the documentation says are taken, and how."""
    rows = re.findall(r"^\| (`[A-Z]\w+`.*?) \| (.*?) \|.*\|$", DOCUMENTED, re.MULTILINE)
    return {name: how for names, how in rows for name in re.findall(r"`(\w+)`", names)}


def test_the_table_of_operators_is_whole() -> None:
    from fastnst.convert.onnx.operators import OPERATORS

    assert set(documented()) == set(OPERATORS)


@pytest.mark.parametrize("name", FREE)
def test_what_takes_no_convolution_of_its_own(name: str, tmp_path: Path) -> None:
    g, y = built(CASES[name])
    convs = sum(isinstance(node, FloatConv) for node in read(g.model(y), tmp_path).nodes)
    assert convs == sum(node.op_type in {"Conv", "ConvTranspose"} for node in g.nodes)


@pytest.mark.parametrize(
    "operator", ["MaxPool", "GroupNormalization", "LayerNormalization", "HardSwish", "Gelu", "GlobalAveragePool"]
)
def test_what_the_documentation_says_is_refused(operator: str, tmp_path: Path) -> None:
    assert f"`{operator}`" in DOCUMENTED
    inputs = onnx.defs.get_schema(operator).min_input
    g, y = built(lambda g, x: g.add(operator, [x] * inputs))
    onnx.save(g.model(y), tmp_path / "network.onnx")
    with pytest.raises(ValueError, match=f"{operator} '/v1' is of an operator that fastnst does not take"):
        recognise([tmp_path / "network.onnx"])
