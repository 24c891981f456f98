"""Training data and weights in files of a limited size: nothing is lost on the way, and nothing is above the limit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import torch
from PIL import Image
from recipe_runs import write_data
from safetensors.torch import load_file

from fastnst.networks.adain import WIDTHS
from fastnst.networks.files import ADAIN, read_networks
from fastnst.train import adain, packs
from fastnst.train.checkpoints import load_checkpoint, save_checkpoint
from fastnst.train.scoring import VGG_FILE

ROOT = Path(__file__).parents[2]
LIMIT = 60_000


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Pictures, some small, some large, and a few bytes in place of VGG-19."""
    folder = tmp_path / "data"
    for place in (*packs.FOLDERS, "weights"):
        (folder / place).mkdir(parents=True)
    (folder / "weights" / VGG_FILE).write_bytes(bytes(range(256)) * 150)
    for i in range(12):
        pixels = torch.randint(0, 256, (40, 50 + i, 3), generator=torch.Generator().manual_seed(i), dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(folder / packs.FOLDERS[i % 2] / f"{i}.png")
    Image.new("RGB", (800, 600), "teal").save(folder / packs.FOLDERS[0] / "large.png")
    return folder


def test_what_is_unpacked_is_what_was_packed(data: Path, tmp_path: Path) -> None:
    made = packs.pack(data, tmp_path / "packs", side=288, limit=LIMIT)
    assert [path.name for path in made] == [f"pack-{i}-of-{len(made)}.tar" for i in range(1, len(made) + 1)]
    assert len(made) > 1
    assert max(path.stat().st_size for path in made) <= LIMIT
    assert packs.unpack(tmp_path / "packs", tmp_path / "there") == 14
    for before in data.rglob("*.*"):
        after = tmp_path / "there" / before.relative_to(data)
        if before.stem == "large":
            with Image.open(after.with_suffix(".webp")) as picture:
                assert picture.size == (384, 288)
        else:
            assert after.read_bytes() == before.read_bytes()
    again = packs.pack(data, tmp_path / "again", side=288, limit=LIMIT)
    assert [a.read_bytes() == b.read_bytes() for a, b in zip(made, again, strict=True)] == [True] * len(made)


def test_packs_that_cannot_be_made(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"vgg19_relu5_1_f16.safetensors: 38,400 bytes do not fit in a pack of 30,000"):
        packs.pack(data, tmp_path / "packs", limit=30_000)
    Image.new("RGB", (600, 600)).save(data / packs.FOLDERS[0] / "large.jpg")
    with pytest.raises(
        ValueError, match=r"large.png: another picture would be packed as content-train/large.webp|large.webp too"
    ):
        packs.pack(data, tmp_path / "packs", limit=LIMIT)
    assert not list((tmp_path / "packs").iterdir())


def _missing(folder: Path) -> None:
    (folder / "pack-2-of-2.tar").unlink()


def _cut(folder: Path) -> None:
    """Between two members, where tarfile sees nothing."""
    file = folder / "pack-1-of-2.tar"
    with tarfile.open(file) as archive:
        second = archive.getmembers()[1].offset
    os.truncate(file, second)


def _foreign(folder: Path) -> None:
    with tarfile.open(folder / "pack-1-of-2.tar", "w") as archive:
        archive.add(__file__, "content-train/../../escaped.py")


def _link(folder: Path) -> None:
    with tarfile.open(folder / "pack-1-of-2.tar", "w") as archive:
        member = tarfile.TarInfo("content-train/link.png")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_missing, "expected pack-1-of-N.tar to pack-N-of-N.tar, found 1 packs"),
        (_cut, "pack-1-of-2.tar: cut off, or not a tar file"),
        (_foreign, "escaped.py: not a file that a pack holds"),
        (_link, "content-train/link.png: not a file that a pack holds"),
    ],
)
def test_packs_that_are_not_whole_are_refused(
    change: object, message: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "packs"
    packs.pack(data, folder, limit=90_000)
    assert len(list(folder.iterdir())) == 2
    change(folder)  # type: ignore[operator]
    assert packs.main(["unpack", str(folder), "-o", str(tmp_path / "there")]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "escaped.py").exists()


def test_weights_come_back_in_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = torch.Generator().manual_seed(1)
    tensors = {f"decoder.{i}.weight": torch.randn(8, 8, 3, 3, generator=generator) for i in range(9)}
    save_checkpoint(tmp_path / "wide" / "final.safetensors", tensors, {"recipe": "adain", "step": 7})
    made = packs.give(tmp_path / "wide", tmp_path / "out", limit=8192)
    assert [path.name for path in made] == [f"wide-{i}-of-{len(made)}.safetensors" for i in range(1, len(made) + 1)]
    assert len(made) > 1
    assert max(path.stat().st_size for path in made) <= 8192
    whole = packs.join(made, tmp_path / "whole.safetensors")
    back, facts = load_checkpoint(whole)
    assert facts == {"recipe": "adain", "step": 7}
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name].half()) for name in tensors)
    assert [path.name for path in packs.give(tmp_path / "wide", tmp_path / "one")] == ["wide.safetensors"]
    with pytest.raises(ValueError, match="not all the parts of a network"):
        packs.join(made[1:], tmp_path / "less.safetensors")
    with pytest.raises(ValueError, match="do not fit in a file"):
        packs.give(tmp_path / "wide", tmp_path / "small", limit=5000)
    assert packs.main(["give", str(tmp_path / "absent"), "-o", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path / 'absent'}: neither final.safetensors nor last.safetensors\n"


TABLE = """
[runs.original]
recipe = "adain"
share = 1
parts = { finish_steps = 1 }
settings = { widths = "original", size = 32, finish_size = 32, finish_batch = 1, pool = 4, stability_weight = 0.0 }

[runs.adain-nano]
recipe = "adain"
share = 1
parts = { distil_steps = 1, finish_steps = 1 }
settings = { widths = "nano", batch = 1, size = 32, finish_size = 32, finish_batch = 1, pool = 4 }
"""


def test_packs_in_and_weights_out(tmp_path: Path) -> None:
    """What ``bench/gpu-train.sh`` does on a GPU, on the processor."""
    (tmp_path / "data").mkdir()
    packs.pack(write_data(tmp_path / "data"), tmp_path / "packs")
    (tmp_path / "work" / "campaign").mkdir(parents=True)
    steps = {"original": {"finish_steps": 1}, "adain-nano": {"distil_steps": 1, "finish_steps": 1}}
    plan = {name: {"steps": each} for name, each in steps.items()}  # not by the time they take
    (tmp_path / "work" / "campaign" / "plan.json").write_text(json.dumps(plan))
    (tmp_path / "table.toml").write_text(TABLE)
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'bench')!r}); import gpu; from pathlib import Path; "
        f"gpu.WORK = Path({str(tmp_path / 'work')!r}); import gpu_train; sys.exit(gpu_train.main(sys.argv[1:]))"
    )
    places = ["--packs", tmp_path / "packs", "--out", tmp_path / "out", "--table", tmp_path / "table.toml"]
    command = [sys.executable, "-c", code, *map(str, places), "--device", "cpu", "--limit", "900"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"gpu.txt", "gpu.json", "report.md", "original.safetensors", "adain-nano.safetensors"}
    networks = read_networks(tmp_path / "out" / "adain-nano.safetensors")
    assert networks.kind == ADAIN
    assert tuple(networks.stages[4].encoder.widths) == WIDTHS["nano"]
    given = load_file(tmp_path / "out" / "original.safetensors")
    assert {name.partition(".")[0] for name in given} == {"decoder"}
    assert {value.dtype for value in given.values()} == {torch.float16}


def test_a_run_under_way_gives_its_averaged_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WIDTHS, "nano", (3, 3, 4, 4, 4, 4, 4, 4, 5))
    (tmp_path / "data").mkdir()
    data, out = write_data(tmp_path / "data"), tmp_path / "nano"
    sizes = ["--batch", "1", "--size", "32", "--finish-size", "32", "--finish-batch", "1", "--pool", "4"]
    steps = ["--distil-steps", "1", "--style-steps", "0", "--finish-steps", "1"]
    given = ["--data", str(data), "--out", str(out), "--widths", "nano", "--threads", "1", "--every", "1", *sizes, *steps]
    adain.main(given)
    final, _ = load_checkpoint(out / "final.safetensors")
    (out / "final.safetensors").unlink()
    tensors, facts = packs.weights_of(out)
    assert facts["step"] == 2
    assert tensors.keys() == final.keys()
    assert all(torch.equal(tensors[name], final[name]) for name in final)
