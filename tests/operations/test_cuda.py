"""The CUDA backend: its mathematics on the CPU against the reference, and its library as far as one gets without a GPU."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fastnst.kernels.cuda import build, wct
from fastnst.reference.linalg import centre, symmetric_inverse_sqrt, symmetric_sqrt

ROOTS = pytest.mark.parametrize("inverse", [False, True], ids=["root", "inverse"])
NO_COMPILER = shutil.which("nvcc") is None
COMPILER = pytest.mark.skipif(NO_COMPILER, reason="nvcc, the compiler of CUDA, is not on the PATH")
GPU = pytest.mark.skipif(not torch.cuda.is_available() or NO_COMPILER, reason="needs a GPU and nvcc")


def features(batch: int, channels: int, positions: int) -> Tensor:
    """Correlated channels with means of their own, in float64."""
    generator = torch.Generator().manual_seed(100 * channels + positions)
    mixing = torch.randn(batch, channels, channels, generator=generator, dtype=torch.float64)
    values = torch.randn(batch, channels, positions, generator=generator, dtype=torch.float64)
    return mixing @ values + 3 * torch.arange(channels).unsqueeze(1)


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(got: Tensor, wanted: Tensor, bound: float) -> None:
    assert (got.double() - wanted).norm() <= bound * max(1.0, float(wanted.norm()))


def check(x: Tensor, ridge: float, cutoff: float, inverse: bool, bound: float) -> None:
    """Root, mean and gradient against the reference's, by autograd through it."""
    wide = x.double().requires_grad_()
    centred, mean = centre(wide)
    matrix = centred @ centred.mT / max(1, x.shape[2] - 1) + ridge * torch.eye(x.shape[1], dtype=torch.float64)
    wanted = (symmetric_inverse_sqrt if inverse else symmetric_sqrt)(matrix, cutoff)
    grads = random(*wanted.shape, seed=1), random(*mean.shape, seed=2)
    (gradient,) = torch.autograd.grad((wanted, mean), wide, grads)

    root, own_mean, vectors, values = wct.covariance_root(x, ridge, cutoff, inverse)
    smaller = min(x.shape[1:])
    assert {each.dtype for each in (root, own_mean, vectors, values)} == {torch.float64}
    assert vectors.shape == (*x.shape[:2], smaller) and values.shape == (len(x), smaller)
    close(root, wanted.detach(), bound)
    close(own_mean, mean.detach(), 1e-14)
    result = wct.covariance_root_backward(*grads, x, own_mean, root, vectors, values, ridge, cutoff, inverse)
    assert result.dtype == x.dtype
    close(result, gradient, max(10 * bound, torch.finfo(x.dtype).eps))


# --- mathematics ------------------------------------------------------------------------------------------------------------


@ROOTS
@pytest.mark.parametrize(("ridge", "cutoff"), [(0.0, 1e-5), (1.0, 1e-5), (0.0, 0.0), (1e-3, 0.5), (0.0, 1e-100)])
@pytest.mark.parametrize("shape", [(2, 5, 30), (2, 6, 6), (2, 9, 4), (1, 40, 7), (1, 3, 2)])
def test_roots_and_gradients(shape: tuple[int, int, int], ridge: float, cutoff: float, inverse: bool) -> None:
    check(features(*shape), ridge, cutoff, inverse, 1e-8)


@ROOTS
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("positions", [3, 20])
def test_arithmetic_is_float64_whatever_the_type(positions: int, dtype: torch.dtype, inverse: bool) -> None:
    check(features(2, 5, positions).to(dtype), 0.1, 1e-5, inverse, 1e-9)


@ROOTS
def test_eigenvalues_that_coincide(inverse: bool) -> None:
    """Rows of mean 0 that are orthogonal and of one length, one twice as long: two equal eigenvalues and one other."""
    rows = torch.tensor([[1, -1, 1, -1], [1, 1, -1, -1], [2, -2, -2, 2]], dtype=torch.float64)
    check(rows.unsqueeze(0), 0.0, 1e-5, inverse, 1e-12)
    check(rows.unsqueeze(0), 1.0, 1e-5, inverse, 1e-12)
    check(rows.mT.contiguous().unsqueeze(0), 0.5, 1e-5, inverse, 1e-12)


