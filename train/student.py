"""The networks that Collaborative Distillation trains, and their initial weights: a pruned VGG-19, random, or from a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastnst.networks.state import decoder_widths, encoder_widths, fill
from fastnst.networks.vgg import ALL_LAYERS, TAPS, VGG19, Decoder, Encoder, layers_of
from fastnst.networks.vgg_files import normalise
from fastnst.networks.wct import Stage, load_published_decoder, widths_of
from fastnst.networks.weights import read_any

from .decoder import decoder_from, initialise, load_part
from .filters import kept_channels, pruned_encoder


class Student(Stage):
    """A stage with the linear embeddings that only training uses.

    Args:
        widths: of the encoder; their number determines the stage.
        widths_back: of the decoder, if it is not the encoder's mirror image.
        relu_heads: add a ReLU after the embeddings, as in the first models of Collaborative Distillation.
        decoder_heads: also add embeddings of the decoder's blocks in those of the big decoder.
    """

    def __init__(
        self,
        widths: Sequence[int],
        widths_back: Sequence[int] | None = None,
        relu_heads: bool = False,
        decoder_heads: bool = False,
    ) -> None:
        super().__init__(widths, heads=True, decoder_widths=widths_back)
        self.relu_heads = relu_heads
        # Block k ends with conv{k}_1; the last one's output is the picture, which needs no embedding.
        ends = [ALL_LAYERS.index(name) for name in reversed(TAPS[1 : self.number])] if decoder_heads else []
        layers = [(ALL_LAYERS[i], getattr(self.decoder, ALL_LAYERS[i]).out_channels, VGG19[i - 1]) for i in ends]
        self.decoder_heads = nn.ModuleDict({name: nn.Conv2d(own, full, 1) for name, own, full in layers})

    def lifted(self, features: Iterable[Tensor]) -> list[Tensor]:
        """The embedded features of all levels, from those of ``encoder.features``."""
        lifted = super().lifted(features)
        return [F.relu(x) for x in lifted] if self.relu_heads else lifted

    def last_lifted(self, feature: Tensor) -> Tensor:
        """The embedded output of ``encoder``, which the big decoder reads."""
        (*_, head) = self.heads.values()
        lifted: Tensor = head(feature)
        return F.relu(lifted) if self.relu_heads else lifted


def new_student(stage: int, relu_heads: bool, decoder_heads: bool) -> Student:
    """A student with the published widths and random weights."""
    student = Student(widths_of(stage, small=True), None, relu_heads, decoder_heads)
    initialise(student)
    return student


def start_pruned(student: Student, vgg: Encoder, images: Sequence[Tensor]) -> None:
    """Give ``student`` the encoder that is ``vgg`` after filter pruning, with each layer scaled to a mean activation of 1.

    Each cut removes inputs and so lowers activations. The authors' network that was pruned without distillation is normalised
    in the same way; it was also retrained as a classifier, which this one is not.
    """
    student.encoder = normalise(pruned_encoder(vgg, student.encoder.widths), images, per_channel=False)
    student.encoder.requires_grad_(True).conv0.requires_grad_(False)


def student_from(path: str | Path, stage: int, relu_heads: bool, decoder_heads: bool) -> Student:
    """A student with the widths and weights of a file with ``encoder.*``, and perhaps ``decoder.*`` and ``heads.*``.

    A missing decoder is the encoder's mirror image with random weights; missing embeddings are random too.

    Raises:
        ValueError: there is no encoder of this stage, or tensors do not fit one another.
    """
    parts = {name.split(".")[0] for name in read_any(path)} & {"encoder", "decoder", "heads"}
    states = {part: load_part(path, part) for part in {"encoder", *parts}}
    back = decoder_widths(states["decoder"]) if "decoder" in states else None
    student = Student(encoder_widths(states["encoder"]), back, relu_heads, decoder_heads)
    if student.number != stage:
        raise ValueError(f"{path}: an encoder of stage {student.number}, not {stage}")
    initialise(student)
    for part, state in states.items():
        fill(getattr(student, part), state, str(path))
    bottom = ALL_LAYERS[len(student.encoder.widths) - 1]
    if getattr(student.decoder, bottom).in_channels != student.encoder.widths[-1]:
        raise ValueError(f"{path}: the decoder reads other than the encoder's {student.encoder.widths[-1]} channels")
    return student


@torch.no_grad()
def deepened(above: Student, vgg: Encoder) -> Student:
    """The student of the next stage, begun with what ``above`` has learnt.

    Layers and embeddings that both have are those of ``above``. The first new layer of the encoder is VGG-19's, cut to the
    filters of largest L1 norm and applied to the embedding of the layer before, with which it makes one 3x3 convolution;
    the next ones are cut as in ``start_pruned``. New layers of the decoder begin with random weights.

    Args:
        above: of a stage below 5, with its embeddings.
        vgg: of the next stage or a later one.

    Raises:
        ValueError: ``above`` is not as wide as the next stage is published, as stage 1 never is.
    """
    stage, widths = above.number + 1, tuple(above.encoder.widths)
    first_widths = widths_of(stage, small=True)[: len(widths)]
    if widths != first_widths:
        raise ValueError(f"stage {stage} begins with layers of the published widths {first_widths}, and its start has {widths}")
    student = new_student(stage, above.relu_heads, len(above.decoder_heads) > 0)
    cut = pruned_encoder(vgg, student.encoder.widths)
    first = layers_of(stage)[len(above.encoder.widths)]
    full, layer, head = getattr(vgg, first), getattr(cut, first), getattr(above.heads, TAPS[above.number - 1])
    kept = kept_channels(full.weight, layer.out_channels, norm=1)
    layer.weight.copy_(torch.einsum("oikl,ij->ojkl", full.weight[kept], head.weight[:, :, 0, 0]))
    layer.bias.copy_(full.bias[kept] + torch.einsum("oikl,i->o", full.weight[kept], head.bias))
    student.encoder.load_state_dict(cut.state_dict())
    for part in ("encoder", "decoder", "heads"):
        getattr(student, part).load_state_dict(getattr(above, part).state_dict(), strict=False)
    return student


def teacher_from(path: str | Path, stage: int) -> Decoder:
    """The big decoder of a stage, frozen: from recipe ``decoder``, or WCT's original in one file with several stages.

    Raises:
        ValueError: there is none of this stage, or it has other widths than VGG-19.
    """
    if any(name.startswith("invertor") for name in read_any(path)):
        return load_published_decoder(path, stage)
    decoder = decoder_from(path, last_relu=True)
    if decoder.stage != stage or decoder_widths(decoder.state_dict()) != widths_of(stage, small=False):
        raise ValueError(f"{path}: not a big decoder of stage {stage}")
    return decoder
