"""ONNX files that are broken, hostile, or of networks that the engine cannot run: one line each, nothing read elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy_engine import Lcg, random_picture
from PIL import Image

from fastnst import cli
from fastnst.convert import convert
from fastnst.convert.builder import Numbers
from fastnst.convert.recognition import recognise

onnx = pytest.importorskip("onnx", reason="needs onnx: pip install '.[onnx]'")
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper  # noqa: E402

Change = Callable[[ModelProto], Any]


def network() -> ModelProto:
    """x -> pad -> a -> norm -> relu -> b -> add -> c -> y, small, with every kind of field."""

    def node(operator: str, inputs: list[str], made: str, **attributes: Any) -> NodeProto:
        return helper.make_node(operator, inputs, [made], name=f"/{made}", **attributes)

    weights = {
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "wa": np.full((4, 3, 3, 3), 0.1, np.float32),
        "ba": np.zeros(4, np.float32),
        "gain": np.full(4, 0.5, np.float32),
        "shift": np.zeros(4, np.float32),
        "wb": np.full((4, 4, 3, 3), 0.1, np.float32),
        "wc": np.full((3, 4, 3, 3), 0.1, np.float32),
    }
    nodes = [
        node("Pad", ["x", "pads"], "pad", mode="reflect"),
        node("Conv", ["pad", "wa", "ba"], "a"),
        node("InstanceNormalization", ["a", "gain", "shift"], "norm", epsilon=1e-5),
        node("LeakyRelu", ["norm"], "relu", alpha=0.25),
        node("Conv", ["relu", "wb"], "b", pads=[1, 1, 1, 1], strides=[1, 1]),
        node("Add", ["b", "relu"], "add"),
        node("Conv", ["add", "wc"], "c", auto_pad="SAME_UPPER"),
        node("Tanh", ["c"], "y"),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, "H", "W"]) for name in "xy")
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "network", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def node_of(model: ModelProto, made: str) -> NodeProto:
    return next(node for node in model.graph.node if node.output[0] == made)


def becomes(made: str, operator: str, inputs: list[str] | None = None, **attributes: Any) -> Change:
    """The node that makes ``made`` is another one."""

    def change(model: ModelProto) -> None:
        node = node_of(model, made)
        given = list(node.input) if inputs is None else inputs
        node.CopyFrom(helper.make_node(operator, given, [made], name=f"/{made}", **attributes))

    return change


def constant(name: str, value: np.ndarray) -> Change:
    def change(model: ModelProto) -> None:
        kept = [tensor for tensor in model.graph.initializer if tensor.name != name]
        del model.graph.initializer[:]
        model.graph.initializer.extend([*kept, numpy_helper.from_array(value, name)])

    return change


def clips(made: str, low: float, high: float) -> Change:
    """The node that makes ``made`` is a Clip."""

    def change(model: ModelProto) -> None:
        constant("low", np.array(low, np.float32))(model)
        constant("high", np.array(high, np.float32))(model)
        becomes(made, "Clip", [node_of(model, made).input[0], "low", "high"])(model)

    return change


def resizes(scale: float, **attributes: Any) -> Change:
    """The ReLU is a Resize."""

    def change(model: ModelProto) -> None:
        constant("scales", np.array([1, 1, scale, scale], np.float32))(model)
        becomes("relu", "Resize", ["norm", "", "scales"], **attributes)(model)

    return change


def external(model: ModelProto) -> None:
    tensor = model.graph.initializer[1]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret")


def huge(model: ModelProto) -> None:
    model.graph.initializer[1].dims[0] = 1 << 40


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


REFUSED: dict[str, tuple[Change, str]] = {
    "an operator": (becomes("relu", "HardSwish"), "HardSwish '/relu' is of an operator that fastnst does not take; it takes "),
    "a domain": (becomes("relu", "Relu", domain="com.own"), "com.own.Relu '/relu' is of an operator"),
    "an empty graph": (lambda model: model.graph.ClearField("node"), "whose graph is empty"),
    "an old opset": (lambda model: model.opset_import[0].ClearField("version"), "opset 0 of ONNX"),
    "a cycle": (becomes("a", "Conv", ["relu", "wa"]), "Conv '/a' reads 'relu', which no node before it makes"),
    "nothing made": (becomes("a", "Conv", ["nowhere", "wa"]), "reads 'nowhere', which no node"),
    "made twice": (lambda model: model.graph.node.append(node_of(model, "a")), "makes 'a', which there is already"),
    "two outputs": (lambda model: model.graph.output.append(model.graph.output[0]), "2 outputs ("),
    "no input": (lambda model: model.graph.ClearField("input"), "0 inputs (none), expected one picture"),
    "a style beside the picture": (
        lambda model: model.graph.input.append(helper.make_tensor_value_info("style_weights", 1, [26])),
        "its input 'style_weights' chooses nothing",
    ),
    "external data": (external, "tensor 'wa' is in another file: save the network as one file"),
    "a huge shape": (huge, "tensor 'wa' has shape [1099511627776, 3, 3, 3] and holds 108 numbers"),
    "NaN": (constant("wa", np.full((4, 3, 3, 3), np.nan, np.float32)), "tensor 'wa' holds NaN or infinity"),
    "words": (constant("wa", np.array(["no"], object)), "is of type 8 of ONNX"),
    "a wrong shape": (constant("wb", zeros(4, 5, 3, 3)), "Conv '/b'.weight has shape [4, 5, 3, 3], expected [any, 4, 3, 3]"),
    "a wrong rank": (constant("wb", zeros(4, 5)), "Conv '/b': its input 2 has 2 dimensions, expected 4"),
    "no weights": (constant("wb", zeros(0, 4, 3, 3)), "Conv '/b': a kernel of [3, 3]"),
    "a wrong bias": (constant("ba", zeros(5)), "Conv '/a'.bias has shape [5], expected [4]"),
    "a wrong norm": (constant("gain", zeros(5)), "InstanceNormalization '/norm': its input 2 has 5 numbers for 4 channels"),
    "no epsilon": (becomes("norm", "InstanceNormalization", epsilon=-1.0), "epsilon -1"),
    "two maps multiplied": (becomes("add", "Mul", ["b", "relu"]), "Mul '/add' reads two maps; the engine only adds"),
    "a sum of channels": (constant("wb", zeros(6, 4, 3, 3)), "Add '/add' adds maps of 6 and 4 channels"),
    "a sum of sizes": (becomes("b", "Conv", strides=[2, 2], pads=[1] * 4), "Add '/add' takes maps of different sizes"),
    "a sum with the picture": (becomes("add", "Add", ["b", "x"]), "Add '/add' adds maps of 4 and 3 channels"),
    "a constant for each column": (becomes("add", "Add", ["b", "ba"]), "Add '/add': a constant of shape [4]"),
    "a division by a map": (becomes("add", "Div", ["eps", "b"], eps=1.0), "reads 'eps', which no node"),
    "slopes for each column": (becomes("relu", "PRelu", ["norm", "gain"]), "PRelu '/relu': a constant of shape [4]"),
    "a wrong type": (becomes("b", "Conv", strides="no"), "Conv '/b': its attribute strides is of a wrong type"),
    "one-sided pads": (becomes("b", "Conv", pads=[0, 1, 0, 1]), "stride 1 and [0, 1, 0, 1] pixels around"),
    "no pads": (becomes("b", "Conv"), "kernel [3, 3] with stride 1 and [0, 0, 0, 0] pixels around its map"),
    "a stride": (becomes("b", "Conv", strides=[3, 3], pads=[1] * 4), "Conv '/b': kernel [3, 3] with stride 3 and"),
    "strides that differ": (becomes("b", "Conv", strides=[1, 2], pads=[1] * 4), "Conv '/b': strides [1, 2], expected two"),
    "dilations": (becomes("b", "Conv", dilations=[5, 5], pads=[5] * 4), "Conv '/b': a kernel that reaches over [11, 11]"),
    "groups": (becomes("b", "Conv", group=3, pads=[1] * 4), "Conv '/b': 3 groups from 4 channels to 4"),
    "groups of others": (becomes("b", "Conv", group=2, pads=[1] * 4), "[4, 4, 3, 3], expected [any, 2, 3, 3]"),
    "no groups": (becomes("b", "Conv", group=0, pads=[1] * 4), "Conv '/b': 0 groups"),
    "a mean of less at the edges": (becomes("b", "AveragePool", ["relu"], kernel_shape=[3, 3], pads=[1] * 4), "fewer pixels"),
    "a window without sides": (becomes("b", "AveragePool", ["relu"]), "AveragePool '/b': a window of [0]"),
    "a mean of all": (becomes("b", "GlobalAveragePool", ["relu"]), "GlobalAveragePool '/b' is of an operator"),
    "a mean of nothing": (becomes("b", "ReduceMean", []), "ReduceMean '/b': its input data is left out"),
    "a mean of what is left out": (becomes("b", "ReduceMean", [""]), "ReduceMean '/b': its input data is left out"),
    "no constant to choose from": (becomes("b", "Gather", ["relu"]), "Gather '/b': its input indices is left out"),
    "an operator of a later opset": (becomes("b", "Mish", []), "Mish '/b': its input X is left out"),
    "a maximum": (becomes("b", "MaxPool", ["relu"], kernel_shape=[2, 2]), "MaxPool '/b' is of an operator"),
    "a size that depends": (becomes("b", "Conv", auto_pad="SAME_LOWER", strides=[2, 2]), "auto_pad SAME_LOWER"),
    "another doubling": (becomes("b", "ConvTranspose", strides=[2, 2]), "kernel [3, 3], stride 2, pads [0, 0, 0, 0], output"),
    "a part of the map": (becomes("b", "Slice", ["relu", "ones", "ones"]), "reads 'ones', which no node"),
    "blocks of 3": (becomes("b", "DepthToSpace", ["relu"], blocksize=3), "DepthToSpace '/b': blocksize 3 of 4 channels"),
    "rows as channels": (becomes("b", "Transpose", ["relu"], perm=[0, 2, 1, 3]), "Transpose '/b': dimensions [0, 2, 1, 3]"),
    "wrap": (becomes("pad", "Pad", mode="wrap"), "Pad '/pad': mode wrap"),
    "wide pads": (constant("pads", np.array([0, 0, 9, 9, 0, 0, 9, 9])), "Pad '/pad': pads [0, 0, 9, 9, 0, 0, 9, 9]"),
    "corners": (resizes(2, coordinate_transformation_mode="align_corners", mode="linear"), "linear, align_corners, by"),
    "cubic": (resizes(2, mode="cubic"), "Resize '/relu': mode cubic, half_pixel, by 2 and 2; the engine doubles"),
    "three times": (resizes(3, mode="nearest"), "Resize '/relu': mode nearest, half_pixel, by 3 and 3; the engine doubles"),
    "scales of two": (becomes("relu", "Upsample", ["norm", "gain"]), "Upsample '/relu': scales [0.5, 0.5, 0.5, 0.5]"),
    "an early Tanh": (becomes("relu", "Tanh"), "Conv '/b' reads what Tanh has made"),
    "an early Sigmoid": (becomes("relu", "Sigmoid"), "Conv '/b' reads what Sigmoid has made"),
    "a Clip of no range": (clips("relu", 6, 0), "Clip '/relu': from 6 to 0"),
    "a Clip of lists": (becomes("relu", "Clip", ["norm", "gain"]), "Clip '/relu': its min has to be one constant number"),
    "a Clip that says nothing": (clips("y", -2, 2), "it ends in Clip '/y', not in a Tanh, Sigmoid or Clip that makes -1..1"),
    "a Clip behind Tanh": (clips("y", 0.5, 2), "it ends in Clip '/y'"),
    "four channels": (constant("wc", zeros(4, 4, 3, 3)), "the output has 4 channels"),
    "no Tanh": (becomes("y", "Identity"), "it ends in Identity '/y', not in a Tanh, Sigmoid or Clip that makes -1..1"),
    "a slope": (becomes("relu", "LeakyRelu", alpha=2.0), "LeakyRelu '/relu': alpha 2, expected 0 to 1"),
    "a name of lines": (becomes("relu", "Oh\nno"), "Oh?no '/relu' is of an operator"),
}  # fmt: skip


def refusal(path: Path, numbers: Numbers | None = None) -> str | None:
    """The line that a file is refused with; None if it is not."""
    try:
        recognise([path], numbers)
    except ValueError as error:
        line = str(error)
        assert line.startswith(f"{path}: ") and "\n" not in line and len(line) < 600, line
        return line
    return None


@pytest.fixture
def written(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        (tmp_path / "network.onnx").write_bytes(data)
        return tmp_path / "network.onnx"

    return write


def test_the_network_itself_is_taken(written: Callable[[bytes], Path]) -> None:
    assert refusal(written(network().SerializeToString())) is None


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str, written: Callable[[bytes], Path], tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(432))
    change, words = REFUSED[name]
    model = network()
    change(model)
    assert words in (refusal(written(model.SerializeToString())) or "")


@pytest.mark.parametrize("data", [b"", b"no network", bytes(100), b"\x80" * 40])
def test_no_onnx_file(data: bytes, written: Callable[[bytes], Path]) -> None:
    assert "no ONNX file" in (refusal(written(data)) or "")


def test_damaged_files(written: Callable[[bytes], Path]) -> None:
    whole, lcg, refused = network().SerializeToString(), Lcg(7), 0
    for number in range(300):
        data = bytearray(whole)
        for _ in range(1 + lcg.below(4)):
            data[lcg.below(len(data))] = lcg.below(256)
        if number % 4 == 0:
            data = data[: lcg.below(len(data))]
        refused += refusal(written(bytes(data))) is not None
    assert refused > 90  # of the others the weights alone are damaged


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and no file, whatever is wrong; and several files are no network."""
    path, model = tmp_path / "network.onnx", network()
    becomes("relu", "Oh\nno")(model)
    path.write_bytes(model.SerializeToString())
    for sources, words in (([path], "Oh?no '/relu' is of an operator"), ([path, path], "an ONNX file is a whole network")):
        out = tmp_path / "out.fnst"
        assert cli.main(["convert", *map(str, sources), "-o", str(out), "--calibrate", str(tmp_path)]) == 1
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1 and not out.exists()


