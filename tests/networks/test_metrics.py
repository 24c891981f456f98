"""Measures against other implementations and by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import skimage.metrics
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fastnst.metrics.adain import AdainTarget
from fastnst.metrics.cost import LiveParameters, macs, parameters
from fastnst.metrics.lpips import Lpips
from fastnst.metrics.pictures import psnr, ssim
from fastnst.metrics.style import gram_matrices, style_distances
from fastnst.networks import wct
from fastnst.networks.adain import WIDTHS
from fastnst.networks.vgg import ALL_LAYERS, Encoder, layers_of, stage_of
from fastnst.train.adain import Pair as AdainPair

# Table 1.5 of the specification: parameters of the published networks, with conv0.
PUBLISHED = {
    (1, False): (1804, 1731), (2, False): (112588, 112451), (3, False): (555340, 555075),
    (4, False): (3505740, 3505219), (5, False): (12944972, 12944451),
    (1, True): (684, 651), (2, True): (7420, 7379), (3, True): (35164, 35091), (4, True): (219804, 219667),
    (5, True): (810140, 810003),
}  # fmt: skip
HEADS = {1: 1600, 2: 5312, 3: 21952, 4: 88000, 5: 154048}
# The same table: billions of multiply-accumulates of encoders at 3000 x 3000, conv0 counted; of small decoders as well.
GMACS = {
    (1, False): 15.63, (2, False): 513.30, (3, False): 1010.96, (4, False): 2172.18, (5, False): 3250.01,
    (1, True): 5.91, (2, True): 35.07, (3, True): 66.18, (4, True): 138.75, (5, True): 206.12,
}  # fmt: skip
DECODER_GMACS = {1: 5.83, 2: 34.99, 3: 66.10, 4: 138.67, 5: 204.97}
# Over the stages: parameters of encoders and of decoders; billions of the encoders without conv0, as the paper counts them,
# and with it of everything that a stylization computes: content and style encoded, decoded.
SUMS = {False: (17_120_444, 17_118_927, 6961.7, 20_869), True: (1_073_212, 1_072_791, 451.6, 1354.6)}
# Table 3.1: widths, parameters of encoder and decoder, MiB in float32, billions at 512 x 512 (encode twice, decode).
ADAIN = {
    "original": (WIDTHS["original"], 3_505_740, 3_505_219, 26.745, 189.8),
    "pruned, 327": ((64, 64, 128, 128, 140, 153, 153, 153, 327), 1_486_799, 1_486_463, 11.342, 117.5),
    "pruned": (WIDTHS["pruned"], 1_395_851, 1_395_581, 10.648, 116.4),
    "16x": (WIDTHS["16x"], 219_804, 219_667, 1.676, 12.1),
}


@pytest.fixture(scope="module")
def photos() -> tuple[Tensor, Tensor]:
    """A photograph and the same with noise, [1, 3, H, W]."""
    clean = skimage.data.astronaut()[:128, :101]
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 20, clean.shape), 0, 255).astype(np.uint8)
    return tuple(torch.from_numpy(x.copy()).permute(2, 0, 1)[None] / 255 for x in (clean, noisy))  # type: ignore[return-value]


def as_array(picture: Tensor) -> np.ndarray:
    return (picture[0].permute(1, 2, 0) * 255).round().byte().numpy()


def test_psnr_is_scikit_images(photos: tuple[Tensor, Tensor]) -> None:
    a, b = map(as_array, photos)
    assert psnr(*photos) == pytest.approx(skimage.metrics.peak_signal_noise_ratio(a, b), abs=1e-4)
    assert psnr(photos[0], photos[0]) == float("inf")


def test_ssim_is_scikit_images(photos: tuple[Tensor, Tensor]) -> None:
    a, b = map(as_array, photos)
    settings = {"channel_axis": 2, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    # Both pad nothing; scikit-image crops its padded map to the same places.
    assert ssim(*photos) == pytest.approx(skimage.metrics.structural_similarity(a, b, **settings), abs=1e-4)
    assert ssim(photos[0], photos[0]) == pytest.approx(1)
    with pytest.raises(ValueError, match="of one size"):
        ssim(photos[0], photos[1][..., :50])


@pytest.mark.parametrize(("stage", "small"), PUBLISHED)
def test_parameters_are_the_published_ones(stage: int, small: bool) -> None:
    pair = wct.Stage(wct.widths_of(stage, small), heads=small)
    assert (parameters(pair.encoder), parameters(pair.decoder)) == PUBLISHED[stage, small]
    assert parameters(pair.heads) == (HEADS[stage] if small else 0)


def billions(pair: wct.Stage | AdainPair, side: int) -> tuple[float, float]:
    """Multiply-accumulates of encoder and decoder for a picture; on PyTorch's device of shapes, which computes nothing."""
    image = torch.zeros(1, 3, side, side, device="meta")
    pair.to("meta")
    return macs(pair.encoder, image) / 1e9, macs(pair.decoder, pair.encoder(image)) / 1e9


