"""Files that hold trained networks: however they wrap them, what is read; and what is refused, in one line that says why."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign_networks import AFFINE, BATCH, Resnet, Unet
from safetensors.torch import save_file
from torch import Tensor, nn

from fastnst import cli
from fastnst.convert.graph import run_float
from fastnst.convert.recognition import known_layouts, recognise
from fastnst.convert.trained_generator import TrainedGenerator

State = dict[str, Tensor]


def state(**changes: Any) -> State:
    torch.manual_seed(1)
    return Resnet(4, 2, **changes).state_dict()


def prefixed(tensors: Mapping[str, Tensor], prefix: str) -> State:
    return {f"{prefix}{name}": value for name, value in tensors.items()}


WRAPPED: dict[str, Callable[[State], object]] = {
    "plain": lambda tensors: tensors,
    "state_dict": lambda tensors: {"state_dict": tensors, "epoch": 7, "optimizer": {"state": {0: {"step": torch.ones(())}}}},
    "params": lambda tensors: {"params": tensors},
    "the average before the last": lambda tensors: {"params": prefixed(tensors, "x"), "params_ema": tensors},
    "G and D": lambda tensors: {"G": tensors, "D": {"layers.0.weight": torch.zeros(3, 3)}},
    "netG, deeper": lambda tensors: {"models": {"netG": tensors, "netD": {"weight": torch.zeros(3)}}, "step": 3},
    "DataParallel": lambda tensors: prefixed(tensors, "module."),
    "DataParallel within": lambda tensors: {"state_dict": prefixed(tensors, "module.")},
    "compiled": lambda tensors: prefixed(tensors, "_orig_mod."),
    "Lightning": lambda tensors: {"state_dict": prefixed(tensors, "netG.") | {"netD.model.0.weight": torch.zeros(3)}},
    "generator.module": lambda tensors: prefixed(tensors, "generator.module."),
}


@pytest.mark.parametrize("how", WRAPPED)
@pytest.mark.parametrize("legacy", [False, True])
def test_networks_are_found_however_a_program_wraps_them(tmp_path: Path, how: str, legacy: bool) -> None:
    path = tmp_path / "net.pt"
    torch.save(WRAPPED[how](state()), path, _use_new_zipfile_serialization=not legacy)
    assert recognise([path]).what == "CycleGAN ResNet generator, 2 blocks, 4 filters"


def test_blocks_call_their_layers_as_they_like(tmp_path: Path) -> None:
    """``conv_block`` in CycleGAN, ``block`` in the network of the package vintagify."""
    networks = []
    for word in ("conv_block", "block", "main"):
        torch.save({name.replace("conv_block", word): value for name, value in state().items()}, tmp_path / f"{word}.pth")
        found = recognise([tmp_path / f"{word}.pth"])
        assert found.what == "CycleGAN ResNet generator, 2 blocks, 4 filters"
        assert isinstance(found.trained, TrainedGenerator)
        networks.append(found.trained.nodes)
    picture = torch.rand(1, 3, 16, 16) * 2 - 1
    first, *others = (run_float(nodes, picture) for nodes in networks)
    assert all(torch.equal(first, other) for other in others)


def test_safetensors_of_the_same_names_in_half_precision(tmp_path: Path) -> None:
    save_file({name: value.half() for name, value in state().items()}, tmp_path / "net.safetensors", {"license": "CC0"})
    found = recognise([tmp_path / "net.safetensors"])
    assert found.what == "CycleGAN ResNet generator, 2 blocks, 4 filters"
    assert found.trained.facts["licence"] == "CC0"  # type: ignore[union-attr]


def graph(path: Path, tensors: State) -> list[Any]:
    torch.save(tensors, path)
    trained = recognise([path]).trained
    assert isinstance(trained, TrainedGenerator)
    return trained.nodes


def test_running_statistics_of_instance_norms_are_not_used(tmp_path: Path) -> None:
    """Old PyTorch saved them; the norms never looked at them."""
    tensors = state(norm=AFFINE)
    old = dict(tensors)
    for name, value in tensors.items():
        if name.endswith(".weight") and value.ndim == 1:
            head = name.removesuffix("weight")
            old |= {f"{head}running_mean": torch.full_like(value, 9.0), f"{head}running_var": torch.full_like(value, 4.0)}
    for a, b in zip(graph(tmp_path / "new.pth", tensors), graph(tmp_path / "old.pth", old), strict=True):
        assert all(
            torch.equal(x, y) if isinstance(x, Tensor) else x == y
            for x, y in zip(vars(a).values(), vars(b).values(), strict=True)
        )


def test_batch_norms_are_folded(tmp_path: Path) -> None:
    nodes = graph(tmp_path / "batch.pth", state(norm=BATCH))
    assert not any(getattr(node, "normalises", False) for node in nodes)


# ---- refused ----


def refused(*paths: Path) -> str:
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        recognise(paths)
    message = str(caught.value)
    assert "\n" not in message
    assert all(str(path) in message for path in paths[:1])
    return message


def without(name: str) -> State:
    tensors = state()
    del tensors[name]
    return tensors


def with_value(name: str, value: Tensor) -> State:
    return state() | {name: value}


MISFITS: dict[str, tuple[Callable[[], State], str]] = {
    "missing": (lambda: without("model.11.conv_block.5.weight"), "model.11.conv_block has convolutions at"),
    "head missing": (lambda: without("model.19.weight"), "tensor model.19.weight is missing"),
    "left over": (lambda: with_value("model.25.weight", torch.zeros(3)), "unexpected tensor model.25.weight"),
    "misshapen": (lambda: with_value("model.4.weight", torch.zeros(8, 5, 3, 3)), "expected [any, 4, 3, 3]"),
    "empty": (lambda: with_value("model.4.weight", torch.zeros(0, 4, 3, 3)), "model.4.weight has shape [0, 4, 3, 3]"),
    "flat": (lambda: with_value("model.1.weight", torch.zeros(3)), "model.1.weight has shape [3]"),
    "no number": (lambda: with_value("model.1.bias", torch.full((4,), torch.nan)), "model.1.bias holds NaN"),
    "grey pictures": (lambda: with_value("model.19.weight", torch.zeros(1, 4, 7, 7)), "expected [3, 4, 7, 7]"),
    "a discriminator": (lambda: {"features.0.weight": torch.zeros(64, 3, 4, 4)}, "no network that fastnst knows"),
    "one of another program": (lambda: with_value("model.4.filt", torch.zeros(3)), "unexpected tensor model.4.filt"),
}


@pytest.mark.parametrize("how", MISFITS)
def test_tensors_of_no_known_network_are_named_with_the_nearest(tmp_path: Path, how: str) -> None:
    make, words = MISFITS[how]
    torch.save(make(), tmp_path / "net.pth")
    message = refused(tmp_path / "net.pth")
    assert words in message
    if how not in {"no number", "a discriminator"}:
        assert "ResNet generator of CycleGAN" in message and "tensors are model.1.bias" in message


def test_a_strange_network_is_told_all_that_is_known(tmp_path: Path) -> None:
    torch.save({"a.b": torch.zeros(3)}, tmp_path / "net.pth")
    assert all(layout.TITLE in refused(tmp_path / "net.pth") for layout in known_layouts().values())


class Harmful:
    """Would write a file beside the one that it is read from, if it were ever loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


