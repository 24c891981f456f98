"""Generators and discriminators: the specification's table, and what their layers do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fastnst.metrics.cost import macs, parameters
from fastnst.networks import gan

# Parameters, and multiply-accumulates at 256 x 256 in billions: transposed convolutions at output size, and as they are.
TABLE = {
    ("resnet", 64): (11_378_179, 56.80, 49.55),
    ("mobile_resnet", 64): (1_987_075, 18.31, 11.07),
    ("mobile_resnet", 16): (137_347, 1.4077, 0.9547),
    ("mobile_resnet", 12): (80_547, 0.858, 0.603),
    ("mobile_resnet", 8): (38_723, 0.440, 0.326),
    ("unet", 64): (54_413_955, 18.14, 6.05),
    ("unet", 16): (3_404_451, 1.2187, 0.4063),
}


def digits(figure: float) -> int:
    return len(str(figure).rpartition(".")[2])


@pytest.mark.parametrize(("kind", "width"), TABLE, ids=str)
def test_cost_is_the_table(kind: str, width: int) -> None:
    count, published, true = TABLE[kind, width]
    with torch.device("meta"):  # shapes are enough, and sums of billions take their time
        network, image = gan.generator(kind, width), torch.zeros(1, 3, 256, 256)
    assert parameters(network) == count
    for figure, at_output in ((published, True), (true, False)):
        # The table rounds to the nearest or cuts: either way the last digit is within one.
        assert macs(network, image, transposed_at_output=at_output) / 1e9 == pytest.approx(figure, abs=10.0 ** -digits(figure))


def test_students_cost_what_the_paper_says() -> None:
    with torch.device("meta"):
        image = torch.zeros(1, 3, 256, 256)
        counted = [macs(gan.generator(kind, 16), image, transposed_at_output=True) for kind in ("mobile_resnet", "unet")]
    assert [f"{each / 1e9:.4f}" for each in counted] == ["1.4077", "1.2187"]


def test_discriminators_have_the_published_sizes() -> None:
    assert parameters(gan.PatchDiscriminator()) == 2_764_737
    assert parameters(gan.PatchDiscriminator(6, 128, "batch")) == pytest.approx(11.04e6, abs=5e3)


@pytest.mark.parametrize("kind", gan.KINDS)
def test_generators_translate_pictures(kind: str) -> None:
    torch.manual_seed(0)
    network = gan.generator(kind, 4, 32)
    image = torch.rand(2, 3, 32, 64) * 2 - 1
    picture, taps = network.with_taps(image)
    assert picture.shape == image.shape
    assert picture.abs().max() < 1
    assert torch.equal(network(image), picture)
    assert [tap.shape[1] for tap in taps] == list(network.tap_channels)
    assert len(taps) == gan.TAPS
    assert len({tap.data_ptr() for tap in taps}) == gan.TAPS


def test_taps_lie_where_omgd_has_them() -> None:
    """After 0, 3, 6 and 9 blocks: published as the outputs of modules 9, 12, 15 and 18."""
    network, seen = gan.ResnetGenerator(4), []
    for block in network.blocks:
        block.register_forward_hook(lambda _m, _x, output: seen.append(output))
    _, taps = network.with_taps(torch.rand(1, 3, 16, 16))
    assert [next(i for i, x in enumerate(seen, 1) if x is tap) for tap in taps[1:]] == [3, 6, 9]


def test_only_the_plain_resnet_clamps() -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 3, 16, 16) * 4 - 2
    for separable in (True, False):
        network = gan.ResnetGenerator(4, separable)
        assert torch.equal(network(image), network(image.clamp(-1, 1))) is not separable


def test_the_unet_hands_every_level_across() -> None:
    """With the innermost layer silenced, the picture still shows all of the input that skips carry."""
    torch.manual_seed(0)
    network = gan.UnetGenerator(4, 5)
    nn.init.zeros_(network.up[-1].weight)  # type: ignore[arg-type]
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    network(image).sum().backward()
    assert image.grad is not None
    assert image.grad.abs().min() > 0
    assert network.down[-1].weight.grad.abs().max() == 0  # type: ignore[union-attr,operator]


def test_a_frozen_discriminator_has_nothing_that_moves() -> None:
    judge = gan.PatchDiscriminator(6, 4, "batch")
    assert list(judge.buffers()) == []
    assert judge(torch.rand(2, 6, 64, 64)).shape == (2, 1, 6, 6)


def test_weights_begin_as_published() -> None:
    torch.manual_seed(0)
    network = gan.UnetGenerator(16, 5)
    kernels = torch.cat([m.weight.flatten() for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)])
    assert kernels.std().item() == pytest.approx(0.02, rel=0.01)
    scales = torch.cat([m.weight for m in network.modules() if isinstance(m, nn.BatchNorm2d)])
    assert scales.mean().item() == pytest.approx(1, abs=0.005)
    assert all((m.bias == 0).all() for m in network.modules() if isinstance(m, nn.BatchNorm2d))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gan.generator("vit", 4), "generator: expected mobile_resnet, resnet, unet, got 'vit'"),
        (lambda: gan.generator("unet", 4, 48), "size: expected a multiple of 32 pixels, got 48"),
        (lambda: gan.generator("resnet", 4, 50), "size: expected a multiple of 4 pixels, got 50"),
        (lambda: gan.PatchDiscriminator(norm="layer"), "norm: expected batch or instance, got 'layer'"),
    ],
)
def test_what_cannot_be_meant_is_refused(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]