@pytest.mark.parametrize(("stage", "small"), GMACS)
def test_macs_are_the_published_ones(stage: int, small: bool) -> None:
    encoder, decoder = billions(wct.Stage(wct.widths_of(stage, small)), 3000)
    assert encoder == pytest.approx(GMACS[stage, small], abs=0.0051)
    if small:
        assert decoder == pytest.approx(DECODER_GMACS[stage], abs=0.0051)


@pytest.mark.parametrize("small", SUMS)
def test_sums_over_stages_are_the_published_ones(small: bool) -> None:
    encoders, decoders, without_conv0, all_together = SUMS[small]
    pairs = [wct.Stage(wct.widths_of(stage, small)) for stage in wct.STAGES]
    assert sum(parameters(pair.encoder) for pair in pairs) == encoders
    assert sum(parameters(pair.decoder) for pair in pairs) == decoders
    counts = [billions(pair, 3000) for pair in pairs]
    conv0 = 9 * 3000**2 / 1e9
    assert sum(encoder - conv0 for encoder, _ in counts) == pytest.approx(without_conv0, abs=0.051)
    assert sum(2 * encoder + decoder for encoder, decoder in counts) == pytest.approx(all_together, rel=5e-5)


@pytest.mark.parametrize("name", ADAIN)
def test_cost_of_adain_pairs_is_the_published_one(name: str) -> None:
    widths, encoder_parameters, decoder_parameters, mebibytes, billion = ADAIN[name]
    pair = AdainPair(Encoder(widths), widths)
    assert (parameters(pair.encoder), parameters(pair.decoder)) == (encoder_parameters, decoder_parameters)
    assert 4 * (encoder_parameters + decoder_parameters) / 2**20 == pytest.approx(mebibytes, abs=1e-3)
    encoder, decoder = billions(pair, 512)
    assert 2 * encoder + decoder == pytest.approx(billion, abs=0.05)


def test_macs_of_other_layers_by_hand() -> None:
    assert macs(nn.Linear(5, 7), torch.zeros(3, 5)) == 3 * 5 * 7
    assert macs(nn.Conv2d(4, 6, 3, padding=1, groups=2), torch.zeros(1, 4, 5, 5)) == 25 * 9 * 2 * 6
    assert macs(nn.ConvTranspose2d(4, 6, 3, 2, 1, 1), torch.zeros(1, 4, 5, 5)) == 25 * 9 * 4 * 6


def test_live_parameters_are_those_that_remain_without_dead_channels() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3), nn.Conv2d(5, 3, 3)]
    for layer, dead in ((layers[0], 1), (layers[1], 2)):
        layer.weight.data[:dead] = 0
        layer.bias.data[:dead] = -1  # type: ignore[union-attr]
    layers[2].bias.data.fill_(-100)  # type: ignore[union-attr]
    counted = LiveParameters(layers)
    network = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    with counted:
        network(torch.rand(1, 3, 16, 16))
    for layer in layers:
        layer.bias.data.fill_(1)  # type: ignore[union-attr]
    network(torch.rand(1, 3, 16, 16))
    assert counted.count() == 3 * (9 * 3 + 1) + 3 * (9 * 3 + 1) + 3 * (9 * 3 + 1)


