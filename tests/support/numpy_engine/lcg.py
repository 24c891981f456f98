"""Random numbers that are the same on every machine and NumPy version."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_FACTOR, _INCREMENT = 6364136223846793005, 1442695040888963407


@dataclass
class Lcg:
    """Knuth's 64-bit linear congruential generator (MMIX): the same numbers on every machine and NumPy version."""

    state: int

    def below(self, limit: int) -> int:
        """A whole number in 0..limit-1."""
        self.state = (self.state * _FACTOR + _INCREMENT) % 2**64
        return (self.state >> 33) * limit >> 31

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Whole numbers in low..high-1: those that calling :meth:`below` for each would give, all at once."""
        count = int(np.prod(shape))
        powers = np.cumprod(np.full(count, _FACTOR, np.uint64))  # unsigned arithmetic wraps at 2^64, as the generator does
        steps = np.cumsum(np.concatenate(([np.uint64(1)], powers[:-1])), dtype=np.uint64)
        states = powers * np.uint64(self.state) + steps * np.uint64(_INCREMENT)
        self.state = int(states[-1])
        values = (states >> np.uint64(33)) * np.uint64(high - low) >> np.uint64(31)
        return low + values.astype(np.int64).reshape(shape)