@ROOTS
def test_hard_cut_between_eigenvalues(inverse: bool) -> None:
    """Variances of 4/3 and 16/3 on two sides of the cutoff."""
    rows = torch.tensor([[1, -1, 1, -1], [2, 2, -2, -2]], dtype=torch.float64).unsqueeze(0)
    check(rows, 0.0, 3.0, inverse, 1e-12)
    root, *_ = wct.covariance_root(rows, 0.0, 3.0, inverse)
    assert root[0, 0, 0].abs() < 1e-14 and root[0, 1, 1] > 0.4


@ROOTS
@pytest.mark.parametrize("positions", [1, 3, 9])
def test_nothing_varies(positions: int, inverse: bool) -> None:
    x = torch.full((2, 4, positions), 0.1, dtype=torch.float64)
    for ridge, wanted in ((0.0, 0.0), (0.25, 2.0 if inverse else 0.5)):
        check(x, ridge, 1e-5, inverse, 1e-12)
        root, *_ = wct.covariance_root(x, ridge, 1e-5, inverse)
        torch.testing.assert_close(root, wanted * torch.eye(4, dtype=torch.float64).expand(2, 4, 4))


@ROOTS
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("positions", [3, 9])
def test_what_is_not_finite_stays_with_its_picture(positions: int, value: float, inverse: bool) -> None:
    x = features(2, 5, positions)
    x[1, 2, 0] = value
    saved = wct.covariance_root(x, 0.1, 1e-5, inverse)
    root, mean, vectors, values = saved
    assert root[0].isfinite().all() and root[1].isnan().all()
    gradient = wct.covariance_root_backward(root, mean, x, mean, root, vectors, values, 0.1, 1e-5, inverse)
    assert gradient[0].isfinite().all() and gradient[1].isnan().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_transform_and_gradients(dtype: torch.dtype) -> None:
    x, matrix, offset = features(2, 3, 7).to(dtype), random(2, 3, 3, seed=1), random(2, 3, 1, seed=2)
    inputs = [each.double().requires_grad_() for each in (x, matrix, offset)]
    wanted = inputs[1] @ inputs[0] + inputs[2]
    grad = random(2, 3, 7, seed=3).to(dtype)
    assert torch.equal(wct.transform(x, matrix, offset), wanted.to(dtype))
    gradients = torch.autograd.grad(wanted, inputs, grad.double())
    for mine, exact, kind in zip(
        wct.transform_backward(grad, x, matrix), gradients, (dtype, torch.float64, torch.float64), strict=True
    ):
        assert mine.dtype == kind
        torch.testing.assert_close(mine, exact.to(kind))


# --- library ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build.build(tmp_path_factory.mktemp("cuda"))


@COMPILER
def test_library_has_code_for_each_gpu(compiled: Path) -> None:
    triton = pytest.importorskip("triton", reason="cuobjdump comes with Triton")
    tool = triton.knobs.nvidia.cuobjdump.path
    codes = {}
    for kind in ("elf", "ptx"):
        listed = subprocess.run([tool, f"--list-{kind}", str(compiled)], capture_output=True, text=True, check=True).stdout
        codes[kind] = set(re.findall(r"sm_(\d+)", listed))
    assert codes == {"elf": {"80", "90"}, "ptx": {"90"}}


@COMPILER
def test_library_links_neither_pytorch_nor_cusolver(compiled: Path) -> None:
    content = compiled.read_bytes()
    assert not re.search(rb"libtorch|libc10|libcudart\.so|NEEDED.*cusolver", content)
    assert compiled == build.library(compiled.parent)


