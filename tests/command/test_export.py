"""Models as ONNX graphs: another runtime makes of them what the engine makes, but for bytes that round otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy_generator as reference
import pytest
from numpy_engine import Lcg, random_picture
from PIL import Image
from trained_pair import content_photograph, psnr, style_photograph

from fastnst import cli
from fastnst.convert.recognition import recognise
from fastnst.engine import Engine
from fastnst.format.graphfile import GeneratorFile
from fastnst.format.modelfile import to_bytes
from fastnst.format.reading import read

ROOT = Path(__file__).parents[2]
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install onnx onnxruntime")
pytest.importorskip("onnx", reason="needs onnx: pip install onnx onnxruntime")


def exported(model: str, out: Path, *more: str) -> object:
    assert cli.main(["export", model, "-o", str(out), *more]) == 0
    return onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])


def floats(picture: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32) / 255


def picture_of(session: object, **inputs: np.ndarray) -> np.ndarray:
    (made,) = session.run(None, inputs)  # type: ignore[attr-defined]
    return np.clip(made[0].transpose(1, 2, 0), 0, 1) * 255


def test_an_adain_model_with_the_style_given_or_cached(tmp_path: Path) -> None:
    engine, content, style = Engine(ROOT / "fastnst" / "models" / "adain-nano.fnst"), content_photograph(), style_photograph()
    look = engine.look(style)
    wanted = engine.decode(engine.encode(content), look)
    made = picture_of(exported("adain-nano", tmp_path / "given.onnx"), content=floats(content), style=floats(style))
    assert psnr(made, wanted) > 30
    session = exported("adain-nano", tmp_path / "cached.onnx", "--cached")
    statistics = {name: np.float32(getattr(look, name)).reshape(1, -1, 1, 1) for name in ("mean", "std")}
    assert psnr(picture_of(session, content=floats(content), **statistics), wanted) > 30


@pytest.mark.parametrize("sides", [(1, 1), (1, 2), (2, 2), (5, 3)])
def test_statistics_divide_by_one_less_than_there_are_positions(sides: tuple[int, int]) -> None:
    """As in the published code and the engine; of a single position by 1."""
    import torch

    from fastnst.format.onnxgraph import Graph
    from fastnst.reference.adain import calc_mean_std

    x, graph = torch.randn(1, 3, *sides, generator=torch.Generator().manual_seed(1)), Graph()
    graph.statistics("x")
    model = graph.model({"x": [1, 3, "rows", "columns"]}).SerializeToString()
    (std,) = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"x": x.numpy()})
    np.testing.assert_allclose(std, calc_mean_std(x)[1].numpy(), rtol=1e-5)


@pytest.mark.parametrize("more", [[], ["--qdq"]], ids=["float", "qdq"])
@pytest.mark.parametrize("side", [16, 24])
def test_an_adain_model_of_pictures_of_few_positions(tmp_path: Path, side: int, more: list[str]) -> None:
    """4 and 9 of them in the content, where n - 1 is another number than n; the style has more."""
    engine = Engine(ROOT / "fastnst" / "models" / "adain-nano.fnst")
    content, style = np.ascontiguousarray(content_photograph()[40 : 40 + side, 60 : 60 + side]), style_photograph()
    wanted = engine.decode(engine.encode(content), engine.look(style))
    assert cli.main(["export", "adain-nano", "-o", str(tmp_path / "own.onnx"), *more]) == 0
    made = picture_of(plain_session(tmp_path / "own.onnx"), content=floats(content), style=floats(style))
    assert psnr(made, wanted) > 30


def plain_session(path: Path) -> object:
    """Runs a graph as it is written, convolutions in float numbers."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(("model", "least"), [("adain-nano", 45), ("adain-16x", 38), ("adain-pruned", 35)])
