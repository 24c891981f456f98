"""Remove dead channels: those that are zero for every picture, when reconstructing and when stylizing.

Nothing is trained. The smaller networks make the same pictures of the training set. Channels that are only almost dead can be
removed too (``share``); then a recipe has to train the networks further.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from fastnst import ops
from fastnst.networks.files import WCT, Networks, read_networks
from fastnst.networks.pruning import State, peaks, without_dead
from fastnst.networks.state import part_of
from fastnst.networks.wct import stylize

from .data import CropSource, to_float

SIZE = 256
BATCH = 4


def show(networks: Networks, content: Tensor, style: Tensor) -> None:
    """Run ``networks`` in both ways they are used: reconstructing the two pictures, and stylizing."""
    for stage in networks.stages.values():
        features = [stage.encoder(picture) for picture in (content, style)]
        for feature in features:
            stage.decoder(feature)
        if networks.kind != WCT:
            stage.decoder(ops.adaptive_instance_normalization(*features))
    if networks.kind == WCT:
        stylize(networks.stages, content, style)


@torch.no_grad()
def live_networks(source: Path, data: Path, pictures: int, share: float, seed: int) -> State:
    """The networks of ``source`` without dead channels, named as there: ``k.encoder.*`` for stages of WCT.

    Args:
        source: see :func:`fastnst.networks.files.read_networks`; it must hold encoders.
        data: folder with ``content-train/`` and ``style-train/``.
        pictures: the number of crops of each on which dead channels are found.
        share: see :func:`fastnst.networks.pruning.without_dead`.
        seed: determines the crops.

    Raises:
        OSError, ValueError: a file cannot be read, or has other content.
    """
    networks = read_networks(source)
    contents, styles = (
        CropSource(data / kind, SIZE, (0.95, 1.05), seed + i) for i, kind in enumerate(("content-train", "style-train"))
    )

    def run() -> None:
        for first in range(0, pictures, BATCH):
            counters = range(first, min(first + BATCH, pictures))
            show(networks, to_float(contents.batch(counters)), to_float(styles.batch(counters)))

    found = peaks(nn.ModuleDict({str(k): stage for k, stage in networks.stages.items()}), run)
    cut = {}
    for k, stage in networks.stages.items():
        state = {name: x for name, x in stage.state_dict().items() if not name.startswith("heads.")}
        cut[k] = without_dead(state, part_of(found, str(k)), share)
    if networks.kind != WCT:
        (only,) = cut.values()
        return only
    return {f"{k}.{name}": x for k, state in cut.items() for name, x in state.items()}
