"""Checkpoints as published code leaves them: recognised, and 8 bits as close to the float network at any size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign_networks import (
    AFFINE,
    BATCH,
    INSTANCE,
    ExamplesTransformer,
    Resnet,
    RrminaTransformer,
    Unet,
    tuned,
)
from PIL import Image
from skimage import data
from torch import Tensor, nn
from trained_pair import as_tensor, content_photograph, psnr

from fastnst.convert import convert, pictures
from fastnst.convert.graph import run_float
from fastnst.convert.recognition import recognise
from fastnst.convert.trained_generator import TrainedGenerator
from fastnst.engine import Engine

FLOOR = 33.0
"""dB: what 8 bits must keep of the float network's picture, whole sizes and odd ones."""


@dataclass
class Case:
    """``step``: what its own code needs sides to be multiples of. ``bytes``: pictures are 0..255, ``bgr``: blue first.
    ``side`` of calibration pictures; 256 is what users have, 128 is faster and does where ranges do not depend on it.
    """

    make: Callable[[], nn.Module]
    words: str
    step: int = 1
    bytes: bool = False
    bgr: bool = False
    side: int = 128

    @cached_property
    def network(self) -> nn.Module:
        torch.manual_seed(0)
        spread, middle = (60.0, 127.0) if self.bytes else (0.4, 0.0)
        return tuned(self.make(), self.given(as_tensor(content_photograph()[64:224, 96:256])), spread, middle)

    def given(self, picture: Tensor) -> Tensor:
        """uint8 [1, 3, H, W] as the network takes it."""
        x = picture.float()
        x = x.flip(1) if self.bgr else x
        return x if self.bytes else x / 127.5 - 1

    def taken(self, made: Tensor) -> Tensor:
        """What the network made as a picture 0..255."""
        x = made if self.bytes else (made + 1) * 127.5
        return (x.flip(1) if self.bgr else x).clamp(0, 255)


CASES = {
    "cyclegan": Case(lambda: Resnet(8, 6), "CycleGAN ResNet generator, 6 blocks, 8 filters"),
    "cyclegan affine": Case(lambda: Resnet(6, 3, AFFINE), "CycleGAN ResNet generator, 3 blocks, 6 filters", side=256),
    "cyclegan batch": Case(
        lambda: Resnet(8, 3, BATCH, dropout=True), "CycleGAN ResNet generator, 3 blocks, 8 filters", side=256
    ),
    "cyclegan zeros": Case(lambda: Resnet(6, 2, reflects=False), "CycleGAN ResNet generator, 2 blocks, 6 filters"),
    "mobile": Case(
        lambda: Resnet(8, 3, mobile=True, dropout=True), "GAN Compression mobile ResNet generator, 3 blocks, 8 filters"
    ),
    "sub-mobile": Case(
        lambda: Resnet(0, 3, mobile=True, dropout=True, inner=(20, 12, 28), widths=(7, 18, 24, 14, 9)),
        "GAN Compression sub-mobile ResNet generator, 3 blocks, 7 filters, blocks of 20, 12, 28 within 24 channels",
    ),
    "unet": Case(lambda: Unet(8, 5, dropout=True), "pix2pix U-Net generator, 5 halvings, 8 filters, batch norm", 32, side=256),
    "unet instance": Case(lambda: Unet(6, 4, INSTANCE), "pix2pix U-Net generator, 4 halvings, 6 filters, instance norm", 16),
    "examples": Case(
        lambda: ExamplesTransformer(8, 3), "fast style network as in pytorch/examples, 3 blocks, 8 filters", bytes=True
    ),
    "rrmina": Case(
        lambda: RrminaTransformer(8, 2), "fast style network as in rrmina's code, 2 blocks, 8 filters", bytes=True, bgr=True
    ),
}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    photographs = {"astronaut": data.astronaut()[256:], "cat": data.chelsea(), "rocket": data.rocket(), "page": data.page()}
    for name, picture in photographs.items():
        Image.fromarray(picture).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(scope="module")
def checkpoint(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("published") / "latest_net_G.pth"
    torch.save(case.network.state_dict(), path)
    return path


@torch.no_grad()
def painted(case: Case, picture: np.ndarray) -> np.ndarray:
    """What the float network makes of a picture, which its code extends by reflection if it must."""
    height, width, _ = picture.shape
    whole = np.pad(picture, ((0, -height % case.step), (0, -width % case.step), (0, 0)), mode="reflect")
    made = case.taken(case.network(case.given(as_tensor(whole))))
    return made[0].permute(1, 2, 0).numpy()[:height, :width]


def test_the_graph_computes_what_the_network_does(case: Case, checkpoint: Path) -> None:
    found = recognise([checkpoint])
    assert found.what == case.words
    assert isinstance(found.trained, TrainedGenerator)
    network, side = case.network, 45 + 19 * (case.step > 1)
    assert found.trained.parameters == sum(p.numel() for p in network.parameters())
    picture = as_tensor(content_photograph()[100 : 100 + side, 60:124])
    with torch.no_grad():
        wanted = case.taken(network(case.given(picture)))
        made = (run_float(found.trained.nodes, picture.float() / 127.5 - 1) + 1) * 127.5
    torch.testing.assert_close(made, wanted, rtol=0, atol=0.05)


def test_eight_bits_stay_close_at_whole_and_odd_sizes(
    case: Case, checkpoint: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "SHORT_SIDE", case.side)
    card = convert(checkpoint, photographs, tmp_path / "mine.fnst")
    assert card["psnr"] > FLOOR
    engine, photograph = Engine(tmp_path / "mine.fnst"), content_photograph()
    for picture in (photograph[:, :256], photograph[20:171, 90:191], photograph[60:97, 3:68]):
        wanted = painted(case, np.ascontiguousarray(picture))
        assert wanted.std() > 15
        assert psnr(engine.translate(np.ascontiguousarray(picture)), wanted) > FLOOR, picture.shape
