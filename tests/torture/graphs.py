"""ONNX files that nobody vouches for."""

from __future__ import annotations

import random
import resource
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from torture.framework import NotHereError, Outcome, check

NUMBERS = (-(2**63), -(2**31), -9, -2, -1, 0, 1, 2, 3, 4, 5, 6, 9, 17, 255, 65536, 2**31, 2**40, 2**62)
FLOATS = (float("nan"), float("inf"), -float("inf"), -1.0, -0.0, 0.0, 1e-45, 1e-5, 0.5, 1.0, 2.0, 255.0, 1e20, 3.4e38)
WORDS = (
    b"",
    b"reflect",
    b"edge",
    b"wrap",
    b"linear",
    b"nearest",
    b"asymmetric",
    b"SAME_UPPER",
    b"VALID",
    b"CRD",
    b"\xff\xfe",
    b"a\nb",
)
SEED = 22
SECONDS = 20.0
"""What no file may take."""
MEGABYTES = 2048
"""What all files together may take more than sound ones, at their worst."""


def sound() -> list[Any]:
    """Networks that have all operators that are taken."""
    from onnx import TensorProto, helper
    from onnx_graphs import Graph

    def relu_chain(g: Graph, x: str) -> str:
        x = g.add("LeakyRelu", [g.conv(x, 3, 4)], alpha=0.2)
        x = g.add("PRelu", [g.conv(x, 4, 4, group=4), g.constant(np.linspace(0, 1.5, 4).reshape(4, 1, 1))])
        x = g.add("Mul", [g.add("Clip", [g.add("Neg", [x]), g.constant(-1), g.constant(6)]), g.constant(0.5)])
        return g.add("Tanh", [g.conv(g.add("Identity", [x]), 4, 3)])

    def down_and_up(g: Graph, x: str) -> str:
        low = g.add("Relu", [g.conv(x, 3, 4, strides=[2, 2])])
        sides = g.add("Slice", [g.add("Shape", [x]), g.constant([2], np.int64), g.constant([4], np.int64)])
        sizes = g.add("Concat", [g.constant([1, 4], np.int64), sides], axis=0)
        up = g.add("Resize", [low, "", "", sizes], mode="linear")
        shuffled = g.add("DepthToSpace", [g.conv(low, 4, 16)], blocksize=2, mode="CRD")
        mean = g.add("AveragePool", [g.add("Sum", [up, shuffled])], kernel_shape=[2, 2], strides=[2, 2])
        turned = g.add("ConvTranspose", [mean, g.weights(4, 4, 4, 4)], strides=[2, 2], pads=[1] * 4)
        near = g.add("Resize", [low, "", g.constant([1, 1, 2, 2])], mode="nearest")
        y = g.conv(g.add("Concat", [turned, near], axis=1), 8, 3)
        return g.add("Sigmoid", [y])

    def norms(g: Graph, x: str) -> str:
        x = g.conv(g.add("Pad", [x, g.constant([0, 0, 1, 1, 0, 0, 1, 1], np.int64)], mode="reflect"), 3, 4, pads=[0] * 4)
        x = g.add("Relu", [g.add("InstanceNormalization", [x, g.weights(4), g.weights(4)], epsilon=1e-5)])
        x = g.add("BatchNormalization", [g.conv(x, 4, 4), g.weights(4), g.weights(4), g.weights(4), g.constant([1, 2, 3, 4])])
        centred = g.add("Sub", [x, g.add("ReduceMean", [x], axes=[2, 3])])
        variance = g.add("ReduceMean", [g.add("Pow", [centred, g.constant(2)])], axes=[2, 3])
        x = g.add("Div", [centred, g.add("Sqrt", [g.add("Add", [variance, g.constant(1e-3)])])])
        y = g.conv(g.add("Add", [x, g.constant([[[[0.5]]]])]), 4, 3)
        return g.add("Add", [g.add("Mul", [g.add("Tanh", [y]), g.constant(0.5)]), g.constant(0.5)])

    def eight_bits(g: Graph, x: str) -> str:
        step, zero = g.constant(np.float32(0.01)), g.constant(0, np.uint8)
        weight = g.constant(g.random.integers(-99, 99, (4, 3, 3, 3)), np.int8)
        weight = g.add("DequantizeLinear", [weight, g.constant([0.01] * 4), g.constant([0] * 4, np.int8)], axis=0)
        x = g.add("Conv", [g.add("Transpose", [x], perm=[0, 3, 1, 2]), weight], pads=[1] * 4)
        x = g.add("DequantizeLinear", [g.add("QuantizeLinear", [x, step, zero]), step, zero])
        x = g.add("Sub", [g.constant(1), g.conv(g.conv(x, 4, 4, 3, dilations=[2, 2], pads=[2] * 4), 4, 3)])
        x = g.add("Cast", [g.add("Clip", [x, g.constant(0), g.constant(255)])], to=1)
        return g.add("Transpose", [x], perm=[0, 2, 3, 1])

    def styles(g: Graph, x: str) -> str:
        gain = g.add("MatMul", ["s", g.add("Identity", [g.weights(3, 4)])])
        halves = g.add("ReduceSum", [g.add("Mul", [g.add("Unsqueeze", ["s", g.constant([1], np.int64)]), g.weights(3, 4)]),
                                     g.constant([0], np.int64)], keepdims=0)  # fmt: skip
        x = g.add("InstanceNormalization", [g.conv(x, 3, 4), gain, halves], epsilon=1e-5)
        scaled = g.add("Mul", [g.conv(x, 4, 4), g.add("Reshape", [gain, g.constant([1, -1, 1, 1], np.int64)])])
        return g.add("Tanh", [g.conv(scaled, 4, 3)])

    models = []
    for make in (relu_chain, down_and_up, norms, eight_bits):
        g = Graph(last=make is eight_bits)
        models.append(g.model(make(g, "x")))
    g = Graph()
    models.append(g.model(styles(g, "x")))
    models[-1].graph.input.append(helper.make_tensor_value_info("s", TensorProto.FLOAT, [3]))
    return models


