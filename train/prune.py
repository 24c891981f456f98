"""Prune an AdaIN pair by whole channels, and train it again after each cut.

Channels whose filters have the smallest L2 norm are removed, layer by layer: the same number on both sides of the pair, chosen
separately for each side (K. et al., 2023: "AdaIN style transfer on mobile devices"). The published code lost the bias of every
layer whose inputs it cut. Here biases are kept, so that a cut loses only what the removed channels contributed.

Each round has a folder of its own, ``round-1`` and so on, and is a run of the recipe ``adain`` that starts with the cut pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from fastnst.convert.pair import read_tensors
from fastnst.networks import weights
from fastnst.networks.adain import LAYERS, WIDTHS
from fastnst.networks.pruning import State, cut_outputs, readers_of
from fastnst.networks.state import encoder_widths, part_of

from .adain import AdainRecipe, AdainSettings
from .checkpoints import load_checkpoint, save_checkpoint
from .command import start
from .filters import kept_channels
from .limits import AT_LEAST_0, AT_LEAST_1, SHARE_BELOW_ONE, Words, setting
from .live import live_networks
from .loop import train
from .process_group import ProcessGroup
from .scoring import scoring_vgg
from .settings import RunOptions, same_run


@dataclass(frozen=True)
class PruneSettings(AdainSettings):
    """The settings that determine the result. Those of ``adain`` apply to every round, except for the steps."""

    widths: str = "start"
    target: str = setting(
        "pruned", " or ".join(WIDTHS) + ": the widths to come to; live: no dead channels", Words((*WIDTHS, "live"))
    )
    live_pictures: int = setting(100, "photographs and paintings that tell whether a channel is dead", AT_LEAST_1)
    live_share: float = setting(0.0, "dead too: never above this share of its layer's largest output", SHARE_BELOW_ONE)
    rounds: int = setting(6, "cuts, each of about the same share of what must go", AT_LEAST_1)
    round_steps: int = setting(500, "steps after each cut, on small crops", AT_LEAST_0, may_change=True)
    last_steps: int = setting(
        2000, "steps after the last round, on large crops, to a rate of zero", AT_LEAST_0, may_change=True
    )
    learning_rate: float = 2e-4

    def __post_init__(self) -> None:
        """Check the values and their combinations.

        Raises:
            ValueError: one line.
        """
        super().__post_init__()
        if self.encoder != "vgg":
            raise ValueError(f"encoder: only that of VGG's shape can be pruned, got {self.encoder!r}")

    def lacking(self) -> dict[str, str]:
        return {} if self.start else {"start": "a trained pair, or the decoder of recipe adain --widths original"}


def prune(pair: State, widths: Sequence[int]) -> State:
    """``pair`` (``encoder.*`` and ``decoder.*``) cut to ``widths`` from the front to the back.

    The filters of a layer are ranked after earlier cuts of its inputs. The outputs of the encoder are the inputs of the
    decoder, so there both sides lose the same channels.

    Raises:
        ValueError: a width is above the present one.
    """
    cut = dict(pair)

    def keep_largest(layer: str, count: int) -> None:
        cut_outputs(cut, layer, kept_channels(cut[f"{layer}.weight"], count), readers_of(cut, layer))

    for i, (name, count) in enumerate(zip(LAYERS, widths, strict=True)):
        present = cut[f"encoder.{name}.weight"].shape[0]
        if count > present:
            raise ValueError(f"{name}: cannot prune {present} channels to {count}")
        if count == present:
            continue
        keep_largest(f"encoder.{name}", count)
        if i + 1 < len(LAYERS):
            keep_largest(f"decoder.{LAYERS[i + 1]}", count)
    return cut


def schedule(present: Sequence[int], target: Sequence[int], rounds: int) -> list[tuple[int, ...]]:
    """The widths after each round: every layer loses equal parts of its excess."""
    return [tuple(a - (a - b) * done // rounds for a, b in zip(present, target, strict=True)) for done in range(1, rounds + 1)]


def original_pair(settings: PruneSettings, options: RunOptions) -> State:
    """The pair that is pruned: ``settings.start``, with VGG-19 as the encoder if that holds only a decoder."""
    pair = weights.read(settings.start)
    if not any(name.startswith("encoder.") for name in pair):
        vgg = scoring_vgg(settings, options)
        pair |= {f"encoder.{name}": value for name, value in vgg.state_dict().items()}
    return pair


def remove_dead(settings: PruneSettings, options: RunOptions, processes: ProcessGroup) -> Path:
    """Remove the dead channels of ``settings.start``, an AdaIN pair or stages of WCT; see :mod:`.live`. The facts about its
    training are kept."""
    final, source = options.out / "final.safetensors", Path(settings.start)
    given = settings.live_pictures, settings.live_share, settings.seed
    cut = dict(zip(("pictures", "share", "seed"), given, strict=True))
    if final.exists():
        if (done := load_checkpoint(final)[1].get("dead_channels_removed")) != cut:
            raise ValueError(f"{options.out}: this run was done with {done}, not {cut}; another folder begins a new one")
    elif processes.leads:
        history = {"recipe": "prune", "training_data": options.described} | read_tensors(source)[1]
        save_checkpoint(final, live_networks(source, options.data, *given), history | {"dead_channels_removed": cut})
    processes.wait()
    return final


def run(settings: PruneSettings, options: RunOptions, processes: ProcessGroup) -> Path:
    """Run all rounds that are not done yet.

    Returns:
        The path of the last round's ``final.safetensors``.
    """
    settings.require()
    if settings.target == "live":
        return remove_dead(settings, options, processes)
    pair = original_pair(settings, options)
    plan = schedule(encoder_widths(part_of(pair, "encoder")), WIDTHS[settings.target], settings.rounds)
    final = Path(settings.start)
    for number, widths in enumerate(plan, 1):
        folder = options.out / f"round-{number}"
        if number > 1:
            pair = weights.read(final)
        final, start = folder / "final.safetensors", folder / "start.safetensors"
        last = number == len(plan)
        steps = {"distil_steps": 0, "style_steps": settings.round_steps, "finish_steps": settings.last_steps if last else 0}
        mine = replace(settings, start=str(start), **steps)  # type: ignore[arg-type]
        if start.exists():
            same_run(folder, settings, load_checkpoint(start)[1].get("settings", {}))
        if final.exists():
            continue
        processes.wait()  # until all processes have looked at it
        if processes.leads:
            save_checkpoint(start, prune(pair, widths), {"widths": widths, "settings": asdict(settings)})
        processes.wait()
        recipe = AdainRecipe(mine, replace(options, out=folder), processes)
        train(recipe, mine, replace(options, out=folder), processes, recipe.validate)
    return final


def main(argv: Sequence[str] | None = None) -> None:
    """``fastnst train prune``; see ``--help``."""
    start("prune", __doc__, PruneSettings(), run, argv)


if __name__ == "__main__":
    main()