def test_an_adain_model_in_8_bits(tmp_path: Path, model: str, least: float) -> None:
    """Bounds a little below what was measured; layers of Winograd's form, which nano has none of, round otherwise."""
    engine = Engine(ROOT / "fastnst" / "models" / f"{model}.fnst")
    content, style = (np.ascontiguousarray(x[:96, :104]) for x in (content_photograph(), style_photograph()))
    wanted = engine.decode(engine.encode(content), engine.look(style))
    assert cli.main(["export", model, "-o", str(tmp_path / "own.onnx"), "--qdq"]) == 0
    made = picture_of(plain_session(tmp_path / "own.onnx"), content=floats(content), style=floats(style))
    assert psnr(made, wanted) > least


def test_a_runtime_runs_every_convolution_on_bytes(tmp_path: Path) -> None:
    """The picture is the engine's then, but on processors without VNNI, where onnxruntime's sums may saturate."""
    import onnx

    engine, path = Engine(ROOT / "fastnst" / "models" / "adain-nano.fnst"), tmp_path / "own.onnx"
    content, look = np.ascontiguousarray(content_photograph()[:96, :88]), engine.look(style_photograph())
    assert cli.main(["export", "adain-nano", "-o", str(path), "--qdq", "--cached"]) == 0
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    options.log_severity_level = 3  # that such a file is for this machine alone
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "fused.onnx").graph.node]
    assert "Conv" not in kinds and kinds.count("QLinearConv") == 18
    inputs = {"content": floats(content)} | {n: np.float32(getattr(look, n)).reshape(1, -1, 1, 1) for n in ("mean", "std")}
    assert psnr(picture_of(session, **inputs), engine.decode(engine.encode(content), look)) > 30


@pytest.mark.parametrize("size", [(64, 80), (37, 50)])
def test_a_generator_at_whole_and_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    picture = content_photograph()[: size[0], : size[1]]
    engine = Engine(ROOT / "examples" / "photo2painting.fnst")
    model = reference_of(ROOT / "examples" / "photo2painting.fnst")
    (tmp_path / "own.fnst").write_bytes(to_bytes(model))
    made = picture_of(exported(str(tmp_path / "own.fnst"), tmp_path / "own.onnx"), content=floats(picture))
    assert made.shape == picture.shape
    assert psnr(made, Engine(tmp_path / "own.fnst").translate(np.ascontiguousarray(picture))) > 30
    assert engine.card["name"]


def test_a_generator_that_is_read_back_makes_the_same_pictures(tmp_path: Path) -> None:
    model = reference_of(ROOT / "examples" / "photo2painting.fnst")
    (tmp_path / "own.fnst").write_bytes(to_bytes(model))
    (tmp_path / "photographs").mkdir()
    Image.fromarray(content_photograph()[:256, :256]).save(tmp_path / "photographs" / "one.png")
    assert cli.main(["export", str(tmp_path / "own.fnst"), "-o", str(tmp_path / "own.onnx")]) == 0
    back = [
        "convert",
        str(tmp_path / "own.onnx"),
        "-o",
        str(tmp_path / "back.fnst"),
        "--calibrate",
        str(tmp_path / "photographs"),
    ]
    assert cli.main(back) == 0
    engine, again = Engine(tmp_path / "own.fnst"), Engine(tmp_path / "back.fnst")
    assert len(read(tmp_path / "back.fnst").nodes) == len(model.nodes)  # type: ignore[union-attr]
    for part in (content_photograph()[:128, 40:136], content_photograph()[20:113, 90:167]):
        picture = np.ascontiguousarray(part)
        assert psnr(again.translate(picture), engine.translate(picture).astype(np.float64)) > 37, picture.shape


def reference_of(path: Path) -> GeneratorFile:
    model = read(path)
    assert isinstance(model, GeneratorFile)
    return GeneratorFile({"name": "own", "kind": "generator"}, model.nodes)


@pytest.mark.parametrize("make", [reference.transformer_like, reference.unet_like, reference.resnet_like])
def test_every_kind_of_node(tmp_path: Path, make: object) -> None:
    """Random networks, whose bytes round by a step here and there but never far: a wrong tap or phase is far."""
    model = make(Lcg(3), 5)  # type: ignore[operator]
    (tmp_path / "own.fnst").write_bytes(to_bytes(model))
    noise = Image.fromarray(random_picture(Lcg(2), 6, 6)).resize((48, 40), Image.Resampling.BICUBIC)
    picture = np.asarray(noise)
    made = picture_of(exported(str(tmp_path / "own.fnst"), tmp_path / "own.onnx"), content=floats(picture))
    wanted = Engine(tmp_path / "own.fnst").translate(picture).astype(np.float64)
    assert np.corrcoef(made.ravel(), wanted.ravel())[0, 1] > 0.98


