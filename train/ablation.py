"""Ablation of Collaborative Distillation for one stage: each loss alone, no distillation, the decoder distilled too.

Figures 6 and 9 of Wang et al., CVPR 2020, in numbers. Every variant is a run of recipe ``collab`` with the same data, seeds and
steps, in a folder of its own; a run that was stopped continues from its last checkpoint. Two things are measured on photographs
and paintings that no run has seen (DATA/test/content and DATA/test/style): how well the small pair reconstructs photographs
(SD(SE(x)), PSNR in dB), and how far pictures that it stylizes at this stage alone are from the painting (distances of Gram
matrices at relu1_1 .. relu{stage}_1 of VGG-19). VGG-19 with the big decoder is measured too, for comparison.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from PIL import Image, ImageOps
from torch import Tensor

from fastnst import __version__, ops
from fastnst.convert import without_folders
from fastnst.metrics.pictures import psnr
from fastnst.metrics.style import gram_matrices, style_distances
from fastnst.networks.vgg import Encoder
from fastnst.system.atomic import atomic_output

from .checkpoints import load_checkpoint
from .collab import CollabRecipe, CollabSettings
from .command import start
from .data import as_tensor, opened, picture_files, to_float
from .limits import AT_LEAST_1, CROP, setting
from .loop import train
from .process_group import ProcessGroup
from .scoring import scoring_vgg
from .settings import RunOptions, same_run
from .student import student_from, teacher_from

VARIANTS: dict[str, dict[str, Any]] = {
    "both": {},
    "embedding": {"pixel_weight": 0.0, "perceptual_weight": 0.0},
    "collaboration": {"embedding_weight": 0.0},
    "pruned": {"encoder_steps": 0},
    "decoder": {"decoder_embedding_weight": 0.01},  # the weight of VGG-19's features there
}
"""The settings that each variant changes."""
MEANINGS = {
    "both": "embedding and collaboration loss",
    "embedding": "embedding loss alone",
    "collaboration": "collaboration loss alone",
    "pruned": "pruned encoder, not distilled",
    "decoder": "both losses, decoder distilled too",
}
REFERENCE = "VGG-19 and the big decoder"

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class AblationSettings(CollabSettings):
    """The settings that determine the result. Those of ``collab`` apply to every variant, except for what it changes."""

    variants: str = setting(",".join(VARIANTS), "some of these, separated by commas")
    seeds: int = setting(1, "runs of each variant, from --seed on", AT_LEAST_1)
    pairs: int = setting(12, "test pictures of each kind", AT_LEAST_1)
    test_size: int = setting(256, "side of the test pictures' centre in pixels", CROP)
    encoder_steps: int = 1000
    decoder_steps: int = 1000

    def __post_init__(self) -> None:
        """Check the values and their combinations.

        Raises:
            ValueError: one line.
        """
        super().__post_init__()
        unknown = set(self.names) - VARIANTS.keys()
        if unknown:
            raise ValueError(f"variants: expected some of {', '.join(VARIANTS)}, got {', '.join(sorted(unknown))}")
        if "decoder" in self.names and self.stage == 1:
            raise ValueError("variants: decoder: the decoder of stage 1 is one layer, it has no blocks to embed")

    def lacking(self) -> dict[str, str]:
        return {} if self.teacher else {"teacher": f"the big decoder of stage {self.stage}, of recipe decoder or WCT's own"}

    @property
    def names(self) -> list[str]:
        """The variants."""
        return self.variants.split(",")

    def of(self, variant: str, seed: int) -> CollabSettings:
        """The settings of one run."""
        own = {name: value for name, value in asdict(self).items() if name in asdict(CollabSettings())}
        return replace(CollabSettings(**own), **VARIANTS[variant], seed=seed)


@dataclass(frozen=True)
class Score:
    """The scores of a pair of networks on the test pictures.

    Attributes:
        psnr: of reconstructed photographs in dB, the mean over them.
        style: the distance of Gram matrices at each level of the scoring network, the mean over the pairs.
    """

    psnr: float
    style: list[float]


def held_out(folder: Path, count: int, side: int) -> list[Tensor]:
    """The central squares of the first ``count`` pictures of a folder, each [1, 3, side, side] in 0..1.

    Raises:
        OSError: no such folder, or a picture cannot be read.
        ValueError: it holds too few pictures.
    """
    paths = picture_files(folder)
    if len(paths) < count:
        raise ValueError(f"{folder}: {len(paths)} pictures, expected {count}")
    pictures = map(opened, paths[:count])
    return [to_float(as_tensor(ImageOps.fit(x, (side, side), Image.Resampling.BICUBIC))[None]) for x in pictures]


@torch.no_grad()
def score(vgg: Encoder, encoder: Network, decoder: Network, contents: Sequence[Tensor], styles: Sequence[Tensor]) -> Score:
    """Score a pair of networks at one stage, by photographs that it reconstructs and stylizes with the paintings."""
    ratios, distances = [], []
    for content, style in zip(contents, styles, strict=True):
        feature = encoder(content)
        rebuilt = decoder(feature).clamp(0, 1)
        ratios.append(psnr(rebuilt, content[..., : rebuilt.shape[2], : rebuilt.shape[3]]))
        pictures = decoder(ops.wct(feature, encoder(style))).clamp(0, 1), style
        distances.append(style_distances(*(gram_matrices(vgg.features(picture)) for picture in pictures)))
    return Score(fmean(ratios), [fmean(level) for level in zip(*distances, strict=True)])


def run(settings: AblationSettings, options: RunOptions, processes: ProcessGroup) -> None:
    """Train and score every variant with every seed, then write ``ablation.json`` and ``ablation.md``.

    Raises:
        OSError, ValueError: a file is missing, or has other content than expected.
    """
    settings.require()
    folders = options.data / "test" / "content", options.data / "test" / "style"
    contents, styles = (held_out(folder, settings.pairs, settings.test_size) for folder in folders)
    vgg = scoring_vgg(settings, options, settings.stage)
    scores: dict[str, list[Score]] = {}
    for variant in settings.names:
        for seed in range(settings.seed, settings.seed + settings.seeds):
            out = options.out / f"{variant}-{seed}"
            mine, there = settings.of(variant, seed), replace(options, out=out)
            final = out / "final.safetensors"
            if final.exists():
                same_run(out, mine, load_checkpoint(final)[1]["settings"])
            else:
                train(CollabRecipe(mine, there, processes), mine, there, processes)
            student = student_from(final, settings.stage, relu_heads=False, decoder_heads=False).eval()
            scores.setdefault(variant, []).append(score(vgg, student.encoder, student.decoder, contents, styles))
    teacher = teacher_from(settings.teacher, settings.stage)
    scores[REFERENCE] = [score(vgg, vgg, teacher, contents, styles)]
    if processes.leads:
        report(scores, settings, options.out)


def report(scores: dict[str, list[Score]], settings: AblationSettings, out: Path) -> None:
    """Write ``ablation.json`` with everything and ``ablation.md`` with the table."""
    rows = [{"variant": name, **asdict(each)} for name, runs in scores.items() for each in runs]
    versions = {"fastnst": __version__, "torch": torch.__version__}
    facts = {"settings": without_folders(asdict(settings)), "versions": versions, "rows": rows}
    for name, text in (("ablation.json", json.dumps(facts, indent=1) + "\n"), ("ablation.md", table(scores, settings))):
        with atomic_output(out / name) as file:
            file.write(text.encode())


def table(scores: dict[str, list[Score]], settings: AblationSettings) -> str:
    """The Markdown table: means over the seeds, with the standard deviation if there are several."""
    levels = [f"relu{level}_1" for level in range(1, settings.stage + 1)]
    lines = [
        f"# Ablation, stage {settings.stage}",
        "",
        f"{settings.encoder_steps} steps for the encoder and {settings.decoder_steps} for the decoder, batches of"
        f" {settings.batch} crops of {settings.size} px, {settings.seeds} seed(s); measured on {settings.pairs} pairs of test"
        f" pictures, {settings.test_size} px. Higher PSNR and lower style distances are better.",
        "",
        f"| | PSNR of rebuilt photographs, dB | {' | '.join(f'style distance at {level}' for level in levels)} |",
        f"| --- |{' --: |' * (1 + len(levels))}",
    ]
    for name, runs in scores.items():
        columns = zip(*([each.psnr, *each.style] for each in runs), strict=True)
        lines.append(f"| {MEANINGS.get(name, name)} | {' | '.join(map(shown, columns))} |")
    return "\n".join(lines) + "\n"


def shown(values: Sequence[float]) -> str:
    """The mean, and for several values their standard deviation."""
    return f"{fmean(values):.4g}" + (f" ± {stdev(values):.2g}" if len(values) > 1 else "")


def main(argv: Sequence[str] | None = None) -> None:
    """``fastnst train ablation``; see ``--help``."""
    start("ablation", __doc__, AblationSettings(), run, argv)


if __name__ == "__main__":
    main()
