"""Losses of recipe crd: which terms there are, what they are made of, and that they fall."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from crd_runs import recipe_of, started, write_data
from random_vgg import as_file, random_vgg19
from safetensors.torch import save_file

from fastnst.networks.perceptual import PerceptualNetwork
from fastnst.train.crd import weights as crd_weights
from fastnst.train.crd.gan_losses import deceives, passes


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


def test_a_frozen_discriminator_is_convinced_up_to_its_margin_only() -> None:
    """It does not answer: an unbounded reward would be run after without end."""
    logits = torch.tensor([0.0, 1.0, 8.0], requires_grad=True)
    loss = passes("hinge", logits)
    loss.backward()
    assert loss.item() == pytest.approx(1 / 3)
    assert logits.grad is not None and logits.grad.tolist() == pytest.approx([-1 / 3, 0, 0])
    assert passes("lsgan", logits).item() == deceives("lsgan", logits).item()


ALL = {"student_relation", "student_style", "student_feature", "student_adversarial"}


@pytest.mark.parametrize("task", ["unpaired", "paired"])
@pytest.mark.parametrize(
    ("settings", "terms"),
    [
        ({}, ALL),
        ({"relation": "none"}, ALL - {"student_relation"}),
        ({"relation": "instance", "batch": 3}, ALL),
        ({"perceptual_weight": 0.0}, ALL - {"student_style", "student_feature"}),
        ({"style_weight": 0.0}, ALL - {"student_style"}),
        ({"feature_weight": 0.0}, ALL - {"student_feature"}),
        ({"adversarial_weight": 0.0}, ALL - {"student_adversarial"}),
        ({"copy_weight": 10.0}, ALL | {"student_copy"}),
        ({"discriminator": "none", "relation": "none", "ssim_weight": 10.0, "variation_weight": 1e-5, "channel_weight": 500.0},
         {"student_ssim", "student_variation", "student_channel", "student_style", "student_feature"}),
    ],
    ids=["all", "no-relation", "instance", "no-perceptual", "no-style", "no-feature", "no-adversarial", "copy", "omgd"],
)  # fmt: skip
def test_ablations_leave_terms_out(task: str, settings: dict[str, object], terms: set[str], data: Path, tmp_path: Path) -> None:
    run = started(data, tmp_path, task, **{"epochs": 1, "decay_epochs": 0, "epoch_steps": 1, **settings})
    values: dict[str, float] = {}
    while run.step < run.steps:
        values = run.advance()
    seen = {name for name in values if name.startswith("student_")}
    assert seen == terms
    assert values["student"] == pytest.approx(sum(values[name] for name in seen), rel=1e-4)


def relation(data: Path, out: Path, **settings: object) -> float:
    """The relation term of a student that never learnt, for settings of its loss alone."""
    recipe = recipe_of(started(data, out, "unpaired", **settings))
    real = recipe.pictures_of.batch(range(2), recipe.processes.device)
    torch.manual_seed(3)
    for p in [*recipe.student.parameters(), *recipe.best.generator.parameters()]:
        p.data = torch.randn(p.shape) * 0.3
    return recipe.student_terms(real["A"], None)[0]["relation"].item()


def test_granularities_add_up_and_patches_and_weights_matter(data: Path, tmp_path: Path) -> None:
    whole = relation(data, tmp_path)
    parts = {name: relation(data, tmp_path, granularities=name) for name in ("row", "column", "patch")}
    assert sum(parts.values()) == pytest.approx(whole, rel=1e-4)
    assert relation(data, tmp_path, granularities="row,column") == pytest.approx(parts["row"] + parts["column"], rel=1e-4)
    assert relation(data, tmp_path, relation_weight=50.0) == pytest.approx(2 * whole, rel=1e-4)
    distance, both = (relation(data, tmp_path, angle_weight=weight) for weight in (0.0, 1.0))
    assert whole - both == pytest.approx(both - distance, rel=1e-3)
    assert relation(data, tmp_path, granularities="patch", patch=8) != pytest.approx(parts["patch"], rel=1e-3)


@pytest.mark.parametrize("task", ["unpaired", "paired"])
def test_losses_fall(task: str, data: Path, tmp_path: Path) -> None:
    settings = {"epochs": 1, "decay_epochs": 0, "epoch_steps": 24, "learning_rate": 4e-3}
    # After the teacher's training, for beside it the student's aim moves faster than a few steps can follow.
    run = started(data, tmp_path, task, **settings, discriminator="pretrained-frozen")
    values = [run.advance() for _ in range(run.steps)]
    for name in ("cycle" if task == "unpaired" else "pixel", "student"):
        curve = [each[name] for each in values if name in each]
        assert sum(curve[-6:]) < 0.9 * sum(curve[:6])


def test_pairs_as_published(data: Path, tmp_path: Path) -> None:
    """No adversarial term, twice the perceptual terms, and relations of colour planes in place of patches."""
    terms = {}
    for as_published in (False, True):
        recipe = recipe_of(started(data, tmp_path, "paired", as_published=as_published))
        torch.manual_seed(3)
        for p in [*recipe.student.parameters(), *recipe.teachers["AtoB"].parameters()]:
            p.data = torch.randn(p.shape) * 0.1
        real = recipe.pictures_of.batch(range(2), recipe.processes.device)
        step = recipe.teacher_step(real, 0)
        terms[as_published] = recipe.student_terms(real["A"], step)[0]
    assert "adversarial" in terms[False]
    assert "adversarial" not in terms[True]
    for name in ("style", "feature"):
        torch.testing.assert_close(terms[True][name], 2 * terms[False][name])
    assert terms[True]["relation"].item() != pytest.approx(terms[False]["relation"].item(), rel=0.01)


def test_deeper_levels_are_vgg19s(tmp_path: Path, data: Path) -> None:
    save_file(as_file(random_vgg19(5), "caffe"), tmp_path / "vgg19.safetensors")
    network = PerceptualNetwork(data / "weights" / crd_weights.VGG16_FILE, tmp_path / "vgg19.safetensors")
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    levels = network(image)
    assert [tuple(level.shape[1:]) for level in levels] == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]
    assert network.deep is not None
    again = network.deep.features((image + 1) / 2)[3]
    deeper = torch.relu(levels[2])
    for name in ("conv3_4", "conv4_1"):
        conv = getattr(network.deep, name)
        deeper = torch.relu(conv(torch.nn.functional.pad(deeper, (1, 1, 1, 1), mode="reflect")))
        deeper = torch.nn.functional.max_pool2d(deeper, 2) if name == "conv3_4" else deeper
    torch.testing.assert_close(deeper, again)
