"""Kernels of whitening and colouring that know eigenvalues, against the reference in float64. What has none has other tests."""

from __future__ import annotations

import math
import threading

import pytest
import torch
from kernel_maps import (
    between_nan,
    check_any_number_of_threads,
    check_like,
    every_dtype,
    random_map,
    threads,
    wide,
)
from torch import Tensor

from fastnst import _engine
from fastnst.kernels import roots
from fastnst.reference.linalg import centre, symmetric_inverse_sqrt, symmetric_sqrt
from fastnst.reference.wct import PRESETS, wct
from fastnst.testing import Backend, assert_close_in_norm, assert_close_to_reference, backends

BACKENDS = [backend for backend in backends("wct") if backend.name != "triton"]
CPU = next(backend for backend in BACKENDS if backend.name == "cpu")
EPS = torch.finfo(torch.float64).eps

every_backend = pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
either_root = pytest.mark.parametrize("inverse", [True, False], ids=["inverse", "root"])

# (channels, positions): more positions than channels, as many, fewer; single ones; more than one block of channels.
SIZES = [(1, 1), (1, 50), (6, 1), (6, 2), (20, 7), (20, 19), (20, 20), (20, 21), (33, 500), (64, 1031), (130, 90), (300, 700)]
every_size = pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))

# (ridge, cutoff) that keep all directions, those above a gap (see `gapped`), or what the data spans.
RULES = [(0.0, 1e-5), (1.0, 1e-5), (0.0, 1e-100), (0.0, 0.3), (0.5, 0.8), (0.1, 0.2)]
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"ridge{rule[0]}-cutoff{rule[1]}")


def decaying(channels: int, smallest: float) -> Tensor:
    """Variances in geometric progression from 1 on."""
    return torch.logspace(0, math.log10(smallest), channels, dtype=torch.float64)


