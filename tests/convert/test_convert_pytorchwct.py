"""PytorchWCT's networks under each of the names that their files have: the same stages, and what is missing said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor, nn

from fastnst import cli
from fastnst.convert import pictures
from fastnst.convert.equalisation import float_layer
from fastnst.convert.recognition import recognise
from fastnst.convert.stages import Stages
from fastnst.engine import Engine
from fastnst.networks.vgg import input_layer

BLOCKS = (2, 2, 4, 4, 1)
"""Layers of VGG-19 between its pools."""
WIDTHS = (3, 4, 5, 6, 7)
"""Of the blocks, for VGG-19's 64 to 512."""


def encoder(stage: int) -> nn.Sequential:
    torch.manual_seed(stage)
    layers: list[nn.Module] = [input_layer(1 / 64)]
    before = 3
    for block, count in enumerate(BLOCKS[:stage], 1):
        for _ in range(1 if block == stage else count):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(before, WIDTHS[block - 1], 3), nn.ReLU()]
            before = WIDTHS[block - 1]
        layers += [nn.MaxPool2d(2)] * (block < stage)
    return nn.Sequential(*layers)


def decoder(stage: int) -> nn.Sequential:
    torch.manual_seed(10 + stage)
    layers: list[nn.Module] = []
    before = WIDTHS[stage - 1]
    for block in range(stage, 0, -1):
        for place in range(1 if block == stage else BLOCKS[block - 1]):
            last = block == stage or place == BLOCKS[block - 1] - 1
            after = WIDTHS[max(block - 2, 0)] if last else WIDTHS[block - 1]
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(before, 3 if last and block == 1 else after, 3), nn.ReLU()]
            before = after
        layers += [nn.UpsamplingNearest2d(scale_factor=2)] * (block > 1)
    return nn.Sequential(*layers[:-1])  # a picture is not cut off at 0


def convolutions(network: nn.Sequential) -> list[nn.Conv2d]:
    return [layer for layer in network if isinstance(layer, nn.Conv2d)]


def tensors(names: Sequence[str], layers: Sequence[nn.Conv2d]) -> dict[str, Tensor]:
    return {f"{name}{kind}": x for name, conv in zip(names, layers, strict=True) for kind, x in conv.state_dict().items()}