@COMPILER
def test_library_agrees_with_the_headers_of_cusolver(tmp_path: Path) -> None:
    """It declares what it uses for machines without them; where they are, the compiler holds its calls to them."""
    nvidia = pytest.importorskip("nvidia", reason="cuSOLVER's headers come with nvidia-cusolver and nvidia-cublas")
    folders = [path.parent for each in nvidia.__path__ for path in Path(each).glob("*/include/cusolverDn.h")]
    if not folders:
        pytest.skip("cuSOLVER's headers come with nvidia-cusolver and nvidia-cublas")
    command = [*build.command(tmp_path / "library.so"), *(f"-I{folder}" for folder in folders)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# What wct.cu opens, so that its errors can be seen without cuSOLVER.
STAND_IN = """
extern "C" {
int cusolverDnCreate(void** handle) { *handle = handle; return 0; }
int cusolverDnDestroy(void*) { return 0; }
int cusolverDnSetStream(void*, void*) { return 0; }
int cusolverDnCreateParams(void** params) { *params = params; return 7; }
int cusolverDnXsyevBatched_bufferSize() { return 0; }
int cusolverDnXsyevBatched() { return 0; }
}
"""


@COMPILER
def test_every_failure_is_one_line(compiled: Path, tmp_path: Path) -> None:
    loaded = wct.load(compiled)
    task = 0, 3, 1, None, None
    sizes = ctypes.c_size_t(), ctypes.c_size_t()

    def scratch() -> str:
        return loaded.fastnst_eigh_scratch(*task, *map(ctypes.byref, sizes), None).decode()

    assert scratch() == "cuSOLVER has not been opened"
    assert loaded.fastnst_eigh(*task, None, None, 0, None, 0, None) == b"cuSOLVER has not been opened"
    assert loaded.fastnst_open(b"libcusolver.so.none").startswith(b"libcusolver.so.none: cannot open")
    assert loaded.fastnst_open(str(compiled).encode()).decode() == (
        f"{compiled} has no cusolverDnXsyevBatched, which came with CUDA 12.6.2"
    )
    source = tmp_path / "stand_in.cpp"
    source.write_text(STAND_IN)
    library = source.with_suffix(".so")
    subprocess.run([build.compiler(), "-shared", "-Xcompiler=-fPIC", "-o", library, source], check=True)
    assert loaded.fastnst_open(str(library).encode()) is None
    last = scratch()
    assert re.fullmatch(r"cudaSetDevice: .+|cusolverDnCreateParams: cuSOLVER's status 7", last)
    assert loaded.fastnst_eigh(*task, None, None, 0, None, 0, None).decode() == last
    with pytest.raises(RuntimeError, match=re.escape(last)):
        wct._check(last.encode())


# The CUDA runtime and cuSOLVER for a library that is linked with them and not with NVIDIA's: no device does anything, and
# what is called is kept as a text.
RECORDER = """
#include <cstddef>
#include <cstdio>
#include <cstring>
static char text[1 << 20];
static long made = 0;
template <typename... Each> static void note(const char* format, Each... each) {
  snprintf(text + strlen(text), sizeof text - strlen(text), format, each...);
}
#define API extern "C" __attribute__((visibility("default")))
API const char* recorded() { return text; }
API int cudaSetDevice(int device) { note("device %d;", device); return 0; }
API int cudaDeviceSynchronize() { note("wait;"); return 0; }
API int cudaGetLastError() { return 0; }
API int cudaLaunchKernel() { return 0; }
API int __cudaLaunchKernel() { return 0; }
API int __cudaGetKernel() { return 0; }
API const char* cudaGetErrorString(int) { return ""; }
API void** __cudaRegisterFatBinary(void*) { return nullptr; }
API void __cudaRegisterFatBinaryEnd(void**) {}
API void __cudaUnregisterFatBinary(void**) {}
API void __cudaRegisterFunction() {}
API unsigned __cudaPushCallConfiguration() { return 0; }
API int __cudaPopCallConfiguration() { return 0; }
API char __cudaInitModule(void**) { return 0; }
API int cusolverDnCreate(long* handle) { *handle = ++made; return 0; }
API int cusolverDnDestroy(long handle) { note("destroy %ld;", handle); return 0; }
API int cusolverDnSetStream(long handle, long stream) { note("handle %ld in stream %ld;", handle, stream); return 0; }
API int cusolverDnCreateParams(void** params) { *params = params; return 0; }
API int cusolverDnXsyevBatched_bufferSize(long handle) { note("size by %ld;", handle); return 0; }
API int cusolverDnXsyevBatched(long handle) { note("solve by %ld;", handle); return 0; }
"""


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[[list[tuple[int, int]]], list[str]]:
    """What the library calls, one after the other, while it solves in the given streams of the given devices."""
    source = tmp_path / "recorder.cpp"
    source.write_text(RECORDER)
    target = tmp_path / "recorded.so"
    command = [*build.command(target, ["80"]), "-cudart=none", str(source)]
    subprocess.run([part for part in command if part != "-Werror=all-warnings"], check=True)
    loaded = wct.load(target)
    loaded.recorded.restype = ctypes.c_char_p
    assert loaded.fastnst_open(str(target).encode()) is None

    def solve(places: list[tuple[int, int]]) -> list[str]:
        before = len(loaded.recorded())
        for device, stream in places:
            task, sizes = (device, 3, 1, None, None), (ctypes.c_size_t(), ctypes.c_size_t())
            assert loaded.fastnst_eigh_scratch(*task, *map(ctypes.byref, sizes), stream) is None
            assert loaded.fastnst_eigh(*task, None, None, 0, None, 0, stream) is None
        return loaded.recorded().decode()[before:].rstrip(";").split(";")

    return solve


@COMPILER
def test_every_stream_of_every_device_has_a_handle_of_its_own(
    recorded: Callable[[list[tuple[int, int]]], list[str]],
) -> None:
    """A handle has memory of its own on the device: kernels of two streams that share it would overwrite each other's."""
    places = [(0, 0), (0, 70), (1, 70), (0, 0), (0, 70), (1, 70)]
    calls = recorded(places)
    wanted = []
    for (device, stream), handle in zip(places, (1, 2, 3, 1, 2, 3), strict=True):
        here = [f"device {device}", f"handle {handle} in stream {stream}"]
        wanted += [*here, f"size by {handle}", *here, f"solve by {handle}"]
    assert calls == wanted


@COMPILER
def test_streams_without_end_do_not_keep_handles_without_end(
    recorded: Callable[[list[tuple[int, int]]], list[str]],
) -> None:
    """The 129th makes room: devices are idle before the handles that they may use are gone."""
    assert not any("destroy" in call for call in recorded([(stream % 2, stream) for stream in range(128)]))
    calls = recorded([(0, 1000)])
    gone = [call for call in calls if call.startswith("destroy")]
    assert len(gone) == len(set(gone)) == 128
    assert all(calls[index - 1] == "wait" for index, call in enumerate(calls) if call.startswith("destroy"))
    assert calls[-3:] == ["device 0", "handle 129 in stream 1000", "solve by 129"]


@COMPILER
def test_command_says_where_the_library_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main([str(tmp_path / "new"), "--arch", "80"]) == 0
    made = build.library(tmp_path / "new")
    assert capsys.readouterr().out == f"{made}\n"
    assert [path.name for path in made.parent.iterdir()] == [made.name]


def test_command_without_a_compiler(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_HOME", raising=False)
    assert build.main([str(tmp_path)]) == 1
    assert capsys.readouterr().err == "error: nvcc, the compiler of CUDA, is neither in CUDA_HOME nor on the PATH\n"


def test_compiler_s_errors_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "bin" / "nvcc"
    compiler.parent.mkdir()
    compiler.write_text("#!/bin/sh\necho something is missing >&2\nexit 2\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert build.main([str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == "error: nvcc failed:\nsomething is missing\n"
    assert not list((tmp_path / "out").iterdir())


def test_folders_of_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("FASTNST_CUDA", raising=False)
    assert build.library().parent == tmp_path / "fastnst"
    monkeypatch.setenv("FASTNST_CUDA", str(tmp_path / "mine"))
    assert build.library().parent == tmp_path / "mine"


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], str | None]:
    """``missing`` of a process that has not asked yet, on a PyTorch with CUDA, with its library in ``tmp_path``."""
    monkeypatch.setenv("FASTNST_CUDA", str(tmp_path))
    monkeypatch.setattr(torch.version, "cuda", torch.version.cuda or "13.0")
    monkeypatch.setattr(wct, "_library", wct._library.__wrapped__)
    return wct.missing


def test_library_that_was_not_built_is_missing(fresh: Callable[[], str | None]) -> None:
    assert fresh() == "its library was not built: python -m fastnst.kernels.cuda.build"


def test_library_that_is_broken_is_missing(fresh: Callable[[], str | None], tmp_path: Path) -> None:
    build.library(tmp_path).write_bytes(b"no library")
    assert re.fullmatch(r"its library can't be loaded: .*libfastnst-cuda-\w+\.so: .+", fresh() or "")


@COMPILER
@pytest.mark.skipif(torch.version.cuda is not None, reason="this PyTorch brings cuSOLVER along")
def test_library_without_cusolver_is_missing(fresh: Callable[[], str | None], compiled: Path, tmp_path: Path) -> None:
    shutil.copy(compiled, tmp_path)
    assert (fresh() or "").startswith("libcusolver.so.12: cannot open")


@GPU
def test_cusolver_takes_a_batch_at_once(fresh: Callable[[], str | None], compiled: Path, tmp_path: Path) -> None:
    shutil.copy(compiled, tmp_path)
    assert fresh() is None
    matrices = features(5, 40, 80).cuda()
    matrices = matrices @ matrices.mT
    values, vectors = wct._solve(matrices)
    torch.testing.assert_close(values, torch.linalg.eigvalsh(matrices))
    torch.testing.assert_close((vectors * values.unsqueeze(-2)) @ vectors.mT, matrices)
