"""Compression: a network that computes what was pruned, in the wanted size, resumed as if nothing had happened."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import inception_file
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from command_line import Run, failed, in_process
from foreign_networks import BATCH, ExamplesTransformer, Resnet, Unet
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

import fastnst
from fastnst.cli.commands.compress import SETTINGS
from fastnst.convert import pictures, trained_generator
from fastnst.convert.graph import FloatAffine, FloatConv, run_float
from fastnst.convert.onnx.tracing import traced
from fastnst.convert.recognition import recognise
from fastnst.engine import Engine
from fastnst.evaluate import timing
from fastnst.format.modelfile import to_bytes
from fastnst.format.reading import read
from fastnst.networks.perceptual import VGG16_LAYERS
from fastnst.system.digest import file_digest
from fastnst.train.compress import pruning, running
from fastnst.train.compress.pruning import Pruner, energies_of, pruned
from fastnst.train.compress.settings import CompressSettings
from fastnst.train.crd.weights import INCEPTION_FILE, VGG16_FILE
from fastnst.train.fake_graph import FakeGraph
from fastnst.train.graph import GraphNetwork, generator_in, numbers_of, renewed

SIZE = 32
QUICK = {"size": SIZE, "patch": 16, "perceptual_weight": 0.0, "held_out": 2, "precision": "float32", "qat_steps": 2}
KINDS: dict[str, Callable[[], nn.Module]] = {
    "residual": lambda: Resnet(8, 2),
    "separable": lambda: Resnet(8, 2, mobile=True),
    "joined": lambda: Unet(6, 4, BATCH),
    "upsampled": lambda: ExamplesTransformer(8, 2),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few small pictures to fit 8 bits to, and times that nobody reads."""
    monkeypatch.setattr(pictures, "SHORT_SIDE", 64)
    monkeypatch.setattr(trained_generator, "PICTURES", 3)
    monkeypatch.setattr(timing, "ROUNDS", 1)
    monkeypatch.setattr(timing, "SAMPLE_SECONDS", 0.0)


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    return in_process(capfd)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for i in range(20):
        soft = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
        soft.resize((64, 48), Image.Resampling.BICUBIC).save(folder / f"{i:02}.png")
    return folder


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(Resnet(8, 1), tmp_path_factory.mktemp("network"))


def saved(module: nn.Module, folder: Path) -> Path:
    torch.save(module.state_dict(), folder / "net_G.pth")
    return folder / "net_G.pth"


