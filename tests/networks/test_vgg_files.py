"""VGG-19 from files of every known variant, and what is refused. The weights are random, but normalised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from random_vgg import as_file, random_vgg19
from safetensors.torch import save_file
from torch import Tensor

from fastnst.networks.vgg import Encoder, layers_of, reflected
from fastnst.networks.vgg_files import (
    CAFFE_FIRST_BIASES,
    TORCHVISION_MEAN,
    TORCHVISION_STD,
    load_normalised_vgg19,
    load_vgg19,
    normalise,
    probe,
)

STAGE = 3
Tensors = dict[str, Tensor]


def written(path: Path, tensors: Tensors) -> Path:
    if path.suffix == ".safetensors":
        save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    else:
        torch.save(tensors, path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("variant", ["caffe", "sequential", "collab"])
def test_normalised_variants_are_one_network(variant: str, suffix: str, tmp_path: Path) -> None:
    wanted = random_vgg19(STAGE)
    path = written(tmp_path / f"vgg{suffix}", as_file(wanted, variant))
    loaded = load_vgg19(path, STAGE)
    assert (loaded.variant, loaded.normalised) == (variant, True)
    assert not any(p.requires_grad for p in loaded.encoder.parameters())
    image = torch.rand(1, 3, 24, 32)
    for level, aim in zip(load_normalised_vgg19(path, stage=STAGE).features(image), wanted.features(image), strict=True):
        torch.testing.assert_close(level, aim, atol=1e-3, rtol=1e-3)  # the Caffe file's weights are rounded in other units


def test_a_training_checkpoint_holds_its_tensors_in_model(tmp_path: Path) -> None:
    tensors = as_file(random_vgg19(2), "collab")
    torch.save({"epoch": 20, "model": tensors}, tmp_path / "vgg.pth")
    assert load_vgg19(tmp_path / "vgg.pth", 2).variant == "collab"


def test_deeper_layers_may_be_missing_but_not_those_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path / "vgg.pth", as_file(random_vgg19(2), "sequential"))
    assert load_vgg19(path, 1).encoder.stage == 1
    with pytest.raises(ValueError, match=r"VGG-19 as sequential: 12.weight \(conv2_2\) is missing$"):
        load_vgg19(path, 3)


def unit_inputs() -> Tensors:
    """A classifier's first stage, for pictures of deviation 1."""
    tensors = as_file(random_vgg19(1), "torchvision")
    tensors["features.0.weight"] *= 60
    return tensors


def test_torchvisions_reads_its_own_mean_and_deviation(tmp_path: Path) -> None:
    tensors = unit_inputs()
    loaded = load_vgg19(written(tmp_path / "vgg.pth", tensors), 1)
    assert (loaded.variant, loaded.normalised) == ("torchvision", False)
    image = torch.rand(1, 3, 16, 16)
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (TORCHVISION_MEAN, TORCHVISION_STD))
    padded = F.pad((image - mean) / std, (1, 1, 1, 1), mode="reflect")
    wanted = F.relu(F.conv2d(padded, tensors["features.0.weight"], tensors["features.0.bias"]))
    torch.testing.assert_close(loaded.encoder(image), wanted, atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="VGG-19 as torchvision: its activations are not normalised"):
        load_normalised_vgg19(tmp_path / "vgg.pth", stage=1)


def test_caffes_weights_under_torchvisions_names_read_caffes_input(tmp_path: Path) -> None:
    tensors = unit_inputs()
    tensors["features.0.bias"][: len(CAFFE_FIRST_BIASES)] = torch.tensor(CAFFE_FIRST_BIASES)
    loaded = load_vgg19(written(tmp_path / "vgg.pth", tensors), 1)
    assert (loaded.variant, loaded.normalised) == ("features", False)
    torch.testing.assert_close(loaded.encoder.conv0.weight, random_vgg19(1).conv0.weight)


def change(name: str, value: Callable[[Tensor], Tensor]) -> Callable[[Tensors], Tensors]:
    return lambda tensors: tensors | {name: value(tensors[name])}


