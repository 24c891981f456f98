"""Models and photographs that many tests use."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from numpy_engine import Lcg, three_levels
from numpy_generator import resnet_like, with_styles
from PIL import Image

import fastnst
from fastnst.format.modelfile import AdainFile, Layer, to_bytes

# No test, and no process that one starts, may use the network.
OFFLINE = Path(__file__).parent / "support" / "offline"
runpy.run_path(str(OFFLINE / "sitecustomize.py"))
# Children find what tests share where pytest itself finds it.
SHARED = (OFFLINE, OFFLINE.parents[1], OFFLINE.parent)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*map(str, SHARED), os.environ.get("PYTHONPATH")]))

# Failed assertions of these helpers show their values, as those of tests do.
pytest.register_assert_rewrite("command_line", "picture_files", "relation_checks")

# One thread for PyTorch and NumPy, here and in children: maps of tests are too small to share, and threads that wait for one
# another on cores that others use too take several times as long. Tests of threads ask for theirs.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SHIPPED = sorted((Path(fastnst.__file__).parent / "models").glob("*.fnst"))

# Tests of these files take longest: builds, pages, kernels once more, Triton's interpreter, training, benchmarks, conversion,
# WebAssembly, valgrind.
LONGEST = ("test_quick", "test_docs", "test_kernels_variants", "test_standalone", "test_triton_", "test_browser", "test_train_",
           "test_bench_", "test_convert", "test_wasm", "test_library", "test_ops", "test_engine", "test_shipped",
           "test_kernels_", "test_tiled", "test_cli_commands", "test_evaluate")  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that processes that share the tests end together; within a file everything stays as it is."""

    def rank(item: pytest.Item) -> int:
        return next((i for i, start in enumerate(LONGEST) if item.path.stem.startswith(start)), len(LONGEST))

    items.sort(key=rank)


# The shape of the AdaIN pair with few channels: outputs of each layer, and where maps shrink and grow.
ENCODER = (8, 8, 16, 16, 16, 16, 16, 16, 24)
DECODER = (16, 16, 16, 16, 16, 8, 8, 8, 3)
POOL_AFTER = (1, 3, 7)
UPSAMPLE = (1, 5, 7)


def random_layer(rng: np.random.Generator, inputs: int, outputs: int, *, upsample: bool, pool: str, zero: int) -> Layer:
    """A layer whose outputs spread over the 8-bit range for inputs that do."""
    phases = (4,) if upsample else ()
    window = 2 if upsample else 3
    weights = rng.integers(-40, 41, (*phases, outputs, window, window, inputs), dtype=np.int8)
    if upsample:
        weights[1:] = weights[0]  # phases that differ at random would look like a checkerboard
    bias = rng.integers(-500, 501, (*phases, outputs), dtype=np.int32)
    # 23 is the standard deviation of the weights. ReLU halves the mean square of its input; 1.5 (He: sqrt 2) restores it.
    multiplier = np.full_like(bias, 1.5 / (23 * window * np.sqrt(inputs)), dtype=np.float32)
    return Layer(weights, bias, multiplier, zero=zero, upsample=upsample, pool=pool)


def random_model(seed: int = 31, name: str = "random") -> AdainFile:
    """A small valid model. With this seed its pictures vary with content, style and alpha, and few pixels are clipped."""
    rng = np.random.default_rng(seed)
    encoder = [
        random_layer(rng, inputs, outputs, upsample=False, pool="floor" if index in POOL_AFTER else "none", zero=0)
        for index, (inputs, outputs) in enumerate(zip((3, *ENCODER), ENCODER, strict=False))
    ]
    decoder = [
        random_layer(rng, inputs, outputs, upsample=index in UPSAMPLE, pool="none", zero=128 if outputs == 3 else 0)
        for index, (inputs, outputs) in enumerate(zip((ENCODER[-1], *DECODER), DECODER, strict=False))
    ]
    card = {"name": name, "kind": "adain", "parameters": 12345, "macs_per_pixel": 678.9}
    return AdainFile(card, encoder, decoder, feature_scale=0.02, decoder_scale=0.02, decoder_zero=0)


@pytest.fixture(scope="session")
def model_bytes() -> bytes:
    return to_bytes(random_model())


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory, model_bytes: bytes) -> Path:
    path = tmp_path_factory.mktemp("model") / "random.fnst"
    path.write_bytes(model_bytes)
    return path


@pytest.fixture(scope="session")
def wct_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small WCT model of levels 4, 2 and 1."""
    path = tmp_path_factory.mktemp("model") / "three.fnst"
    path.write_bytes(to_bytes(three_levels()))
    return path


@pytest.fixture(scope="session")
def generator_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small image-to-image generator."""
    path = tmp_path_factory.mktemp("model") / "generator.fnst"
    path.write_bytes(to_bytes(resnet_like(Lcg(9), 5)))
    return path


@pytest.fixture(scope="session")
def styled_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small generator of five styles of its own."""
    path, lcg = tmp_path_factory.mktemp("model") / "styled.fnst", Lcg(4)
    path.write_bytes(to_bytes(with_styles(resnet_like(lcg, 3, blocks=1), lcg, 5)))
    return path


@pytest.fixture(scope="session", params=["random", *SHIPPED], ids=["random", *(path.stem for path in SHIPPED)])
def each_model(request: pytest.FixtureRequest, model_path: Path) -> Path:
    """The random model, then each model that ships inside the package."""
    return model_path if request.param == "random" else Path(request.param)


@pytest.fixture(scope="session")
def photos() -> dict[str, NDArray[np.uint8]]:
    """Photographs, uint8 [H, W, 3], of even and odd sides."""
    # Here because they take seconds to import, and most test files do without.
    import skimage.data
    from sklearn.datasets import load_sample_images

    china, flower = load_sample_images().images
    return {
        "astronaut": skimage.data.astronaut()[:256, 100:356].copy(),
        "coffee": skimage.data.coffee()[50:250, 100:401].copy(),
        "cat": skimage.data.chelsea()[:201, 100:335].copy(),
        "china": china[100:301:2, ::2].copy(),
        "flower": flower[::2, ::2].copy(),
    }


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory: pytest.TempPathFactory, photos: dict[str, NDArray[np.uint8]]) -> Path:
    """The photographs as PNG files; not to be written to."""
    folder = tmp_path_factory.mktemp("photos")
    for name, pixels in photos.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def small_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Conversions calibrate on pictures of 64 pixels in place of 256: for tests of what else they do than keep quality."""
    from fastnst.convert import pictures

    monkeypatch.setattr(pictures, "SHORT_SIDE", 64)
