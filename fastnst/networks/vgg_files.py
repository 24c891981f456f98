"""VGG-19 from its public files: which of the known variants one holds, and each of them as the same kind of ``Encoder``.

===============  ========================================  ========================  ====================================
variant          names of tensors                          input                     activations
===============  ========================================  ========================  ====================================
``caffe``        conv0, convX_Y, norm_scale.convX_Y        conv0: RGB 0..1 to BGR    mean 1 once norm_scale is applied
``sequential``   0, 2, 5, 9 .. (``vgg_normalised.pth``)    the same conv0            mean 1
``collab``       conv0, conv11 .. conv51                   the same conv0            mean 1
``torchvision``  features.0, 2, 5, 7 ..                    mean and deviation        as trained: :func:`normalise` them
``features``     the same names, Caffe's weights           BGR minus Caffe's means   as trained: :func:`normalise` them
===============  ========================================  ========================  ====================================

``sequential`` are the files of AdaIN's implementations, ``collab`` those of Collaborative Distillation. All of them run with
reflection padding here, as stylization code does, though the classifiers were trained with zeros.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from fastnst.networks.vgg import ALL_LAYERS, CAFFE_MEANS, POOL_AFTER, VGG19, Encoder, input_layer, layers_of, reflected
from fastnst.networks.weights import read_any

SEQUENTIAL = (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42)
"""Places of the convolutions among padding, ReLU and pools."""
FEATURES = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)
NAMES: Mapping[str, Mapping[str, str]] = {
    "caffe": {name: name for name in ALL_LAYERS},
    "sequential": dict(zip(ALL_LAYERS, map(str, SEQUENTIAL), strict=True)),
    "collab": {name: name.replace("_", "") for name in ALL_LAYERS},
    "torchvision": {name: f"features.{i}" for name, i in zip(ALL_LAYERS, FEATURES, strict=True)},
}
"""What each variant calls the layers."""
INPUT_LAYER = {"caffe": "conv0", "sequential": "0", "collab": "conv0"}

TORCHVISION_MEAN, TORCHVISION_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE_FIRST_BIASES = (0.73018, 0.06494, 0.03429, 0.82604)
"""Of conv1_1: they tell the original network from torchvision's own training where the names are the same."""

NORMALISED = (0.1, 8.0)
"""Bounds of a normalised layer's mean on :func:`probe`: the published network gives 0.35 to 1.2, the original 14 to 500."""
TORCHVISION_FIRST = (0.05, 5.0)
"""The same of conv1_1 alone, for a classifier whose inputs have deviation 1."""


@dataclass(frozen=True)
class LoadedVGG19:
    """``normalised``: whether each channel has mean activation 1 over photographs."""

    encoder: Encoder
    variant: str
    normalised: bool


def load_vgg19(path: str | Path, stage: int = 4, ceil_pooling: bool = False) -> LoadedVGG19:
    """VGG-19, frozen, from a ``.safetensors`` file or one of PyTorch's (``weights_only``: tensors, never code).

    Args:
        path: of any variant that the module's table lists.
        stage: the last one; deeper layers may be missing.
        ceil_pooling: see :class:`~fastnst.networks.vgg.Encoder`.

    Raises:
        OSError: the file cannot be read.
        ValueError: no known variant, or values that are not those of the variant that the names speak of; one line.
    """
    tensors = read_any(path)
    variant = next((each for each, names in NAMES.items() if f"{names['conv1_1']}.weight" in tensors), None)
    if variant is None:
        found = ", ".join(sorted(tensors)[:4]) or "none"
        raise ValueError(f"{path}: not VGG-19 by any known names: its tensors are {found} ..")
    try:
        state = _layers(tensors, variant, stage)
        if variant == "torchvision":
            variant = _told_apart(state)
        elif variant == "caffe":
            _apply_scales(state, tensors, stage)
        encoder = Encoder(VGG19[: len(layers_of(stage))], ceil_pooling, input_scale=1.0)
        encoder.load_state_dict(state)
        _check_values(encoder, variant)
    except ValueError as error:
        raise ValueError(f"{path}: VGG-19 as {variant}: {error}") from None
    return LoadedVGG19(encoder.eval().requires_grad_(False), variant, normalised=variant in INPUT_LAYER)


def load_normalised_vgg19(path: str | Path, ceil_pooling: bool = False, stage: int = 4) -> Encoder:
    """:func:`load_vgg19` for those who need each channel's mean activation over photographs to be 1.

    Raises:
        OSError, ValueError: as there; or the file's variant is not normalised.
    """
    loaded = load_vgg19(path, stage, ceil_pooling)
    if not loaded.normalised:
        raise ValueError(f"{path}: VGG-19 as {loaded.variant}: its activations are not normalised")
    return loaded.encoder


