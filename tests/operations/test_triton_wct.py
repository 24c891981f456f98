"""The WCT kernels in Triton's interpreter against the reference in float64, and what they compile to."""

from __future__ import annotations

import re

import pytest
import torch
import triton
from compiled import assert_rounded, narrow_addresses
from interpreted import DEVICE, compiled, interpreted
from torch import Tensor

from fastnst.kernels.triton import aot, launch, wct
from fastnst.kernels.triton.configs import FLOAT64
from fastnst.reference.linalg import centre, symmetric_inverse_sqrt, symmetric_sqrt
from fastnst.reference.wct import PRESETS, Preset

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
EPS = torch.finfo(torch.float32).eps
# A GPU with fast float64, and one without.
CAPABILITIES = pytest.mark.parametrize("capability", [90, 86])
# One tile; several pieces of positions; several tiles; rank 1; nothing varies.
SHAPES = [(2, 5, 40), (1, 3, 700), (1, 70, 90), (2, 4, 2), (1, 3, 1)]


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch, capability: int) -> None:
    """The choices of a GPU of this capability with few multiprocessors, in the interpreter and on any GPU."""
    monkeypatch.setattr(launch, "device_of", lambda _x: launch.Device(capability, 4))


def features(batch: int, channels: int, positions: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Channels with means up to 50 and deviations from 0.5 to 3."""
    values = torch.randn(batch, channels, positions, generator=torch.Generator().manual_seed(positions))
    ramp = torch.linspace(0, 1, channels).unsqueeze(1)
    return (values * (0.5 + 2.5 * ramp) + 50 * ramp).to(dtype).to(DEVICE)


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(DEVICE)


def error(got: Tensor, wanted: Tensor) -> float:
    """Relative, as a whole; of zeros absolute."""
    size = wanted.norm()
    return float((got.double() - wanted).norm() / (size if size > 0 else 1))


def reference_root(x: Tensor, ridge: float, inverse: bool) -> tuple[Tensor, Tensor]:
    centred, mean = centre(x)
    eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    matrix = centred @ centred.mT / max(1, x.shape[2] - 1) + ridge * eye
    return (symmetric_inverse_sqrt if inverse else symmetric_sqrt)(matrix), mean


def rounding(shape: tuple[int, ...], capability: int) -> float:
    """Of a covariance: float64's where it is fast or positions are few, otherwise float32's."""
    return 1e-14 if capability == 90 or shape[2] <= wct.FEW_POSITIONS * shape[1] else EPS


def check_root(x: Tensor, ridge: float, inverse: bool, bound: float) -> None:
    wide = x.double().requires_grad_()
    wanted, wanted_mean = reference_root(wide, ridge, inverse)
    grads = random(*wanted.shape, seed=1), random(*wanted_mean.shape, seed=2)
    (gradient,) = torch.autograd.grad((wanted, wanted_mean), wide, grads)
    root, mean, vectors, values = wct.covariance_root(x, ridge, 0.0, inverse)
    assert {each.dtype for each in (root, mean, vectors, values)} == {torch.float64}
    assert vectors.shape == (*x.shape[:2], 0) and values.shape == (len(x), 0)
    assert error(root, wanted.detach()) < bound
    assert error(mean, wanted_mean.detach()) < bound
    result = wct.covariance_root_backward(*grads, x, mean, root, vectors, values, ridge, 0.0, inverse)
    assert result.dtype == x.dtype
    # The last step to the gradient of x is a product, in float32 on some GPUs: rounding times the condition, again up to 100.
    fast = launch.device_of(x).capability in FLOAT64
    assert error(result, gradient) < max(torch.finfo(x.dtype).eps, 10 * bound, 0 if fast else 100 * EPS)


@interpreted
@CAPABILITIES
@pytest.mark.usefixtures("emulated")
@pytest.mark.parametrize("inverse", [False, True], ids=["root", "inverse"])
@pytest.mark.parametrize("shape", SHAPES)
def test_root_with_a_ridge_is_the_reference_s(shape: tuple[int, int, int], inverse: bool, capability: int) -> None:
    """Rounding of the covariance times its condition, here up to 100."""
    check_root(features(*shape), 0.1, inverse, 100 * rounding(shape, capability))


@interpreted
@CAPABILITIES
@pytest.mark.usefixtures("emulated")
@pytest.mark.parametrize("shape", SHAPES[:3])
def test_square_root_without_a_ridge_is_the_reference_s(shape: tuple[int, int, int], capability: int) -> None:
    """Of a float32 covariance it is damped by 1e-6 of the norm: 1e-3 in a direction without variance, 1e-4 on the whole."""
    check_root(features(*shape), 0.0, False, 1e-11 if rounding(shape, capability) < EPS else 1e-4)


@interpreted
@pytest.mark.parametrize("capability", [86])
@pytest.mark.usefixtures("emulated")
def test_several_tiles_in_float32() -> None:
    check_root(features(1, 66, 2120), 0.1, True, 100 * EPS)


@interpreted
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("capability", [90])
@pytest.mark.usefixtures("emulated")
def test_root_of_every_type(dtype: torch.dtype) -> None:
    check_root(features(1, 6, 30, dtype), 0.5, True, 1e-12)


@interpreted
@CAPABILITIES
@pytest.mark.usefixtures("emulated")
@pytest.mark.parametrize("positions", [33, 200])
def test_constant_channels_are_exactly_constant(positions: int) -> None:
    """A mean far from 0 leaves nothing behind that whitening could scale to 1, and no gradient but the mean's."""
    x = features(1, 4, positions)
    x[:, 1] = 0.1
    x[:, 3] = 12345.678
    root, mean, vectors, values = wct.covariance_root(x, 1e-4, 0.0, True)
    torch.testing.assert_close(root[0, 1, 1], root.new_tensor(100.0), rtol=1e-9, atol=0)
    assert torch.equal(mean[0, 3], x[0, 3, :1].double())
    grads = random(1, 4, 4, seed=1), torch.zeros_like(mean)
    gradient = wct.covariance_root_backward(*grads, x, mean, root, vectors, values, 1e-4, 0.0, True)
    centred = x.double() - mean
    slope = torch.linalg.lstsq(centred[:, ::2].mT, gradient.double().mT).solution.mT
    torch.testing.assert_close(slope @ centred[:, ::2], gradient.double(), rtol=1e-5, atol=1e-4 * float(gradient.abs().max()))


@interpreted
@CAPABILITIES
@pytest.mark.usefixtures("emulated")
def test_means_a_thousand_deviations_away_cost_no_digits(capability: int) -> None:
    for positions in (60, 300):
        check_root(features(1, 5, positions) + 1000, 0.1, True, 100 * rounding((1, 5, positions), capability))


@interpreted
@CAPABILITIES
@pytest.mark.usefixtures("emulated")
def test_transform_and_gradients(capability: int) -> None:
    for shape in SHAPES:
        x, matrix, offset = features(*shape), random(shape[0], shape[1], shape[1], seed=1), random(*shape[:2], 1, seed=2)
        grad = random(*shape, seed=3).float()
        bound = EPS if capability == 90 else 4 * EPS * shape[1] ** 0.5
        assert error(wct.transform(x, matrix, offset), matrix @ x.double() + offset) < bound
        grad_x, grad_matrix, grad_offset = wct.transform_backward(grad, x, matrix)
        assert grad_x.dtype == x.dtype and grad_matrix.dtype == grad_offset.dtype == torch.float64
        assert error(grad_x, matrix.mT @ grad.double()) < bound
        assert error(grad_matrix, grad.double() @ x.double().mT) < (1e-14 if capability == 90 else 8 * EPS)
        assert error(grad_offset, grad.double().sum(2, keepdim=True)) < (1e-14 if capability == 90 else 8 * EPS)


@interpreted
@pytest.mark.parametrize("capability", [90])
@pytest.mark.usefixtures("emulated")
def test_transform_rounds_once() -> None:
    x, matrix, offset = features(1, 5, 20, torch.float16), random(1, 5, 5, seed=1), random(1, 5, 1, seed=2)
    wanted = (matrix @ x.double() + offset).to(torch.float16)
    assert torch.equal(wct.transform(x, matrix, offset), wanted)


@interpreted
@CAPABILITIES
@pytest.mark.usefixtures("emulated")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # NumPy's, of the interpreter
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_stay_with_their_picture(value: float) -> None:
    x = features(2, 3, 20)
    x[1, 2, 7] = value
    root, mean, vectors, values = wct.covariance_root(x, 0.1, 0.0, True)
    assert root[0].isfinite().all() and root[1].isnan().all()
    gradient = wct.covariance_root_backward(root, mean, x, mean, root, vectors, values, 0.1, 0.0, True)
    assert gradient[0].isfinite().all() and gradient[1].isnan().all()


def test_what_fits() -> None:
    assert wct.fits(1.0, 1e-5, True) and wct.fits(1.0, 1.0, True)
    assert not wct.fits(0.0, 0.0, True) and not wct.fits(1e-5, 1e-4, True)
    assert wct.fits(0.0, 1e-5, False) and wct.fits(1.0, 0.5, False)
    assert not wct.fits(0.0, 1e-3, False) and not wct.fits(1e-4, 1e-3, False)
    assert not wct.fits(float("nan"), 0.0, True)


def test_presets_that_fit() -> None:
    assert {name: wct.unsupported(rules) is None for name, rules in PRESETS.items()} == {
        "paper": False, "pytorchwct": True, "wct2": True, "collab": False
    }  # fmt: skip
    assert (
        wct.unsupported(PRESETS["paper"])
        == "whitening by products needs a ridge above 0 and no higher cutoff, not 0.0 and 1e-05"
    )
    assert (
        wct.unsupported(Preset(content_ridge=1.0, cutoff=0.5))
        == "colouring by products needs a cutoff of at most 1e-05, not 0.5"
    )


def test_eigenvalues_that_would_be_cut_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^no inverse root with ridge 0\.0 and cutoff 1e-05 without eigenvalues$"):
        wct.covariance_root(torch.ones(1, 2, 3), 0.0, 1e-5, True)


# --- compilation ------------------------------------------------------------------------------------------------------------


def compile_all(capability: int, shape: tuple[int, int, int], dtype: torch.dtype) -> list[aot.Compiled]:
    with aot.captured(capability) as kernels:
        x = torch.empty(shape, device="meta", dtype=dtype)
        root, mean, vectors, values = wct.covariance_root(x, 1.0, 1e-5, True)
        wct.covariance_root_backward(root, mean, x, mean, root, vectors, values, 1.0, 1e-5, True)
        wct.transform(x, root, mean)
        wct.transform_backward(x, x, root)
    return kernels


@compiled
@pytest.mark.parametrize("shape", [(1, 64, 65536), (2, 300, 1001), (16, 512, 4096)])
@pytest.mark.parametrize("capability", [80, 86, 90])
def test_kernels_compile(capability: int, shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(aot.PROCESSORS, 86, 84)  # an RTX 3090 or RTX A6000, for GPUs without fast float64
    kernels = compile_all(capability, shape, torch.bfloat16 if shape[0] == 16 else torch.float32)
    fast = capability != 86
    root = "root_kernel" if fast and shape[1] <= 64 else "covariance_kernel"
    root_kernels = {root} if fast or shape[2] > wct.FEW_POSITIONS * shape[1] else set()
    assert {kernel.name for kernel in kernels} == {"products_kernel", "affine_kernel"} | root_kernels
    for kernel in kernels:
        # Nothing is spilt; but up to 3.7, Triton has every warp compute rows that another one computes too.
        old = triton.__version__.startswith(("3.6.", "3.7.")) and kernel.name == "root_kernel"
        assert kernel.local <= (512 if old else 0), kernel.name
        assert kernel.shared <= 48 * 1024, kernel.name
        assert_rounded(kernel)
        products = set(re.findall(r"\bw?g?mma\.[\w.]+", kernel.ptx))
        if kernel.name == "covariance_kernel" or not fast:
            assert not products, kernel.name  # float32 without TF32
        else:
            assert products and all(".f64.f64.f64.f64" in name for name in products), kernel.name
        if not fast and kernel.name != "covariance_kernel":
            # float64 only for what is written and added once, never in the loop's products.
            assert not re.search(r"fma\.rn\.f64", kernel.ptx), kernel.name
        assert not narrow_addresses(kernel.ttir), kernel.name
        assert len(kernel.grid) == 1  # a first size alone can exceed 65,535