def gapped(channels: int) -> Tensor:
    """No eigenvalue is near a cutoff of ``RULES``, where the root jumps: half of them around 30, half around 0.01."""
    return torch.cat([decaying(channels - channels // 2, 0.2) * 30, decaying(channels // 2, 0.2) * 0.01])


def features(variances: Tensor, positions: int, mean: float = 3.0, seed: int = 0, batch: int = 1) -> Tensor:
    """[batch, C, positions] of float32 whose covariance has about these eigenvalues, in random directions."""
    generator = torch.Generator().manual_seed(seed)
    channels = len(variances)
    mixing = torch.linalg.qr(torch.randn(batch, channels, channels, generator=generator, dtype=torch.float64))[0]
    values = torch.randn(batch, channels, positions, generator=generator, dtype=torch.float64)
    means = mean * (1 + torch.rand(batch, channels, 1, generator=generator, dtype=torch.float64))
    return (mixing @ (variances.sqrt().unsqueeze(1) * values) + means).float()


def reference_root(x: Tensor, ridge: float, cutoff: float, inverse: bool) -> tuple[Tensor, Tensor]:
    centred, mean = centre(x)
    covariance = centred @ centred.mT / max(1, x.shape[-1] - 1)
    covariance = covariance + ridge * torch.eye(x.shape[1], dtype=torch.float64)
    return (symmetric_inverse_sqrt if inverse else symmetric_sqrt)(covariance, cutoff), mean


def condition(root: Tensor) -> float:
    """Of the covariance, on the directions that its root keeps."""
    spectrum = torch.linalg.eigvalsh(root).abs()
    kept = spectrum[spectrum > spectrum.amax() * 1e-12]
    return float(kept.amax() / kept.amin()) ** 2 if kept.numel() else 1.0


def check_root(backend: Backend, x: Tensor, ridge: float, cutoff: float, inverse: bool) -> None:
    root, mean, vectors, values = backend.module.covariance_root(x.to(backend.device), ridge, cutoff, inverse)
    batch, channels, positions = x.shape
    rank = min(channels, positions)
    assert (root.dtype, mean.dtype, vectors.dtype, values.dtype) == (torch.float64,) * 4
    assert (root.shape, mean.shape) == ((batch, channels, channels), (batch, channels, 1))
    assert (vectors.shape, values.shape) == ((batch, channels, rank), (batch, rank))
    assert all(each.is_contiguous() for each in (root, mean, vectors, values))
    expected, means = reference_root(x.double(), ridge, cutoff, inverse)
    assert_close_to_reference(mean, means, "sum", reduction=positions, scale=x.double().abs().amax(), arithmetic=torch.float64)
    assert torch.equal(root, root.mT)
    for mine, exact in zip(root.cpu(), expected, strict=True):
        # Eigenvalues are wrong by C * epsilon * (the largest one), which an inverse root sees relative to the smallest one.
        bound = 4 * channels * EPS * condition(exact) * torch.linalg.norm(exact)
        assert torch.linalg.norm(mine - exact) <= bound


# --- roots ------------------------------------------------------------------------------------------------------------------


@every_backend
@every_size
@every_rule
@either_root
def test_covariance_root(backend: Backend, size: tuple[int, int], rule: tuple[float, float], inverse: bool) -> None:
    check_root(backend, features(gapped(size[0]), size[1]), *rule, inverse)


@every_backend
@pytest.mark.parametrize("positions", [1, 2, 64, 256, 511, 512, 513])
def test_the_usual_number_of_channels(backend: Backend, positions: int) -> None:
    """At 512 positions the rank is 511, and the smallest eigenvalue that is kept, a square of what is left, is 1e-7."""
    x = features(decaying(512, 0.1), positions)
    for inverse in (True, False):
        check_root(backend, x, 1.0, 1e-5, inverse)
    check_root(backend, x, 0.0, 1e-9, True)


@every_backend
@either_root
@pytest.mark.parametrize("smallest", [1e-6, 1e-10])
@pytest.mark.parametrize("channels", [3, 64])
def test_steep_spectra(backend: Backend, channels: int, smallest: float, inverse: bool) -> None:
    check_root(backend, features(decaying(channels, smallest), 1000, mean=1.0), 0.0, 1e-100, inverse)


@every_backend
@either_root
def test_constant_repeated_and_zero_channels(backend: Backend, inverse: bool) -> None:
    """Rank 13 of 17. A constant channel has variance 0, whatever its mean is rounded to."""
    x = features(gapped(17), 200)
    x[:, 3], x[:, 4], x[:, 9], x[:, 16] = 1 / 3, 1e6 / 7, 0, x[:, 15]
    for ridge in (0.0, 1.0):
        check_root(backend, x, ridge, 1e-5, inverse)
    root, mean, *_ = backend.module.covariance_root(x.to(backend.device), 0.0, 1e-5, inverse)
    assert torch.equal(mean[0, [3, 4, 9], 0].float().cpu(), x[0, [3, 4, 9], 0])
    assert root[0, [3, 4, 9]].abs().max() <= 1e-10 * root.abs().max()


@every_backend
@either_root
def test_large_means_leave_the_digits(backend: Backend, inverse: bool) -> None:
    """A thousand deviations, half of which are 55 times smaller: float32 has them, and every sum of squares would lose them."""
    check_root(backend, features(gapped(40), 300, mean=5000), 0.0, 1e-5, inverse)


@every_backend
def test_every_matrix_of_a_batch(backend: Backend) -> None:
    """Seventeen images: one constant, one with a single value that differs, one with repeated eigenvalues."""
    x = features(gapped(12), 60, batch=17)
    x[3], x[5] = 2.5, 0
    x[5, 7, 11] = 1
    x[8] = torch.eye(12).repeat(1, 5)
    for ridge, cutoff in ((0.0, 1e-5), (1.0, 1e-5)):
        check_root(backend, x, ridge, cutoff, True)
    assert not backend.module.covariance_root(x.to(backend.device), 0.0, 1e-5, True)[0][3].any()


@every_backend
@every_size
def test_the_spectrum(backend: Backend, size: tuple[int, int]) -> None:
    """It rebuilds the covariance; a missing vector and its value are 0, all others are orthogonal and of length 1."""
    x = features(gapped(size[0]), size[1])
    _, _, vectors, values = (each.cpu() for each in backend.module.covariance_root(x.to(backend.device), 2.0, 1e-5, True))
    covariance = reference_root(x.double(), 0.0, 0.0, False)[0] @ reference_root(x.double(), 0.0, 0.0, False)[0]
    torch.testing.assert_close((vectors * values.unsqueeze(1)) @ vectors.mT, covariance, rtol=0, atol=1e-11)
    lengths = vectors.square().sum(1)
    there = lengths > 0.5
    assert not values[~there].any() or size[1] >= size[0]
    torch.testing.assert_close(vectors.mT @ vectors, torch.diag_embed(there.double()), rtol=0, atol=1e-10)


@every_backend
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("positions", [5, 100])
def test_what_is_no_number_raises(backend: Backend, bad: float, positions: int) -> None:
    x = features(gapped(70), positions, batch=3)
    x[1, 2, 3] = bad
    before = torch.get_num_threads()
    with pytest.raises(torch.linalg.LinAlgError):
        backend.module.covariance_root(x.to(backend.device), 1.0, 1e-5, True)
    assert torch.get_num_threads() == before


# --- gradients of roots -----------------------------------------------------------------------------------------------------


def check_backward(backend: Backend, x: Tensor, ridge: float, cutoff: float, inverse: bool) -> None:
    batch, channels, _ = x.shape
    grad_root = random_map(batch, channels, channels, seed=1).double()
    grad_mean = random_map(batch, channels, 1, seed=2).double()
    exact = wide(x)
    torch.autograd.backward(reference_root(exact, ridge, cutoff, inverse), (grad_root, grad_mean))
    given = x.to(backend.device)
    results = backend.module.covariance_root(given, ridge, cutoff, inverse)
    root, mean, vectors, values = results
    gradients = grad_root.to(backend.device), grad_mean.to(backend.device)
    result = backend.module.covariance_root_backward(*gradients, given, mean, root, vectors, values, ridge, cutoff, inverse)
    check_like(result, given)
    error = torch.linalg.norm(result.cpu().double() - exact.grad) / torch.linalg.norm(exact.grad)
    # All is float64 but the result; divided differences see the spectrum to the power 3/2, and it is harmless here.
    assert error <= torch.finfo(x.dtype).eps


@every_backend
@every_size
@every_rule
@either_root
def test_covariance_root_backward(backend: Backend, size: tuple[int, int], rule: tuple[float, float], inverse: bool) -> None:
    check_backward(backend, features(gapped(size[0]), size[1]), *rule, inverse)


@every_backend
@every_rule
@either_root
def test_gradients_where_eigenvalues_coincide(backend: Backend, rule: tuple[float, float], inverse: bool) -> None:
    """All of them, where the gradient of an eigenvector is infinite; half of them on the far side of a cutoff."""
    signs = torch.tensor([[1, -1, 1, -1, 1, -1, 1, -1], [1, 1, -1, -1, 1, 1, -1, -1], [1, 1, 1, 1, -1, -1, -1, -1]]).float()
    for scale in (torch.tensor([2.0, 2, 2]), torch.tensor([2.0, 2, 0.125])):
        check_backward(backend, (signs * scale.unsqueeze(1))[None], *rule, inverse)


@every_backend
@every_rule
@either_root
def test_gradients_of_constant_channels(backend: Backend, rule: tuple[float, float], inverse: bool) -> None:
    x = features(gapped(10), 50, batch=2)
    x[0, 3], x[1, 4], x[1, 5] = 7, 0, x[1, 6]
    check_backward(backend, x, *rule, inverse)


@every_backend
@every_dtype
def test_gradients_in_16_bits(backend: Backend, dtype: torch.dtype) -> None:
    for positions in (9, 50):
        check_backward(backend, features(gapped(20), positions).to(dtype), 1.0, 1e-5, True)


def test_slope_of_the_square() -> None:
    """Where the root is a function that autograd knows: sqrt(S) of a diagonal S and a gradient that stays diagonal."""
    values = torch.tensor([[4.0, 9.0]]).double()
    vectors = torch.eye(2).double()[None]
    slope = roots.slope(torch.diag(torch.tensor([1.0, 1.0])).double()[None], values, vectors, 0.0, 0.0, False)
    torch.testing.assert_close(slope[0], torch.diag(torch.tensor([1 / 4, 1 / 6]).double()))


# --- products with features -------------------------------------------------------------------------------------------------


@every_backend
@every_dtype
@every_size
def test_transform(backend: Backend, size: tuple[int, int], dtype: torch.dtype) -> None:
    channels, positions = size
    x = random_map(3, channels, positions, dtype=dtype).to(backend.device)
    grad = random_map(3, channels, positions, dtype=dtype, seed=1).to(backend.device)
    matrix = random_map(3, channels, channels, mean=0, seed=2).double().to(backend.device)
    offset = random_map(3, channels, 1, seed=3).double().to(backend.device)
    exact = [wide(each) for each in (x, matrix, offset)]
    expected = exact[1] @ exact[0] + exact[2]
    expected.backward(grad.cpu().double())
    result = backend.module.transform(x, matrix, offset)
    check_like(result, x)
    assert_close_to_reference(result, expected.detach(), "sum", reduction=channels)
    dx, dmatrix, doffset = backend.module.transform_backward(grad, x, matrix)
    check_like(dx, x)
    check_like(dmatrix, matrix)
    check_like(doffset, offset)
    assert_close_to_reference(dx, exact[0].grad, "sum", reduction=channels)
    for mine, wanted in ((dmatrix, exact[1].grad), (doffset, exact[2].grad)):
        assert_close_to_reference(
            mine, wanted, "sum", reduction=positions, arithmetic=torch.float64, scale=100 * positions**0.5
        )


@every_backend
@pytest.mark.parametrize(("smallest", "mean"), [(1e-3, 1000.0), (1e-8, 1.0), (1e-10, 1.0), (1e-6, 1000.0)])
@pytest.mark.parametrize("channels", [3, 40, 64])
def test_the_whole_transform(backend: Backend, channels: int, smallest: float, mean: float) -> None:
    """Content whose weakest directions become the strongest, by way of the kernels as ``fastnst.ops`` calls them."""
    content = features(decaying(channels, smallest), 900, mean)
    style = features(decaying(channels, smallest).flip(0), 700, mean, seed=1)
    for preset, rules in PRESETS.items():
        # The published cutoff, in the middle of a spectrum, is where a root jumps.
        cutoff = 1e-100 if preset == "paper" else rules.cutoff
        if preset == "wct2":
            continue  # clamps, which is not the kernels' business
        white, content_mean, *_ = backend.module.covariance_root(content.to(backend.device), rules.content_ridge, cutoff, True)
        color, style_mean, *_ = backend.module.covariance_root(style.to(backend.device), rules.style_ridge, cutoff, False)
        matrix = color @ white
        result = backend.module.transform(content.to(backend.device), matrix, style_mean - matrix @ content_mean)
        expected = wct(content.double().unsqueeze(-1), style.double().unsqueeze(-1), preset=preset, cutoff=cutoff).squeeze(-1)
        # What the means contribute is easy: the bound is for what varies.
        centred = expected - expected.mean(-1, keepdim=True)
        assert_close_in_norm(result.cpu().double() - expected + centred, centred, "wct")


# --- the CPU alone ----------------------------------------------------------------------------------------------------------


def test_roots_of_content_and_style_at_once() -> None:
    content, style = features(gapped(80), 200, batch=3), features(gapped(80), 50, seed=1, batch=3)
    with threads(3):
        both = CPU.module.covariance_roots(content, style, 1.0, 0.0, 1e-5)
        single = CPU.module.covariance_root(content, 1.0, 1e-5, True), CPU.module.covariance_root(style, 0.0, 1e-5, False)
        started: list[int] = []
        thread = threading.Thread(target=lambda: started.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        # What LAPACK was told in threads of its own does not reach others.
        assert (torch.get_num_threads(), started) == (3, [3])
    for mine, wanted in zip((both[:4], both[4:]), single, strict=True):
        for each, exact in zip(mine[:2], wanted[:2], strict=True):
            torch.testing.assert_close(each, exact, rtol=1e-10, atol=1e-11)


@every_dtype
@pytest.mark.parametrize("size", [(1, 1), (5, 9), (33, 65), (40, 500)])
def test_memory_around_features_is_not_read(size: tuple[int, int], dtype: torch.dtype) -> None:
    tensors = [random_map(2, *size, dtype=dtype, seed=seed) for seed in (0, 1)]
    matrix, offset = random_map(2, size[0], size[0], seed=2).double(), random_map(2, size[0], 1, seed=3).double()
    found = []
    for x, grad in (tensors, [between_nan(each, 7) for each in tensors]):
        root, mean, *spectrum = CPU.module.covariance_root(x, 1.0, 1e-5, True)
        back = CPU.module.covariance_root_backward(matrix, offset, x, mean, root, *spectrum, 1.0, 1e-5, True)
        rest = CPU.module.transform(x, matrix, offset), *CPU.module.transform_backward(grad, x, matrix)
        found.append((root, mean, *spectrum, back, *rest))
    assert all(torch.equal(mine, first) for mine, first in zip(*found, strict=True))


@pytest.mark.parametrize("size", [(3, 50000), (40, 9000), (300, 3000)])
def test_any_number_of_threads_gives_the_same_bytes(size: tuple[int, int]) -> None:
    """Of all that is this library's. LAPACK makes no such promise."""
    x, grad = random_map(2, *size), random_map(2, *size, seed=1)
    matrix, offset = random_map(2, size[0], size[0], seed=2).double(), random_map(2, size[0], 1, seed=3).double()
    module = CPU.module

    def run() -> list[Tensor]:
        mean = module._means(x)
        back = module.transform_backward(grad, x, matrix)
        return [mean, module._covariance(x, mean), module.transform(x, matrix, offset), *back]

    check_any_number_of_threads(run)


def test_calls_on_several_threads() -> None:
    seen: list[int] = []
    _engine.call_each(9, seen.append, 2)
    assert sorted(seen) == list(range(9))


def test_an_exception_of_one_call_comes_when_all_are_done() -> None:
    seen: list[int] = []

    def call(i: int) -> None:
        seen.append(i)
        if i == 2:
            raise torch.linalg.LinAlgError("number 2 has no eigenvalues")

    with pytest.raises(torch.linalg.LinAlgError, match="number 2"):
        _engine.call_each(5, call, 2)
    assert sorted(seen) == list(range(5))


def test_the_number_of_threads_is_as_before() -> None:
    x, before = random_map(2, 70, 100), torch.get_num_threads()
    CPU.module.covariance_roots(x, x, 0.0, 0.0, 1e-5)
    assert torch.get_num_threads() == before
    with pytest.raises(torch.linalg.LinAlgError):
        CPU.module.covariance_roots(x, torch.full_like(x, math.nan), 0.0, 0.0, 1e-5)
    assert torch.get_num_threads() == before
