"""The ten networks of WCT (Li et al., NeurIPS 2017): an encoder and a decoder per stage, and the cascade through all of them.

Small widths and embedding heads: Collaborative Distillation (Wang et al., CVPR 2020). Stages share nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from fastnst import ops
from fastnst.networks import weights
from fastnst.networks.vgg import ALL_LAYERS, TAPS, VGG19, Decoder, Encoder, layers_of

STAGES = (1, 2, 3, 4, 5)
SMALL = (16, 16, 32, 32, 64, 64, 64, 64, 128, 128, 128, 128, 128)
"""A quarter of VGG-19's widths: the published "16x", so called for its weights."""
SMALL_FIRST = 24
"""The width of stage 1, which is one layer: a quarter would be too few."""


def widths_of(stage: int, small: bool) -> tuple[int, ...]:
    """Output channels of the layers of a stage's encoder, as published."""
    if small and stage == 1:
        return (SMALL_FIRST,)
    return (SMALL if small else VGG19)[: len(layers_of(stage))]


class Stage(nn.Module):
    """Encoder and decoder of one stage, and the linear embeddings that only training uses.

    Args:
        widths: of the encoder; they decide the stage.
        heads: whether there are embeddings, of the last layer of every block to VGG-19's width.
        decoder_widths: where the decoder is no mirror of the encoder: input channels of its layers, in the encoder's order.
    """

    def __init__(self, widths: Sequence[int], heads: bool = False, decoder_widths: Sequence[int] | None = None) -> None:
        super().__init__()
        self.encoder = Encoder(widths)
        self.decoder = Decoder(decoder_widths or widths, last_relu=True)
        self.number = self.encoder.stage
        lifted = zip(self.encoder.widths, VGG19, ALL_LAYERS, strict=False) if heads else ()
        self.heads = nn.ModuleDict({name: nn.Conv2d(own, full, 1) for own, full, name in lifted if name in TAPS})

    def lifted(self, features: Iterable[Tensor]) -> list[Tensor]:
        """The embeddings of all levels of ``encoder.features``."""
        return [head(x) for head, x in zip(self.heads.values(), features, strict=True)]


def stylize(
    stages: Mapping[int, Stage],
    content: Tensor,
    style: Tensor,
    alpha: float = 1.0,
    preset: str = "paper",
    content_ridge: float | None = None,
) -> Tensor:
    """The cascade: from the deepest stage to the first, each whitens and colours what the one before made.

    Args:
        stages: some or all, by number.
        content: [N, 3, H, W], RGB 0..1; sides that are not multiples of the deepest stride are cut by its pools.
        style: [N, 3, h, w].
        alpha, preset, content_ridge: see ``fastnst.ops.wct``; the same at every stage.

    Returns:
        RGB, unclamped.
    """
    image = content
    for number in sorted(stages, reverse=True):
        stage = stages[number]
        image = stage.decoder(ops.wct(stage.encoder(image), stage.encoder(style), alpha, preset, content_ridge))
    return image


def load_published(path: str | Path) -> dict[int, Stage]:
    """The published small networks of Collaborative Distillation, with their embeddings.

    Args:
        path: safetensors file with ``SEk.conv0``, ``SEk.convXY``, ``SEk.convXY_aux`` (embeddings) and ``SDk.convXY``.

    Raises:
        RuntimeError: tensors are missing, left over or of other shapes.
    """
    tensors = {name: value.float() for name, value in weights.read(path).items()}
    stages = {}
    for number in STAGES:
        stage = Stage(widths_of(number, small=True), heads=True)
        stage.load_state_dict(
            {renamed(name): value for name, value in tensors.items() if name.startswith((f"SE{number}.", f"SD{number}."))}
        )
        stages[number] = stage.eval().requires_grad_(False)
    return stages


def load_published_decoder(path: str | Path, stage: int) -> Decoder:
    """One of WCT's own big decoders, of the normalised VGG-19's features; no ReLU behind its last layer.

    Args:
        path: safetensors file with ``invertor{stage}.{index}.weight`` and ``.bias``, the indices as in the published files.
        stage: 1 to 3.

    Raises:
        ValueError: the file has no decoder of that stage.
        RuntimeError: tensors are missing or of other shapes.
    """
    prefix = f"invertor{stage}."
    found = {name.removeprefix(prefix): x.float() for name, x in weights.read(path).items() if name.startswith(prefix)}
    if not found:
        raise ValueError(f"{path}: no decoder of stage {stage}")
    decoder = Decoder(VGG19[: len(layers_of(stage))])
    indices = sorted({int(name.split(".")[0]) for name in found})
    layers = dict(zip(map(str, indices), reversed(layers_of(stage)), strict=False))
    decoder.load_state_dict(
        {f"{layers[index]}.{kind}": x for (index, kind), x in ((n.split("."), x) for n, x in found.items())}
    )
    return decoder.eval().requires_grad_(False)


def renamed(name: str) -> str:
    """``SE3.conv31_aux.weight`` to ``heads.conv3_1.weight``."""
    part, layer, kind = name.split(".")
    side = "heads" if layer.endswith("_aux") else "encoder" if part.startswith("SE") else "decoder"
    digits = layer.removeprefix("conv").removesuffix("_aux")
    return f"{side}.conv{digits if digits == '0' else f'{digits[0]}_{digits[1]}'}.{kind}"
