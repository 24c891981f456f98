"""Files of trained networks: what they hold, whatever recipe left them or whoever published them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from fastnst.networks.state import decoder_widths, encoder_widths, fill
from fastnst.networks.vgg import Decoder, Encoder
from fastnst.networks.wct import Stage, load_published
from fastnst.networks.weights import metadata, opened

ADAIN, WCT = "AdaIN", "WCT"
WCT_RECIPES = ("decoder", "collab")
EXPECTED = "encoder.* and decoder.*, the same with stages before them (4.encoder.*), or SEk.* and SDk.*"

Tensors = Mapping[str, Tensor]
Vgg = Callable[[int], Encoder]


@dataclass(frozen=True)
class Networks:
    """What a file holds: a way of transforming features, and the pair of each stage."""

    kind: str
    stages: Mapping[int, Stage]
    on_vgg: bool = False  # VGG-19 encodes; it is not in the file


def read_networks(path: Path, vgg: Vgg | None = None) -> Networks:
    """The networks in a safetensors file of one of these forms.

    * ``encoder.*`` and ``decoder.*``: an AdaIN pair, as recipes `adain` and `prune` leave it. It is one stage of WCT where
      there are ``heads.*`` too, or the file's facts name recipe `collab` or `decoder`.
    * ``k.encoder.*`` and ``k.decoder.*``: WCT, stages k of 1 to 5.
    * ``SEk.*`` and ``SDk.*``: the published small WCT networks.

    Layers may have any widths. Where there is no encoder, it is ``vgg`` of the stage; without that, such a file is refused.

    Raises:
        ValueError: one line that names the file and says what is wrong.
    """
    tensors, facts = _read(path)
    if any(name.startswith("SE") for name in tensors):
        try:
            return Networks(WCT, load_published(path))
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"{path}: not the published networks: {' '.join(str(error).split())}") from None
    groups: dict[str, dict[str, dict[str, Tensor]]] = {}
    for name, tensor in tensors.items():
        match = re.fullmatch(r"(?:([1-5])\.)?(encoder|decoder|heads)\.(.+)", name)
        if match is None:
            raise ValueError(f"{path}: unexpected tensor {name}; expected {EXPECTED}")
        groups.setdefault(match[1] or "", {}).setdefault(match[2], {})[match[3]] = tensor
    if not groups or ("" in groups and len(groups) > 1):
        raise ValueError(f"{path}: not a trained model: expected {EXPECTED}")
    alone = groups.get("")
    of_wct = alone is None or "heads" in alone or facts.get("recipe") in WCT_RECIPES
    try:
        stages = {}
        for number, parts in groups.items():
            stage = _stage(parts, vgg, last_relu=of_wct)
            if number not in ("", str(stage.number)):
                raise ValueError(f"stage {number} has the layers of stage {stage.number}")
            stages[stage.number] = stage
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return Networks(WCT if of_wct else ADAIN, stages, any("encoder" not in parts for parts in groups.values()))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    with opened(path) as file:
        tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - not a dict
        facts = metadata(file)
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{path}: {name} holds NaN or infinity")
    return tensors, facts


def _stage(parts: Mapping[str, Tensors], vgg: Vgg | None, last_relu: bool) -> Stage:
    """Both sides have widths of their own: channels that were dead on one side need not have been on the other."""
    if "decoder" not in parts:
        raise ValueError("there is no decoder")
    decoder = Decoder(decoder_widths(parts["decoder"]), last_relu)
    fill(decoder, parts["decoder"], "decoder")
    if "encoder" in parts:
        encoder = Encoder(encoder_widths(parts["encoder"]))
        fill(encoder, parts["encoder"], "encoder")
    elif vgg is None:
        raise ValueError("there is no encoder")
    else:
        encoder = vgg(decoder.stage)
    given, taken = encoder.widths[-1], decoder.widths[-1]
    if (encoder.stage, given) != (decoder.stage, taken):
        raise ValueError(
            f"the encoder gives {given} channels of stage {encoder.stage}, the decoder takes {taken} of stage {decoder.stage}"
        )
    stage = Stage(encoder.widths)
    stage.encoder, stage.decoder = encoder, decoder
    return stage.eval().requires_grad_(False)
