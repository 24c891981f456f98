"""One step of each recipe, with ``fastnst.ops`` or with the operations of published code.

The recipe's own code runs on networks of random weights, in the recipe's layout (channels last): only the operations differ. A
step is the loss of one batch, its gradient, clipping, and Adam; VGG-19's targets are part of it if the recipe computes them at
every step (`collab`; `adain` keeps them). Reading pictures is not part of it. Speed does not depend on the values of weights
and pictures, so random ones are used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from fastnst import ops, train
from fastnst.networks.perceptual import VGG16_LAYERS
from fastnst.networks.vgg import ALL_LAYERS, VGG19, Decoder, Encoder, layers_of
from fastnst.networks.vgg_files import normalise, probe
from fastnst.train import adain, collab, decoder, scoring
from fastnst.train.crd import training as crd
from fastnst.train.crd import weights as crd_weights
from fastnst.train.crd.settings import CrdSettings
from fastnst.train.data import to_float
from fastnst.train.process_group import ProcessGroup
from fastnst.train.settings import RunOptions

from ..ops.names import PUBLISHED
from ..ops.rivals import (
    published_adain,
    published_calc_mean_std,
    published_content_relation,
    published_gram,
    published_mean_variance_norm,
)

PRECISIONS = {"collab": ("bfloat16", "float32"), "adain": ("bfloat16", "float32"), "crd": ("float32",)}
"""The precisions in which each recipe is measured; the first is its default."""
STAGE = 5
PICTURES = "translation"
"""The folder of pictures for the recipe ``crd``."""

Step = Callable[[], float]
Losses = tuple[nn.Module, Callable[[], Tensor]]
"""The networks of a recipe, and the loss of one batch."""


@dataclass(frozen=True)
class Case:
    """A recipe in a precision, with its own batch and crops."""

    recipe: str
    precision: str

    @property
    def name(self) -> str:
        return f"{self.recipe}{f' stage {STAGE}' * (self.recipe == 'collab')}, {self.precision}"


def cases(quick: bool) -> list[Case]:
    return [Case(recipe, each) for recipe, precisions in PRECISIONS.items() for each in precisions[: 1 if quick else None]]


def published_renormalize(content: Tensor, style_mean: Tensor, style_std: Tensor) -> Tensor:
    size = content.size()
    return published_mean_variance_norm(content) * style_std.expand(size) + style_mean.expand(size)


def published_statistics_loss(feat: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    own_mean, own_std = published_calc_mean_std(feat)
    return F.mse_loss(own_mean, mean) + F.mse_loss(own_std, std)


def published_linear_embedding(student: Tensor, teacher: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.mse_loss(F.conv2d(student, weight, bias), teacher)


def published_perceptual_loss(
    feats: Sequence[Tensor], targets: Sequence[Tensor], weight: float = 1.0, style_weight: float = 0.0, error: str = "l2"
) -> Tensor:
    difference, total = {"l1": F.l1_loss, "l2": F.mse_loss}[error], feats[0].new_zeros(())
    for feat, target in zip(feats, targets, strict=True):
        if weight:
            total = total + weight * difference(feat, target)
        if style_weight:
            total = total + style_weight * difference(published_gram(feat), published_gram(target))
    return total


def published_relation(
    student: Tensor, teacher: Tensor, patch: int, _distance: float, _angle: float, _granularities: Sequence[str]
) -> Tensor:
    """The published relation loss with the weights and granularities of the paper, which the recipe has too."""
    return published_content_relation(student, teacher, patch)


OPERATIONS = SimpleNamespace(
    adaptive_instance_normalization=published_adain,
    renormalize=published_renormalize,
    statistics_loss=published_statistics_loss,
    linear_embedding_loss=published_linear_embedding,
    perceptual_loss=published_perceptual_loss,
    content_relation_loss=published_relation,
)


@contextmanager
def operations_of(contender: str) -> Iterator[None]:
    """A context in which recipes use the contender's operations; an operation that it lacks is an error."""
    with ExitStack() as stack:
        for module in users_of_operations() if contender == PUBLISHED else ():
            stack.enter_context(mock.patch.object(module, "ops", OPERATIONS))
        yield


def users_of_operations() -> list[ModuleType]:
    """Every loaded module of the recipes that calls ``ops``; a list by hand would miss the module that a loss moves to."""
    loaded = [module for name, module in sys.modules.items() if name.startswith(f"{train.__name__}.")]
    return [module for module in loaded if getattr(module, "ops", None) is ops]


# ---- steps ------------------------------------------------------------------------------------------------------------------


