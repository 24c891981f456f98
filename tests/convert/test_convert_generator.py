"""Generators from their trained files to the command: the same graph, 8 bits close to float, and what cannot work refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy_generator as reference
import pytest
import torch
from numpy_engine import Cursor, Lcg, random_picture
from PIL import Image
from safetensors.torch import save_file

from fastnst import Stylizer, cli
from fastnst.convert import convert
from fastnst.convert.graph import FloatConv, FloatNode, run_float
from fastnst.convert.graph_arithmetic import simulate_node
from fastnst.convert.layouts import resnet, unet
from fastnst.convert.recognition import recognise
from fastnst.convert.tensors import Source
from fastnst.engine import AdainLook, Engine
from fastnst.format.graphfile import GeneratorFile
from fastnst.metrics.cost import macs
from fastnst.networks.gan import Generator, ResnetGenerator, UnetGenerator

KINDS = ("mobile_resnet", "resnet", "unet", "unet instance")
FLOOR = 34.0
"""dB: what 8 bits must keep of the float network's picture; these come to 40 and more."""


def network_of(kind: str) -> Generator:
    """A tiny generator whose pictures are no noise: its convolutions keep the size of what they see."""
    torch.manual_seed(5)
    network: Generator
    if kind.startswith("unet"):
        network = UnetGenerator(12, levels=3, norm="instance" if kind.endswith("instance") else "batch")
    else:
        network = ResnetGenerator(6, separable=kind == "mobile_resnet", blocks=2)
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif name.endswith(("bias", "running_mean")):
            value.normal_(0, 0.1)
        elif value.ndim == 4:
            last = name in {"head.weight", "up.0.weight"}
            value.normal_(0, (0.4 if last else 1.2) / value[0].numel() ** 0.5)
    return network.eval()


def saved(network: Generator, path: Path) -> Path:
    """As recipe `crd` leaves it."""
    tensors = {f"generator.{name}": value.contiguous() for name, value in network.state_dict().items()}
    facts = {"recipe": "crd", "training_data": "noise", "step": 7, "settings": {"student_width": 6}}
    save_file(tensors, path, {"facts": json.dumps(facts)})
    return path


def graph_of(network: Generator) -> list[FloatNode]:
    layout = unet if isinstance(network, UnetGenerator) else resnet
    return layout.read([Source(Path("net"), dict(network.state_dict()), {}, "")])[0].nodes