@torch.no_grad()
def normalise(encoder: Encoder, images: Sequence[Tensor], per_channel: bool = True) -> Encoder:
    """The network with every layer's mean activation (behind its ReLU) over ``images`` brought to 1, layer by layer.

    ReLU commutes with positive factors: a layer takes back those of its inputs, so that features only change their units.

    Args:
        encoder: of any widths; stays as it is.
        images: photographs [N, 3, H, W], RGB 0..1, of any sizes; the maps of all of them are held at once.
        per_channel: each channel by its own mean, as the normalised VGG-19 of AdaIN and WCT is (Gatys et al., CVPR 2016);
            otherwise one factor per layer, as Collaborative Distillation normalises what it trains. A channel that is less
            active than a thousandth of its layer has no mean worth the name and takes the layer's.

    Raises:
        ValueError: a layer is zero for all images.
    """
    scaled = copy.deepcopy(encoder)
    maps, before = [scaled.conv0(image) for image in images], torch.ones(3)
    for name in layers_of(encoder.stage):
        conv = getattr(scaled, name)
        conv.weight /= before[:, None, None]
        maps = [F.relu(reflected(conv, x)) for x in maps]
        places = sum(x.shape[0] * x.shape[2] * x.shape[3] for x in maps)
        means = torch.stack([x.sum((0, 2, 3)) for x in maps]).sum(0) / places
        whole = means.mean()
        if not whole > 0:
            raise ValueError(f"{name}: zero for all {len(images)} pictures, so it cannot be normalised")
        factors = 1 / torch.where(means > 1e-3 * whole, means, whole) if per_channel else (1 / whole).expand_as(means)
        conv.weight *= factors[:, None, None, None]
        conv.bias *= factors
        maps, before = [x * factors[:, None, None] for x in maps], factors
        if name in POOL_AFTER:
            maps = [F.max_pool2d(x, 2, 2, ceil_mode=encoder.ceil_pooling) for x in maps]
    return scaled.eval().requires_grad_(False)


def probe() -> Tensor:
    """A picture [1, 3, 64, 64] with as much contrast at every size of detail, as photographs have; always the same one."""
    generator = torch.Generator().manual_seed(0)
    octaves = [torch.rand(1, 3, n, n, generator=generator) / n**0.5 for n in (2, 4, 8, 16, 32, 64)]
    image = torch.stack([F.interpolate(x, size=64, mode="bicubic") for x in octaves]).sum(0)
    return (image - image.min()) / (image.max() - image.min())


def _layers(tensors: Mapping[str, Tensor], variant: str, stage: int) -> dict[str, Tensor]:
    """The variant's tensors under our names."""
    widths = dict(zip(ALL_LAYERS, zip((3, *VGG19[:-1]), VGG19, strict=True), strict=True))
    sources = {name: (NAMES[variant][name], (widths[name][1], widths[name][0], 3, 3)) for name in layers_of(stage)}
    if variant in INPUT_LAYER:
        sources["conv0"] = INPUT_LAYER[variant], (3, 3, 1, 1)
    state = {}
    for name, (source, shape) in sources.items():
        for kind, expected in (("weight", shape), ("bias", shape[:1])):
            value = tensors.get(f"{source}.{kind}")
            if value is None:
                raise ValueError(f"{source}.{kind} ({name}) is missing")
            if tuple(value.shape) != expected:
                raise ValueError(f"{source}.{kind} ({name}) has shape {list(value.shape)}, expected {list(expected)}")
            if not value.isfinite().all():
                raise ValueError(f"{source}.{kind} ({name}) holds NaN or infinity")
            state[f"{name}.{kind}"] = value
    return state


def _told_apart(state: dict[str, Tensor]) -> str:
    """``torchvision`` or ``features``; adds the input layer that the one or the other was trained behind."""
    if torch.allclose(state["conv1_1.bias"][: len(CAFFE_FIRST_BIASES)], torch.tensor(CAFFE_FIRST_BIASES), atol=1e-3):
        state |= {f"conv0.{name}": value for name, value in input_layer(1.0).state_dict().items()}
        return "features"
    mean, std = torch.tensor(TORCHVISION_MEAN), torch.tensor(TORCHVISION_STD)
    state |= {"conv0.weight": torch.diag(1 / std)[:, :, None, None], "conv0.bias": -mean / std}
    return "torchvision"


def _apply_scales(state: dict[str, Tensor], tensors: Mapping[str, Tensor], stage: int) -> None:
    """Move ``norm_scale`` into the weights: a layer's own factors, over those of its inputs."""
    before = torch.ones(3)
    for name in layers_of(stage):
        scale = tensors.get(f"norm_scale.{name}")
        if scale is None or scale.shape != state[f"{name}.bias"].shape or not (scale.isfinite() & (scale > 0)).all():
            raise ValueError(f"norm_scale.{name}: expected a positive factor for each channel")
        state[f"{name}.weight"] = state[f"{name}.weight"] * scale[:, None, None, None] / before[None, :, None, None]
        state[f"{name}.bias"] = state[f"{name}.bias"] * scale
        before = scale


@torch.no_grad()
def _check_values(encoder: Encoder, variant: str) -> None:
    """Refuse weights that cannot be what their names say."""
    if variant in INPUT_LAYER:
        wanted = input_layer(1.0)
        differences = ((encoder.conv0.weight - wanted.weight).abs().max(), (encoder.conv0.bias - wanted.bias).abs().max())  # type: ignore[operator]
        if max(differences) > 2:  # of 255: there are files whose conv0 was trained along, by less than 1
            raise ValueError(f"conv0 does not turn RGB 0..1 into BGR 0..255 minus {', '.join(map(str, CAFFE_MEANS))}")
    x = encoder.conv0(probe())
    for name in layers_of(encoder.stage):
        x = F.relu(reflected(getattr(encoder, name), x))
        low, high = NORMALISED if variant in INPUT_LAYER else TORCHVISION_FIRST
        if (variant in INPUT_LAYER or (variant, name) == ("torchvision", "conv1_1")) and not low <= x.mean() <= high:
            raise ValueError(f"mean activation of {name} is {x.mean():.3g} on a test picture, expected {low} to {high}")
        if name in POOL_AFTER:
            x = F.max_pool2d(x, 2, 2)
