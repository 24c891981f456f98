"""The encoder of inverted residuals: shapes, structure, starting values and cost."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fastnst.metrics.cost import macs, parameters
from fastnst.networks.mobile import DEPTH, EXPANSION, InvertedResidual, MobileEncoder, mobile_widths


@pytest.fixture(autouse=True)
def same_weights() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(("side", "sides"), [(32, [16, 8, 4]), (37, [19, 10, 5])])
def test_levels_have_the_sizes_of_relu2_1_to_relu4_1(side: int, sides: list[int]) -> None:
    encoder = MobileEncoder((4, 6, 10))
    levels = encoder.features(torch.rand(2, 3, side, side))
    assert [tuple(x.shape) for x in levels] == [(2, c, n, n) for c, n in zip((4, 6, 10), sides, strict=True)]
    assert encoder.level_widths == {2: 4, 3: 6, 4: 10}
    assert mobile_widths((1, 2, 3, 4, 5, 6, 7, 8, 9)) == (3, 5, 9)


def test_a_block_adds_its_input_where_the_shape_stays() -> None:
    x = torch.randn(1, 5, 9, 8)
    same, other = InvertedResidual(5, 5, 1), InvertedResidual(5, 6, 1)
    assert torch.equal(same(x), x)  # so it begins
    same.narrow.weight.data.normal_()
    without = InvertedResidual(5, 5, 1)
    without.load_state_dict(same.state_dict())
    without.adds = False
    torch.testing.assert_close(same(x), x + without(x))
    assert other(x).shape == (1, 6, 9, 8)


def test_depthwise_layers_see_their_own_channel_alone() -> None:
    block = InvertedResidual(4, 4, 2)
    assert block.filter.weight.shape == (4 * EXPANSION, 1, 3, 3)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in MobileEncoder((4, 6, 10)).modules())


def test_starting_values_keep_contrast() -> None:
    level = MobileEncoder((32, 64, 128))(torch.rand(2, 3, 64, 64))
    assert 0.05 < level.std((0, 2, 3)).mean() < 20


def test_cost_by_hand() -> None:
    """Every convolution counted: 1x1 in * out, 3x3 of one channel 9, at the size that it leaves."""
    widths, side = (4, 6, 10), 32
    weights, biases, products = 9 + 9 * 3 * 4, 3 + 4, 9 * side**2 + 9 * 3 * 4 * 16**2
    before, place = 4, 16
    for level, width in enumerate(widths):
        for i in range(DEPTH):
            inner, after = EXPANSION * before, place // 2 if level and not i else place
            weights += before * inner + 9 * inner + inner * width
            biases += 2 * inner + width
            products += before * inner * place**2 + (9 * inner + inner * width) * after**2
            before, place = width, after
    encoder = MobileEncoder(widths)
    assert parameters(encoder) == weights + biases
    assert macs(encoder, torch.zeros(1, 3, side, side)) == products