def _attribute(model: Any, rng: random.Random) -> None:
    node = rng.choice(model.graph.node)
    if not node.attribute or rng.random() < 0.2:
        from onnx import helper

        name = rng.choice(
            ("axis", "axes", "group", "pads", "strides", "dilations", "auto_pad", "mode", "blocksize", "to", "perm")
        )
        kept = [each for each in node.attribute if each.name != name]
        del node.attribute[:]
        value = rng.choice((rng.choice(NUMBERS), [rng.choice(NUMBERS) for _ in range(rng.randrange(1, 9))], rng.choice(WORDS)))
        node.attribute.extend([*kept, helper.make_attribute(name, value)])
        return
    attribute = rng.choice(node.attribute)
    if rng.random() < 0.2:
        node.attribute.remove(attribute)
    elif attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(NUMBERS)
    else:
        attribute.i, attribute.f, attribute.s = rng.choice(NUMBERS), rng.choice(FLOATS), rng.choice(WORDS)


def _operator(model: Any, rng: random.Random) -> None:
    from fastnst.convert.onnx.constants import COMPUTED
    from fastnst.convert.onnx.operators import OPERATORS

    rng.choice(model.graph.node).op_type = rng.choice(
        sorted({*COMPUTED, *OPERATORS, "ReduceMean", "Sqrt", "Shape", "If", "Pow"})
    )


def _input(model: Any, rng: random.Random) -> None:
    node, graph = rng.choice(model.graph.node), model.graph
    names = [each.name for each in graph.initializer] + [each.output[0] for each in graph.node] + ["x", ""]
    if node.input and rng.random() < 0.8:
        node.input[rng.randrange(len(node.input))] = rng.choice(names)
    elif node.input and rng.random() < 0.5:
        del node.input[-1]
    else:
        node.input.append(rng.choice(names))


def _constant(model: Any, rng: random.Random) -> None:
    from onnx import numpy_helper

    tensor, other = rng.choice(model.graph.initializer), rng.choice(model.graph.initializer)
    name, how = tensor.name, rng.randrange(6)
    if how == 0:
        tensor.CopyFrom(other)
    elif how == 1 and tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(NUMBERS)
    elif how == 2:
        tensor.data_type = rng.randrange(0, 24)
    else:
        try:
            array = np.array(numpy_helper.to_array(tensor))
        except (TypeError, ValueError, KeyError):  # it has been changed already
            return
        with np.errstate(all="ignore"):
            value = np.array(rng.choice(FLOATS if array.dtype.kind == "f" else NUMBERS)).astype(array.dtype)
        if how == 3:
            array[...] = value
        elif how == 4 and array.size:
            array.reshape(-1)[rng.randrange(array.size)] = value
        else:
            array = array.reshape(-1)[: rng.randrange(array.size + 1)]
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array)))
    tensor.name = name


