"""Recipes from end to end on a few crops: the data that they read, and a run of one."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType

import skimage.data
from PIL import Image
from random_vgg import as_file, random_vgg19
from safetensors.torch import load_file, save_file
from torch import Tensor

from fastnst.train.scoring import VGG_FILE

SMALL = {"batch": 2, "size": 32, "every": 2}
"""Settings that any recipe is done with in no time."""


def multiplies_bfloat16(cpuinfo: str) -> bool:
    """Whether the processor that ``/proc/cpuinfo`` speaks of multiplies bfloat16; others convert every number first, at many
    times the price of float32."""
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(cpuinfo.split())


CPUINFO = Path("/proc/cpuinfo")
USUAL = {} if CPUINFO.exists() and multiplies_bfloat16(CPUINFO.read_text()) else {"precision": "float32"}
"""Settings of all runs that do not say otherwise."""


def write_data(folder: Path) -> Path:
    """``folder`` with what recipes expect: photographs, paintings, test pictures, and a scoring network of random weights."""
    pictures = {"content-train": (skimage.data.astronaut(), skimage.data.chelsea()), "style-train": (skimage.data.coffee(),)}
    for kind, photographs in pictures.items():
        (folder / kind).mkdir()
        for i, pixels in enumerate(photographs):
            Image.fromarray(pixels[:200, :200]).save(folder / kind / f"{i}.png")
    for kind in ("content", "style"):
        shutil.copytree(folder / f"{kind}-train", folder / "test" / kind)
    (folder / "weights").mkdir()
    save_file(as_file(random_vgg19(4), "caffe"), folder / "weights" / VGG_FILE)
    return folder


def run(recipe: ModuleType, data: Path, out: Path, **settings: object) -> dict[str, Tensor]:
    """What a recipe leaves; settings as on the command line."""
    given: list[str] = []
    for name, value in (USUAL | settings).items():
        option = name.replace("_", "-")
        given += [f"--{option}" if value else f"--no-{option}"] if isinstance(value, bool) else [f"--{option}", str(value)]
    recipe.main(["--data", str(data), "--out", str(out), "--threads", "1", *given])
    (*_, final) = sorted(out.rglob("final.safetensors"))
    return load_file(final)


def losses(out: Path, name: str = "loss") -> list[float]:
    """A term of every step of a run, in order."""
    rows = (row.split(",") for row in (out / "log.csv").read_text().splitlines()[1:])
    return [float(value) for _, key, value in rows if key == name]