def test_adain_terms_by_hand(photos: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    vgg = Encoder((4, 4, 5, 5, 6, 6, 6, 6, 7))
    content, style = (vgg.features(photo) for photo in photos)
    target = AdainTarget(content, style)
    score = target.score(content)
    (mean, std), (own_mean, own_std) = (
        (x[-1].mean((2, 3), keepdim=True), (x[-1].var((2, 3), keepdim=True) + 1e-5).sqrt()) for x in (style, content)
    )
    wanted = (content[-1] - own_mean) / own_std * std + mean
    assert score.content == pytest.approx((content[-1] - wanted).square().mean().item(), rel=1e-4)
    terms = [
        (a.mean((2, 3)) - b.mean((2, 3))).square().mean()
        + ((a.var((2, 3)) + 1e-5).sqrt() - (b.var((2, 3)) + 1e-5).sqrt()).square().mean()
        for a, b in zip(content, style, strict=True)
    ]
    assert score.style == pytest.approx(torch.stack(terms).sum().item(), rel=1e-4)
    assert score.loss == score.content + 10 * score.style
    smaller = target.score([level[..., :-1] for level in content])
    assert smaller.content == pytest.approx((content[-1] - wanted)[..., :-1].square().mean().item(), rel=1e-4)


def test_style_distance_by_hand(photos: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    vgg = Encoder((4, 5, 6))
    own, wanted = (gram_matrices(vgg.features(photo)) for photo in photos)
    distances = style_distances(own, wanted)
    for distance, a, b in zip(distances, *(vgg.features(x) for x in photos), strict=True):
        grams = [x.flatten(2) @ x.flatten(2).mT / (x.shape[2] * x.shape[3]) for x in (a, b)]
        assert distance == pytest.approx((grams[0] - grams[1]).norm().item(), rel=1e-4)
    assert style_distances(own, own) == [0, 0]


def test_lpips_is_its_formula(photos: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    torch.manual_seed(0)
    shapes = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
    tensors = {f"features.{i}.weight": torch.randn(o, c, k, k) / (c * k * k) ** 0.5 for i, (o, c, k) in shapes.items()}
    tensors |= {f"features.{i}.bias": torch.randn(o) * 0.1 for i, (o, _, _) in shapes.items()}
    tensors |= {f"lin{j}.weight": torch.rand(1, o, 1, 1) for j, (o, _, _) in enumerate(shapes.values())}
    save_file(tensors, tmp_path / "lpips.safetensors")
    network = Lpips(tmp_path / "lpips.safetensors")
    pictures = torch.cat(photos)
    distance = network(pictures, pictures.flip(0))
    assert distance.shape == (2,)
    torch.testing.assert_close(distance[0], distance[1])
    assert distance[0] > 0
    assert network(pictures, pictures).tolist() == [0, 0]


def test_stages_and_their_layers() -> None:
    assert [len(layers_of(stage)) for stage in wct.STAGES] == [1, 3, 5, 9, 13]
    assert layers_of(5) == ALL_LAYERS
    assert [stage_of(range(count)) for count in (1, 3, 5, 9, 13)] == list(wct.STAGES)
    with pytest.raises(ValueError, match="stage: expected 1 to 5, got 6"):
        layers_of(6)
    with pytest.raises(ValueError, match="widths: expected 1, 3, 5, 9, 13 numbers, got 4"):
        Encoder((1, 2, 3, 4))


@pytest.mark.parametrize("stage", wct.STAGES)
def test_a_pair_keeps_the_size(stage: int) -> None:
    torch.manual_seed(0)
    pair = wct.Stage((4,) * len(layers_of(stage)), heads=True)
    pair.decoder.conv1_1.bias.data.fill_(-1)  # type: ignore[union-attr,operator]
    image = torch.rand(1, 3, 48, 35)
    features = pair.encoder.features(image)
    assert len(features) == len(pair.lifted(features)) == stage
    side = 2 ** (stage - 1)
    assert pair.decoder(features[-1]).shape == (1, 3, 48 // side * side, 35 // side * side)
    assert (pair.decoder(features[-1]) >= 0).all()
    pair.decoder.last_relu = False
    assert (pair.decoder(features[-1]) < 0).any()


def test_cascade_runs_from_the_deepest_stage() -> None:
    seen: list[int] = []
    stages = {number: wct.Stage((4,) * len(layers_of(number))) for number in (1, 3, 2)}
    for number, stage in stages.items():
        stage.decoder.register_forward_hook(lambda *_, number=number: seen.append(number))
    out = wct.stylize(stages, torch.rand(1, 3, 32, 32), torch.rand(1, 3, 24, 40))
    assert seen == [3, 2, 1]
    assert out.shape == (1, 3, 32, 32)
    assert out.isfinite().all()