@pytest.mark.parametrize("size", [1e25, 1e30])
def test_a_norm_of_values_that_no_model_file_can_hold(size: float, written: Callable[[bytes], Path], tmp_path: Path) -> None:
    Image.fromarray(random_picture(Lcg(1), 40, 40)).save(tmp_path / "photograph.png")
    model = network()
    constant("wa", np.full((4, 3, 3, 3), size, np.float32))(model)
    path = written(model.SerializeToString())
    with pytest.raises(ValueError, match="too large or too small") as error:
        convert(path, tmp_path, tmp_path / "out.fnst")
    assert str(error.value).startswith(f"{path}: ") and not (tmp_path / "out.fnst").exists()


def test_a_network_that_overflows_float_numbers(written: Callable[[bytes], Path], tmp_path: Path) -> None:
    """Infinity, and what is made of it, is refused before it is cast to a whole number."""
    Image.fromarray(random_picture(Lcg(1), 40, 40)).save(tmp_path / "photograph.png")
    model = network()
    constant("wa", np.full((4, 3, 3, 3), 3e38, np.float32))(model)
    path = written(model.SerializeToString())
    with pytest.raises(ValueError, match="weights that make NaN or infinity of a calibration picture"):
        convert(path, tmp_path, tmp_path / "out.fnst")
    assert not (tmp_path / "out.fnst").exists()
