"""Model files that nobody vouches for."""

from __future__ import annotations

import io
import pickle
import random
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy_engine as reference

from fastnst.engine import Engine, ModelError
from fastnst.format.modelfile import to_bytes
from fastnst.system.memory import peak_memory
from torture import corpora, native
from torture.framework import Outcome, check


def opened(data: bytes) -> str | None:
    """The refusal of a file in one line; None if it is accepted."""
    try:
        Engine(data)
    except ModelError as error:
        return str(error)
    return None


@check("20,000 a format, only ModelError, 64 MB", quick=2000, full=100_000)
def mutated_models(count: int) -> Outcome:
    """Mutated files of each kind are refused in one line or are models; memory stays small."""
    outcome, accepted, before = Outcome(), 0, peak_memory() or 0
    for kind, sound in corpora.sound_models().items():
        for number, data in enumerate(corpora.mutated_models(sound, count // 5)):
            try:
                refusal = opened(data)
            except Exception as error:  # whatever it is, it should have been a ModelError
                outcome.expect(False, f"{kind} {number}: {type(error).__name__}: {error}")
                continue
            accepted += refusal is None
            outcome.expect(refusal is None or "\n" not in refusal, f"{kind} {number}: {refusal!r}")
    grown = ((peak_memory() or 0) - before) / 2**20
    if grown > 64:
        outcome.findings.append(f"{grown:.0f} MB more memory")
    outcome.note = f"{accepted} still models, {grown:.0f} MB"
    return outcome


@check("40 named seeds of public bugs", quick=1000, full=1000)
def named_seeds(count: int) -> Outcome:
    """What has broken other readers is refused."""
    outcome = Outcome()
    for name, data in list(corpora.seeds().items())[:count]:
        outcome.expect(opened(data) is not None, f"accepted: {name}")
    return outcome


@check("round trip of 1,000 random models, the same bytes", quick=60, full=1000)
def round_trips(count: int) -> Outcome:
    """What is written is accepted, and what is read from it writes the same file."""
    outcome = Outcome()
    for seed in range(count):
        lcg = reference.Lcg(seed + 1)
        model = reference.random_cascade(lcg) if seed % 3 == 0 else reference.random_model(lcg, winograd=seed % 3 == 1)
        data = to_bytes(model)
        refused = opened(data)
        outcome.expect(refused is None and to_bytes(reference.parse(data)) == data, f"seed {seed}: {refused or 'other bytes'}")
    return outcome


class _Canary:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


@check("200 pickles, archives, pages and pointers, none executed", quick=100, full=200)
def other_files(count: int) -> Outcome:
    """Pickles, zip archives of them, web pages and Git LFS pointers are neither run nor taken for models."""
    outcome, chance = Outcome(), random.Random(3)
    with TemporaryDirectory() as folder:
        canary = Path(folder) / "canary"
        for number in range(count):
            pickled = pickle.dumps({"weights": [_Canary(canary)] * chance.randint(1, 5)}, protocol=chance.randint(0, 5))
            archive = io.BytesIO()
            with zipfile.ZipFile(archive, "w") as file:
                file.writestr("archive/data.pkl", pickled)
            page = b"<!DOCTYPE html><title>404</title>" + bytes(chance.randrange(32, 127) for _ in range(chance.randrange(900)))
            pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:%064x\nsize %d\n" % (number, number)
            data = (pickled, archive.getvalue(), page, pointer, b"FNST" + pickled)[number % 5]
            refusal = opened(data)
            outcome.expect(refusal is not None and not canary.exists(), f"{number}: {refusal}, canary {canary.exists()}")
    return outcome


@check("the bound on accumulators is exact", quick=2, full=2)
def accumulator_bound(_: int) -> Outcome:
    """Weights that just fit 32 bits are accepted, one more is refused."""
    outcome = Outcome()
    outcome.expect(opened(corpora.weights_up_to_the_bound(0)) is None, "refused at the bound")
    outcome.expect("overflow" in (opened(corpora.weights_up_to_the_bound(1)) or ""), "accepted beyond the bound")
    return outcome


@check("20,000 a format under ASan and UBSan", quick=1000, full=100_000)
def models_under_sanitizers(count: int) -> Outcome:
    """No mutated model makes the engine touch what is not its own; what is accepted stylizes a picture."""
    outcome = Outcome()
    with TemporaryDirectory() as folder:
        pack = Path(folder) / "models"
        for kind, sound in corpora.sound_models().items():
            files = [*corpora.seeds().values(), *corpora.mutated_models(sound, count // 5, seed=4)]
            native.write_pack(pack, files)
            _driven(outcome, kind, len(files), "asan", "models", pack)
    return outcome


def _driven(outcome: Outcome, what: str, cases: int, name: str, *arguments: str | Path) -> None:
    """A run of the driver: all its cases, or a finding."""
    try:
        outcome.note += f"{what}: {native.run(name, *arguments).strip()}; "
    except AssertionError as error:
        outcome.findings.append(f"{what}: {error}")
    outcome.reached += cases


@check("10,000 of PPM and PAM under ASan and UBSan", quick=2000, full=10_000)
def pictures_under_sanitizers(count: int) -> Outcome:
    """Nor does a mutated PPM or PAM."""
    outcome = Outcome()
    with TemporaryDirectory() as folder:
        pack = Path(folder) / "pictures"
        native.write_pack(pack, list(corpora.mutated_pnm(count)))
        _driven(outcome, "pnm", count, "asan", "pictures", pack)
    return outcome


def sound_files(folder: str) -> list[Path]:
    """The corpora's sound models in a folder."""
    paths = []
    for kind, data in corpora.sound_models().items():
        paths.append(Path(folder) / f"{kind}.fnst")
        paths[-1].write_bytes(data)
    return paths


@check("every k-th allocation, at least 300", quick=300, full=300)
def failing_allocations(_: int) -> Outcome:
    """Whichever allocation fails, it is std::bad_alloc, nothing leaks, and the next call makes the right picture."""
    outcome = Outcome()
    with TemporaryDirectory() as folder:
        for path in sound_files(folder):
            said = native.run("asan", "allocations", path)
            outcome.reached += int(said.split()[0])
            outcome.note += f"{path.stem}: {said.strip()}; "
    return outcome


@check("16 threads x 500 calls on one engine and on 16, TSan", quick=512, full=64_000)
def threads_under_sanitizer(count: int) -> Outcome:
    """No data race, and the same pixels, whatever number of threads shares an engine or has its own."""
    outcome = Outcome()
    with TemporaryDirectory() as folder:
        said = native.run("tsan", "stress", str(count // 128), *sound_files(folder))
    outcome.reached, outcome.note = int(said.split()[0]), said.strip()
    return outcome