def noise(side: int, count: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_as_a_network_computes_the_same_before_and_after_pruning(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    trained = generator_in(recognise([saved(KINDS[kind](), tmp_path)]))
    for nodes in (trained.nodes, pruned(trained, 0.3, 16, noise(SIZE, 2))):
        network = GraphNetwork(nodes)
        assert numbers_of(renewed(nodes, network.state_dict())) == sum(p.numel() for p in network.parameters())
        with torch.no_grad():
            torch.testing.assert_close(network(noise(SIZE)), run_float(nodes, noise(SIZE)), rtol=0, atol=2e-5)


class Shuffled(nn.Module):
    """A bias for each phase, and maps of two parts, one of them linearly doubled, the picture added at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.less, self.four, self.whole = nn.Conv2d(3, 20, 3, 2, 1), nn.Conv2d(20, 64, 1), nn.Conv2d(3, 20, 1)
        self.each, self.both = nn.Conv2d(20, 20, 3, 1, 1, groups=20), nn.Conv2d(56, 3, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        low = F.relu(self.less(x))
        doubled = F.interpolate(F.relu(self.each(low)), scale_factor=2, mode="bilinear")
        parts = [F.relu(self.whole(x)), doubled, F.relu(F.pixel_shuffle(self.four(low), 2))]
        return torch.tanh(self.both(torch.cat(parts, 1)) + x)


def test_a_traced_module_is_cut_whatever_it_is_made_of() -> None:
    pytest.importorskip("onnx")
    torch.manual_seed(0)
    trained = generator_in(traced(Shuffled(), noise(SIZE)))
    assert [node.bias.shape for node in trained.nodes if isinstance(node, FloatConv) and node.bias.ndim > 1] == [(16, 4)]
    assert any(isinstance(node, FloatConv) and node.gap for node in trained.nodes)
    nodes = pruned(trained, 0.5, 16, noise(SIZE))
    cut = replace(trained, nodes=nodes)
    assert 0.4 < cut.macs_per_pixel / trained.macs_per_pixel <= 0.5
    assert min(len(node.weight) for node in nodes if isinstance(node, FloatConv)) == 3  # the colours of the picture
    with torch.no_grad():
        for each in (trained.nodes, nodes):
            torch.testing.assert_close(GraphNetwork(each)(noise(SIZE)), run_float(each, noise(SIZE)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ratio", [0.2, 0.5, 1.0])
def test_the_wanted_share_of_multiplications_is_reached(kind: str, ratio: float, tmp_path: Path) -> None:
    """At most, and at least 0.7 of it: steps of width are an eighth of the narrow layers here."""
    torch.manual_seed(0)
    trained = generator_in(recognise([saved(KINDS[kind](), tmp_path)]))
    cut = replace(trained, nodes=pruned(trained, ratio, 16, noise(SIZE, 2)))
    assert 0.7 * ratio < cut.macs_per_pixel / trained.macs_per_pixel <= ratio
    assert (cut.macs_per_pixel == trained.macs_per_pixel) is (ratio == 1.0)


def test_widths_are_whole_steps_of_the_engine(tmp_path: Path) -> None:
    trained = generator_in(recognise([saved(Resnet(32, 1), tmp_path)]))
    widths = [len(node.weight) for node in pruned(trained, 0.25, 16, noise(SIZE)) if isinstance(node, FloatConv)]
    assert [width % 16 for width in widths[2:4]] == [0, 0]  # of 128 channels
    assert widths[0] % 4 == 0 and widths[-1] == 3  # of 32, and the picture


def test_channels_that_nobody_hears_go_first(tmp_path: Path) -> None:
    """Their filters are large, but what reads them multiplies by nothing: without them the picture is the same."""
    torch.manual_seed(0)
    module = Resnet(8, 1)
    first, second = (module.model[i] for i in (1, 4))
    with torch.no_grad():
        first.weight[::2] *= 100
        second.weight[:, ::2] = 0
    trained = generator_in(recognise([saved(module, tmp_path)]))
    pruner = Pruner(trained, energies_of(GraphNetwork(trained.nodes), noise(SIZE)), 16)
    (group,) = (each for each in pruner.coupled if each.root == "layers.0")
    assert group.removed(4) == [0, 2, 4, 6]
    root = pruner.network.get_submodule(group.root)
    pruner.graph.get_pruning_group(root, pruner.graph.get_pruner_of_module(root).prune_out_channels, group.removed(4)).prune()
    cut = renewed(trained.nodes, pruner.network.state_dict())
    torch.testing.assert_close(run_float(cut, noise(SIZE)), run_float(trained.nodes, noise(SIZE)), rtol=0, atol=1e-5)


def test_every_style_of_a_network_is_cut_and_trained(photos: Path, tmp_path: Path) -> None:
    """As conditional instance norms have them, here put into a network of one look."""
    found = recognise([saved(Resnet(8, 1), tmp_path)])
    trained = generator_in(found)
    torch.manual_seed(0)
    nodes = [
        replace(node, gain=torch.rand(3, width).double() + 0.5, shift=torch.randn(3, width).double())
        if isinstance(node, FloatAffine) and node.normalises
        else node
        for node, width in ((node, _width(trained.nodes, node)) for node in trained.nodes)
    ]
    styled = replace(found, trained=replace(trained, nodes=nodes))
    with torch.no_grad():
        for style in range(3):
            made = GraphNetwork(nodes)(noise(SIZE), style)
            torch.testing.assert_close(made, run_float(nodes, noise(SIZE), style), rtol=0, atol=2e-5)
    settings = CompressSettings(steps=3, ratio=0.3, **QUICK)  # type: ignore[arg-type]
    options = running.RunOptions(photos, tmp_path / "run", threads=1)
    made = running.compressed(styled, settings, options, running.ProcessGroup(), tmp_path / "student.fnst")
    assert made.card["styles"] == 3 == made.network.styles
    assert Engine(tmp_path / "student.fnst").styles == 3


def _width(nodes: list[Any], node: Any) -> int:
    return next((len(each.weight) for each in nodes if isinstance(each, FloatConv) and each.target == node.source), 0)


def test_the_command_makes_a_model_that_says_what_it_was_made_of(run: Run, network: Path, photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "student.fnst"
    config = tmp_path / "settings.toml"
    config.write_text("patch = 16\nperceptual_weight = 1.0\n")
    given = ["--data", photos, "--steps", 2, "--qat-steps", 2, "--size", SIZE, "--ratio", 0.3, "--threads", 1, "--held-out", 2]
    given += ["--perceptual-weight", 0, "--config", config]
    done = run("compress", network, "-o", output, *given)
    assert done.code == 0, done.err
    assert done.out.startswith(f"{network}: CycleGAN ResNet generator, 1 blocks, 8 filters\n")
    assert "student, 8 bits" in done.out and "2 held-out pictures" in done.out
    assert "LPIPS is left out: it needs lpips_alex*.safetensors in " in done.out
    assert f"FID is left out: it needs {INCEPTION_FILE} in " in done.out
    engine = Engine(output)
    card = engine.card
    assert card["converted_from"] == [file_digest(network)] and card["licence"] == "unknown"
    assert card["source"] == "trained by fastnst's own recipe `compress`"
    assert card["distilled_from"] == "net_G.pth: CycleGAN ResNet generator, 1 blocks, 8 filters"
    assert card["network"].startswith("CycleGAN ResNet generator, 1 blocks, 8 filters, pruned to ")
    assert card["trained_with"]["step"] == 2 and card["trained_with"]["settings"]["ratio"] == 0.3
    picture = np.asarray(Image.open(photos / "00.png"))
    assert engine.translate(picture).shape == picture.shape
    report = json.loads((tmp_path / "student-run" / "report.json").read_text())
    untouched, before, _, _, converted, after = report["rows"]
    assert converted["name"] == "student, 8 bits, converted" and converted["macs"] == after["macs"]
    assert card["retrained_with"] == {"steps": 2, "learning_rate": CompressSettings().qat_rate} and card["psnr"] > 20
    assert untouched["name"] == "untouched" and untouched["macs"] is None and untouched["psnr"] > 0
    assert after["macs"] <= 0.3 * before["macs"] and after["parameters"] == card["parameters"]
    assert failed(run("compress", network, "-o", output, *given), f"{output} exists")


def test_what_the_original_says_of_its_origin_goes_on(network: Path, photos: Path, tmp_path: Path) -> None:
    tensors = torch.load(network, weights_only=True)
    save_file(tensors, tmp_path / "net_G.safetensors", {"licence": "CC0", "author": "somebody"})
    card = fastnst.compress(
        tmp_path / "net_G.safetensors", photos, ratio=0.3, steps=0, threads=1, **QUICK | {"qat_steps": 0}
    ).card
    assert "retrained_with" not in card
    assert card["licence"] == "CC0" and card["distilled_from"].endswith("8 filters (somebody)")
    assert card["source"] == "trained by fastnst's own recipe `compress`"


def test_the_help_tells_the_defaults() -> None:
    defaults = CompressSettings()
    for name, (_, _, told) in SETTINGS.items():
        assert told.endswith(f"default: {getattr(defaults, name.replace('-', '_')):g}"), name


def test_python_compresses_a_module_and_scores_what_it_has_weights_for(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    inception_file.write(tmp_path / INCEPTION_FILE)
    vgg16 = {f"{name}.weight": torch.randn(b, a, 3, 3) / (3 * a**0.5) for name, (a, b) in VGG16_LAYERS.items()}
    save_file(vgg16 | {f"{name}.bias": torch.zeros(b) for name, (_, b) in VGG16_LAYERS.items()}, tmp_path / VGG16_FILE)
    torch.manual_seed(0)
    module = Resnet(8, 1)
    own = QUICK | {"perceptual_weight": 1.0, "perceptual_levels": 2}
    made = fastnst.compress(
        module, photos, ratio=0.3, steps=2, weights=tmp_path, threads=1, adversarial_weight=1.0, judge_width=4, **own
    )
    assert made.network(noise(SIZE)).shape == (1, 3, SIZE, SIZE)
    both = [f"{who}, {kind}" for who in ("original", "student") for kind in ("float", "8 bits")]
    names = ["untouched", *both[:-1], "student, 8 bits, converted", both[-1]]
    assert [row.name for row in made.report.rows] == names
    assert made.report.rows[-1].fid is not None and made.report.rows[-1].psnr is not None
    assert [line.split(" is ")[0] for line in made.report.left_out] == ["LPIPS"]
    assert made.card["network"].startswith("module of ")


@pytest.mark.parametrize("phase", [GraphNetwork, FakeGraph], ids=["floats", "8 bits"])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    phase: type, network: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bytes, whichever network was being trained; and another network or another ratio does not go on with it."""

    def go(folder: str, **others: Any) -> Path:
        given = QUICK | {"steps": 4, "qat_steps": 4, "ratio": 0.3, "adversarial_weight": 1.0, "judge_width": 4} | others
        fastnst.compress(network, photos, tmp_path / f"{folder}.fnst", run=tmp_path / folder, threads=1, every=2, **given)
        return tmp_path / f"{folder}.fnst"

    whole, recipe = go("whole"), running.CompressRecipe
    losses = recipe.losses

    def stopped(self: running.CompressRecipe, step: Any, batch_index: int) -> dict[str, torch.Tensor]:
        if batch_index == 3 and isinstance(self.student, phase):
            raise KeyboardInterrupt
        return losses(self, step, batch_index)

    with monkeypatch.context() as patch:
        patch.setattr(recipe, "losses", stopped)
        with pytest.raises(KeyboardInterrupt):
            go("parts")
    assert not (tmp_path / "parts.fnst").exists()
    with pytest.raises(ValueError, match=r"this run was begun with --ratio 0.3, not 0.5; another folder begins a new one"):
        go("parts", ratio=0.5)
    other = saved(Resnet(4, 1), tmp_path)
    with pytest.raises(ValueError, match="this run was begun with another network"):
        fastnst.compress(other, photos, run=tmp_path / "parts", steps=4, ratio=0.3, **QUICK)
    with monkeypatch.context() as patch:  # the cut is in the folder: nothing is pruned again
        patch.setattr(running, "pruned", None)
        resumed = go("parts")
    first, second = (load_file(path.with_suffix("") / "final.safetensors") for path in (whole, resumed))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    first, second = (read(path) for path in (whole, resumed))
    assert first.card["psnr"] == second.card["psnr"]
    assert to_bytes(replace(first, card={})) == to_bytes(replace(second, card={}))


def test_a_few_steps_bring_the_student_closer(network: Path, photos: Path, tmp_path: Path) -> None:
    made = {
        steps: fastnst.compress(
            network, photos, run=tmp_path / str(steps), ratio=0.5, steps=steps, threads=1, warm_up=1, **QUICK
        )
        for steps in (0, 40)
    }
    before, after = (each.report.rows[-1].psnr for each in made.values())
    assert before is not None and after is not None and after > before + 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["missing.pth"], "missing.pth: no such file"),
        (["{adain}"], "adain.safetensors: .*which is not an image-to-image generator"),
        (["{network}", "--ratio", "0"], "ratio: expected above 0 and at most 1, got 0"),
        (["{network}", "--ratio", "1.5"], "ratio: expected above 0 and at most 1, got 1.5"),
        (["{network}", "--ratio", "0.001"], "ratio: expected at least 0.0[0-9]+ for this network, got 0.001"),
        (["{network}", "--size", "30"], "size: expected a multiple of 4 for this network, got 30"),
        (["{network}", "--data", "{empty}"], "empty: no pictures"),
        (["{network}", "--data", "{empty}/none"], "none: no such folder"),
        (["{network}", "--perceptual-weight", "1"], "weights: fastnst compress needs vgg16_.*, vgg19_"),
        (["{network}", "-o", "student.pth"], "student.pth: the suffix of a model is .fnst"),
    ],
)
def test_what_cannot_be_compressed_is_refused_in_one_line(
    given: list[str], message: str, run: Run, network: Path, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    pair = Path(pruning.__file__).parents[1] / "weights" / "adain-nano.safetensors"
    (tmp_path / "adain.safetensors").write_bytes(pair.read_bytes())
    places = {"network": network, "adain": tmp_path / "adain.safetensors", "empty": tmp_path / "empty"}
    words = ["--data", photos, "--size", SIZE, "--perceptual-weight", 0, "-o", tmp_path / "student.fnst"]
    first, *others = (each.format(**places) for each in given)
    result = run("compress", first, *words, *others)
    assert failed(result, code=2 if "suffix" in message else 1)
    assert re.search(message, result.err), result.err
    assert not (tmp_path / "student.fnst").exists()


def test_without_torch_pruning_one_line_says_what_to_install(
    run: Run, network: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    result = run("compress", network, "--data", photos, "-o", tmp_path / "student.fnst")
    assert failed(result, "fastnst compress needs torch_pruning: pip install 'fastnst[compress]'")
