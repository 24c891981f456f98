"""The cases to measure, the network, and all facts for the report that are not times."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import Any

import fastnst

from .. import interleave
from ..machine import system
from . import jobs, network, peers, roofline

ROOT = interleave.ROOT
SHIPPED = Path(fastnst.__file__).with_name("models") / "adain-16x.fnst"
SIZES, THREADS = (256, 512, 1024), (1, 2)
ROUNDS = 7
DERIVING = ("stylize/jobs.py", "stylize/network.py", "stylize/onnx_graph.py", "stylize/peers*.py", "pictures.py")
"""Patterns of modules on which converted models depend; if one changes, the models are made again."""
QUICK_SIZES, QUICK_THREADS, QUICK_ROUNDS = (512,), (2,), 3


@dataclass
class Settings:
    """The options, and the results so far."""

    sizes: tuple[int, ...]
    threads: tuple[int, ...]
    styles: tuple[str, ...]
    runtimes: tuple[str, ...]
    rounds: int
    patience: float
    network: Path | None
    artefacts: Path | None
    isa: str | None = None
    cold: bool = False
    quick: bool = False
    failures: dict[str, str] = field(default_factory=dict)
    results: dict[interleave.Case, dict[str, interleave.Result]] = field(default_factory=dict)

    @classmethod
    def from_options(cls, options: Any) -> Settings:
        """Settings of a command line; unknown names raise ValueError."""

        def several(text: str | None, default: tuple[Any, ...], kind: type, known: Any = None) -> tuple[Any, ...]:
            values = tuple(kind(part) for part in text.split(",")) if text else default
            if unknown := [value for value in values if known is not None and value not in known]:
                raise ValueError(f"unknown {', '.join(unknown)}: choose from {', '.join(known)}")
            return values

        quick = options.quick
        able = tuple(
            name
            for name, runtime in peers.RUNTIMES.items()
            if (options.isa is None or name not in peers.UNLIMITED) and (options.cold or not runtime.command)
        )
        return cls(
            sizes=several(options.sizes, QUICK_SIZES if quick else SIZES, int),
            threads=several(options.threads, QUICK_THREADS if quick else THREADS, int),
            styles=several(options.styles, jobs.STYLES, str, jobs.STYLES),
            runtimes=several(options.runtimes, able, str, able),
            rounds=options.rounds or (QUICK_ROUNDS if quick else ROUNDS),
            patience=options.patience,
            network=options.network,
            artefacts=options.artefacts,
            isa=options.isa,
            cold=options.cold,
            quick=quick,
        )

    def cases(self) -> Iterator[interleave.Case]:
        for threads in self.threads:
            for style in self.styles:
                for size in self.sizes:
                    yield interleave.Case(size, threads, style)

    def runtimes_for(self, style: str) -> list[str]:
        """The runtimes of this campaign that differ from others with this way of giving the style, installed or not."""
        return [name for name in self.runtimes if style in peers.RUNTIMES[name].styles]

    def run(self, case: interleave.Case, log: interleave.Log) -> dict[str, interleave.Result]:
        """The results of a case for every installed runtime, which are measured at the first call."""
        if case in self.results:
            return self.results[case]
        names = [name for name in self.runtimes_for(case.style) if not missing(name)]
        peak(case.threads, self.patience, self.isa)  # before anything is loaded
        folder = prepared_folder(self)
        message = "cold" if self.cold else "run"
        results = interleave.run_case(case, names, folder, rounds=self.rounds, patience=self.patience, log=log, message=message)
        self.results[case] = results
        self.failures |= {f"{name} {case}": result.error for name, result in results.items() if result.error}
        return results


def missing(runtime: str) -> list[str]:
    """The packages that a runtime needs and that are not installed."""
    needs = [name for name in peers.RUNTIMES[runtime].needs if util.find_spec(name) is None]
    if runtime == peers.FASTNST and not needs and util.find_spec("fastnst._engine") is None:
        return ["fastnst._engine (the compiled engine)"]
    return needs


def versions(runtime: str) -> dict[str, str]:
    """Versions of the packages a runtime needs."""

    def version(package: str) -> str:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return fastnst.__version__  # used from its source tree

    return {name: version(name) for name in peers.RUNTIMES[runtime].needs if util.find_spec(name) is not None}


@cache
def peak(threads: int, patience: float, isa: str | None = None) -> roofline.Peak:
    """The machine's limits, measured once; with ``isa``, those of this instruction set."""
    return roofline.measure(threads, lambda: interleave.wait_until_quiet(patience), isa or "")