def smooth_picture(seed: int, side: int) -> np.ndarray:
    noise = random_picture(Lcg(seed), 6, 6)
    return np.asarray(Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(2):
        Image.fromarray(smooth_picture(seed, 96)).save(folder / f"{seed}.png")
    return folder


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def converted(kind: str, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("converted")
    convert(saved(network_of(kind), folder / "final.safetensors"), pictures, folder / "student.fnst")
    return folder / "student.fnst"


@pytest.fixture(scope="module")
def student(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One converted generator, for what does not depend on its kind."""
    folder = tmp_path_factory.mktemp("student")
    convert(saved(network_of("mobile_resnet"), folder / "final.safetensors"), pictures, folder / "student.fnst")
    return folder / "student.fnst"


def test_the_graph_computes_what_the_network_does(kind: str) -> None:
    network = network_of(kind)
    picture = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(run_float(graph_of(network), picture), network(picture), rtol=0, atol=1e-5)


def psnr(out: np.ndarray, wanted: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / ((out.astype(np.float64) - wanted) ** 2).mean()))


def test_eight_bits_stay_close_to_the_float_network(kind: str, converted: Path) -> None:
    picture = smooth_picture(9, 64)
    shown = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        wanted = ((network_of(kind)(shown)[0] + 1) * 127.5).permute(1, 2, 0).numpy()
    assert wanted.std() > 10
    assert psnr(Engine(converted).translate(picture), wanted) > FLOOR


def nodes_of(path: Path) -> GeneratorFile:
    data = path.read_bytes()
    card = int.from_bytes(data[20:24], "little")
    cursor = Cursor(data[48 + card + -card % 4 : -32])
    return GeneratorFile({}, [reference.parse_node(cursor) for _ in range(int.from_bytes(data[24:28], "little"))])


def test_engine_and_simulation_equal_the_reference(kind: str, converted: Path) -> None:
    model, floats = nodes_of(converted), graph_of(network_of(kind))
    picture = random_picture(Lcg(3), 32, 24)
    maps = {0: torch.from_numpy(picture).permute(2, 0, 1)[None]}
    for node, shape in zip(model.nodes, floats, strict=True):
        made = simulate_node(node, shape, maps)
        if node is model.nodes[-1]:
            maps[-1] = made
        elif node.target in maps:  # type: ignore[union-attr]
            before = maps[node.target]  # type: ignore[union-attr]
            gap = before.new_zeros(1, -before.shape[1] % 16, *before.shape[2:])
            maps[node.target] = torch.cat([before, gap, made], 1)  # type: ignore[union-attr]
        else:
            maps[node.target] = made  # type: ignore[union-attr]
    wanted = reference.translate(model, picture)
    np.testing.assert_array_equal(maps[-1][0].permute(1, 2, 0).numpy(), wanted)
    np.testing.assert_array_equal(Engine(converted).translate(picture), wanted)


def test_the_card_says_what_the_model_is(kind: str, converted: Path) -> None:
    network, card = network_of(kind), Engine(converted).card
    assert card["kind"] == "generator"
    assert card["generator"] == kind.removesuffix(" instance")
    assert card["parameters"] == sum(p.numel() for p in network.parameters())
    assert card["macs_per_pixel"] == round(macs(network, torch.zeros(1, 3, 64, 64)) / 64**2)
    assert card["training_data"] == "noise"
    assert card["psnr"] > FLOOR


def test_skipped_channels_have_no_weight() -> None:
    """Widths that are no multiple of 16 leave lanes between the parts of a map."""
    nodes = [node for node in graph_of(network_of("unet")) if isinstance(node, FloatConv) and node.form == "transposed"]
    assert [node.weight.shape[1] for node in nodes] == [48, 32 + 24, 16 + 12]
    assert not nodes[-1].weight[:, 12:16].any()


def test_same_input_gives_the_same_file(student: Path, pictures: Path, tmp_path: Path) -> None:
    convert(student.with_name("final.safetensors"), pictures, tmp_path / "again.fnst", name="student")
    assert (tmp_path / "again.fnst").read_bytes() == student.read_bytes()


@pytest.mark.parametrize("how", ["missing", "unexpected", "misshapen", "neither"])
def test_tensors_that_are_no_generator(tmp_path: Path, how: str) -> None:
    tensors = {f"generator.{name}": value for name, value in network_of("mobile_resnet").state_dict().items()}
    if how == "missing":
        del tensors["generator.head.weight"]
    elif how == "unexpected":
        tensors["generator.tail.weight"] = torch.zeros(1)
    elif how == "misshapen":
        tensors["generator.down.0.weight"] = torch.zeros(12, 6, 5, 5)
    else:
        tensors = {"generator.weight": torch.zeros(3)}
    save_file(tensors, tmp_path / "broken.safetensors")
    with pytest.raises(ValueError, match=r"broken\.safetensors") as caught:
        recognise([tmp_path / "broken.safetensors"])
    assert "\n" not in str(caught.value)


def test_a_network_for_larger_pictures_than_calibrate(pictures: Path, tmp_path: Path) -> None:
    source = saved(UnetGenerator(1, levels=9), tmp_path / "deep.safetensors")
    with pytest.raises(ValueError, match="512 pixels"):
        convert(source, pictures, tmp_path / "deep.fnst")


# ---- what users see ----


def test_stylizer_translates_without_a_style(student: Path) -> None:
    stylizer, picture = Stylizer(student), smooth_picture(4, 50)
    out = stylizer(picture)
    np.testing.assert_array_equal(out, Engine(student).translate(picture))
    image = Image.fromarray(picture).convert("RGBA")
    image.putalpha(100)
    translated = stylizer(image)
    assert translated.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(translated.convert("RGB")), out)
    assert not np.array_equal(stylizer(picture, preserve_color=True), out)


def test_stylizer_refuses_what_makes_no_sense(student: Path, model_path: Path) -> None:
    stylizer, picture = Stylizer(student), smooth_picture(4, 20)
    for arguments in ({"style": picture}, {"alpha": 0.5}, {"weights": [1.0]}, {"levels": [1]}):
        with pytest.raises(ValueError, match="takes no style"):
            stylizer(picture, **arguments)
    for call in (stylizer.engine.encode, stylizer.engine.look):
        with pytest.raises(ValueError, match="generator: it takes no style"):
            call(picture)
    with pytest.raises(ValueError, match="needs a style"):
        Stylizer(model_path)(picture)
    with pytest.raises(ValueError, match="needs a style"):
        Engine(model_path).translate(picture)
    features = Engine(model_path).encode(picture)
    with pytest.raises(ValueError, match="takes no style"):
        stylizer.engine.decode(features, AdainLook(np.zeros(1), np.ones(1)))


def test_command_translates_a_picture_and_a_folder(
    student: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, photo = str(student), str(pictures / "0.png")
    assert cli.main(["stylize", photo, "--model", model, "-o", str(tmp_path / "out.png"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["working_memory"] > 0
    with Image.open(tmp_path / "out.png") as out:
        np.testing.assert_array_equal(np.asarray(out), Engine(student).translate(smooth_picture(0, 96)))
    assert cli.main(["stylize", str(pictures), "--model", model, "-o", str(tmp_path / "all"), "--size", "40"]) == 0
    assert {path.name for path in (tmp_path / "all").iterdir()} == {"0.png", "1.png"}


@pytest.mark.parametrize(
    "more",
    [["{photo}"], ["--alpha", "0.5"], ["--levels", "1"], ["--style-size", "9"]],
    ids=["style", "alpha", "levels", "size"],
)
def test_command_refuses_what_makes_no_sense(
    student: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    photo, out = str(pictures / "0.png"), tmp_path / "out.png"
    rest = [part.format(photo=photo) for part in more]
    assert cli.main(["stylize", photo, *rest, "--model", str(student), "-o", str(out)]) == 2
    assert "takes no style" in capsys.readouterr().err
    assert not out.exists()


def test_command_says_that_other_models_need_a_style(
    model_path: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = str(pictures / "0.png")
    assert cli.main(["stylize", photo, "--model", str(model_path), "-o", str(tmp_path / "out.png")]) == 2
    assert "needs a STYLE" in capsys.readouterr().err
    # A style may follow an option, as always.
    assert cli.main(["stylize", photo, "--model", str(model_path), photo, "-o", str(tmp_path / "out.png")]) == 0