def places(stage: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    return encoder(stage).state_dict(), {f"net.{name}": x for name, x in decoder(stage).state_dict().items()}


def modules(stage: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    down, up = convolutions(encoder(stage)), convolutions(decoder(stage))
    names = [f"conv{number}." for number in range(1, len(down) + len(up) + 1)]
    return tensors(names[: len(down)], down), tensors(names[len(down) :], up)


def layers(stage: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    names = [f"seq.conv{block}_{k}." for block in range(1, stage + 1) for k in range(1, BLOCKS[block - 1] + 1)]
    names = names[: names.index(f"seq.conv{stage}_1.") + 1]
    down, up = convolutions(encoder(stage)), convolutions(decoder(stage))
    return tensors(["preprocess_", *names], down), tensors(names[::-1], up)


SPELT: dict[str, Callable[[int], tuple[dict[str, Tensor], dict[str, Tensor]]]] = {
    "places": places,
    "modules": modules,
    "layers": layers,
}


def saved(folder: Path, spelt: str, stages: Sequence[int]) -> list[Path]:
    files = []
    for stage in stages:
        for side, content in zip(("encoder", "decoder"), SPELT[spelt](stage), strict=True):
            files.append(folder / f"{spelt}_{side}{stage}.pth.tar")
            torch.save(content, files[-1])
    return files


@torch.no_grad()
def same(stages: object, number: int, deepest: int) -> None:
    """Whether a stage computes what its networks do; the encoder's first layers may be all that is used of a deeper one."""
    assert isinstance(stages, Stages)
    x = torch.rand(1, 3, 49, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    down = list(encoder(deepest).double())
    ends = [place for place, layer in enumerate(down) if isinstance(layer, nn.ReLU)]
    wanted = nn.Sequential(*down[: ends[sum(BLOCKS[: number - 1])] + 1])(x)
    for conv in stages.pairs[number].encoder:
        x = float_layer(x, conv)
    torch.testing.assert_close(x, wanted)
    for conv in stages.pairs[number].decoder:
        x = float_layer(x, conv)
    torch.testing.assert_close(x, decoder(number).double()(wanted).relu())


@pytest.mark.parametrize("spelt", SPELT)
@pytest.mark.parametrize("stages", [(5, 4, 3, 2, 1), (1,)], ids=["all", "one"])
def test_a_file_for_each_encoder_and_decoder(spelt: str, stages: Sequence[int], tmp_path: Path) -> None:
    found = recognise(saved(tmp_path, spelt, stages)[::-1])
    assert found.what.startswith(f"PytorchWCT's stage{'s' * (len(stages) > 1)} {', '.join(map(str, stages))} of WCT, ")
    for stage in stages:
        same(found.trained, stage, stage)


@pytest.mark.parametrize("spelt", SPELT)
def test_one_encoder_for_all_decoders(spelt: str, tmp_path: Path) -> None:
    """As PytorchWCT is now; its decoders then belong to the same features."""
    shared, *others = saved(tmp_path, spelt, (3, 2, 1))
    decoders = [path for path in others if "decoder" in path.name]
    found = recognise([shared, *decoders])
    for stage in (3, 2, 1):
        same(found.trained, stage, 3)


def test_what_is_missing_or_too_much_is_said(tmp_path: Path) -> None:
    encoder3, decoder3, encoder2, decoder2 = saved(tmp_path, "modules", (3, 2))

    def refused(*files: Path) -> str:
        with pytest.raises(ValueError, match=r"\.pth") as error:
            recognise(files)
        return str(error.value)

    assert "the decoder of stage 3 is given without its encoder" in refused(encoder2, decoder2, decoder3)
    assert "none of the decoders that are given needs the encoder modules_encoder3" in refused(encoder3, encoder2, decoder2)
    assert "encoders are given without a decoder" in refused(encoder2)
    assert "two decoders of one stage are given" in refused(encoder2, decoder2, decoder2)
    kept = torch.load(decoder3, weights_only=True)
    torch.save({name: x for name, x in kept.items() if name != "conv9.bias"}, tmp_path / "less.pth")
    assert "tensor conv9.bias is missing" in refused(encoder3, tmp_path / "less.pth")
    torch.save({name: x for name, x in kept.items() if "conv9" not in name}, tmp_path / "less.pth")
    assert "less.pth has 4 layers, a decoder has 1, 3, 5, 9 or 13" in refused(encoder3, tmp_path / "less.pth")
    torch.save(kept | {"conv9.scale": torch.ones(3)}, tmp_path / "more.pth")
    assert "unexpected tensor conv9.scale" in refused(encoder3, tmp_path / "more.pth")
    torch.save(kept | {"conv9.weight": torch.ones(3)}, tmp_path / "flat.pth")
    assert "conv9.weight has shape [3], expected [any, any, 3, 3]" in refused(encoder3, tmp_path / "flat.pth")


def test_lua_torchs_own_files_are_named(tmp_path: Path) -> None:
    """Whatever they are called: their first object is a network of version 1."""
    start = b"\x04\0\0\0\x01\0\0\0\x03\0\0\0V 1\x0d\0\0\0nn.Sequential"
    for name in ("vgg_normalised_conv1_1.t7", "vgg_normalised_conv1_1.pth"):
        (tmp_path / name).write_bytes(start + bytes(99))
        with pytest.raises(ValueError, match=r"is a file of Lua Torch, which fastnst does not read: save its tensors"):
            recognise([tmp_path / name])


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(pictures, "SHORT_SIDE", 64)
    (tmp_path / "photos").mkdir()
    Image.fromarray(data.chelsea()).save(tmp_path / "photos" / "cat.png")
    files, out = saved(tmp_path, "layers", (1,)), tmp_path / "mine.fnst"
    assert cli.main(["convert", *map(str, files), "-o", str(out), "--calibrate", str(tmp_path / "photos")]) == 0
    assert "PytorchWCT's stage 1 of WCT, 180 parameters" in capsys.readouterr().out
    engine, picture = Engine(out), np.asarray(data.chelsea()[:64, :80])
    assert engine.levels == (1,)
    assert engine.decode(engine.encode(picture, 1), engine.look(picture, 1), 1.0, 1).shape == picture.shape