def network(kind: str) -> GeneratorFile:
    """A few layers, with what the kind has."""
    graph = reference.Builder(Lcg(6))
    if kind == "depthwise":
        x = graph.affine(graph.convolution(0, 20, 3, border="reflected"), normalises=True, negative=0.2)
        raw = graph.convolution(x, 20, 3, form="depthwise", border="repeated")
    elif kind == "transposed":
        x = graph.affine(graph.convolution(0, 9, 3, stride=2), normalises=True, negative=0.0)
        raw = graph.convolution(x, 6, 4, form="transposed", stride=2)
    else:  # two writers of one map, and a sum
        first = graph.convolution(0, 5, 3)
        stream = graph.affine(first, wide=True)
        x = graph.affine(graph.affine(graph.convolution(0, 5, 1), wide=True, addend=stream))
        graph.affine(graph.convolution(0, 4, 9), target=x)
        raw = graph.convolution(x, 7, 3)
    model = reference.skipped_lanes_cleared(graph.paint(graph.convolution(graph.affine(raw), 3, 7)))
    return reference.with_styles(model, Lcg(7), 3) if kind == "styles" else model


@pytest.mark.parametrize("kind", ["depthwise", "transposed", "joined", "styles"])
def test_a_generator_in_8_bits_rounds_as_the_engine_does(tmp_path: Path, kind: str) -> None:
    """Where few layers lie behind one another, all but a few bytes of the maps are the engine's, and so is the picture; float
    graphs of these networks are further away."""
    model = network(kind)
    (tmp_path / "own.fnst").write_bytes(to_bytes(model))
    picture, parts = random_picture(Lcg(2), 40, 48), [0.25, 0.5, 0.25]
    wanted = Engine(tmp_path / "own.fnst").translate(picture, styles=parts if model.styles else None)
    given = {"content": floats(picture)} | ({"style_weights": np.float32(parts)} if model.styles else {})
    assert cli.main(["export", str(tmp_path / "own.fnst"), "-o", str(tmp_path / "own.onnx"), "--qdq"]) == 0
    exact = psnr(np.rint(picture_of(plain_session(tmp_path / "own.onnx"), **given)), wanted)
    plain = psnr(np.rint(picture_of(exported(str(tmp_path / "own.fnst"), tmp_path / "float.onnx"), **given)), wanted)
    assert exact > max(52, plain + 2), (exact, plain)


def test_a_trained_generator_in_8_bits(tmp_path: Path) -> None:
    """Bounds a little below what was measured: behind many layers a few bytes that round otherwise have become many. It is read
    back."""
    path, picture = ROOT / "examples" / "photo2painting.fnst", np.ascontiguousarray(content_photograph()[:128, :136])
    (tmp_path / "own.fnst").write_bytes(to_bytes(reference_of(path)))
    wanted = Engine(tmp_path / "own.fnst").translate(picture)
    session = exported(str(tmp_path / "own.fnst"), tmp_path / "own.onnx", "--qdq")
    assert psnr(picture_of(session, content=floats(picture)), wanted) > 42
    assert (tmp_path / "own.onnx").stat().st_size < 2 * path.stat().st_size
    assert "quantisers left out" in recognise([tmp_path / "own.onnx"]).what


def test_what_cannot_be_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.onnx"
    for arguments, code, words in (
        (["wct-16x", "-o", str(out)], 1, "ONNX has no operator"),
        ([str(ROOT / "examples" / "photo2painting.fnst"), "-o", str(out), "--cached"], 1, "takes no style"),
        (["wct-16x", "-o", str(out), "--qdq"], 1, "ONNX has no operator"),
        (["adain-nano", "-o", str(tmp_path / "out.pb")], 2, "suffix of a graph"),
    ):
        assert cli.main(["export", *arguments]) == code
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())
