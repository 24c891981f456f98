"""A node for ComfyUI: a picture in the style of one or two others.

Put this folder, or a link to it, into ``custom_nodes``. It needs the package ``fastnst`` in ComfyUI's Python, no GPU. Written
for the V3 schema (``comfy_api.latest``); pictures there are float tensors [B, H, W, C] in 0..1, masks [B, H, W] or [H, W].
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from comfy_api.latest import ComfyExtension, io
from torch import Tensor

import fastnst

MODELS = [model.name for model in fastnst.models()]


@lru_cache(maxsize=2)
def stylizer(model: str) -> fastnst.Stylizer:
    return fastnst.Stylizer(model)


def pixels(picture: Tensor) -> np.ndarray:
    """[H, W, C] in 0..1 as bytes, without transparency."""
    return (picture[..., :3].detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).contiguous().numpy()


class Stylize(io.ComfyNode):
    """See the module."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FastnstStylize",
            display_name="Style transfer (fastnst)",
            category="image/style",
            description="Paints pictures in the style of another, on the processor, in milliseconds.",
            inputs=[
                io.Image.Input("content"),
                io.Image.Input("style", tooltip="its first picture; a batch of styles is for as many contents"),
                io.Combo.Input("model", options=MODELS, default="adain-16x"),
                io.Float.Input("strength", default=1.0, min=0.0, max=1.0, step=0.05, tooltip="0: the content, 1: full style"),
                io.Float.Input(
                    "palette", default=1.0, min=0.0, max=1.0, step=0.05, tooltip="how far colours become the style's"
                ),
                io.Boolean.Input("preserve_color", default=False, tooltip="keep the colours of the content"),
                io.Image.Input("second_style", optional=True, tooltip="mixed with the first"),
                io.Float.Input("mix", default=0.5, min=0.0, max=1.0, step=0.05, tooltip="share of the second style"),
                io.Mask.Input("mask", optional=True, tooltip="where it is painted; elsewhere the content stays"),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(
        cls,
        content: Tensor,
        style: Tensor,
        model: str,
        strength: float,
        palette: float,
        preserve_color: bool,
        mix: float,
        second_style: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> io.NodeOutput:
        made = []
        for index, picture in enumerate(content):
            styles, weights = [pixels(style[index % len(style)])], [1.0]
            if second_style is not None:
                styles.append(pixels(second_style[index % len(second_style)]))
                weights = [1 - mix, mix]
            painted = stylizer(model)(
                pixels(picture),
                styles,
                weights=weights,
                alpha=strength,
                palette=0 if preserve_color else palette,
                preserve_color=preserve_color,
            )
            made.append(torch.from_numpy(painted).to(content.dtype) / 255)
        result, plain = torch.stack(made).to(content.device), content[..., :3]
        if mask is not None:
            share = masks_of(mask, content).to(plain)
            result = share * result + (1 - share) * plain
        return io.NodeOutput(result)


def masks_of(mask: Tensor, content: Tensor) -> Tensor:
    """[B, H, W, 1] of the contents' size: masks are scaled, and one serves all contents."""
    masks = (mask if mask.dim() == 3 else mask[None])[:, None].float()
    if masks.shape[2:] != content.shape[1:3]:
        masks = torch.nn.functional.interpolate(masks, tuple(content.shape[1:3]), mode="bilinear", antialias=True)
    if len(masks) not in {1, len(content)}:
        raise ValueError(f"{len(masks)} masks for {len(content)} pictures: expected 1 or as many")
    return masks.clamp(0, 1).movedim(1, 3).expand(len(content), -1, -1, -1)


class Fastnst(ComfyExtension):
    """What ComfyUI asks for the nodes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [Stylize]


async def comfy_entrypoint() -> Fastnst:
    return Fastnst()