def write_data(folder: Path) -> Path:
    """Write a folder of training data with random networks and pictures of noise; returns the path of the big decoder."""
    torch.manual_seed(0)
    vgg = normalise(Encoder(VGG19, input_scale=1.0), [probe()], per_channel=False)
    teacher = Decoder(VGG19[: len(layers_of(STAGE))], last_relu=True)
    decoder.initialise(teacher)
    scales = {f"norm_scale.{name}": torch.ones(width) for name, width in zip(ALL_LAYERS, VGG19, strict=True)}
    (folder / "weights").mkdir(parents=True)
    save_file(vgg.state_dict() | scales, folder / "weights" / scoring.VGG_FILE)
    save_file({f"decoder.{name}": value for name, value in teacher.state_dict().items()}, folder / "teacher.safetensors")
    vgg16 = {f"{name}.weight": torch.randn(b, a, 3, 3) / (3 * a**0.5) for name, (a, b) in VGG16_LAYERS.items()}
    vgg16 |= {f"{name}.bias": torch.zeros(b) for name, (_, b) in VGG16_LAYERS.items()}
    save_file(vgg16, folder / "weights" / crd_weights.VGG16_FILE)
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    for name in ("content-train", "style-train", *(f"{PICTURES}/{split}" for split in ("trainA", "trainB"))):
        (folder / name).mkdir(parents=True)
        Image.fromarray(noise).save(folder / name / "noise.png")
    return folder / "teacher.safetensors"


def collab_losses(case: Case, options: RunOptions, processes: ProcessGroup, batch: int, size: int) -> Losses:
    """The networks of `collab`'s first phase, the small encoder's, and the loss of one batch."""
    settings = collab.CollabSettings(
        precision=case.precision, stage=STAGE, teacher=str(options.data / "teacher.safetensors"), batch=batch, size=size
    )
    recipe = collab.CollabRecipe(settings, options, processes)
    image = to_float(recipe.crops.batch(range(batch))).to(processes.device)

    def loss() -> Tensor:
        with torch.no_grad():
            wanted = recipe.vgg.features(image)
        return recipe.encoder_losses(image, wanted)["loss"]

    return recipe.networks, loss


def adain_losses(case: Case, options: RunOptions, processes: ProcessGroup, batch: int, size: int) -> Losses:
    """The pair of `adain`, and the loss of one batch of its second phase, as published: without palette and flicker."""
    published = {"palette": 0.0, "color_weight": 0.0, "stability_weight": 0.0}
    settings = adain.AdainSettings(precision=case.precision, batch=batch, size=size, **published)
    recipe = adain.AdainRecipe(settings, options, processes)
    counters = range(batch)
    content, style = (to_float(source.batch(counters)).to(processes.device) for source in (recipe.contents, recipe.styles))
    with torch.no_grad():
        features = recipe.vgg(content)
        statistics = [published_calc_mean_std(level) for level in recipe.vgg.features(style)]
    frames = torch.Generator()
    return recipe.networks, lambda: recipe.style_losses(content, style, features, statistics, frames)["loss"]


def crd_losses(case: Case, options: RunOptions, processes: ProcessGroup, batch: int, size: int) -> Losses:
    """The student of `crd` for CycleGAN, with a fixed teacher, and the loss of one batch."""
    settings = CrdSettings(
        pictures=PICTURES, select="last", precision=case.precision, batch=batch, size=size, patch=size // 8
    ).completed()
    recipe = crd.CrdRecipe(settings, options, processes)
    source = recipe.pictures_of.batch(range(batch), processes.device)["A"]

    def loss() -> Tensor:
        terms, _ = recipe.student_terms(source, None)
        return torch.stack(list(terms.values())).sum()

    return recipe.student, loss


SETTINGS = {"collab": collab.CollabSettings(), "adain": adain.AdainSettings(), "crd": CrdSettings().completed()}
LOSSES = {"collab": collab_losses, "adain": adain_losses, "crd": crd_losses}


def step_of(contender: str, case: Case, options: RunOptions, processes: ProcessGroup, batch: int, size: int) -> Step:
    """A function that makes one step of training and returns the loss before it."""
    settings = SETTINGS[case.recipe]
    networks, losses = LOSSES[case.recipe](case, options, processes, batch, size)
    parameters = [p for p in networks.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, settings.learning_rate)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        with operations_of(contender):
            with torch.autocast(processes.device.type, torch.bfloat16, case.precision == "bfloat16"):
                loss = losses()
            loss.backward()
        nn.utils.clip_grad_norm_(parameters, settings.clip)
        optimizer.step()
        return loss.item()

    return step