def _whole(model: Any, rng: random.Random) -> None:
    graph, how = model.graph, rng.randrange(4)
    if how == 0:
        model.opset_import[0].version = rng.choice((7, 9, 10, 11, 13, 18, 21, 25))
    elif how == 1:
        shape = rng.choice(graph.input).type.tensor_type.shape
        shape.dim[rng.randrange(len(shape.dim))].dim_value = rng.choice(NUMBERS)
    elif how == 2:
        graph.output[0].name = rng.choice(graph.node).output[0]
    else:
        graph.node.remove(rng.choice(graph.node))


CHANGES: tuple[Callable[[Any, random.Random], None], ...] = (_attribute, _operator, _input, _constant, _whole)


def mutated(count: int) -> Iterator[bytes]:
    """Files whose graphs, or whose bytes, have been changed."""
    rng, models = random.Random(SEED), sound()
    for number in range(count):
        model = type(models[0])()
        model.CopyFrom(models[number % len(models)])
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            rng.choice(CHANGES)(model, rng)
        data = bytearray(model.SerializeToString())
        if number % 5 == 0:
            data[rng.randrange(len(data))] = rng.randrange(256)
            data = data[: rng.randrange(len(data))] if number % 15 == 0 else data
        yield bytes(data)


def peak() -> int:
    """The most memory that this process has taken, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def _tried(path: Path, picture: Any, outcome: Outcome, what: str) -> bool:
    """Whether a file is taken; what it makes is a model that the engine opens, or is refused in one line as well."""
    from fastnst.convert.generator import quantise_graph
    from fastnst.convert.recognition import recognise
    from fastnst.engine import Engine
    from fastnst.format.graphfile import GeneratorFile
    from fastnst.format.modelfile import to_bytes

    try:
        found = recognise([path])
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # NaN cast to a whole number and the like
            nodes, _, _ = quantise_graph(found.trained.nodes, [picture])  # type: ignore[union-attr]
        engine = Engine(to_bytes(GeneratorFile({"name": "torture", "kind": "generator"}, nodes)))
        engine.translate(np.zeros((33, 40, 3), np.uint8))
    except ValueError as error:
        outcome.expect("\n" not in str(error), f"{what}: {error!r}")
        outcome.note = str(error)
        return False
    except Exception as error:  # whatever it is, it should have been a ValueError
        outcome.expect(False, f"{what}: {type(error).__name__}: {error}")
        return False
    outcome.expect(True, "")
    return True


@check("10,000 mutated ONNX files: refused in one line, or a model", quick=120, full=10_000)
def mutated_graphs(count: int) -> Outcome:
    """Whatever an ONNX file says, it is refused in one line or becomes a model, soon."""
    try:
        import onnx  # noqa: F401
        import torch
    except ModuleNotFoundError as missing:
        raise NotHereError(f"needs {missing.name}") from None
    outcome, taken, slowest, most = Outcome(), 0, 0.0, 0
    picture = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        for model in sound():
            path.write_bytes(model.SerializeToString())
            if not _tried(path, picture, outcome, "sound"):
                outcome.findings.append(f"a sound network is refused: {outcome.note}")
        before = peak()
        for number, data in enumerate(mutated(count)):
            path.write_bytes(data)
            start = time.perf_counter()
            taken += _tried(path, picture, outcome, str(number))
            seconds = time.perf_counter() - start
            slowest = max(slowest, seconds)
            if seconds > SECONDS:
                outcome.findings.append(f"{number}: {seconds:.0f} s")
            if peak() - before > max(MEGABYTES, most):
                outcome.findings.append(f"{number}: {peak() - before} MB more than sound ones")
            most = peak() - before
    outcome.note = f"seed {SEED}; {taken} still networks, the slowest {slowest:.1f} s, {most} MB more than sound ones"
    return outcome
