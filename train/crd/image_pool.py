"""Pictures that a generator made earlier, for its discriminator not to forget them (Shrivastava et al., CVPR 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..process_group import ProcessGroup


class ImagePool(nn.Module):
    """The last pictures but for chance, the same ones in all processes; a part of the checkpoint, being buffers of a module.

    Args:
        capacity: pictures held; 0 hands all through.
        size: their side in pixels.
        processes: whose pictures come in.
        seed: with the counter passed to :meth:`forward`, decides every draw.
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

        Each is the one that came in or, with probability 1/2 once the pool is full, an older one whose place that takes.
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
