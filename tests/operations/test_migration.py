"""The promise of the drop-in operations: a changed import, the same losses and gradients."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

FOLDER = Path(__file__).parents[2] / "examples" / "migration"


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(FOLDER)
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Levels(nn.Module):
    """Four levels of features, as VGG has."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in ((3, 8), (8, 12), (12, 16), (16, 24)))

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for layer in self.layers:
            x = layer(x).relu()
            maps.append(x)
        return maps


def networks(kind: str) -> tuple[nn.Module, list[object]]:
    """What is trained, and the arguments of the step, the same at every call."""
    torch.manual_seed(5)
    images, others = torch.rand(3, 3, 64, 64), torch.rand(3, 3, 48, 64)
    if kind == "adain":
        trained = nn.Sequential(
            nn.Conv2d(24, 16, 3, padding=1), nn.ReLU(), nn.Upsample(scale_factor=16), nn.Conv2d(16, 3, 3, padding=1)
        )
        return trained, [Levels().requires_grad_(False), trained, images, others]
    if kind == "rkd":
        trained, teacher = (nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, width)) for width in (7, 9))
        return trained, [trained, teacher, images]
    trained, teacher, judge = nn.Conv2d(3, 3, 5, padding=2), nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 1, 4, 2)
    return trained, [trained, teacher, judge, images]


@pytest.mark.parametrize("kind", ["adain", "rkd", "crd"])
def test_a_changed_import_changes_no_result(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for which in ("before", "after"):
        trained, arguments = networks(kind)
        loss = load(f"{kind}_{which}", monkeypatch).training_step(*arguments)
        loss.backward()
        results.append([loss.detach(), *(p.grad for p in trained.parameters())])
    torch.testing.assert_close(results[1][0], results[0][0], rtol=1e-4, atol=0)
    # Relations do not see a bias, whose gradient is rounding: gradients are compared with the largest among them.
    largest = max(gradient.abs().max().item() for gradient in results[0][1:])
    for before, after in zip(results[0][1:], results[1][1:], strict=True):
        # Distances by the expanded square, as published, lose three digits of float32 that differences keep.
        torch.testing.assert_close(after, before, rtol=2e-3, atol=2e-4 * largest)


@pytest.mark.parametrize("kind", ["adain", "rkd", "crd"])
def test_only_the_import_changes(kind: str) -> None:
    before, after = ((FOLDER / f"{kind}_{which}.py").read_text() for which in ("before", "after"))
    imported = next(line for line in before.splitlines() if line.startswith("from published import"))
    assert imported.replace("published", "fastnst.ops") in after.splitlines()
    kept = [{line for line in text.splitlines()[1:] if "import" not in line} for text in (before, after)]
    assert kept[0] == kept[1]
