"""The curve of a run as an SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 28, 28
POINTS = 200
"""The largest number of points; in longer curves each point is the mean of several steps."""

Points = Sequence[tuple[int, float]]
"""Steps and values."""


def thinned(points: Points) -> list[tuple[int, float]]:
    """At most :data:`POINTS` points, each the mean of neighbours at the last of their steps."""
    size = math.ceil(len(points) / POINTS)
    groups = [points[i : i + size] for i in range(0, len(points), size or 1)]
    return [(group[-1][0], math.fsum(value for _, value in group) / len(group)) for group in groups]


def curve(points: Points, title: str) -> str:
    """A curve on a logarithmic scale as SVG text, with its smallest and largest value and its last step at the axes.

    Args:
        points: steps, in ascending order, and values. Those that are not finite and above 0 are left out; one must remain.
        title: text above the curve.
    """
    shown = thinned([(step, value) for step, value in points if 0 < value < math.inf])
    first, last = shown[0][0], shown[-1][0]
    low, high = (math.log(f(value for _, value in shown)) for f in (min, max))

    def place(step: int, value: float) -> str:
        x = LEFT + (WIDTH - LEFT - RIGHT) * (step - first) / max(1, last - first)
        y = TOP + (HEIGHT - TOP - BOTTOM) * (high - math.log(value)) / (high - low if high > low else 1)
        return f"{x:.1f},{y:.1f}"

    bottom = HEIGHT - BOTTOM
    texts = [
        (LEFT, 16, "start", title),
        (LEFT - 6, TOP + 4, "end", f"{math.exp(high):.4g}"),
        (LEFT - 6, bottom + 4, "end", f"{math.exp(low):.4g}"),
        (LEFT, HEIGHT - 8, "start", f"step {first:,}"),
        (WIDTH - RIGHT, HEIGHT - 8, "end", f"step {last:,}"),
    ]
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            'font-family="sans-serif" font-size="12">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
            f'<path d="M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}" fill="none" stroke="black"/>',
            f'<polyline points="{" ".join(place(*each) for each in shown)}" fill="none" stroke="#0060c0" stroke-width="1.5"/>',
            *(f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escaped(text)}</text>' for x, y, anchor, text in texts),
            "</svg>\n",
        )
    )


def escaped(text: str) -> str:
    """``text`` escaped for XML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
