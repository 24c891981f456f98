"""Recipe crd from end to end: tiny generators, a few crops, extractor and perceptual networks of random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import inception_file
import pytest
import torch
from crd_runs import TINY, given, moved, recipe_of, started, until, weights, write_data
from foreign_networks import Resnet
from safetensors.torch import load_file
from torch import Tensor

from fastnst.train.checkpoints import save_checkpoint
from fastnst.train.crd import training as crd
from fastnst.train.crd.image_pool import ImagePool
from fastnst.train.process_group import ProcessGroup
from fastnst.train.settings import Phase


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


def test_the_student_takes_its_turn_after_some_epochs(data: Path, tmp_path: Path) -> None:
    phases = started(data, tmp_path, "unpaired", ratio=4).recipe.phases
    assert [(p.name, p.steps) for p in phases] == [
        ("teacher-1", 2), ("teacher-2", 2), ("student-2", 16), ("teacher-3", 2), ("student-3", 8)
    ]  # fmt: skip
    assert [p.rate for p in phases] == [1, 1, 1, 0.5, 0.5]
    later = started(data, tmp_path, "unpaired", discriminator="pretrained-frozen").recipe.phases
    assert [p.name for p in later] == ["teacher-1", "teacher-2", "teacher-3", "student-2", "student-3"]
    assert {p.trains for p in started(data, tmp_path, "paired").recipe.phases} == {("teacher", "discriminator", "student")}
    alone = started(data, tmp_path, "unpaired", distil=False, ratio=4)
    assert [p.steps for p in alone.recipe.phases] == [8, 8, 8]
    assert recipe_of(alone).result.stem.out_channels == TINY["student_width"]  # type: ignore[union-attr]


def test_a_students_step_moves_the_student_alone(data: Path, tmp_path: Path) -> None:
    run = started(data, tmp_path, "unpaired")
    until(run, "student-2")
    parts = ("teacher", "discriminator", "pools", "student")
    before = {part: weights(run, part) for part in parts}
    terms = run.advance()
    assert [part for part in parts if moved(before[part], weights(run, part))] == ["student"]
    assert terms["student_adversarial"] > 0
    copied = {f"teacher.AtoB.{name}": value for name, value in recipe_of(run).best.generator.state_dict().items()}
    assert not moved(copied, before["teacher"])
    state = weights(run, "best.")
    run.advance()
    assert not moved(state, weights(run, "best."))


@pytest.mark.parametrize("task", ["unpaired", "paired"])
def test_a_student_learns_from_the_teacher_of_an_earlier_run(task: str, data: Path, tmp_path: Path) -> None:
    first = started(data, tmp_path / "first", task, epochs=1, decay_epochs=0, epoch_steps=1, interval=1)
    while first.step < first.steps:
        first.advance()
    file = tmp_path / "last.safetensors"
    first.save(file)
    run = started(data, tmp_path / "second", task, teacher=str(file), seed=5)
    wanted = recipe_of(first).teachers["AtoB"] if task == "paired" else recipe_of(first).best.generator
    assert [phase.name for phase in run.recipe.phases] == ["student-1", "student-2", "student-3"]
    before = {part: weights(run, part) for part in ("teacher", "discriminator", "student")}
    run.advance()
    assert [part for part in before if moved(before[part], weights(run, part))] == ["student"]
    best = recipe_of(run).best.generator.state_dict()
    assert all(torch.equal(value, best[name]) for name, value in wanted.state_dict().items())
    with pytest.raises(ValueError, match="is of another kind or width"):
        started(data, tmp_path, task, teacher=str(file), teacher_width=TINY["teacher_width"] + 4)
    save_checkpoint(file, {"model.student.generator.weight": torch.zeros(1)}, {})
    with pytest.raises(ValueError, match="no teacher in it"):
        started(data, tmp_path, task, teacher=str(file))


@pytest.mark.parametrize(("task", "discriminator"), [("unpaired", "always"), ("paired", "none")])
def test_a_student_learns_from_a_generator_of_others(task: str, discriminator: str, data: Path, tmp_path: Path) -> None:
    """Of any layout that is recognised; it has no discriminator, so one is trained beside the student, or none."""
    torch.manual_seed(0)
    module = Resnet(4, 1)
    file = tmp_path / "latest_net_G.pth"
    torch.save(module.state_dict(), file)
    run = started(data, tmp_path / "run", task, teacher=str(file), discriminator=discriminator)
    teacher = recipe_of(run).best.generator
    with torch.no_grad():
        picture = torch.rand(1, 3, 32, 32) * 2 - 1
        torch.testing.assert_close(teacher(picture), module.eval()(picture), rtol=0, atol=1e-5)
    before = {part: weights(run, part) for part in ("teacher", "best", "discriminator", "student")}
    run.advance()
    trained = ["discriminator", "student"] if discriminator == "always" else ["student"]
    assert [part for part in before if moved(before[part], weights(run, part))] == trained
    assert set(recipe_of(run).results) == {"student", "teacher"}


def test_a_generator_of_others_that_the_settings_do_not_fit_is_refused(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "latest_net_G.pth"
    torch.save(Resnet(4, 1).state_dict(), file)
    with pytest.raises(ValueError, match=r"holds no discriminator; --discriminator always trains one"):
        started(data, tmp_path, "unpaired", teacher=str(file))
    with pytest.raises(ValueError, match="whose teachers alone show the maps that --channel-weight compares"):
        started(data, tmp_path, "unpaired", teacher=str(file), discriminator="none", channel_weight=1.0)
    with pytest.raises(ValueError, match="takes pictures of multiples of 4 pixels, not of --size 30"):
        started(data, tmp_path, "unpaired", teacher=str(file), discriminator="none", size=30)
    file.write_bytes(b"")
    with pytest.raises(ValueError, match="is empty"):
        started(data, tmp_path, "unpaired", teacher=str(file))


def test_a_teachers_step_moves_teacher_and_discriminator(data: Path, tmp_path: Path) -> None:
    run = started(data, tmp_path, "unpaired")
    parts = ("teacher.AtoB", "teacher.BtoA", "discriminator.A", "discriminator.B", "pools.A", "student", "best")
    before = {part: weights(run, part) for part in parts}
    run.advance()
    assert [part for part in parts if moved(before[part], weights(run, part))] == list(parts[:5])


@pytest.mark.parametrize("task", ["unpaired", "paired"])
def test_generators_and_discriminators_do_not_move_each_other(task: str, data: Path, tmp_path: Path) -> None:
    """Each loss reaches its own networks alone, although one runs through the other."""
    run = started(data, tmp_path, task)
    recipe, phase = recipe_of(run), run.recipe.phases[0]
    losses = recipe.losses(phase, 0)
    for part in phase.trains:
        losses[part].backward(inputs=run.goes_down(phase)[part])  # type: ignore[no-untyped-call]
    both = {name: p.grad.clone() for name, p in recipe.networks.named_parameters() if p.grad is not None}
    fresh = started(data, tmp_path, task)
    fresh_recipe = recipe_of(fresh)
    fresh_recipe.losses(phase, 0)["teacher"].backward(inputs=fresh.goes_down(phase)["teacher"])  # type: ignore[no-untyped-call]
    alone = {name: p.grad for name, p in fresh_recipe.networks.named_parameters() if p.grad is not None}
    assert {name.split(".")[0] for name in alone} == {"teacher"}
    assert all(torch.equal(value, both[name]) for name, value in alone.items())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("how", "updated", "adversarial"),
    [("online", False, True), ("always", True, True), ("pretrained-frozen", False, True), ("pretrained-updated", True, True),
     ("none", False, False)],
)  # fmt: skip
def test_discriminator_of_the_student(how: str, updated: bool, adversarial: bool, data: Path, tmp_path: Path) -> None:
    run = started(data, tmp_path, "unpaired", discriminator=how)
    until(run, "student-2")
    before = {part: weights(run, part) for part in ("discriminator.B", "discriminator.A", "teacher")}
    terms = run.advance()
    assert moved(before["discriminator.B"], weights(run, "discriminator.B")) is updated
    assert not moved(before["discriminator.A"], weights(run, "discriminator.A"))
    assert not moved(before["teacher"], weights(run, "teacher"))
    assert ("student_adversarial" in terms) is adversarial


Whole = tuple[str, Path, dict[str, Tensor]]
"""Of a run that was not stopped: the task, its folder, and all tensors that it left."""


def trained(task: str, data: Path, out: Path) -> dict[str, Tensor]:
    """All that the command leaves in its checkpoint and as its result."""
    settings = [f"--{name.replace('_', '-')}={value}" for name, value in {**TINY, "task": task, "pictures": task}.items()]
    crd.main(["--data", str(data), "--out", str(out), "--threads", "1", "--every", "2", *settings])
    return load_file(out / "last.safetensors") | load_file(out / "final.safetensors")


@pytest.fixture(scope="module", params=["unpaired", "paired"])
def whole(request: pytest.FixtureRequest, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    out = tmp_path_factory.mktemp("whole")
    return request.param, out, trained(request.param, data, out)


def test_a_run_leaves_its_result_and_what_it_is_worth(whole: Whole) -> None:
    _, out, _ = whole
    record = json.loads((out / "quality.json").read_text())
    assert record["student"]["protocol"]["dimension"] == inception_file.CHANNELS[64]
    assert record["student"]["parameters"] < record["teacher"]["parameters"]
    assert record["student"]["macs"] < record["student"]["macs_as_published"]
    assert record["steps"] == {"teacher": 6, "student": 6}
    assert {name.split(".")[0] for name in load_file(out / "final.safetensors")} == {"generator"}


@pytest.mark.parametrize("stop", [3, 5])
def test_a_stopped_run_goes_on_with_the_same_bytes(
    stop: int, whole: Whole, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is trained, Adam's moments, image pools and best teacher; stopped in a teacher's and in a student's turn."""
    task, _, wanted = whole
    original = crd.CrdRecipe.losses

    def stopping(self: crd.CrdRecipe, phase: Phase, batch_index: int) -> dict[str, Tensor]:
        if batch_index == stop:
            raise KeyboardInterrupt
        return original(self, phase, batch_index)

    with monkeypatch.context() as patch:
        patch.setattr(crd.CrdRecipe, "losses", stopping)
        with pytest.raises(KeyboardInterrupt):
            trained(task, data, tmp_path)
    found = trained(task, data, tmp_path)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(value, found[key]) for key, value in wanted.items())


