"""What quantising holds: of each calibration picture about one map of either network, however many pictures there are."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from fastnst.convert import quantisation
from fastnst.convert.arithmetic import Grid, convolve, framed, views
from fastnst.convert.choosing import Chooser
from fastnst.convert.dead import without_dead
from fastnst.convert.forms import choices
from fastnst.convert.maps import GROWTH, Maps
from fastnst.convert.pair import Conv, Pair, phases_of
from fastnst.convert.quantisation import Fit, quantise, windows

SIDE, WIDTH = 128, 12


class LiveTensors(TorchDispatchMode):
    """The largest number of bytes in tensors that were alive together, of those made meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[weakref.ref[Tensor]] = []
        self.peak = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        if isinstance(made, Tensor) and made.nbytes >= SIDE * SIDE:  # what belongs to pictures
            self.made = [each for each in (*self.made, weakref.ref(made)) if each() is not None]
            storages = (x.untyped_storage() for each in self.made if (x := each()) is not None)
            self.peak = max(self.peak, sum({x.data_ptr(): x.nbytes() for x in storages}.values()))
        return made


@pytest.fixture(scope="module")
def pair() -> Pair:
    """Of four layers."""
    generator = torch.Generator().manual_seed(6)

    def conv(inputs: int, outputs: int, **form: Any) -> Conv:
        weight = torch.randn((outputs, inputs, 3, 3), generator=generator, dtype=torch.float64) / (2 * inputs) ** 0.5
        weight = phases_of(weight) if form.get("upsample") else weight[None]
        return Conv(weight, torch.ones(outputs, dtype=torch.float64), **form)

    encoder = [conv(3, WIDTH), conv(WIDTH, WIDTH, pool="floor")]
    return Pair(encoder, [conv(WIDTH, WIDTH, upsample=True), conv(WIDTH, 3, relu=False)], 0, {})


def pictures(count: int) -> tuple[list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(7)
    made = [torch.randint(0, 256, (1, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8) for _ in range(2 * count)]
    return made[:count], made[count:]


@pytest.mark.parametrize("winograd", ["never", "always"])
def test_a_further_picture_takes_little_more_than_its_largest_map(
    pair: Pair, winograd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`adain-pruned` took 11 GB: several copies of the maps of all 64 pictures, before and behind a layer."""
    monkeypatch.setattr(quantisation, "SHRINKS", (1.0,))  # takes time and no memory
    peaks = []
    for count in (2, 6):
        with LiveTensors() as live:
            cut, _ = without_dead(pair, *pictures(count))
            quantise(cut, *pictures(count), choose=Chooser(iter(choices(cut, winograd)), []))
        peaks.append(live.peak)
    largest = SIDE * SIDE * WIDTH * (4 + 1)  # the first layer's, in float32 and in bytes
    assert (peaks[1] - peaks[0]) / 8 < 1.6 * largest


def test_maps_much_larger_than_what_they_are_made_from_are_not_held() -> None:
    x = torch.arange(12.0).reshape(1, 3, 2, 2)
    maps = Maps([x, x + 1])
    assert [y.shape[1] for y in maps.through(lambda x: x.repeat(1, GROWTH + 1, 1, 1), lambda x: 2 * x)] == [27, 27]
    assert sum(held.numel() for held in maps._held) == 2 * x.numel()
    torch.testing.assert_close(maps[1], (2 * (x + 1)).repeat(1, GROWTH + 1, 1, 1))
    torch.testing.assert_close(maps[1:][0], maps[1])
    maps.advance(lambda x: x[:, :6] - 1)
    torch.testing.assert_close(torch.cat(maps._held), torch.cat([2 * x, 2 * (x + 1)]).repeat(1, 2, 1, 1) - 1)
    torch.testing.assert_close(maps[0], maps._held[0])


@pytest.mark.parametrize(("upsample", "kernel"), [(False, 3), (True, 2), (False, 1)])
def test_sampled_windows_are_what_the_kernel_meets(upsample: bool, kernel: int) -> None:
    generator = torch.Generator().manual_seed(8)
    x = torch.randint(0, 256, (1, 4, 5, 7), generator=generator).float()
    whole = torch.randn(6, 4, 3, 3, generator=generator)
    weight = phases_of(whole) if upsample else whole[None, ..., :kernel, :kernel]
    sums = convolve(x, weight, torch.zeros(len(weight), 6), upsample)
    for p, view in enumerate(views(x, kernel, upsample)):
        met = weight[p].flatten(1) @ windows(view, kernel, 3)
        part = sums[..., p // 2 :: 2, p % 2 :: 2] if upsample else sums
        torch.testing.assert_close(met, part[0].flatten(1)[:, ::3])
    assert framed(x, upsample).shape[2:] == (7, 9)


def test_statistics_do_not_depend_on_how_pictures_come() -> None:
    """One after another or as an iterator: the moments of two pictures are those of their positions together."""
    generator = torch.Generator().manual_seed(9)
    conv = Conv(torch.randn((1, 3, 4, 3, 3), generator=generator).double(), torch.zeros(3).double())
    q = torch.randint(0, 256, (2, 4, 9, 11), generator=generator, dtype=torch.uint8)
    y = torch.randn((2, 3, 9, 11), generator=generator)
    fit = Fit(conv, Grid(0.5, 3))
    for i in (0, 1):
        fit.add(q[i : i + 1], y[i : i + 1])
    (moments,) = fit.moments
    x = torch.cat([windows(views(part[None].float(), 3, False)[0], 3, 1) for part in q], 1).sub(3).mul(0.5).double()
    flat = y.transpose(0, 1).flatten(1).double()
    xx, xy = moments.covariances()
    torch.testing.assert_close(xx, torch.cov(x, correction=0), rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(xy, x @ flat.T / x.shape[1] - x.mean(1)[:, None] * flat.mean(1), rtol=1e-4, atol=1e-2)
