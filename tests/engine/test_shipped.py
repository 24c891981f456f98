"""The models that ship inside the package make these very pictures, on every instruction set, and are as small as promised.

Each model has pictures in ``fastnst/models/goldens.json``, which a command writes and ``fastnst verify`` checks. Those below
are of photographs.
"""

from __future__ import annotations

import hashlib
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import fastnst
from fastnst import engine, verify

# Model, content, style, alpha, palette, SHA-256 of the result's bytes.
GOLDEN = [
    ("adain-16x", "astronaut", "coffee", 1.0, 1.0, "fe4441d9048c7a5e409823cd73ddfcf4ddbb65c4b05f6fb3976ab2107e639017"),
    ("adain-16x", "coffee", "cat", 1.0, 1.0, "0ce1ed40eb836dcf96bdfa53f9c680262c178160b89d0df70813f71c01120d9b"),
    ("adain-16x", "cat", "astronaut", 0.5, 1.0, "80ffabe702ea315fd64f6e13887976e933e3fd635edc90ae8dbfd953d50d75c5"),
    ("adain-nano", "astronaut", "coffee", 1.0, 1.0, "9220416a15bef6efed9c16a592e40a116dc796d2f2a44c4fc6500b054dcfa4c3"),
    ("adain-pruned", "astronaut", "coffee", 1.0, 0.0, "d7211e197105af627c2910495d757f5451cf54c21aae3a09517175e40a1bfa58"),
    ("adain-pruned", "astronaut", "coffee", 1.0, 1.0, "817201b76db9c0733c9ed43c44f858c9d7b3486f31bbdfe0875a02c8a2f88865"),
    ("wct-16x", "cat", "coffee", 1.0, 0.5, "aba283a091eb34b7ea6ec91cfcee14c590376c6cffdc64f7a3f2fd9efd2251da"),
    ("wct-16x", "astronaut", "coffee", 1.0, 0.0, "277e394af135f9a596ce12d1ef529032871c99123cfe1c06383e05c3ca5c4995"),
    ("wct-16x", "coffee", "cat", 0.5, 0.0, "8aa9db067bc44dad43c57e00dc3cc575858cb9f9c829f7421c3e727e6d6f3309"),
]
# SHA-256 of the photographs, so that changed ones are not taken for a changed engine.
SOURCES = "79cd265167d08260d9b91e3a9139f7358a8a051613eaf8ee4d5d52f2e760ef46"

MOST_BYTES = 2_804_383
"""A tenth of the original AdaIN pair in float32."""


def photographs() -> dict[str, NDArray[np.uint8]]:
    import skimage.data

    return {
        "astronaut": skimage.data.astronaut()[:256, 100:356].copy(),
        "coffee": skimage.data.coffee()[50:250, 100:401].copy(),
        "cat": skimage.data.chelsea()[:201, 100:335].copy(),
    }


def digest(*arrays: NDArray[np.uint8]) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def stylized() -> list[str]:
    pictures, stylizers = photographs(), {name: fastnst.Stylizer(name) for name, *_ in GOLDEN}
    return [
        digest(stylizers[name](pictures[content], pictures[style], alpha=alpha, palette=palette))
        for name, content, style, alpha, palette, _ in GOLDEN
    ]


@pytest.mark.parametrize("path", [name for name, supported in engine.instruction_sets() if supported])
def test_pictures_are_the_golden_ones(path: str) -> None:
    if digest(*photographs().values()) != SOURCES:
        pytest.skip("scikit-image ships other photographs than those that the golden pictures were made of")
    environment = os.environ | {"FASTNST_ISA": path}
    done = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [wanted for *_, wanted in GOLDEN]


MODELS = pytest.mark.parametrize("model", fastnst.models(), ids=lambda model: model.name)


@MODELS
def test_a_model_is_as_small_as_its_card_says(model: fastnst.stylize.ModelInfo) -> None:
    assert f"{model.file_bytes:,} bytes" in model.path.with_suffix(".md").read_text()
    assert model.file_bytes < MOST_BYTES


@MODELS
def test_a_model_has_golden_pictures(model: fastnst.stylize.ModelInfo) -> None:
    """Of every case; ``fastnst verify`` and its tests make them."""
    wanted = {case for case, name, *_ in verify.cases() if name == model.name}
    assert wanted and wanted <= json.loads(verify.GOLDENS.read_text()).keys()


def test_the_default_is_one_of_them() -> None:
    assert fastnst.Stylizer().engine.card["name"] == "adain-16x"


if __name__ == "__main__":
    print(*stylized(), sep="\n")  # noqa: T201


def test_the_npm_package_has_the_address_of_every_model() -> None:
    """If not: make models."""
    root = Path(__file__).parents[2]
    written = runpy.run_path(str(root / "csrc" / "web" / "models.py"))["addresses"]()
    assert (root / "web" / "models.js").read_text() == written
    assert all(f'"{model.name}": new URL("./models/{model.path.name}"' in written for model in fastnst.models())
