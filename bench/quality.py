"""Quality of an AdaIN model on pairs of pictures: content and style loss, and how close int8 comes to float.

``python -m bench.quality DATA --float final.safetensors --model model.fnst [--sheet sheet.jpg]`` where DATA holds
``testset.json`` ({"size": short side, "pairs": [{"content": path, "style": path}, ...]}) and the VGG-19 weights.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from fastnst.engine import Engine
from fastnst.images import open_picture, resize_short_side
from fastnst.metrics.adain import AdainScore, adain_score
from fastnst.networks.adain import LAYERS
from fastnst.networks.vgg import Decoder, Encoder
from fastnst.networks.vgg_files import load_normalised_vgg19
from fastnst.reference.adain import adaptive_instance_normalization

Pixels = NDArray[np.uint8]


class FloatPair:
    """The float network that a model was converted from."""

    def __init__(self, path: Path) -> None:
        tensors = load_file(path)
        widths = [tensors[f"encoder.{name}.bias"].shape[0] for name in LAYERS]
        self.encoder, self.decoder = Encoder(widths), Decoder(widths)
        for part, module in (("encoder.", self.encoder), ("decoder.", self.decoder)):
            module.load_state_dict({k.removeprefix(part): v for k, v in tensors.items() if k.startswith(part)})

    @torch.no_grad()
    def __call__(self, content: Pixels, style: Pixels) -> Tensor:
        feature = adaptive_instance_normalization(self.encoder(to_tensor(content)), self.encoder(to_tensor(style)))
        return self.decoder(feature).clamp(0, 1)


def to_tensor(pixels: Pixels) -> Tensor:
    """uint8 [H, W, 3] to float [1, 3, H, W], 0..1."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None].float() / 255


def load(path: Path, size: int) -> Pixels:
    """A picture at the short side asked for, its sides cut to multiples of 8 so that every network keeps its size."""
    pixels = np.asarray(resize_short_side(open_picture(path), size).rgb)
    return pixels[: pixels.shape[0] // 8 * 8, : pixels.shape[1] // 8 * 8]


def psnr(a: Pixels, b: Pixels) -> float:
    """Peak signal-to-noise ratio in dB of two 8-bit pictures."""
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def mean_score(scores: list[AdainScore]) -> AdainScore:
    return AdainScore(float(np.mean([s.content for s in scores])), float(np.mean([s.style for s in scores])))


def contact_sheet(rows: list[list[Pixels]], height: int = 256) -> Image.Image:
    """Rows of pictures at one height, each padded to the widest of its column."""
    scaled = [[Image.fromarray(p).resize((round(p.shape[1] * height / p.shape[0]), height)) for p in row] for row in rows]
    widths = [max(row[i].width for row in scaled) for i in range(len(scaled[0]))]
    page = Image.new("RGB", (sum(widths) + 4 * len(widths), (height + 4) * len(scaled)), "white")
    for y, row in enumerate(scaled):
        for x, picture in enumerate(row):
            page.paste(picture, (sum(widths[:x]) + 4 * x, y * (height + 4)))
    return page


def main() -> None:
    """Print the table; write the sheet (content, style, float, int8) if asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.quality", description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--float", type=Path, required=True, dest="checkpoint")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--size", type=int, help="short side; without it the list's own")
    parser.add_argument("--every", type=int, default=1, help="take every N-th pair")
    arguments = parser.parse_args()
    testset = json.loads((arguments.data / "testset.json").read_text())
    size = arguments.size or testset["size"]
    vgg = load_normalised_vgg19(arguments.data / "weights" / "vgg19_relu5_1_f16.safetensors")
    network = FloatPair(arguments.checkpoint)
    engine = Engine(arguments.model) if arguments.model else None
    exact, quantised, ratios, rows = [], [], [], []
    for pair in testset["pairs"][:: arguments.every]:
        content, style = (load(arguments.data / pair[kind], size) for kind in ("content", "style"))
        output = network(content, style)
        shown = (output[0].permute(1, 2, 0) * 255).round().byte().numpy()
        row = [content, style, shown]
        exact.append(adain_score(vgg, output, to_tensor(content), to_tensor(style)))
        if engine:
            result = engine.decode(engine.encode(content), engine.look(style))
            quantised.append(adain_score(vgg, to_tensor(result), to_tensor(content), to_tensor(style)))
            ratios.append(psnr(result, shown))
            row.append(result)
        rows.append(row)
    for name, scores in (("float", exact), ("int8", quantised)):
        if scores:
            mean = mean_score(scores)
            print(
                f"{name}: content {mean.content:.3f}  style {mean.style:.3f}  AdaIN loss {mean.loss:.2f}  ({len(scores)} pairs)"
            )
    if ratios:
        print(f"int8 against float: {np.mean(ratios):.2f} dB mean, {min(ratios):.2f} dB lowest")
    if arguments.sheet:
        contact_sheet(rows).save(arguments.sheet, quality=90)


if __name__ == "__main__":
    main()
