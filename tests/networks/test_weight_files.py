"""Files that are given where weights are expected: each command says in one line what the file is and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from random_vgg import as_file, random_vgg19
from safetensors.torch import load_file, save, save_file
from trained_pair import Trained

from fastnst.cli import main
from fastnst.convert import UNKNOWN
from fastnst.convert.recognition import recognise
from fastnst.engine import Engine, ModelError
from fastnst.evaluate.loading import load_model
from fastnst.format.kinds import is_pytorch, is_safetensors, require_weights
from fastnst.networks import weights
from fastnst.networks.vgg_files import load_vgg19
from fastnst.train.checkpoints import CheckpointError, load_checkpoint

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 5600\n"


def _torch(path: Path, legacy: bool = False) -> None:
    torch.save({"state_dict": {"a.weight": torch.zeros(3)}}, path, _use_new_zipfile_serialization=not legacy)


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder": (lambda path: path.mkdir(), "is a folder, not a file of weights"),
    "empty": (lambda path: path.touch(), "is empty"),
    "git-lfs": (lambda path: path.write_bytes(POINTER), "is a Git LFS pointer, not the file itself: `git lfs pull`"),
    "git-annex": (lambda path: path.write_bytes(b"/annex/objects/SHA256E-s1--00\n"), "is a git-annex pointer"),
    "web page": (lambda path: path.write_bytes(b"\n<!DOCTYPE html><html>"), "is a web page"),
    "hdf5": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99)), "is an HDF5 file"),
    "gguf": (lambda path: path.write_bytes(b"GGUF" + bytes(99)), "is a GGUF file"),
    "picture": (lambda path: Image.new("RGB", (2, 2)).save(path, "PNG"), "is a PNG picture"),
}
TORCH: dict[str, tuple[Callable[[Path], object], str]] = {
    "torch": (_torch, "is a PyTorch file, not a"),
    "old torch": (lambda path: _torch(path, legacy=True), "is a PyTorch file, not a"),
}


def _all(files: dict[str, tuple[Callable[[Path], object], str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("make", "words"), files.values(), ids=files)


def no_vgg(_stage: int) -> object:
    raise AssertionError


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "pt", "ckpt", "bin"])
@_all(FILES)
def test_whatever_reads_weights_says_what_the_file_is(
    make: Callable[[Path], object], words: str, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"model.{suffix}"
    make(path)
    for read in (
        lambda path: recognise([path]),
        load_vgg19,
        load_checkpoint,
        weights.read,
        lambda path: load_model("m", path, 1, no_vgg),
    ):  # type: ignore[arg-type]
        with pytest.raises((ValueError, CheckpointError)) as refused:
            read(path)
        assert str(refused.value).startswith(f"{path}: {words}")
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "pt", "ckpt"])
@_all(TORCH)
def test_a_pytorch_file_is_named_and_how_to_convert_it(
    make: Callable[[Path], object], words: str, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"model.{suffix}"
    make(path)
    for read in (load_checkpoint, weights.read):
        with pytest.raises(ValueError, match=words) as refused:
            read(path)
        assert str(refused.value).startswith(f"{path}: ") and "safetensors.torch.save_file" in str(refused.value)


def test_a_folder_of_a_run_names_the_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "final.safetensors").touch()
    with pytest.raises(ValueError, match=f"is a folder, not a file of weights; {tmp_path / 'final.safetensors'} is one"):
        recognise([tmp_path])


@pytest.mark.parametrize("name", ["vgg.pt", "vgg.ckpt", "vgg.bin", "vgg.safetensors", "vgg"])
def test_vgg_is_read_by_content_whatever_its_suffix(name: str, tmp_path: Path) -> None:
    tensors = as_file(random_vgg19(1), "torchvision")
    tensors["features.0.weight"] *= 60
    torch.save(tensors, tmp_path / name)
    assert load_vgg19(tmp_path / name, stage=1).variant == "torchvision"
    save_file(tensors, tmp_path / name)
    assert load_vgg19(tmp_path / name, stage=1).variant == "torchvision"


@_all({**FILES, **TORCH, "onnx": (lambda path: path.write_bytes(b"\x08\x07"), "not a fastnst model")})
def test_a_model_of_the_engine_likewise(make: Callable[[Path], object], words: str, tmp_path: Path) -> None:
    path = tmp_path / "model.fnst"
    make(path)
    if path.is_dir():
        return  # fastnst.stylize refuses it before
    with pytest.raises(ModelError) as refused:
        Engine(path)
    assert str(refused.value).startswith(f"{path}: {words}")


def test_trained_networks_and_engine_models_are_not_mistaken_for_one_another(model_path: Path, tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3)}, tmp_path / "trained.safetensors")
    with pytest.raises(ModelError, match="is a safetensors file, not a fastnst model: `fastnst convert` makes one"):
        Engine(tmp_path / "trained.safetensors")
    with pytest.raises(ValueError, match="is a fastnst model for the engine, not a safetensors file"):
        recognise([model_path])


@pytest.mark.parametrize(
    "command",
    [
        "convert {file} -o out.fnst --calibrate {data}",
        "evaluate {file} -o out --content {data} --style {data}",
        "train decoder --data {data} --out out --vgg {file}",
        "train adain --data {data} --out out --vgg {file}",
        "train prune --data {data} --out out --target live --start {file}",
        "train qat --data {data} --out out --calibrate {data} --start {file}",
        "stylize {picture} {picture} -o out.png --model {file}",
    ],
)
def test_every_command_that_takes_weights(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for folder in ("data", "data/content-train", "data/style-train"):
        (tmp_path / folder).mkdir(exist_ok=True)
        Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / folder / "p.png")
    (tmp_path / "weights.pth").write_bytes(POINTER)
    names = {"file": "weights.pth", "data": "data", "picture": "data/p.png"}
    assert main([word.format(**names) for word in command.split()]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "weights.pth: is a Git LFS pointer, not the file itself" in line


# ---- where weights come from ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(2):
        noise = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(noise).resize((256, 256)).save(folder / f"{seed}.png")
    return folder


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    return Trained().tensors()


RECIPE = {"facts": json.dumps({"recipe": "adain", "versions": {"fastnst": "0.1.0"}})}


@pytest.mark.usefixtures("small_calibration")
@pytest.mark.parametrize(
    ("metadata", "options", "source", "licence"),
    [
        ({}, [], UNKNOWN, UNKNOWN),
        ({"format": "pt"}, [], UNKNOWN, UNKNOWN),
        ({"facts": json.dumps({"recipe": "adain"})}, [], UNKNOWN, UNKNOWN),
        (RECIPE, [], "trained by fastnst's own recipe `adain`", UNKNOWN),
        ({"facts": json.dumps({"source": "a paper", "licence": "CC0"})}, [], "a paper", "CC0"),
        ({"license": "apache-2.0", "author": "somebody"}, [], "somebody", "apache-2.0"),
        ({"modelspec.license": "OpenRAIL"}, [], UNKNOWN, "OpenRAIL"),
        ({"license": "apache-2.0"}, ["--source", "their page", "--licence", "MIT"], "their page", "MIT"),
        (RECIPE, ["--license", "MIT"], "trained by fastnst's own recipe `adain`", "MIT"),
    ],
)
def test_a_card_claims_nothing_that_nobody_said(
    metadata: dict[str, str],
    options: list[str],
    source: str,
    licence: str,
    tensors: dict[str, torch.Tensor],
    pictures: Path,
    tmp_path: Path,
) -> None:
    save_file(tensors, tmp_path / "theirs.safetensors", metadata=metadata)
    out = tmp_path / "out.fnst"
    assert main(["convert", str(tmp_path / "theirs.safetensors"), "-o", str(out), "--calibrate", str(pictures), *options]) == 0
    card = Engine(out).card
    assert (card["source"], card["licence"]) == (source, licence)


@pytest.mark.parametrize("magic", [b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x1f\x8b"])
def test_a_header_whose_length_looks_like_another_kind_is_one_of_safetensors(magic: bytes, tmp_path: Path) -> None:
    """The file begins with the length of its header, whose bytes may be those of a pickle or of gzip."""
    tensors, length = {"a": torch.arange(3.0)}, int.from_bytes(magic, "little")
    data = save(tensors)
    header = data[8 : 8 + int.from_bytes(data[:8], "little")].rstrip()
    path = tmp_path / "weights.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + header.ljust(length) + data[-12:])
    require_weights(path)
    assert is_safetensors(path)
    assert not is_pytorch(path)
    assert load_file(path)["a"].tolist() == [0.0, 1.0, 2.0]
