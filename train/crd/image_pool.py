"""Pictures that a generator made earlier, for its discriminator not to forget them (Shrivastava et al., CVPR 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..process_group import ProcessGroup


class ImagePool(nn.Module):
    """Recent pictures, chosen at random and the same in all processes. They are buffers, and so part of the checkpoint.

    Args:
        capacity: the number of pictures; with 0 all are passed through.
        size: their side in pixels.
        processes: those whose pictures enter the pool.
        seed: determines, with the counter passed to :meth:`forward`, every random choice.
    """

    def __init__(self, capacity: int, size: int, processes: ProcessGroup, seed: int) -> None:
        super().__init__()
        self.processes, self.seed = processes, seed
        self.pictures: Tensor
        self.count: Tensor
        self.register_buffer("pictures", torch.zeros(capacity, 3, size, size))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, made: Tensor, counter: int) -> Tensor:
        """Pictures for the discriminator, in place of ``made`` [N, 3, H, W].

        Each is the new picture or, with probability 1/2 once the pool is full, an older one, which the new picture replaces.
        """
        capacity = len(self.pictures)
        if not capacity:
            return made.detach()
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + counter)
        pictures = self.processes.gathered(made.float())
        handed = pictures.clone()
        for i, picture in enumerate(pictures):
            swap, options = torch.rand((), generator=generator) > 0.5, int(torch.randint(capacity, (), generator=generator))
            if self.count < capacity:
                self.pictures[int(self.count)] = picture
                self.count += 1
            elif swap:
                handed[i], self.pictures[options] = self.pictures[options].clone(), picture
        return handed[self.processes.rank * len(made) :][: len(made)]
