"""The C++ engine against the NumPy reference, byte for byte, on every instruction-set path that this machine can run.

``FASTNST_CASES=5000 pytest tests/engine/test_engine.py`` runs the full number of random models; the default fits
two slow cores.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy_engine as reference
import pytest
from numpy.typing import NDArray
from numpy_engine import Lcg, Map, Shape, model_of, pair_like, random_model, random_picture
from paths import RUNNABLE, answer, on_path

from fastnst import _engine
from fastnst.engine import AdainLook, Engine, Look, instruction_set, instruction_sets
from fastnst.format.modelfile import AdainFile, Layer, to_bytes

CASES = int(os.environ.get("FASTNST_CASES", "300"))
SIDES = (1, 1, 2, 3, 5, 8, 9, 15, 16, 17, 23, 31, 40)
GOLDEN_SIZES = ((1, 1), (1, 9), (7, 1), (8, 8), (37, 61), (64, 96))
SHIPPED = Path(_engine.__file__).parent / "models" / "adain-16x.fnst"


@pytest.fixture(scope="module")
def adain_like() -> AdainFile:
    return pair_like(1)


class Case(NamedTuple):
    """A random model, two pictures, and what the reference makes of them: features, statistics, the decoded picture."""

    seed: int
    model: bytes
    pictures: list[Map]  # style, content
    features: list[Map]
    statistics: list[tuple[NDArray[np.float64], NDArray[np.float64]]]
    alpha: float
    out: Map


def random_case(seed: int) -> Case:
    lcg = Lcg(seed)
    model = random_model(lcg, widest=200 if seed % 8 == 0 else 40)
    content, style = (random_picture(lcg, SIDES[lcg.below(len(SIDES))], SIDES[lcg.below(len(SIDES))]) for _ in range(2))
    features = [reference.encode(model, picture) for picture in (style, content)]
    statistics = [reference.statistics(model, each) for each in features]
    alpha = (1.0, 0.0, 0.6, 0.25)[lcg.below(4)]
    out = reference.decode(model, features[1], *statistics[0], alpha, content.shape[:2])
    return Case(seed, to_bytes(model), [style, content], features, statistics, alpha, out)


def check_case(case: Case) -> None:
    """The engine makes the same of them."""
    engine, threads = Engine(case.model), 1 + case.seed % 4
    looks = []
    for picture, wanted, statistics in zip(case.pictures, case.features, case.statistics, strict=True):
        features = engine.encode(picture, threads)
        np.testing.assert_array_equal(features.array(), wanted, f"features, seed {case.seed}")
        looks.append(AdainLook(*features.statistics()))
        for name, mine, exact in zip(("mean", "std"), features.statistics(), statistics, strict=True):
            assert mine.dtype == np.float64
            np.testing.assert_array_equal(mine, exact, f"{name}, seed {case.seed}")
    out = engine.decode(features, looks[0], case.alpha, threads)
    np.testing.assert_array_equal(out, case.out, f"picture, seed {case.seed}")


def run_forced(path: str) -> subprocess.CompletedProcess[str]:
    """A case of the reference in a process of its own, which says what instruction set it has."""
    return subprocess.run(
        [sys.executable, __file__, "one"],
        env=os.environ | {"FASTNST_ISA": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.mark.parametrize("path", RUNNABLE)
def test_random_models_equal_the_reference(path: str) -> None:
    found = on_path(path, __file__, "random", str(CASES))
    assert found["path"] == path
    # The forced path really ran, and no other did.
    assert found["calls"].pop(path) > 0
    assert not any(found["calls"].values())


@pytest.mark.parametrize("height", [1, 2, 7, 8, 9, 16])
@pytest.mark.parametrize("width", [1, 3, 8, 17, 33])
def test_small_and_odd_pictures_equal_the_reference(adain_like: AdainFile, height: int, width: int) -> None:
    engine, picture = Engine(to_bytes(adain_like)), random_picture(Lcg(height * 100 + width), height, width)
    features, wanted = engine.encode(picture, 2), reference.encode(adain_like, picture)
    assert (features.height, features.width) == (height, width)
    np.testing.assert_array_equal(features.array(), wanted)
    look = reference.statistics(adain_like, wanted[::-1, :, :] // 2)
    out = engine.decode(features, AdainLook(*look), 0.75, 2)
    np.testing.assert_array_equal(out, reference.decode(adain_like, wanted, *look, 0.75, (height, width)))


@pytest.mark.parametrize("inputs", [1, 3, 4, 15, 16, 17, 63, 64, 65, 128])
@pytest.mark.parametrize("outputs", [1, 16, 17, 48, 64, 65])
def test_every_remainder_of_the_channel_blocks(inputs: int, outputs: int) -> None:
    lcg = Lcg(inputs * 1000 + outputs)
    encoder = [Shape(inputs), Shape(outputs, kernel=(1, 3)[lcg.below(2)], resizes=True)]
    model = model_of(lcg, encoder, [Shape(inputs, resizes=True), Shape(3)])
    picture = random_picture(lcg, 6, 21)
    features, wanted = Engine(to_bytes(model)).encode(picture, 1), reference.encode(model, picture)
    np.testing.assert_array_equal(features.array(), wanted)
    look = AdainLook(*features.statistics())
    out = Engine(to_bytes(model)).decode(features, look, 1.0, 1)
    np.testing.assert_array_equal(out, reference.decode(model, wanted, look.mean, look.std, 1.0, (6, 21)))


def test_extreme_values_reach_the_accumulator_exactly(adain_like: AdainFile) -> None:
    """Weights of -127 and 127 on pixels of 0 and 255: where a saturating 16-bit product would show."""
    lcg = Lcg(5)
    layers = []
    for layer in adain_like.encoder:
        signs = lcg.integers(0, 2, layer.weights.shape) * 254 - 127
        layers.append(replace(layer, weights=signs.astype(np.int8)))
    model = AdainFile({}, layers, adain_like.decoder, 0.1, 0.1, 0)
    picture = (random_picture(lcg, 24, 40) > 127).astype(np.uint8) * 255
    np.testing.assert_array_equal(Engine(to_bytes(model)).encode(picture, 1).array(), reference.encode(model, picture))


def test_rounding_takes_halves_to_even() -> None:
    """A 1x1 layer that halves every pixel: 1 -> 0, 3 -> 2, 5 -> 2, 7 -> 4."""
    halve = Layer(np.eye(3, dtype=np.int8).reshape(3, 1, 1, 3), np.zeros(3, np.int32), np.full(3, 0.5, np.float32))
    picture = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 256, 3)
    out = Engine(to_bytes(AdainFile({}, [halve], [halve], 1.0, 1.0, 0))).encode(picture, 1).array()
    np.testing.assert_array_equal(out, np.rint(picture / 2))
    assert out[0, :8, 0].tolist() == [0, 0, 1, 2, 2, 2, 3, 4]


def test_constant_picture_has_no_variance_but_the_epsilon(adain_like: AdainFile) -> None:
    mean, std = Engine(to_bytes(adain_like)).encode(np.full((1, 1, 3), 200, np.uint8), 1).statistics()
    assert (std == np.sqrt(1e-5)).all()
    assert np.isfinite(mean).all()


@pytest.mark.parametrize(("isa", "words"), [("z80", "z80"), ("", "")])
def test_forcing_a_path_that_is_unknown(isa: str, words: str) -> None:
    done = run_forced(isa)
    if isa:
        assert done.returncode != 0
        assert "RuntimeError" in done.stderr
        assert words in done.stderr
    else:  # set but empty: as if it were not set
        assert done.returncode == 0, done.stderr


def test_paths_that_cannot_run_here_are_refused() -> None:
    for path in (name for name, runs in instruction_sets() if not runs):
        done = run_forced(path)
        assert done.returncode != 0
        assert "RuntimeError" in done.stderr


def test_the_first_runnable_path_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTNST_ISA", raising=False)
    assert RUNNABLE[-1] == "scalar"
    assert instruction_set() in RUNNABLE
    done = run_forced("")
    assert done.stdout == RUNNABLE[0]


# --- threads and processes --------------------------------------------------------------------------------------------------


def test_any_number_of_threads_gives_the_same_bytes(adain_like: AdainFile) -> None:
    engine, picture = Engine(to_bytes(adain_like)), random_picture(Lcg(11), 83, 131)
    results = []
    for threads in (1, 2, 3, 4, 8, 64):
        features = engine.encode(picture, threads)
        look = AdainLook(*features.statistics())
        results.append((features.array().tobytes(), look.std.tobytes(), engine.decode(features, look, 1.0, threads).tobytes()))
    assert len(set(results)) == 1


def stylized(engine: Engine, seed: int, threads: int) -> str:
    lcg = Lcg(seed)
    content, style = random_picture(lcg, 20 + seed, 30), random_picture(lcg, 25, 10 + seed)
    out = engine.decode(engine.encode(content, threads), engine.look(style, threads), 1.0, threads)
    return hashlib.sha256(out.tobytes()).hexdigest()


def test_one_engine_serves_many_python_threads(adain_like: AdainFile) -> None:
    engine = Engine(to_bytes(adain_like))
    alone = [stylized(engine, seed, 1) for seed in range(8)]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda job: stylized(engine, job % 8, 1 + job % 3), range(128)))
    assert together == alone * 16


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_engine_works_after_fork(adain_like: AdainFile) -> None:
    engine = Engine(to_bytes(adain_like))
    wanted = stylized(engine, 3, 4)  # threads have run before the fork
    for _ in range(5):
        ours, theirs = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forking with threads: the point here
            child = os.fork()
        if child == 0:
            signal.alarm(60)  # a deadlock kills the child instead of the test run
            os.write(theirs, stylized(engine, 3, 4).encode())
            os._exit(0)
        os.close(theirs)
        with os.fdopen(ours) as answer:
            text = answer.read()
        assert os.waitpid(child, 0)[1] == 0
        assert text == wanted
    assert stylized(engine, 3, 4) == wanted


@pytest.mark.parametrize(("ending", "code"), [("", 0), ("sys.exit(7)", 7), ("raise ValueError", 1)])
def test_a_process_that_ends_with_threads_in_the_engine_is_not_aborted(ending: str, code: int) -> None:
    """The lock that they wanted back ended them in the middle of C++: exit code 134 and "terminate called"."""
    script = f"""
