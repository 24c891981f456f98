"""RandomStyle as a transform of Albumentations 2."""

from __future__ import annotations

from typing import Any

import albumentations

from fastnst import transforms


class RandomStyle(albumentations.ImageOnlyTransform):  # type: ignore[misc]
    """:class:`fastnst.transforms.RandomStyle` in a pipeline of Albumentations; masks, boxes and key points stay as they are.

    Whether a picture is stylized, and how, is drawn from its bytes, ``seed`` and the epoch as there, and not by the pipeline's
    generator: any number of workers gives the same. ``p`` is that chance; the pipeline itself always calls this transform.

    Args:
        styles, p, options: as there.
    """

    def __init__(self, styles: Any, p: float = 0.5, **options: Any) -> None:
        super().__init__(p=1.0)
        self.style = transforms.RandomStyle(styles, p, **options)

    def set_epoch(self, epoch: int) -> None:
        """As there."""
        self.style.set_epoch(epoch)

    def apply(self, img: Any, *args: Any, **params: Any) -> Any:
        """One picture, uint8 or float32, [H, W] or [H, W, C]."""
        del args, params
        return self.style(img)
