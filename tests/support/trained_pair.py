"""A small AdaIN pair that behaves like a trained one, for tests of what is done with trained pairs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from skimage import data
from torch import Tensor

from fastnst.networks.adain import LAYERS
from fastnst.networks.vgg import POOL_AFTER, Decoder, Encoder, reflected
from fastnst.reference.adain import adaptive_instance_normalization

SMALL = (6, 7, 8, 9, 10, 12, 12, 11, 16)
FACTS = {"step": 12, "seconds": 3.5, "settings": {"widths": "small"}, "torch": "0"}


def as_tensor(picture: np.ndarray) -> Tensor:
    """uint8 [H, W, 3] as [1, 3, H, W]."""
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]


def as_picture(tensor: Tensor) -> np.ndarray:
    return tensor[0].permute(1, 2, 0).numpy()


def content_photograph() -> np.ndarray:
    return data.astronaut()[:256, 100:420]


def style_photograph() -> np.ndarray:
    return data.coffee()[50:306, 100:420]


def psnr(out: np.ndarray, wanted: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / ((out.astype(np.float64) - wanted) ** 2).mean()))


def calibration_photographs(folder: Path) -> Path:
    """Write photographs for calibration: none of those above, though other parts of the same."""
    photographs = {
        "astronaut": data.astronaut()[256:],
        "cat": data.chelsea(),
        "coffee": data.coffee()[150:, 340:],
        "motorcycle": data.stereo_motorcycle()[0],
        "rocket": data.rocket(),
    }
    for name, picture in photographs.items():
        Image.fromarray(picture).save(folder / f"{name}.png")
    (folder / "notes.txt").write_text("not a picture")
    return folder


class Trained:
    """A pair that nobody trained but that carries a picture through as a trained one does.

    Random weights, each channel brought to mean 0.5 and deviation 1 over two photographs before its ReLU (Mishkin and Matas,
    ICLR 2016): left alone, the pictures' contrast would drown in their mean from layer to layer. Kernels are mostly smooth:
    with independent taps a noise of one grey level in the picture comes out as sixteen, and rounding with it.
    """

    @torch.no_grad()
    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(3)
        self.encoder, self.decoder = Encoder(SMALL).double(), Decoder(SMALL).double()
        maps = [self.encoder.conv0(as_tensor(picture()).double() / 255) for picture in (content_photograph, style_photograph)]
        for name in LAYERS:
            maps = self.tuned(getattr(self.encoder, name), maps, generator)
            maps = [F.max_pool2d(F.relu(x), 2) if name in POOL_AFTER else F.relu(x) for x in maps]
        maps = [adaptive_instance_normalization(*maps)]
        for name in reversed(LAYERS):
            maps = [F.interpolate(x, scale_factor=2.0) if name in POOL_AFTER else x for x in maps]
            maps = [F.relu(x) for x in self.tuned(getattr(self.decoder, name), maps, generator)]
        self.decoder.conv1_1.weight *= 0.2  # to mean 0.5 and deviation 0.2 of the whole range
        self.decoder.conv1_1.bias.sub_(0.5).mul_(0.2).add_(0.5)

    @staticmethod
    def tuned(conv: torch.nn.Conv2d, maps: list[Tensor], generator: torch.Generator) -> list[Tensor]:
        bell = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
        rough, smooth = (torch.randn(conv.weight.shape, generator=generator, dtype=torch.float64) for _ in range(2))
        conv.weight.copy_(smooth[..., :1, :1] * bell * bell[:, None] + 0.5 * rough)
        conv.bias.zero_()
        sums = torch.cat([reflected(conv, x).flatten(2) for x in maps], 2)
        mean, std = sums.mean((0, 2)), sums.std((0, 2))
        conv.weight /= std[:, None, None, None]
        conv.bias.copy_(0.5 - mean / std)
        return [reflected(conv, x) for x in maps]

    @torch.no_grad()
    def __call__(self, content: np.ndarray, style: np.ndarray) -> Tensor:
        features = (self.encoder(as_tensor(picture).double() / 255) for picture in (content, style))
        return self.decoder(adaptive_instance_normalization(*features))

    def tensors(self) -> dict[str, Tensor]:
        sides = {"encoder": self.encoder, "decoder": self.decoder}
        return {f"{side}.{name}": value.clone() for side, net in sides.items() for name, value in net.state_dict().items()}

    def saved(self, folder: Path) -> Path:
        """Written as a recipe does, with :data:`FACTS`."""
        path = folder / "final.safetensors"
        save_file(self.tensors(), path, {"facts": json.dumps(FACTS)})
        return path