def _script(path: Path) -> None:
    torch.jit.script(nn.Conv2d(3, 3, 1)).save(str(path))


def _expanded(path: Path) -> None:
    torch.save({"model.1.weight": torch.zeros(1).expand(1 << 20, 1 << 20)}, path)


def _packed(path: Path) -> None:
    plain = path.with_suffix(".plain")
    torch.save({"model.1.weight": torch.zeros(1000, 1000)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))


def _cut(path: Path) -> None:
    torch.save(state(), path)
    path.write_bytes(path.read_bytes()[:20000])


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "harmful": (lambda path: torch.save({"model.1.weight": Harmful(path.with_name("mark"))}, path), "runs code"),
    "harmful pickle": (lambda path: path.write_bytes(pickle.dumps(Harmful(path.with_name("mark")), 2)), "runs code"),
    "a module": (lambda path: torch.save(nn.Conv2d(3, 3, 1), path), "torch.save(model.state_dict(), 'OUT.pth')"),
    "TorchScript": (_script, "torch.jit.load(FILE).state_dict()"),
    "a tensor": (lambda path: torch.save(torch.zeros(3), path), "not a PyTorch file of named tensors, but of Tensor"),
    "numbers": (lambda path: torch.save({"a": 1, "b": 2.0}, path), "not a PyTorch file of named tensors"),
    "two networks": (lambda path: torch.save({"G_A": state(), "G_B": state()}, path), "several networks (G_A, G_B)"),
    "two, flat": (
        lambda path: torch.save(prefixed(state(), "netG_A.") | prefixed(state(), "netG_B."), path),
        "several networks (netG_A, netG_B)",
    ),
    "expanded": (_expanded, "larger than what the file holds"),
    "sparse": (lambda path: torch.save({"model.1.weight": torch.zeros(3, 3).to_sparse()}, path), "no plain tensor"),
    "complex": (lambda path: torch.save({"model.1.weight": torch.zeros(3, dtype=torch.cfloat)}, path), "no plain tensor"),
    "packed": (_packed, "compressed inside"),
    "cut": (_cut, "damaged"),
    "LFS": (
        lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
        "Git LFS pointer",
    ),
    "folder": (lambda path: path.mkdir(), "is a folder"),
    "absent": (lambda path: path, "no such file"),
    "empty": (lambda path: path.touch(), "is empty"),
}


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:Sparse:UserWarning")
@pytest.mark.parametrize("how", FILES)
def test_files_that_are_refused_run_nothing_and_leave_nothing(
    tmp_path: Path, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make, words = FILES[how]
    path, out = tmp_path / "net.pth", tmp_path / "mine.fnst"
    make(path)
    assert words in refused(path)
    assert cli.main(["convert", str(path), "-o", str(out), "--calibrate", str(tmp_path)]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not out.exists() and not (tmp_path / "mark").exists()


def test_a_network_deeper_than_a_file_holds(tmp_path: Path) -> None:
    torch.save(Resnet(1, 210).state_dict(), tmp_path / "net.pth")
    assert "it would take 1063 nodes of the engine's, 1024 are the most" in refused(tmp_path / "net.pth")


def test_unet_of_too_few_halvings(tmp_path: Path) -> None:
    tensors = {name: value for name, value in Unet(4, 3).state_dict().items() if ".1.model.3" not in name}
    torch.save(tensors, tmp_path / "net.pth")
    assert "U-Net generator of pix2pix" in refused(tmp_path / "net.pth")
