"""What the nodes of an ONNX graph make, and what is still to be done to it: :class:`Value`."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fastnst.convert.builder import Level, Raw

Border = tuple[str, float]
"""What is beyond the edges: its kind, and the value of a constant one in the network's numbers."""
Pads = tuple[int, int, int, int]
"""Pixels above, to the left, below, to the right."""
NOTHING: Pads = (0, 0, 0, 0)
Scaling = tuple[Tensor | None, Tensor | None]
"""What channels are multiplied by, and what is then added; None for 1 and 0."""


def then(first: Scaling, second: Scaling) -> Scaling:
    """Both, one after the other."""
    gain = second[0] if first[0] is None else first[0] if second[0] is None else first[0] * second[0]
    moved = first[1] if first[1] is None or second[0] is None else first[1] * second[0]
    return gain, second[1] if moved is None else moved if second[1] is None else moved + second[1]


@dataclass(frozen=True)
class Part:
    """A map of 16 bits, or the picture, and what it is to go through.

    Attributes:
        gain, shift: what its channels are multiplied by, and what is added, float64 [C], or [styles, C]; None for 1 and 0.
        negative: the slope of a (leaky) ReLU behind that.
        limits: what the result is clipped to; from 0 or below to 0 or above.
    """

    raw: Raw | Level
    negative: float = 1.0
    gain: Tensor | None = None
    shift: Tensor | None = None
    limits: tuple[float, float] | None = None

    @property
    def key(self) -> tuple[object, ...]:
        norm = (self.raw.norm, self.raw.epsilon) if isinstance(self.raw, Raw) else ()
        given = (self.raw.gain, self.raw.shift) if isinstance(self.raw, Raw) else ()
        tensors = [None if each is None else each.numpy().tobytes() for each in (self.gain, self.shift, *given)]
        return self.raw.number, self.negative, self.limits, norm, *tensors

    @property
    def styled(self) -> bool:
        """Whether what is to be done to it depends on the style."""
        return any(each is not None and each.ndim > 1 for each in (self.gain, self.shift))

    @property
    def linear(self) -> bool:
        """Whether it is only multiplied and shifted."""
        return self.negative == 1 and self.limits is None

    @property
    def plain(self) -> bool:
        """Whether nothing is to be done to it."""
        return self.linear and self.gain is None and self.shift is None


@dataclass(frozen=True)
class Value:
    """What a node made.

    Attributes:
        parts: more than one if it is a concatenation.
        halvings: how often its sides are half those of the picture.
        border, pads: what a Pad put around it, and how many pixels of that.
        doubled: by nearest upsampling, before the border.
        end: the operator, Tanh or Sigmoid, that can only be the end; it is ``gain`` times tanh plus ``shift``, clipped to
            ``limits``.
        last: whether its channels are its last dimension, not its second one.
    """

    parts: tuple[Part, ...]
    halvings: int = 0
    border: str = "constant"
    pads: Pads = NOTHING
    doubled: bool = False
    end: str = ""
    gain: float = 1.0
    shift: float = 0.0
    limits: tuple[float, float] | None = None
    last: bool = False

    @property
    def channels(self) -> int:
        return sum(part.raw.channels for part in self.parts)
