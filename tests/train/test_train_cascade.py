"""The recipe that trains the stages of WCT together, through the cascade in which they run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from recipe_runs import SMALL, losses, run, write_data
from safetensors.torch import save_file

from fastnst.metrics.adain import AdainTarget
from fastnst.networks.files import WCT, read_networks
from fastnst.networks.vgg import layers_of
from fastnst.networks.wct import Stage, stylize
from fastnst.train import cascade
from fastnst.train.decoder import initialise
from fastnst.train.process_group import ProcessGroup
from fastnst.train.settings import Phase, RunOptions

TINY = {**SMALL, "pool": 8}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stages 1, 2 and 3 in one file."""
    torch.manual_seed(0)
    path, tensors = tmp_path_factory.mktemp("stages") / "stages.safetensors", {}
    for number in (1, 2, 3):
        stage = Stage((4,) * len(layers_of(number)))
        initialise(stage)
        tensors |= {f"{number}.{name}": x for name, x in stage.state_dict().items()}
    save_file(tensors, path)
    return path


def made(data: Path, stages: Path, **settings: object) -> cascade.CascadeRecipe:
    numbers = {"batch": 2, "size": 32, "pool": 8, "precision": "float32", "start": str(stages), **settings}
    return cascade.CascadeRecipe(cascade.CascadeSettings(**numbers), RunOptions(data, data), ProcessGroup())  # type: ignore[arg-type]


def test_it_leaves_stages_to_convert(data: Path, stages: Path, tmp_path: Path) -> None:
    final = run(cascade, data, tmp_path, **TINY, start=stages, steps=3)
    assert {name.split(".")[0] for name in final} == {"1", "2", "3"}
    found = read_networks(tmp_path / "final.safetensors")
    assert (found.kind, sorted(found.stages)) == (WCT, [1, 2, 3])
    assert all(len(losses(tmp_path, term)) == 3 for term in ("content", "style", "rebuild", "loss"))


def test_every_second_step_runs_all_stages_and_the_others_some(data: Path, stages: Path) -> None:
    recipe = made(data, stages)
    drawn = [recipe.chosen(step, torch.Generator().manual_seed(step)) for step in range(400)]
    assert all(each == [3, 2, 1] for each in drawn[::2])
    assert {tuple(each) for each in drawn[1::2]} == {(3,), (2,), (1,), (3, 2), (3, 1), (2, 1), (3, 2, 1)}


def test_the_losses_are_those_of_the_last_picture(data: Path, stages: Path) -> None:
    """AdaIN's loss as ``fastnst evaluate`` knows it, of the cascade as it runs there."""
    recipe = made(data, stages, ridge=0.0)
    terms = recipe.losses(recipe.phases[1], 0)
    content, style, _, _ = recipe.pool.draw(2, torch.Generator().manual_seed(recipe.settings.seed * 1_000_003))
    with torch.no_grad():
        image = stylize(recipe.stages, content, style)
        score = AdainTarget(recipe.vgg.features(content), recipe.vgg.features(style)).score(
            recipe.vgg.features(image.clamp(0, 1))
        )
        rebuilt = recipe.stages[3].decoder(recipe.stages[3].encoder(content))
    assert terms["content"].item() == pytest.approx(score.content, rel=0.02)  # the pool keeps its targets in 16 bits
    assert terms["style"].item() == pytest.approx(score.style, rel=0.02)
    assert terms["rebuild"].item() == pytest.approx(F.mse_loss(rebuilt, content).log10().item(), rel=1e-4)
    weighted = terms["content"] + 10 * terms["style"] + 5 * terms["rebuild"] + 50 * terms["excess"]
    assert terms["loss"].item() == pytest.approx(weighted.item(), rel=1e-5)


def test_all_stages_learn_through_the_cascade(data: Path, stages: Path) -> None:
    recipe = made(data, stages, rebuild_weight=0.0)
    recipe.losses(recipe.phases[1], 0)["loss"].backward()
    moved = {name for name, x in recipe.networks.named_parameters() if x.grad is not None and x.grad.abs().max() > 0}
    assert {name[:9] for name in moved} == {f"{number}.{part}" for number in "123" for part in ("encoder", "decoder")}
    assert not any("conv0" in name for name in moved)


