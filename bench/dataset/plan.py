"""What it costs to stylize a data set, from stated rates; ``python -m fastnst.bench.dataset.plan`` prints the docs' table."""

from __future__ import annotations

from dataclasses import dataclass

SETS = {"1.28 M pictures": 1_281_167, "1 G pictures": 10**9}
"""As many as ImageNet has to train on, and as web-scale sets have."""


@dataclass(frozen=True)
class Rates:
    """What the table follows from; put in what you measured."""

    pictures: float = 200.0  # a second and core, JPEG in and out at 224 pixels
    read: float = 110e3  # bytes of a picture, about the mean of ImageNet's
    written: float = 40e3  # bytes of its result, JPEG of quality 95 at 224 pixels
    request: float = 0.02  # seconds until an object store or a network file system answers
    cores: int = 256  # of the larger of two plans, the smaller has 16
    shard: int = 1000  # pictures in a shard


def table(rates: Rates) -> str:
    """In Markdown: a row for each cost, a column for each of :data:`SETS`."""
    rows = [["", *SETS], ["---", *("--:" for _ in SETS)]]
    hours = {name: count / rates.pictures / 3600 for name, count in SETS.items()}
    traffic = rates.cores * rates.pictures / 1e6
    rows += [
        ["core-hours", *(f"{each:,.1f}" for each in hours.values())],
        ["hours on 16 cores", *(f"{each / 16:,.2f}" for each in hours.values())],
        [f"hours on {rates.cores} cores", *(f"{each / rates.cores:,.2f}" for each in hours.values())],
        ["read, GB", *(f"{count * rates.read / 1e9:,.0f}" for count in SETS.values())],
        ["written, GB, one style each", *(f"{count * rates.written / 1e9:,.0f}" for count in SETS.values())],
        [f"network of {rates.cores} cores, MB/s in, out", *(_pair(traffic, rates) for _ in SETS)],
        ["requests, a file for each picture", *(f"{2 * count:,}" for count in SETS.values())],
        [f"requests, shards of {rates.shard:,}", *(f"{2 * -(-count // rates.shard):,}" for count in SETS.values())],
        ["hours of waiting for files, in a row", *(f"{2 * count * rates.request / 3600:,.1f}" for count in SETS.values())],
        ["hours of waiting for shards, in a row", *(_waiting(count, rates) for count in SETS.values())],
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _pair(traffic: float, rates: Rates) -> str:
    return f"{traffic * rates.read:,.0f}, {traffic * rates.written:,.0f}"


def _waiting(count: int, rates: Rates) -> str:
    return f"{2 * -(-count // rates.shard) * rates.request / 3600:,.2f}"


if __name__ == "__main__":
    print(table(Rates()))
