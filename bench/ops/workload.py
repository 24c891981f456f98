"""Workloads: an operation of ``fastnst.ops`` at one size, its rivals and its least cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fastnst import ops

from .names import BACKWARD, BOTH, COMPILED, CUSOLVER, FASTNST, FORWARD, LIBRARY, PUBLISHED

Function = Callable[..., "Tensor | tuple[Tensor, ...]"]
Call = Callable[[], list[Tensor]]


@dataclass(frozen=True)
class Cost:
    """The least cost of an operation: bytes, with every argument read once and every result written once, and flops."""

    bytes: int = 0
    flops: float = 0
    double_flops: float = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.bytes + other.bytes, self.flops + other.flops, self.double_flops + other.double_flops)


@dataclass(frozen=True)
class Rival:
    """Another way to compute an operation.

    Attributes:
        label: the name in the report.
        function: has the arguments and results of the operation.
        waits: the host waits for the device in it, so it cannot be captured in a CUDA graph.
    """

    label: str
    function: Function
    waits: bool = False


@dataclass(frozen=True)
class Workload:
    """One operation at one size.

    Attributes:
        stem: that of the file that defines it.
        operation: the name in ``fastnst.ops``.
        size: the size in words; with ``operation`` it names the workload.
        make: makes the float32 tensors on the CPU, the same at each call.
        published: the papers' code.
        library: the best combination of PyTorch's own functions.
        forward, backward: costs.
        ours: fastnst's function, if it is not the operation with its defaults.
        exact: the same function for any type, to get results in float64; its formula must fit into memory.
        trained: the indices of the tensors that get gradients.
        main: also measured in the quick profile, with more samples, and compared with torch.compile.
        devices: the devices on which it is measured.
    """

    stem: str
    operation: str
    size: str
    make: Callable[[], Sequence[Tensor]]
    published: Rival
    library: Rival
    forward: Cost
    backward: Cost
    exact: Function
    ours: Function | None = None
    trained: tuple[int, ...] = (0,)
    main: bool = False
    devices: tuple[str, ...] = ("cpu", "cuda")
    modes: tuple[str, ...] = field(default=(FORWARD, BOTH))

    @property
    def name(self) -> str:
        return f"{self.operation}[{self.size}]"

    def cost(self, mode: str) -> Cost:
        return {FORWARD: self.forward, BACKWARD: self.backward, BOTH: self.forward + self.backward}[mode]

    def rivals(self, mode: str, device: str) -> dict[str, Rival]:
        """The contenders by name, fastnst among them. The backward pass alone has a floor, but no rivals."""
        own = Rival("fastnst", self.ours or getattr(ops, self.operation))
        if mode == BACKWARD:
            return {FASTNST: own}
        found = {FASTNST: own, PUBLISHED: self.published}
        if self.main:
            found[COMPILED] = Rival(f"{self.published.label}, torch.compile", self.published.function, self.published.waits)
        found[LIBRARY] = self.library
        if device == "cuda" and self.stem == "wct":
            found[CUSOLVER] = Rival("fastnst on batched cuSOLVER", on_cusolver(own.function), waits=True)
        return found


def on_cusolver(function: Function) -> Function:
    """``function`` with fastnst's backend that calls cuSOLVER's batched eigensolver: what there is of it from Python."""

    def run(*tensors: Tensor) -> Tensor | tuple[Tensor, ...]:
        with ops.backend("cuda"):
            return function(*tensors)

    return run


# ---- calls ------------------------------------------------------------------------------------------------------------------


def call_of(function: Function, tensors: Sequence[Tensor], trained: Sequence[int], mode: str) -> Call:
    """The call that is timed: the results of ``function``, its gradients, or both. Calls share nothing."""
    if mode == FORWARD:

        def forward() -> list[Tensor]:
            with torch.no_grad():
                return listed(function(*tensors))

        return forward

    leaves = [tensor.detach().requires_grad_(index in trained) for index, tensor in enumerate(tensors)]
    wanted = [leaves[index] for index in trained]
    if mode == BACKWARD:
        results = listed(function(*leaves))
        from_above = [weights_like(result) for result in results]
        return lambda: list(torch.autograd.grad(results, wanted, from_above, retain_graph=True))

    kept: list[Tensor] = []

    def both() -> list[Tensor]:
        outputs = listed(function(*leaves))
        if not kept:  # in the first call, which is not measured
            kept.extend(weights_like(output) for output in outputs)
        return [*(output.detach() for output in outputs), *torch.autograd.grad(outputs, wanted, kept)]

    return both


def listed(results: Tensor | tuple[Tensor, ...]) -> list[Tensor]:
    return [results] if isinstance(results, Tensor) else list(results)


def weights_like(result: Tensor) -> Tensor:
    """The incoming gradient: 1 for a loss, otherwise random numbers, the same for all contenders."""
    if result.dim() == 0:
        return torch.ones_like(result)
    generator = torch.Generator().manual_seed(7)
    return torch.randn(result.shape, generator=generator).to(result)


def error_of(results: Sequence[Tensor], exact: Sequence[Tensor]) -> float:
    """The largest relative error of any result, in the Frobenius norm."""
    pairs = zip(results, exact, strict=True)
    return max(((mine.double() - right).norm() / right.norm()).item() for mine, right in pairs)


# ---- inputs -----------------------------------------------------------------------------------------------------------------


def features(*shape: int, seed: int = 0) -> Tensor:
    """Random features as after a ReLU: not negative, with means and standard deviations that differ between channels."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator)
    spread = torch.rand((*shape[:2], 1, 1), generator=generator) + 0.5
    return values.mul_(spread).add_(spread - 0.5).relu_()


def weights(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) / shape[-1] ** 0.5


def correlated(batch: int, channels: int, side: int, seed: int = 0) -> Tensor:
    """Features whose covariance has eigenvalues 400 / k^2: as ill-conditioned as a network's, and all above the cutoff."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(channels, channels, generator=generator, dtype=torch.float64))[0]
    scale = 20 / torch.arange(1, channels + 1, dtype=torch.float64)
    values = torch.randn(batch, channels, side * side, generator=generator, dtype=torch.float64)
    mean = 10 * torch.rand(batch, channels, 1, generator=generator, dtype=torch.float64)
    return ((basis * scale) @ values + mean).float().view(batch, channels, side, side)


def images(batch: int, side: int) -> tuple[Tensor, Tensor]:
    """A student's pictures and a teacher's in -1..1: smooth ones with noise, the student's with more noise on top."""
    generator = torch.Generator().manual_seed(side)
    coarse = torch.randn(batch, 3, max(2, side // 16), max(2, side // 16), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=False) * 0.4
    teacher = smooth + 0.05 * torch.randn(smooth.shape, generator=generator)
    student = teacher + 0.1 * torch.randn(smooth.shape, generator=generator)
    return student.clamp(-1, 1), teacher.clamp(-1, 1)