def test_an_adain_pair_begins_its_stages(data: Path, tmp_path: Path) -> None:
    """The deepest stage computes what the pair computes, though the pair's decoder has lost channels."""
    torch.manual_seed(0)
    pair = Stage((4, 4, 6, 6, 6, 8, 8, 8, 10), decoder_widths=(3, 4, 4, 5, 6, 6, 7, 8, 10))
    initialise(pair)
    save_file(pair.state_dict(), tmp_path / "pair.safetensors")
    recipe = made(data, tmp_path / "pair.safetensors")
    assert made(data, tmp_path / "pair.safetensors", deepest=5).rebuilding == [5, 4, 3, 2, 1]
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(recipe.stages[4].decoder(recipe.stages[4].encoder(image)), pair.decoder(pair.encoder(image)))
    assert sorted(recipe.stages) == [1, 2, 3, 4]
    for number, stage in recipe.stages.items():
        assert stage.decoder.widths == stage.encoder.widths == pair.encoder.widths[: len(layers_of(number))]
        torch.testing.assert_close(stage.encoder(image), pair.encoder.features(image, number)[-1])
    kept = pair.decoder.conv2_1.weight
    torch.testing.assert_close(recipe.stages[3].decoder.conv2_1.weight[: kept.shape[0], : kept.shape[1]], kept)


def test_each_stage_rebuilds_photographs_first(data: Path, stages: Path, tmp_path: Path) -> None:
    run(cascade, data, tmp_path, **TINY, start=stages, steps=2, rebuild_steps=2, rebuild_batch=1)
    assert all(len(losses(tmp_path, f"rebuild {number}")) == 2 for number in (1, 2, 3))
    assert len(losses(tmp_path, "style")) == 2
    recipe = made(data, stages, size=64, rebuild_steps=2)
    terms = recipe.losses(recipe.phases[0], 0)
    torch.testing.assert_close(terms["loss"], torch.stack([terms[f"rebuild {number}"] for number in (3, 2, 1)]).mean())


def test_crops_of_the_first_phase_are_large_enough_for_stage_5(data: Path, tmp_path: Path) -> None:
    stage = Stage((4,) * len(layers_of(5)))
    save_file({f"5.{name}": x for name, x in stage.state_dict().items()}, tmp_path / "five.safetensors")
    recipe = made(data, tmp_path / "five.safetensors", size=32, rebuild_steps=1)
    assert recipe.losses(recipe.phases[0], 0)["loss"].isfinite()


def test_what_holds_no_stages_is_refused(data: Path, stages: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--start is required: the file with the stages to train, or with an AdaIN pair"):
        made(data, stages, start="")
    decoders = {f"decoder.{name}": x for name, x in Stage((4,)).decoder.state_dict().items()}
    save_file(decoders, tmp_path / "decoder.safetensors")
    with pytest.raises(ValueError, match="there is no encoder"):
        made(data, tmp_path / "decoder.safetensors")
    with pytest.raises(ValueError, match="size: expected a multiple of 32"):
        made(data, stages, size=48)


def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    data: Path, stages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, object] = {**TINY, "start": stages, "steps": 4}
    whole = run(cascade, data, tmp_path / "whole", **settings)
    losses_of = cascade.CascadeRecipe.losses

    def stopped(recipe: cascade.CascadeRecipe, phase: Phase, batch_index: int) -> dict[str, torch.Tensor]:
        if batch_index == 3:
            raise KeyboardInterrupt
        return losses_of(recipe, phase, batch_index)

    monkeypatch.setattr(cascade.CascadeRecipe, "losses", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(cascade, data, tmp_path / "stopped", **settings)
    monkeypatch.setattr(cascade.CascadeRecipe, "losses", losses_of)
    resumed = run(cascade, data, tmp_path / "stopped", **settings)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_deeper_stages_begin_as_the_deepest_and_rebuild_alone(data: Path, stages: Path) -> None:
    """What they share computes the same; in the cascade all learn."""
    recipe = made(data, stages, deepest=5, rebuild_steps=1)
    assert list(recipe.stages) == [5, 4, 3, 2, 1]
    image = torch.rand(1, 3, 32, 32)
    three = recipe.stages[3]
    for number in (4, 5):
        added = recipe.stages[number]
        assert added.encoder.widths == (4,) * len(layers_of(number))
        torch.testing.assert_close(added.encoder.features(image)[2], three.encoder(image))
        for name in layers_of(3):
            torch.testing.assert_close(getattr(added.decoder, name).weight, getattr(three.decoder, name).weight)
    terms = recipe.losses(recipe.phases[0], 0)
    assert set(terms) == {"rebuild 5", "rebuild 4", "loss"}
    terms["loss"].backward()
    assert {name[0] for name, x in recipe.networks.named_parameters() if x.grad is not None} == {"4", "5"}
    recipe.networks.zero_grad()
    recipe.losses(recipe.phases[1], 0)["loss"].backward()
    assert {name[0] for name, x in recipe.networks.named_parameters() if x.grad is not None} == set("12345")


def test_no_stage_is_added_that_is_there(data: Path, stages: Path) -> None:
    assert list(made(data, stages, deepest=3).stages) == list(made(data, stages).stages) == [3, 2, 1]