def test_two_processes_hold_one_pool() -> None:
    """What two processes hand to their discriminators is what one with both their batches would."""

    class Part(ProcessGroup):
        def gathered(self, _batch: Tensor) -> Tensor:
            return everything

    pools = [ImagePool(3, 4, ProcessGroup(), 1), *(ImagePool(3, 4, Part(rank, 2), 1) for rank in range(2))]
    for counter in range(6):
        everything = torch.rand(4, 3, 4, 4, generator=torch.Generator().manual_seed(counter))
        one, *two = (pool(x, counter) for pool, x in zip(pools, [everything, *everything.chunk(2)], strict=True))
        assert torch.equal(one, torch.cat(two))
        assert counter == 0 or not torch.equal(one, everything)
    assert all(torch.equal(pools[0].pictures, pool.pictures) for pool in pools)


@pytest.mark.parametrize("as_published", [False, True])
def test_choice_of_the_teacher(as_published: bool, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The best of the direction asked for; as published, the latest as soon as either direction got better."""
    run = started(data, tmp_path, "unpaired", as_published=as_published)
    recipe = recipe_of(run)
    scores = iter([5.0, 5.0, 6.0, 4.0, 3.0, 9.0] if as_published else [5.0, 6.0, 3.0])

    class Fixed:
        def realism(self, _network: object) -> object:
            return type("Score", (), {"fid": next(scores)})

    monkeypatch.setattr(recipe, "jury", lambda *_: Fixed())
    kept = []
    for number in range(3):
        torch.nn.init.constant_(recipe.teachers["AtoB"].head.bias, float(number))  # type: ignore[union-attr, arg-type]
        recipe.choose()
        kept.append(recipe.best.generator.head.bias[0].item())  # type: ignore[union-attr, index]
    assert kept == ([0, 1, 2] if as_published else [0, 0, 2])
    assert recipe.latest_judge is as_published


def test_directions_swap_the_domains(data: Path, tmp_path: Path) -> None:
    for task in ("unpaired", "paired"):
        there, back = (recipe_of(started(data, tmp_path, task, direction=d)).pictures_of for d in ("AtoB", "BtoA"))
        assert torch.equal(there.whole("test")["A"], back.whole("test")["B"])
        assert not torch.equal(there.whole("test")["A"], there.whole("test")["B"])
        if task == "paired":
            one, other = (each.batch(range(3), torch.device("cpu")) for each in (there, back))
            assert torch.equal(one["A"], other["B"])


def test_held_out_pictures_train_nothing(data: Path, tmp_path: Path) -> None:
    pictures = recipe_of(started(data, tmp_path, "unpaired")).pictures_of
    assert len(pictures.whole("held-out")["A"]) == 2
    assert [len(each) for each in pictures.domains] == [3, 3]
    assert [len(each) for each in recipe_of(started(data, tmp_path, "unpaired", select="last")).pictures_of.domains] == [5, 5]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda _: given("pared"), "task: expected unpaired or paired, got 'pared'"),
        (
            lambda _: given("unpaired", granularities="row,diagonal"),
            "granularities: expected some of row, column, patch, got diag",
        ),
        (lambda _: given("unpaired", granularities=""), "granularities: expected at least one"),
        (lambda _: given("unpaired", perceptual_levels=3), "perceptual_levels: expected 2 or 4, got 3"),
        (lambda _: given("unpaired", as_published=True, direction="BtoA"), "as_published: the published code keeps no teacher"),
        (lambda _: given("paired", teacher="last.safetensors", distil=False), "teacher: it is that of a student"),
        (lambda _: given("unpaired", interval=0), "interval: expected at least 1"),
        (lambda data: started(data, data, "unpaired", held_out=4), "held_out: .* has too few pictures to set 4 aside"),
        (lambda data: started(data, data, "unpaired", pictures=""), "--pictures is required: the folder in DATA"),
    ],
)
def test_what_cannot_be_meant_is_refused(call: Callable[[Path], object], message: str, data: Path) -> None:
    with pytest.raises(ValueError, match=message):
        call(data)