import sys, threading, time
from fastnst.engine import Engine
from fastnst.verify import picture
engine, content, begun = Engine({str(SHIPPED)!r}), picture(60, 60, 1), threading.Event()
def work():
    while True:
        engine.encode(content, 1)
        begun.set()
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
begun.wait()
{ending}
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, "terminate" in done.stderr) == (code, False)


def test_features_outlive_their_engine(adain_like: AdainFile) -> None:
    picture = random_picture(Lcg(2), 16, 16)
    features = Engine(to_bytes(adain_like)).encode(picture, 1)
    np.testing.assert_array_equal(features.array(), reference.encode(adain_like, picture))


# --- pictures that must never change ----------------------------------------------------------------------------------------


GOLDEN = {
    (1, 1, 1.0, 1): "991410ca0b427167908d607bdd4a252d028baea36df34b6f65e10f5dee326600",
    (1, 1, 0.5, 2): "3f391737c044f9f3ab3a8cfa4bcc029098bbee102211615676087c6eb395c673",
    (1, 1, 0.0, 1): "517b66781fe534c557cd299b5c82fabf1e40ac3b4a8ebde53b83447691c66f26",
    (1, 9, 1.0, 1): "b5eccbf6700fb30a5bc93ac3a9625967d6e59caac4db38f1d80f1aa1d0e84cfe",
    (1, 9, 0.5, 2): "087d4484e71cb71bfe50f0e417b608ad7eb69bc2951586cb2e565351cf6859af",
    (1, 9, 0.0, 1): "6b5259d448dcd1955fdd158c512e27155c0acb49348256df4afa29994a16d4f3",
    (7, 1, 1.0, 1): "b5e9f74f914c3578aa14d571d4819eb07518a7fe24e572effbefcda4bf2b86b4",
    (7, 1, 0.5, 2): "ddcce3502228b34da5c71c7fbaa9c5a15b54ccba9ab21e7f260dde0f39d334aa",
    (7, 1, 0.0, 1): "12246aa6b3924f07f007eb7bced168b9005f8c240108753acdf7ded0805937f6",
    (8, 8, 1.0, 1): "600b0511d743e5eec226431c6f058a37e86f0cbe8b49ce2415919febe2e77b12",
    (8, 8, 0.5, 2): "b0766762b3a109fb2fda7c7c6e9aca28c1e6e9359bc770a3eb6baea060181bfd",
    (8, 8, 0.0, 1): "1a5abbd7b7b48f1a72cade6973dfa6f7b9515c54290421fa67e3d361b70b235a",
    (37, 61, 1.0, 1): "7964057f0d5287ce0ffeaae543b37dcf781d59fc27231574b8ae03d9672e4792",
    (37, 61, 0.5, 2): "43145d23f03000b01b7f1bd9eb7394f5a435143d8a441db5753cc3d72077c787",
    (37, 61, 0.0, 1): "34925dae31feb378227efe29df7bfa08b746d926eaca5c3ca2401512ba46436f",
    (64, 96, 1.0, 1): "624482506d747e6e2282956fd366af24fd0a84ac09ed5ea741816a8ca8ff42be",
    (64, 96, 0.5, 2): "0eafa4159cf8612bb9a35fc08b7abe72e2111c3a3a385238db5259dafaf272c9",
    (64, 96, 0.0, 1): "32baeb117ba7c7276090ac9feb27b9a11c417032eb343033f9a94c8b85e3f86c",
}
"""(height, width, alpha, styles mixed) -> SHA-256 of the picture by the NumPy reference: ``python test_engine.py golden``."""