@pytest.mark.parametrize(
    ("variant", "damage", "message"),
    [
        ("sequential", change("5.weight", lambda x: 30 * x), "mean activation of conv1_2 is .* expected 0.1 to 8.0"),
        ("collab", change("conv0.weight", lambda x: x.flip(0)), "conv0 does not turn RGB 0..1 into BGR 0..255 minus 103.939"),
        ("collab", change("conv0.bias", lambda x: x + 5), "conv0 does not turn RGB"),
        ("caffe", change("norm_scale.conv2_1", lambda x: -x), "norm_scale.conv2_1: expected a positive factor"),
        ("caffe", change("norm_scale.conv2_1", lambda x: x / 100), "mean activation of conv2_1 is"),
        ("sequential", change("2.weight", lambda x: x[:9]), r"2.weight \(conv1_1\) has shape \[9, 3, 3, 3\], expected \[64,"),
        ("sequential", change("9.bias", lambda x: x * torch.nan), r"9.bias \(conv2_1\) holds NaN or infinity"),
        ("torchvision", lambda tensors: tensors, "mean activation of conv1_1 is .* expected 0.05 to 5.0"),
        ("sequential", lambda _: {"layer.weight": torch.zeros(1)}, "not VGG-19 by any known names: .* layer.weight"),
    ],
)
def test_inconsistent_files_get_one_line(
    variant: str, damage: Callable[[Tensors], Tensors], message: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "vgg.pth", damage(as_file(random_vgg19(2), variant)))
    with pytest.raises(ValueError, match=message) as refused:
        load_vgg19(path, 2)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


class Harmful:
    """Would make a file if it were unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.target,)


def test_a_file_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"2.weight": Harmful(tmp_path / "ran")}, tmp_path / "vgg.pth")
    with pytest.raises(ValueError, match=r"vgg.pth: holds more than tensors \([\w.]+\).*runs code"):
        load_vgg19(tmp_path / "vgg.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["vgg.pth", "vgg.safetensors"])
def test_other_files_get_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"not a network")
    with pytest.raises(ValueError, match=f"{name}: not a ") as refused:
        load_vgg19(tmp_path / name)
    assert "\n" not in str(refused.value)
    with pytest.raises(OSError, match="absent"):
        load_vgg19(tmp_path / f"absent-{name}")


def layer_means(encoder: Encoder, images: list[Tensor]) -> list[Tensor]:
    """Mean activation of every channel of every layer over all places, by definition."""
    means = []
    maps = [encoder.conv0(image) for image in images]
    for name in layers_of(encoder.stage):
        maps = [F.relu(reflected(getattr(encoder, name), x)) for x in maps]
        means.append(torch.cat([x.flatten(2).transpose(0, 1).flatten(1) for x in maps], 1).mean(1))
        if name in {"conv1_2", "conv2_2"}:
            maps = [F.max_pool2d(x, 2) for x in maps]
    return means


def test_normalised_layers_have_mean_one() -> None:
    torch.manual_seed(1)
    encoder = Encoder((6, 7, 8))
    for name in layers_of(encoder.stage):
        getattr(encoder, name).bias.data.fill_(0.5)
    encoder.conv1_2.bias.data[2] = -100.0  # type: ignore[union-attr,operator]
    images = [torch.rand(2, 3, 20, 24), torch.rand(1, 3, 17, 30)]
    before = encoder(images[0])
    channels, layers = normalise(encoder, images), normalise(encoder, images, per_channel=False)
    torch.testing.assert_close(encoder(images[0]), before)
    for i, (each, whole) in enumerate(zip(layer_means(channels, images), layer_means(layers, images), strict=True)):
        alive = torch.ones_like(each)
        alive[2] = 0.0 if i == 1 else 1.0
        torch.testing.assert_close(each, alive)
        assert whole.mean().item() == pytest.approx(1, rel=1e-4)
    factor = channels(images[0]).sum((0, 2, 3)) / before.sum((0, 2, 3))
    torch.testing.assert_close(channels(images[0]), before * factor[:, None, None], atol=1e-5, rtol=1e-4)
    factor = layers(images[0]).sum() / before.sum()
    torch.testing.assert_close(layers(images[0]), before * factor, atol=1e-5, rtol=1e-4)


def test_a_dead_layer_cannot_be_normalised() -> None:
    encoder = Encoder((4,))
    encoder.conv1_1.bias.data.fill_(-1e4)  # type: ignore[union-attr,operator]
    with pytest.raises(ValueError, match="conv1_1: zero for all 1 pictures"):
        normalise(encoder, [probe()])
