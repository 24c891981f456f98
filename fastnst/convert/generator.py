"""A generator into 8 bits, node after node, each fitted on the maps that the nodes before it really produce.

Convolutions leave sums of 16 bits, whose rounding is far below that of bytes; so does the stream that residual blocks add to.
Only what convolutions read is bytes. Where these are read channel by channel, every channel has a grid of its own, for that
costs nothing there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fastnst.convert.equalisation import balanced
from fastnst.convert.graph import (
    CURVES,
    FloatAffine,
    FloatConv,
    FloatNode,
    FloatPaint,
    bordered,
    float_node,
    keep,
    last_reads,
    of_style,
)
from fastnst.convert.graph_arithmetic import bound_of, simulate_node
from fastnst.convert.grids import Grids, behind, choose_grids, sampled
from fastnst.convert.pictures import PICTURES
from fastnst.convert.quantisation import Moments, Ranges, quantise_weights, refit
from fastnst.format.graphfile import STEP, Affine, Convolution, Node, Paint

PEAK = 12000.0
"""What the largest sum of a channel over the calibration becomes in 16 bits: others may be 2.7 times as large."""
STREAM_PEAK = 16000.0
"""The same of the stream that residual blocks add to."""
MOST_REACHED = 2.0**30 * (1 - 2.0**-20)
"""What no sum may reach in steps of its 16 bits, whatever the picture: the engine's bound, less what multipliers round."""
SHARE = 0.75
"""How much of the difference between the channels of a map of bytes moves into the weights that read it, in networks of several
styles, whose ranges differ the most. Measured with a published one of 26 on those four that are the hardest: nothing, 0.6, 0.7,
0.75, 0.85, 1 give 32.7, 33.3, 33.8, 33.8, 33.8, 33.8 dB on average. Of a network of one style others lost as often as they
gained."""
POSITIONS = 2000
"""Positions per picture and phase from which weights and biases are fitted."""
MIDDLE = 127.5
"""The byte that means 0 in a picture, -1..1; no whole number."""


@dataclass
class Stream:
    """One calibration picture on its way through both graphs, in the first of some styles; its maps would do for the others."""

    real: dict[int, Tensor] = field(default_factory=dict)
    q: dict[int, Tensor] = field(default_factory=dict)
    styles: Sequence[int] = (0,)

    def makes(self, node: FloatNode) -> Tensor:
        """What a node of the float graph makes of it."""
        return float_node(of_style(node, self.styles[0]), self.real)

    def makes_of_all(self, node: FloatNode) -> list[Tensor]:
        """The same in each of its styles."""
        return [float_node(of_style(node, style), self.real) for style in self.styles]


def streams_of(pictures: Sequence[Tensor], styles: int) -> list[Stream]:
    """Pictures uint8 [1, 3, H, W] as streams, repeated where there are more styles: each style has one, or shares it."""
    count = max(len(pictures), min(styles, PICTURES))
    every = max(styles, 1)
    own = [pictures[i % len(pictures)] for i in range(count)]
    shared = [range(i, every, count) if i < every else (i % every,) for i in range(count)]
    return [Stream({0: p.float() / MIDDLE - 1}, {0: p}, tuple(each)) for p, each in zip(own, shared, strict=True)]