def golden_inputs(size: tuple[int, int], styles: int) -> tuple[Map, list[Map]]:
    lcg = Lcg(size[0] * 1000 + size[1])
    return random_picture(lcg, *size), [random_picture(lcg, 24, 19 + 8 * i) for i in range(styles)]


def mixed(looks: list[Look]) -> Look:
    return Engine.mix(looks, ((1.0,), (0.25, 0.75))[len(looks) - 1])


def hash_of(picture: Map) -> str:
    return hashlib.sha256(np.ascontiguousarray(picture).tobytes()).hexdigest()


def engine_hash(engine: Engine, size: tuple[int, int], alpha: float, styles: int) -> str:
    content, pictures = golden_inputs(size, styles)
    look = mixed([engine.look(picture, 2) for picture in pictures])
    return hash_of(engine.decode(engine.encode(content, 2), look, alpha, 2))


def reference_hash(model: AdainFile, size: tuple[int, int], alpha: float, styles: int) -> str:
    content, pictures = golden_inputs(size, styles)
    look = mixed([AdainLook(*reference.statistics(model, reference.encode(model, picture))) for picture in pictures])
    return hash_of(reference.decode(model, reference.encode(model, content), look.mean, look.std, alpha, size))


@pytest.mark.parametrize("path", RUNNABLE)
def test_golden_pictures_are_the_same_on_every_path(path: str) -> None:
    assert {tuple(case): found for case, found in on_path(path, __file__, "golden-by-engine")} == GOLDEN


