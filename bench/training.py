"""Training steps of the recipes, with ``fastnst.ops`` and with the operations as published code writes them, in turn.

Both contenders run the recipe's own code on networks of the same random weights, in the layout the recipe gives them (channels
last): only its operations differ. A step is the loss of one batch with VGG-19's targets where the recipe computes them at every
step (`collab`; `adain` keeps them), its gradient, clipping, and Adam. Reading pictures is not in it. Speed does not depend on
what weights and pictures are, so random ones do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from fastnst.networks.vgg import ALL_LAYERS, VGG19, Decoder, Encoder, layers_of
from fastnst.networks.vgg_files import normalise, probe
from fastnst.train import adain, collab, decoder, scoring
from fastnst.train.data import to_float
from fastnst.train.settings import Place
from fastnst.train.world import World

from .interleave import busy_seconds, wait_until_quiet
from .machine import cores, system
from .ops.names import EAGER, FASTNST, PUBLISHED
from .ops.rivals import published_adain, published_calc_mean_std, published_mean_variance_norm
from .ops.session import PACKAGES, version_of

LABELS = {FASTNST: "fastnst", PUBLISHED: EAGER}
RECIPES = ("collab", "adain")
PRECISIONS = ("bfloat16", "float32")
STAGE = 5
ROUNDS, LESS_ROUNDS = 7, 3
STEPS = 3
"""Of a visit; their median counts, after one that warms up."""
TOLERANCES = {"bfloat16": 5e-2, "float32": 1e-3}
"""How far the first losses may lie apart, relative to them: published statistics of bfloat16 maps are sums in bfloat16."""

Step = Callable[[], float]


@dataclass(frozen=True)
class Case:
    """A recipe in a precision; its batch and crops are the recipe's."""

    recipe: str
    precision: str

    @property
    def name(self) -> str:
        return f"{self.recipe}{f' stage {STAGE}' * (self.recipe == 'collab')}, {self.precision}"


@dataclass
class Result:
    """One case: seconds of every visit by contender, and the share of the cores that other processes used meanwhile."""

    batch: int
    size: int
    seconds: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in LABELS})
    foreign_share: float = 0.0


def cases(quick: bool) -> list[Case]:
    return [Case(recipe, precision) for recipe in RECIPES for precision in PRECISIONS[: 1 if quick else None]]


# ---- published operations ---------------------------------------------------------------------------------------------------


def published_renormalize(content: Tensor, style_mean: Tensor, style_std: Tensor) -> Tensor:
    size = content.size()
    return published_mean_variance_norm(content) * style_std.expand(size) + style_mean.expand(size)


