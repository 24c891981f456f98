"""Networks that are all but dead: statistics that are exact where little varies, and one plain line where nothing does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from trained_pair import Trained

from fastnst.cli import main
from fastnst.convert.builder import Builder
from fastnst.convert.generator import quantise_graph
from fastnst.convert.graph_arithmetic import bound_of
from fastnst.convert.quantisation import Moments, feedback
from fastnst.convert.tensors import Tensors
from fastnst.engine import Engine
from fastnst.format.graphfile import Convolution, GeneratorFile
from fastnst.format.modelfile import to_bytes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures")
    for seed in range(2):
        noise = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(noise).resize((256, 256)).save(path / f"{seed}.png")
    return path


def test_moments_of_inputs_that_hardly_vary_are_exact() -> None:
    """Of a layer whose mean is a million times its deviation; sums in float32 would leave nothing of the covariance."""
    generator = torch.Generator().manual_seed(0)
    x = 1000 + 1e-3 * torch.randn(4, 2000, generator=generator)
    moments = Moments()
    for part in x.split(500, 1):
        moments.add(part, part[:2])
    xx, xy = moments.covariances()
    wanted = torch.cov(x.double(), correction=0)
    assert (xx - wanted).abs().max() < 1e-2 * wanted.diagonal().min()
    assert (xy - wanted[:, :2]).abs().max() < 1e-2 * wanted.diagonal().min()


@pytest.mark.parametrize("xx", [-torch.eye(3).double(), torch.full((3, 3), torch.nan).double()], ids=["negative", "nan"])
def test_what_cannot_be_factored_is_one_plain_line(xx: Tensor) -> None:
    with pytest.raises(ValueError, match=r"^the inputs of a layer hardly vary .*: the network is all but dead, [^\n]*$"):
        feedback(xx)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-12, 1e-6])
def test_a_network_that_is_all_but_dead_is_converted_or_refused_in_one_line(
    scale: float, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = Trained().tensors()
    for name in tensors:
        if name.startswith("encoder.conv1") and name.endswith("weight"):
            tensors[name] = tensors[name] * scale
        elif name.startswith("encoder.conv1") and name.endswith("bias"):
            tensors[name] = torch.full_like(tensors[name], 3.0)
    save_file(tensors, tmp_path / "dead.safetensors")
    code = main(
        [
            "convert",
            str(tmp_path / "dead.safetensors"),
            "-o",
            str(tmp_path / "o.fnst"),
            "--calibrate",
            str(folder),
            "--keep-dead",
        ]
    )
    lines = capsys.readouterr().err.splitlines()
    assert (code, len(lines)) in {(0, 0), (1, 1)}
    assert (tmp_path / "o.fnst").exists() == (code == 0)
    assert not any("linalg" in line or "cholesky" in line for line in lines)


def test_a_channel_that_hardly_moves_in_the_pictures_at_hand_has_steps_that_the_engine_takes() -> None:
    """A detector of colours, fitted to grey pictures: what others make of it goes far beyond, and is cut off there."""
    generator = torch.Generator().manual_seed(2)
    first, last = torch.randn(4, 3, 1, 1, generator=generator), torch.randn(3, 4, 1, 1, generator=generator) / 4
    first[0, :, 0, 0] = torch.tensor([40.0, -40.0, 0.0])
    build = Builder(Tensors({}))
    x = build.affine(build.convolve(build.picture, first.double(), None), 0.2)
    grey = torch.randint(0, 256, (1, 1, 32, 32), dtype=torch.uint8, generator=generator).repeat(1, 3, 1, 1)
    nodes, _, _ = quantise_graph(build.paint(build.convolve(x, last.double(), None), "tanh"), [grey])
    conv, colours = nodes[0], np.zeros((8, 8, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
    assert isinstance(conv, Convolution)
    assert (bound_of(conv).numpy() * conv.multiplier < 2**30).all()
    engine = Engine(to_bytes(GeneratorFile({"name": "grey", "kind": "generator"}, nodes)))
    assert engine.translate(colours).shape == colours.shape