# --- the network ------------------------------------------------------------------------------------------------------------


def source_description(settings: Settings) -> str:
    """The origin of the weights, for the report."""
    if settings.network is not None:
        return f"given: {settings.network.name}"
    if SHIPPED.exists():
        return f"the shipped model {SHIPPED.stem}; its rivals run the float network that its file quantises"
    return "seeded random weights at the widths of adain-16x (no model is shipped yet; speed does not depend on the weights)"


@cache
def _folder(source: Path | None, root: Path | None) -> Path:
    """The folder of everything derived from one network by one version of this benchmark and of the runtimes."""
    digest = hashlib.sha256(source.read_bytes() if source else b"random")
    for module in sorted(path for pattern in DERIVING for path in Path(__file__).parents[1].glob(pattern)):
        digest.update(module.read_bytes())
    for name in peers.RUNTIMES:
        digest.update(repr(versions(name)).encode())
    if root is None:
        root = Path(tempfile.gettempdir()) / f"fastnst-bench-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = root / digest.hexdigest()[:16]
    folder.mkdir(exist_ok=True)
    given = folder / f"source{source.suffix if source else '.safetensors'}"
    if source is None:
        network.save_random(given)
    else:
        given.write_bytes(source.read_bytes())
    network.from_file(given).save(folder / "network.npz")
    return folder


def prepared_folder(settings: Settings) -> Path:
    """The folder of derived files, with the network in it."""
    source = settings.network or (SHIPPED if SHIPPED.exists() else None)
    return _folder(source, settings.artefacts)


def benched_network(settings: Settings) -> network.Network:
    return network.load(prepared_folder(settings) / "network.npz")


# --- facts for the report ---------------------------------------------------------------------------------------------------


def result_facts(result: interleave.Result, case: interleave.Case, settings: Settings) -> dict[str, Any]:
    """The facts about a runtime in a case, without comparisons."""
    net, limit = benched_network(settings), peak(case.threads, settings.patience, settings.isa)
    macs = roofline.macs(net, case.size, case.style)
    rate = macs / median(result.seconds)
    return {
        "runtime": result.runtime,
        "label": peers.RUNTIMES[result.runtime].label,
        **asdict(case),
        "visits_seconds": result.seconds,
        "gmac_per_second": rate / 1e9,
        "percent_of_int8_roofline": 100 * rate / limit.macs_per_second if limit.macs_per_second else None,
        "peak_memory_runs": result.memory.get("runs"),
        "peak_memory_life": result.memory.get("life"),
        "memory_before_loading": result.memory.get("before"),
        "psnr_db": result.psnr if result.psnr != float("inf") else None,
        "load_seconds": result.build_seconds,
        "visits_repeated": result.repeated,
        "visits_disturbed": result.disturbed,
        "versions": versions(result.runtime),
        "details": result.details,
    }


def comparison(result: interleave.Result, results: dict[str, interleave.Result]) -> dict[str, Any]:
    """Ratios of a runtime to the best rival and to fastnst, in the same rounds."""
    times = {name: median(other.seconds) for name, other in results.items() if not other.error}
    rivals = {name: time for name, time in times.items() if not name.startswith(peers.FASTNST)}
    own = times[result.runtime]
    best = min(rivals, key=rivals.__getitem__, default=None)
    return {
        "best_rival": best,
        "ratio_to_best_rival": rivals[best] / own if best else None,
        "times_as_long_as_fastnst": own / times[peers.FASTNST] if peers.FASTNST in times else None,
    }


def median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def facts(settings: Settings) -> dict[str, Any]:
    """The facts about the campaign as a whole, for the JSON file."""
    net = benched_network(settings)
    return {
        "network": {"source": source_description(settings), "widths": list(net.widths)},
        "costs": [
            {
                "size": size,
                "style": style,
                "macs": roofline.macs(net, size, style),
                "layerwise_bytes": roofline.layerwise_bytes(net, size, style),
                "least_bytes": roofline.least_bytes(net, size, style),
            }
            for size in settings.sizes
            for style in settings.styles
        ],
        "limits": [asdict(peak(threads, settings.patience, settings.isa)) for threads in settings.threads],
        "isa": settings.isa,
        "cold": settings.cold,
        "quick": settings.quick,
        "rounds": settings.rounds,
        "patience_seconds": settings.patience,
        "not_installed": {name: gap for name in settings.runtimes if (gap := missing(name))},
        "failed": settings.failures,
        "labels": {name: peers.RUNTIMES[name].label for name in settings.runtimes},
        **system(),
    }