def test_the_reference_still_gives_the_golden_pictures(adain_like: AdainFile) -> None:
    for (height, width, alpha, styles), wanted in GOLDEN.items():
        assert reference_hash(adain_like, (height, width), alpha, styles) == wanted


def shipped_hashes() -> dict[str, str]:
    """Photographs of scikit-image with one another as styles, by the shipped model."""
    from skimage import data

    engine = Engine(SHIPPED)
    photographs = {
        "astronaut": data.astronaut()[::4, ::4],
        "coffee": data.coffee()[::4, 1::4],
        "rocket": data.rocket()[:107, :133],
    }
    looks = {name: engine.look(picture) for name, picture in photographs.items()}
    return {
        f"{content}-{style}-{alpha}": hash_of(engine.decode(engine.encode(photographs[content]), looks[style], alpha))
        for content in photographs
        for style in photographs
        for alpha in (1.0, 0.5)
    }


@pytest.mark.skipif(not SHIPPED.exists(), reason="no shipped model in this tree")
@pytest.mark.parametrize("path", RUNNABLE[1:] or ["scalar"])
def test_the_shipped_model_gives_the_same_pictures_on_every_path(path: str) -> None:
    first, other = (on_path(name, __file__, "shipped") for name in (RUNNABLE[0], path))
    assert len(first) == 18
    assert first == other


# --- what the forced processes run ------------------------------------------------------------------------------------------


def main(job: str, *arguments: str) -> None:
    if job == "random":
        cases = [random_case(seed) for seed in range(int(arguments[0]))]

        def check() -> object:
            for case in cases:
                check_case(case)
            return {"path": instruction_set(), "calls": _engine.kernel_calls()}

        answer(check)
    elif job == "one":
        check_case(random_case(0))
        sys.stdout.write(instruction_set())
    elif job == "golden-by-engine":
        model = to_bytes(pair_like(1))
        answer(lambda: [[case, engine_hash(Engine(model), case[:2], *case[2:])] for case in GOLDEN])
    elif job == "golden":
        pair = pair_like(1)
        golden = [(*size, alpha, styles) for size in GOLDEN_SIZES for alpha, styles in ((1.0, 1), (0.5, 2), (0.0, 1))]
        found = {str(case): reference_hash(pair, case[:2], *case[2:]) for case in golden}
        sys.stdout.write(json.dumps(found, indent=1))
    else:
        answer(shipped_hashes)


if __name__ == "__main__":
    main(*sys.argv[1:])
