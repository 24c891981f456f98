"""The processes that train together: a single one, or those that torchrun started."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

CPU = torch.device("cpu")


@dataclass(frozen=True)
class ProcessGroup:
    """The rank of this process, their number, and communication among them."""

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    @property
    def leads(self) -> bool:
        """Whether this process is the leader, which writes the files."""
        return self.rank == 0

    def counters(self, batch_index: int, batch: int) -> range:
        """The counters of this process's samples in a batch. No two processes and no two batches share one."""
        first = (batch_index * self.size + self.rank) * batch
        return range(first, first + batch)

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace the gradients by their mean over all processes, in one message for all parameters."""
        if self.size == 1:
            return
        trained = [p for p in parameters if p.grad is not None]  # the same ones in every process
        packed = torch.cat([p.grad.flatten() for p in trained if p.grad is not None])
        dist.all_reduce(packed)
        packed /= self.size
        for p, part in zip(trained, torch.split(packed, [p.numel() for p in trained]), strict=True):
            p.grad = part.view_as(p)

    def gathered(self, batch: Tensor) -> Tensor:
        """The batches [N, ...] of all processes as one [size x N, ...], in the order of their ranks; without gradient."""
        batch = batch.detach().contiguous()
        if self.size == 1:
            return batch
        parts = [torch.empty_like(batch) for _ in range(self.size)]
        dist.all_gather(parts, batch)
        return torch.cat(parts)

    def agreed(self, value: float) -> float:
        """The leader's ``value``, in every process."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(shared, 0)
        return shared.item()

    def wait(self) -> None:
        """Wait until every process has come here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def joined(device: str) -> Iterator[ProcessGroup]:
    """Join the processes that torchrun started (gloo on CPUs, NCCL on GPUs), or be alone; leave them at the end.

    Args:
        device: ``cpu`` or ``cuda``; each process takes the GPU with its local rank.

    Raises:
        ValueError: there is no such device.
    """
    if device not in {"cpu", "cuda"}:
        raise ValueError(f"device: expected cpu or cuda, got {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: no CUDA device here")
    options = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if device == "cuda" else torch.device("cpu")
    if "WORLD_SIZE" not in os.environ:
        yield ProcessGroup(device=options)
        return
    if options.type == "cuda":
        torch.cuda.set_device(options)
    dist.init_process_group("nccl" if options.type == "cuda" else "gloo")
    try:
        yield ProcessGroup(dist.get_rank(), dist.get_world_size(), options)
    finally:
        dist.destroy_process_group()
