"""Does RandomStyle help a network that meets other pictures than it was trained with? A small proof, on one core, in minutes.

    python examples/augmentation.py                       # prints a table
    python examples/augmentation.py --p 0.9 --alpha 0 1   # with another chance and strength

A network of three convolutions learns the handwritten digits that come with scikit-learn, black on white, with and without
RandomStyle and its shipped looks. It is tested on digits of its own kind that it has not seen, and on the same ones in three
other domains, of which neither training nor any style knows: light and dark exchanged; blended with photographs as MNIST-M
blends them (Ganin et al., 2016); and with noise.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images
from torch import nn

import fastnst
from fastnst.transforms import RandomStyle

SIDE, TRAINED, BATCH = 64, 1200, 64
Pictures = NDArray[np.uint8]  # [N, H, W, 3]


def digits() -> tuple[Pictures, NDArray[np.int64]]:
    """Of 64 pixels, black on white, in an order that says nothing; and what they are."""
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    grey = (255 - data.images * (255 / 16)).astype(np.uint8)[order]
    large = [Image.fromarray(each).resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("RGB") for each in grey]
    return np.stack([np.asarray(each) for each in large]), data.target[order]


def domains(plain: Pictures) -> dict[str, Pictures]:
    """The same digits as they were learned, and as they were not."""
    rng = np.random.default_rng(1)
    photographs = load_sample_images().images
    patches = np.empty_like(plain)
    for patch in patches:
        photograph = photographs[rng.integers(len(photographs))]
        top, left = (rng.integers(side - SIDE) for side in photograph.shape[:2])
        patch[:] = photograph[top : top + SIDE, left : left + SIDE]
    noisy = plain + rng.normal(0, 80, plain.shape)
    return {
        "as learned": plain,
        "inverted": 255 - plain,
        "on photographs": np.abs(patches.astype(int) - (255 - plain)).astype(np.uint8),
        "with noise": np.clip(noisy, 0, 255).astype(np.uint8),
    }


def network() -> nn.Module:
    """Three convolutions and the mean of what they find."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def tensor(pictures: Pictures) -> torch.Tensor:
    """Floats [N, 3, H, W] in -1..1."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def trained(pictures: Pictures, labels: NDArray[np.int64], style: RandomStyle | None, seed: int, epochs: int) -> nn.Module:
    """A network after so many epochs; the seed decides its first weights and the order of the pictures."""
    torch.manual_seed(seed)
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    steps = epochs * (len(pictures) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps)
    for epoch in range(epochs):
        order = torch.randperm(len(pictures)).numpy()
        for at in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[at : at + BATCH]
            batch = pictures[chosen]
            if style is not None:
                batch = style(batch, index=chosen.tolist(), epoch=epoch)
            loss = nn.functional.cross_entropy(model(tensor(batch)), torch.from_numpy(labels[chosen]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def accuracy(model: nn.Module, pictures: Pictures, labels: NDArray[np.int64]) -> float:
    """In per cent."""
    with torch.inference_mode():
        found = model(tensor(pictures)).argmax(1).numpy()
    return float(100 * (found == labels).mean())


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--p", type=float, default=0.5, help="the chance that a picture is stylized (default: 0.5)")
    parser.add_argument("--alpha", type=float, nargs=2, default=(0.5, 1.0), metavar=("LOW", "HIGH"), help="default: 0.5 1")
    parser.add_argument("--epochs", type=int, default=20, help="default: 20")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="default: 1 2")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pictures, labels = digits()
    tests = domains(pictures[TRAINED:])
    print(f"| RandomStyle | seed | {' | '.join(tests)} | minutes |\n| --- | --: |{' --: |' * (len(tests) + 1)}")
    for name in ("without", "with"):
        rows = []
        for seed in arguments.seeds:
            start, style = time.perf_counter(), None
            if name == "with":
                looks = fastnst.looks("adain-nano")
                style = RandomStyle(looks, arguments.p, tuple(arguments.alpha), seed=seed, model="adain-nano")
            model = trained(pictures[:TRAINED], labels[:TRAINED], style, seed, arguments.epochs)
            rows.append([accuracy(model, each, labels[TRAINED:]) for each in tests.values()])
            minutes = (time.perf_counter() - start) / 60
            print(f"| {name} | {seed} | {' | '.join(f'{each:.1f}' for each in rows[-1])} | {minutes:.1f} |", flush=True)
        means = [statistics.mean(each) for each in zip(*rows, strict=True)]
        print(f"| {name} | mean | {' | '.join(f'{each:.1f}' for each in means)} | |", flush=True)


if __name__ == "__main__":
    main()