def published_statistics_loss(feat: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    own_mean, own_std = published_calc_mean_std(feat)
    return F.mse_loss(own_mean, mean) + F.mse_loss(own_std, std)


def published_linear_embedding(student: Tensor, teacher: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.mse_loss(F.conv2d(student, weight, bias), teacher)


def published_perceptual_loss(feats: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    return torch.stack([F.mse_loss(feat, target) for feat, target in zip(feats, targets, strict=True)]).sum()


OPERATIONS = SimpleNamespace(
    adaptive_instance_normalization=published_adain,
    renormalize=published_renormalize,
    statistics_loss=published_statistics_loss,
    linear_embedding_loss=published_linear_embedding,
    perceptual_loss=published_perceptual_loss,
)


@contextmanager
def operations_of(contender: str) -> Iterator[None]:
    """Within it the recipes compute with the contender's operations; one that they lack here is an error, not ours instead."""
    with ExitStack() as stack:
        for module in (adain, collab, decoder) if contender == PUBLISHED else ():
            stack.enter_context(mock.patch.object(module, "ops", OPERATIONS))
        yield


# ---- steps ------------------------------------------------------------------------------------------------------------------


def write_data(folder: Path) -> Path:
    """A folder as recipes expect one, with random networks and a picture of noise; returns the big decoder's file."""
    torch.manual_seed(0)
    vgg = normalise(Encoder(VGG19, input_scale=1.0), [probe()], per_channel=False)
    teacher = Decoder(VGG19[: len(layers_of(STAGE))], last_relu=True)
    decoder.initialise(teacher)
    scales = {f"norm_scale.{name}": torch.ones(width) for name, width in zip(ALL_LAYERS, VGG19, strict=True)}
    (folder / "weights").mkdir(parents=True)
    save_file(vgg.state_dict() | scales, folder / "weights" / scoring.VGG_FILE)
    save_file({f"decoder.{name}": value for name, value in teacher.state_dict().items()}, folder / "teacher.safetensors")
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    for name in ("content-train", "style-train"):
        (folder / name).mkdir()
        Image.fromarray(noise).save(folder / name / "noise.png")
    return folder / "teacher.safetensors"


def collab_losses(case: Case, place: Place, world: World, batch: int, size: int) -> tuple[nn.Module, Callable[[], Tensor]]:
    """The networks of `collab`'s first phase, the small encoder's, and the loss of one batch."""
    settings = collab.CollabSettings(
        precision=case.precision, stage=STAGE, teacher=str(place.data / "teacher.safetensors"), batch=batch, size=size
    )
    recipe = collab.CollabRecipe(settings, place, world)
    image = to_float(recipe.crops.batch(range(batch))).to(world.device)

    def loss() -> Tensor:
        with torch.no_grad():
            wanted = recipe.vgg.features(image)
        return recipe.encoder_losses(image, wanted)["loss"]

    return recipe.networks, loss


def adain_losses(case: Case, place: Place, world: World, batch: int, size: int) -> tuple[nn.Module, Callable[[], Tensor]]:
    """The pair of `adain`, and the loss of one batch of its second phase."""
    settings = adain.AdainSettings(precision=case.precision, batch=batch, size=size)
    recipe = adain.AdainRecipe(settings, place, world)
    counters = range(batch)
    content, style = (to_float(source.batch(counters)).to(world.device) for source in (recipe.contents, recipe.styles))
    with torch.no_grad():
        features = recipe.vgg(content)
        statistics = [published_calc_mean_std(level) for level in recipe.vgg.features(style)]
    return recipe.networks, lambda: recipe.style_losses(content, style, features, statistics)["loss"]


def step_of(contender: str, case: Case, place: Place, world: World, batch: int, size: int) -> Step:
    """One step of training; what it returns is the loss before it."""
    make, settings = {
        "collab": (collab_losses, collab.CollabSettings()),
        "adain": (adain_losses, adain.AdainSettings()),
    }[case.recipe]
    networks, losses = make(case, place, world, batch, size)
    parameters = [p for p in networks.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, settings.learning_rate)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        with operations_of(contender):
            with torch.autocast(world.device.type, torch.bfloat16, case.precision == "bfloat16"):
                loss = losses()
            loss.backward()
        nn.utils.clip_grad_norm_(parameters, settings.clip)
        optimizer.step()
        return loss.item()

    return step


# ---- measuring --------------------------------------------------------------------------------------------------------------


def measure(
    case: Case, folder: Path, device: str, rounds: int, patience: float, batch: int | None = None, size: int | None = None
) -> Result:
    """Visit both contenders in turn.

    Args:
        case: what is measured.
        folder: as :func:`write_data` left it.
        device: ``cpu`` or ``cuda``.
        rounds: visits to each that count; one before them only warms up.
        patience: seconds to wait for idle cores.
        batch, size: without them the recipe's own.

    Raises:
        ArithmeticError: the contenders do not compute the same loss.
    """
    defaults = {"collab": collab.CollabSettings(), "adain": adain.AdainSettings()}[case.recipe]
    batch, size = batch or defaults.batch, size or defaults.size
    place, world = Place(folder, folder / "out", device=device), World(device=torch.device(device))
    steps = {name: step_of(name, case, place, world, batch, size) for name in LABELS}
    own, other = (step() for step in steps.values())
    if not abs(own - other) <= TOLERANCES[case.precision] * abs(other):
        raise ArithmeticError(f"{case.name}: losses differ: {own} with fastnst, {other} with the published operations")
    result = Result(batch, size)
    wait_until_quiet(patience)
    busy, used, started = busy_seconds(), time.process_time(), time.monotonic()
    for number in range(rounds + 1):
        for name, step in steps.items():
            seconds = visit(step)
            if number:
                result.seconds[name].append(seconds)
    foreign = (busy_seconds() - busy) - (time.process_time() - used)
    result.foreign_share = max(0.0, foreign / (time.monotonic() - started) / cores())
    return result


def visit(step: Step) -> float:
    """Median seconds of :data:`STEPS` steps, after one that is not counted."""
    step()
    times = []
    for _ in range(STEPS):
        started = time.perf_counter()
        step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # the optimiser's part of it
        times.append(time.perf_counter() - started)
    return sorted(times)[STEPS // 2]


def facts(case: Case, contender: str, result: Result, device: str) -> dict[str, Any]:
    """What the JSON file says of one contender."""
    return {
        "case": case.name,
        "recipe": case.recipe,
        "precision": case.precision,
        "operations": contender,
        "batch": result.batch,
        "size": result.size,
        "device": device,
        "threads": torch.get_num_threads(),
        "visits_seconds": result.seconds[contender],
        "foreign_share": result.foreign_share,
        "versions": {name: version for name in PACKAGES if (version := version_of(name))},
        **system(),
    }
