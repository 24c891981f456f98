"""One worker in one process: ``python -m bench.dataset.worker KIND FOLDER NUMBER COUNT SECONDS`` prints what it did as JSON.

It is one of COUNT that run at the same time, each on a core of its own, and goes on for SECONDS at least, after a picture that
does not count.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fastnst import Stylizer

from ..worker import peak_memory

MODEL, SIDE = "adain-nano", 224


def contents(folder: Path) -> list[Path]:
    return sorted((folder / "contents").glob("*.jpg"))


def styles(folder: Path) -> list[Path]:
    return sorted((folder / "styles").glob("*.jpg"))


def cut(image: Image.Image) -> Image.Image:
    """The middle of a picture of 256 pixels."""
    left, top = (image.width - SIDE) // 2, (image.height - SIDE) // 2
    return image.convert("RGB").crop((left, top, left + SIDE, top + SIDE))


def pixels_of(paths: list[Path]) -> list[Any]:
    return [np.asarray(cut(Image.open(path))) for path in paths]


def engine(folder: Path, number: int, count: int) -> Iterator[int]:
    """Decoded pictures, the look cached; nothing is written."""
    del number, count
    stylizer = Stylizer(MODEL, 1)
    look, pictures = stylizer.encode_style(Image.open(styles(folder)[0])), pixels_of(contents(folder))
    for each in itertools.cycle(pictures):
        stylizer.run(each, look)
        yield 1


def jpeg(folder: Path, number: int, count: int) -> Iterator[int]:
    """From and to JPEG in memory, the look cached."""
    del number, count
    stylizer = Stylizer(MODEL, 1)
    look, files = stylizer.encode_style(Image.open(styles(folder)[0])), [path.read_bytes() for path in contents(folder)]
    for data in itertools.cycle(files):
        result = stylizer.run(np.asarray(cut(Image.open(io.BytesIO(data)))), look).pixels
        Image.fromarray(result).save(io.BytesIO(), "JPEG", quality=95, subsampling="4:4:4")
        yield 1


def job(folder: Path, number: int, count: int) -> Iterator[int]:
    """``fastnst stylize`` from folder to folder, its part of it."""
    from fastnst.cli import main

    out = folder / f"out-{count}-{number}-{time.monotonic_ns()}"
    words = ["--sample", "1", "--size", "256", "--crop", str(SIDE), "--model", MODEL, "--threads", "1", "--quiet"]
    for run in itertools.count():
        parts = ["--shard", f"{number}/{count}", "--style-cache", str(folder / "cache")]
        main(["stylize", str(folder / "contents"), str(folder / "styles"), "-o", f"{out}-{run}", *words, *parts])
        yield len(list(Path(f"{out}-{run}").rglob("*.jpg")))


def calls(folder: Path, number: int, count: int) -> Iterator[int]:
    """RandomStyle, picture by picture."""
    del number, count
    from fastnst.transforms import RandomStyle

    style = RandomStyle(styles(folder), 1.0, model=MODEL, style_cache=False)
    for index, each in enumerate(itertools.cycle(pixels_of(contents(folder)))):
        style(each, index=index)
        yield 1


class Pictures:
    """A data set for PyTorch that has every picture several times."""

    def __init__(self, folder: Path) -> None:
        from fastnst.transforms import RandomStyle

        self._pictures = pixels_of(contents(folder))
        self._style = RandomStyle(styles(folder), 1.0, model=MODEL, style_cache=False)

    def __len__(self) -> int:
        return 8 * len(self._pictures)

    def __getitem__(self, index: int) -> Any:
        return self._style(self._pictures[index % len(self._pictures)], index=index)


def loader(folder: Path, number: int, count: int) -> Iterator[int]:
    """A DataLoader of two workers with RandomStyle, in batches of 64."""
    del number, count
    from torch.utils.data import DataLoader

    batches: Any = DataLoader(Pictures(folder), batch_size=64, num_workers=2, persistent_workers=True)  # type: ignore[arg-type]
    while True:
        for batch in batches:
            yield len(batch)


def published(folder: Path, number: int, count: int) -> Iterator[int]:
    """AdaIN's published network in eager PyTorch as stylize-datasets runs it: one picture at a time, its style encoded too.

    Its weights are random, on which the time does not depend.
    """
    del number, count
    import torch

    from fastnst.networks.adain import WIDTHS
    from fastnst.networks.vgg import Decoder, Encoder

    torch.set_num_threads(1)
    encoder, decoder = Encoder(WIDTHS["original"], input_scale=1).eval(), Decoder(WIDTHS["original"]).eval()
    tensors = [torch.from_numpy(each.copy()).permute(2, 0, 1)[None].float() / 255 for each in pixels_of(contents(folder))]
    style = torch.from_numpy(np.array(Image.open(styles(folder)[0]).convert("RGB"))).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        for each in itertools.cycle(tensors):
            content, wanted = encoder(each), encoder(style)
            mean, std = content.mean((2, 3), keepdim=True), content.std((2, 3), keepdim=True) + 1e-5
            other, spread = wanted.mean((2, 3), keepdim=True), wanted.std((2, 3), keepdim=True)
            decoder((content - mean) / std * spread + other)
            yield 1


def stay_on_core(number: int) -> None:
    """Use one core only, as jobs of a cluster do, so that threads which read and write files take none from others."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[number % len(cores)]})


KINDS: dict[str, Callable[[Path, int, int], Iterator[int]]] = {
    each.__name__: each for each in (engine, jpeg, job, calls, loader, published)
}


def main(arguments: list[str]) -> None:
    kind, folder, number, count, seconds = arguments
    if kind != loader.__name__:  # whose workers are processes of their own
        stay_on_core(int(number) - 1)
    steps = KINDS[kind](Path(folder), int(number), int(count))
    next(steps)
    done, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < float(seconds) or not done:
        done += next(steps)
    print(json.dumps({"pictures": done, "seconds": passed, "peak_memory": peak_memory()}))


if __name__ == "__main__":
    main(sys.argv[1:])