class Quantiser:
    """Quantises the nodes of one graph."""

    def __init__(self, nodes: Sequence[FloatNode], pictures: Sequence[Tensor], ranges: Ranges) -> None:
        self.nodes, self.ranges, self.last = nodes, ranges, last_reads(nodes)
        self.styles = max((node.styles for node in nodes if isinstance(node, FloatAffine)), default=0)
        self.streams = streams_of(pictures, self.styles)
        self.grids = {0: Grids(torch.full((3,), 1 / MIDDLE, dtype=torch.float64), torch.full((3,), MIDDLE))}
        self.readers: dict[int, FloatNode] = {}
        for node in nodes:
            self.readers.setdefault(node.source, node)
        self.normalised = {node.source for node in nodes if isinstance(node, FloatAffine) and node.normalises}

    def run(self) -> tuple[list[Node], list[Tensor], list[Tensor]]:
        """The nodes for the engine, what they make of the pictures, and what the float graph makes of them."""
        self._measure_stream()
        quantised: list[Node] = []
        for place, node in enumerate(self.nodes):
            made = [stream.makes(node) for stream in self.streams]
            quantised.append(self._quantise(node, made))
            if isinstance(node, FloatPaint):
                return quantised, [simulate_node(quantised[-1], node, s.q) for s in self.streams], made
            for stream, real in zip(self.streams, made, strict=True):
                q = simulate_node(quantised[-1], node, stream.q, stream.styles[0])
                keep(node, real, stream.real)
                keep(node, q, stream.q)
                for maps in (stream.real, stream.q):
                    for number in [number for number in maps if self.last.get(number, 0) <= place]:
                        del maps[number]
        raise AssertionError("a graph that paints nothing")

    def _measure_stream(self) -> None:
        """The step of the maps of 16 bits that nodes add to: one for all, so that they can be added."""
        peak = 0.0
        for stream in self.streams:
            maps = dict(stream.real)
            for place, node in enumerate(self.nodes[:-1]):
                made = float_node(of_style(node, stream.styles[0]), maps)
                if not made.isfinite().all():
                    raise ValueError("weights that make NaN or infinity of a calibration picture")
                assert not isinstance(node, FloatPaint)
                keep(node, made, maps)
                if isinstance(node, FloatAffine) and node.wide:
                    peak = max(peak, made.abs().max().item())
                maps = {number: x for number, x in maps.items() if self.last.get(number, 0) > place}
        self.stream_step = max(peak, 1e-6) / STREAM_PEAK

    def _quantise(self, node: FloatNode, made: Sequence[Tensor]) -> Node:
        if isinstance(node, FloatConv):
            return self._convolution(node, made)
        if isinstance(node, FloatAffine):
            return self._affine(node, made)
        # The byte is k from (k - 1/2) / 127.5 - 1 on.
        with np.errstate(divide="ignore"):  # what no number makes takes infinity
            edges = node.inverse((np.arange(1.0, 256.0) - 0.5) / MIDDLE - 1) / self.grids[node.source].scale[0].item()
        return Paint(node.source, np.ceil(edges).clip(-32768, 32767).astype(np.int16))

    def _convolution(self, node: FloatConv, sums: Sequence[Tensor]) -> Convolution:
        inputs = self.grids[node.source]
        outside = int((inputs.zero[0] + node.outside / inputs.scale[0]).round())
        moments = self._gather(node, inputs, sums, outside)
        q, scale = self._weights(node, inputs, moments)
        values = sampled(sums).double()
        centre = values.mean(1) if node.target in self.normalised else torch.zeros(len(scale), dtype=torch.float64)
        reader = self.readers[node.target]
        if isinstance(reader, FloatPaint):
            step = torch.full_like(scale, CURVES[reader.curve].reach / 32767)
        else:
            step = torch.stack([(x[0] - centre[:, None, None]).abs().amax((1, 2)) for x in sums]).amax(0).double() / PEAK
            step = step.clamp(min=max(step.max().item() * 1e-4, 1e-12))  # a channel that is all but dead
        bias = self._bias(node, q, scale, moments, centre, inputs)
        # Beside what other pictures could make of it, a channel that hardly moves in these has no finer steps than the engine
        # takes.
        most = 255 * q.abs().sum((1, 2, 3)) + bias.abs().amax(0) + 1
        step = torch.maximum(step, most * scale / MOST_REACHED)
        self.grids[node.target] = Grids(step, centre)
        return self._assembled(node, q, scale, bias, step, outside)

    def _taps(self, node: FloatConv) -> list[tuple[slice, slice]]:
        """The taps, rows and columns of the kernel, that each phase of the output meets."""
        if node.form != "transposed":
            return [(slice(None), slice(None))]
        each = (slice(1, None, 2), slice(0, None, 2))  # see `fastnst.format.graphfile`: k + parity is odd
        return [(rows, columns) for rows in each for columns in each]

    def _gather(self, node: FloatConv, inputs: Grids, sums: Sequence[Tensor], outside: int) -> list[Moments]:
        """Of the inputs in steps, for each phase."""
        result = [Moments() for _ in self._taps(node)]
        for stream, y in zip(self.streams, sums, strict=True):
            frame = inputs.steps(bordered(stream.q[node.source].float(), node, float(outside)))
            for phase, moments in enumerate(result):
                x, part = self._windows(node, frame, phase), y
                if node.form == "transposed":
                    part = y[..., phase // 2 :: 2, phase % 2 :: 2]
                every = part[0, 0].numel() // POSITIONS | 1  # odd, so that all columns of the picture are met
                x, part = x[:, ::every], part[0].flatten(1)[:, ::every]
                if node.form == "depthwise":
                    moments.add(x.reshape(len(part), -1, x.shape[1]), part[:, None])
                else:
                    moments.add(x, part)
        return result

    @staticmethod
    def _windows(node: FloatConv, frame: Tensor, phase: int) -> Tensor:
        """What a phase's outputs see of a bordered map: [I x taps, positions]."""
        if node.form != "transposed":
            return F.unfold(frame, node.weight.shape[-1], stride=node.stride)[0]
        kernel = node.weight.shape[-1]
        height, width = (side - 2 for side in frame.shape[2:])
        # Tap k meets input row y + (parity + 1 - k) / 2, one more in the frame; windows list taps from the first to the last.
        rows, columns = (
            [(parity + 1 - k) // 2 + 1 for k in range(kernel) if (k + parity) % 2] for parity in (phase // 2, phase % 2)
        )
        views = [frame[0, :, y : y + height, x : x + width] for y in rows for x in columns]
        return torch.stack(views, 1).flatten(0, 1).flatten(1)

    def _weights(self, node: FloatConv, inputs: Grids, moments: Sequence[Moments]) -> tuple[Tensor, Tensor]:
        """Whole weights [O, I, k, k], and what one step of each output's sums is worth."""
        channels = inputs.scale if node.form != "depthwise" else inputs.scale[:, None]
        weight = node.weight * (channels[:, None, None] if node.form != "depthwise" else channels[..., None, None])
        parts, xxs = [], []
        for (rows, columns), seen in zip(self._taps(node), moments, strict=True):
            xx, xy = seen.covariances()
            own = weight[:, :, rows, columns].flatten(1)
            if node.form == "depthwise":
                parts.append(refit(own[:, None], xx, xy)[:, 0])
            else:
                parts.append(refit(own, xx, xy))
            xxs.append(xx)
        # Sums in smaller steps than that would not fit 32 bits.
        least = torch.stack([seen.means()[1].flatten() for seen in moments]).abs().amax(0) / 2**30
        qs, scale = quantise_weights(parts, least.clamp(min=1e-30), xxs)
        whole = torch.zeros_like(node.weight)
        for (rows, columns), q in zip(self._taps(node), qs, strict=True):
            whole[:, :, rows, columns] = q.reshape(whole[:, :, rows, columns].shape)
        return whole, scale

    def _bias(
        self, node: FloatConv, q: Tensor, scale: Tensor, moments: Sequence[Moments], centre: Tensor, inputs: Grids
    ) -> Tensor:
        """With which the sums of each phase have the float network's means, [P, O]: bias correction."""
        zero = inputs.zero[:, None] if node.form == "depthwise" else inputs.zero
        biases = []
        for (rows, columns), seen in zip(self._taps(node), moments, strict=True):
            x, y = seen.means()
            own = q[:, :, rows, columns]
            met = (own.flatten(1) * x).sum(1) if node.form == "depthwise" else own.flatten(1) @ x
            biases.append((y.flatten() - centre) / scale - met - (own.sum((2, 3)) * zero).sum(1))
        return torch.stack(biases)

    @staticmethod
    def _assembled(node: FloatConv, q: Tensor, scale: Tensor, bias: Tensor, step: Tensor, outside: int) -> Convolution:
        """The node.

        Raises:
            ValueError: it could overflow the engine's arithmetic.
        """
        if bias.abs().max() >= 2**31:
            raise ValueError("a bias does not fit 32 bits")
        weights = q.permute(0, 2, 3, 1).numpy().astype(np.int8)
        made = Convolution(
            node.source,
            node.target,
            weights[..., 0] if node.form == "depthwise" else weights,
            (bias if node.form == "transposed" else bias[0]).round().numpy().astype(np.int32),
            (scale / step).numpy().astype(np.float32),
            node.stride,
            node.form,
            node.border,
            outside if node.border == "constant" and node.reach else 0,
        )
        if bound_of(made).max() >= 2**31:
            raise ValueError("weights that could overflow the 32-bit accumulator")
        return made

    def _affine(self, node: FloatAffine, made: Sequence[Tensor]) -> Affine:
        own = self.grids[node.source]
        count = len(own.scale)
        if node.wide:
            grids = Grids(torch.full((count,), self.stream_step, dtype=torch.float64), torch.zeros(count, dtype=torch.float64))
        else:
            grids = self._bytes(node, made)
        slope, offset, epsilon, zero = own.scale / grids.scale, torch.zeros(count, dtype=torch.float64), None, 0
        gain = torch.ones(count, dtype=torch.float64) if node.gain is None else node.gain
        if node.normalises:
            slope, epsilon = 1 / grids.scale, (node.epsilon / own.scale**2).numpy().astype(np.float32)
            if not (np.isfinite(epsilon).all() and (epsilon >= np.finfo(np.float32).tiny).all()):
                raise ValueError("values too large or too small for the epsilon of an instance norm")
        slope = slope * gain
        if not node.normalises:
            offset = offset - own.zero * slope
        if node.shift is not None:
            offset = offset + node.shift / grids.scale
        if node.negative < 1:
            zero = int(grids.zero[0])
        else:
            offset = offset + grids.zero
        if node.styles:
            slope, offset = (each.expand(node.styles, count) for each in (slope, offset))
        before = self.grids.get(node.target)
        self.grids[node.target] = grids if before is None else behind(before, grids)
        arrays = slope.numpy().astype(np.float32), offset.numpy().astype(np.float32)
        return Affine(node.source, node.target, *arrays, epsilon, node.negative, zero, node.wide, node.addend)

    def _bytes(self, node: FloatAffine, made: Sequence[Tensor]) -> Grids:
        """The grids of a map of bytes: one for all channels, unless what reads them does so channel by channel, and what stands
        for 0 beyond the edges is not one byte for all."""
        reader = self.readers[node.target]
        if node.styles > len(self.streams):
            made = [each for stream in self.streams for each in stream.makes_of_all(node)]
        values = sampled(made)
        if isinstance(reader, FloatConv) and reader.form == "depthwise" and (reader.border != "constant" or node.negative == 0):
            return choose_grids(values, self.ranges)
        factors = self._factors(node.target, values)
        grids = choose_grids((values / factors[:, None].to(values)).flatten()[None], self.ranges)
        return Grids(grids.scale * factors, grids.zero.expand(len(values)))

    def _factors(self, number: int, values: Tensor) -> Tensor:
        """What the steps of channels that are added to a map are in proportion to: between their own ranges, which would give
        each as many, and what would leave the weights that read them alike (cross-layer equalisation, Nagel et al., 2019).
        Beyond the edges one byte has to stand for a number in all channels, unless that number is 0."""
        before, reader = self.grids.get(number), self.readers[number]
        assert isinstance(reader, FloatConv)
        if not self.styles or reader.outside or reader.form == "depthwise":
            return torch.ones(len(values), dtype=torch.float64)
        first = 0 if before is None else -(-len(before.scale) // STEP) * STEP
        peaks = torch.from_numpy(np.quantile(values.abs().numpy(), 0.999, 1)).double()
        return balanced(peaks, reader.weight[:, first : first + len(values)].abs().amax((0, 2, 3)), SHARE)


@torch.no_grad()
def quantise_graph(
    nodes: Sequence[FloatNode], pictures: Sequence[Tensor], ranges: Ranges = "mse"
) -> tuple[list[Node], list[Tensor], list[Tensor]]:
    """The engine's nodes for a float graph, fitted to pictures uint8 [1, 3, H, W] whose sides the graph takes.

    Returns:
        The nodes; what they make of the pictures, uint8; and what the float graph makes of them, -1..1.

    Raises:
        ValueError: a node could overflow the engine's arithmetic, or does so in the float graph.
    """
    return Quantiser(nodes, pictures, ranges).run()
