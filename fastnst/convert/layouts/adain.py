"""AdaIN pairs of our recipes."""

from __future__ import annotations

from collections.abc import Sequence

from fastnst.convert.pair import Pair, pair_of
from fastnst.convert.tensors import Source, only

TITLE = "an AdaIN pair of recipe adain (encoder, decoder)"
NAMES = r"(?:encoder|decoder)\.conv"


def read(sources: Sequence[Source]) -> tuple[Pair, str]:
    """The pair; LayoutError says what is wrong with it."""
    source = only(sources)
    pair = pair_of({name: x.double() for name, x in source.tensors.items()}, source.facts)
    return pair, f"AdaIN pair, widths {', '.join(map(str, pair.widths))}"
