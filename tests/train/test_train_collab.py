"""Collaborative Distillation: what it trains, starts from, is taught by and is compared with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from recipe_runs import SMALL, losses, run, write_data
from safetensors.torch import save_file
from torch import Tensor

from fastnst.networks.vgg import ALL_LAYERS, VGG19, Decoder, Encoder, layers_of
from fastnst.networks.wct import widths_of
from fastnst.train import collab, decoder
from fastnst.train.filters import pruned_encoder
from fastnst.train.process_group import ProcessGroup
from fastnst.train.settings import RunOptions
from fastnst.train.student import Student, student_from, teacher_from


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def big(tmp_path: Path) -> Callable[[int], Path]:
    """Writes a random big decoder of a stage as recipe ``decoder`` leaves one."""

    def written(stage: int) -> Path:
        network = Decoder(VGG19[: len(layers_of(stage))])
        decoder.initialise(network)
        path = tmp_path / f"big-{stage}.safetensors"
        save_file({f"decoder.{name}": x for name, x in network.state_dict().items()}, path)
        return path

    return written


def made(data: Path, **settings: object) -> collab.CollabRecipe:
    numbers = {"batch": 2, "size": 32, "precision": "float32", **settings}
    return collab.CollabRecipe(collab.CollabSettings(**numbers), RunOptions(data, data), ProcessGroup())  # type: ignore[arg-type]


def terms_of(recipe: collab.CollabRecipe, phase: int) -> dict[str, Tensor]:
    return recipe.losses(recipe.phases[phase], 0)


def test_collab_leaves_encoder_heads_and_decoder(data: Path, tmp_path: Path) -> None:
    run(decoder, data, tmp_path / "big", **SMALL, stage=2, steps=1)
    steps = {"encoder_steps": 2, "decoder_steps": 2}
    final = run(collab, data, tmp_path / "small", **SMALL, stage=2, **steps, teacher=tmp_path / "big" / "final.safetensors")
    assert {name.split(".")[0] for name in final} == {"encoder", "heads", "decoder"}
    assert tuple(final[f"encoder.{name}.weight"].shape[0] for name in ALL_LAYERS[:3]) == widths_of(2, small=True)
    assert len(losses(tmp_path / "small", "loss")) == 4
    assert len(losses(tmp_path / "small", "embedding")) == 2  # then it is the decoder's turn
    assert decoder.encoder_from(tmp_path / "small" / "final.safetensors").stage == 2


@pytest.mark.parametrize(
    ("weights", "terms"),
    [
        ({"pixel_weight": 0, "perceptual_weight": 0}, {"embedding", "loss"}),
        ({"embedding_weight": 0}, {"pixel", "perceptual", "loss"}),
    ],
    ids=["embedding-alone", "collaboration-alone"],
)
def test_each_loss_works_alone(weights: dict[str, float], terms: set[str], data: Path, big: Callable[[int], Path]) -> None:
    recipe = made(data, stage=1, teacher=str(big(1)), **weights)
    found = terms_of(recipe, 0)
    assert found.keys() == terms
    found["loss"].backward()
    grads = {name for name, p in recipe.networks.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert {"encoder.conv1_1.weight", "heads.conv1_1.weight"} <= grads


def test_collab_needs_its_teacher(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(collab, data, tmp_path, **SMALL, stage=1)
    assert "--teacher is required: the losses need the big decoder of stage 1" in capsys.readouterr().err


@torch.no_grad()
def largest(weight: Tensor, count: int) -> list[int]:
    """By definition: the filters of largest sum of absolute weights, in their order."""
    sums = [float(x.abs().sum()) for x in weight]
    return sorted(sorted(range(len(sums)), key=lambda i: -sums[i])[:count])


def test_pruning_keeps_the_filters_of_largest_l1_norm() -> None:
    torch.manual_seed(0)
    encoder = Encoder((5, 6, 7), input_scale=1.0).requires_grad_(False)
    weights, biases = ([p for name, p in encoder.named_parameters() if name.endswith(kind)] for kind in ("weight", "bias"))
    small = pruned_encoder(encoder, (3, 4, 2))
    image = torch.rand(1, 3, 16, 16)
    inputs, x = [0, 1, 2], encoder.conv0(image)
    for i, count in enumerate((3, 4, 2), 1):
        kept = largest(weights[i], count)
        x = F.relu(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), weights[i][kept][:, inputs], biases[i][kept]))
        x = F.max_pool2d(x, 2) if i == 2 else x
        inputs = kept
    torch.testing.assert_close(small(image), x)
    assert small.conv0.weight.abs().max() == pytest.approx(4)  # whatever the unit of the large network's input
    with pytest.raises(ValueError, match="conv1_2: cannot prune 6 channels to 7"):
        pruned_encoder(encoder, (3, 7, 2))


def test_the_encoder_starts_pruned_and_normalised(data: Path, big: Callable[[int], Path]) -> None:
    recipe = made(data, stage=2, teacher=str(big(2)))
    crops = recipe.crops.batch(range(collab.NORMALISED_ON)).float() / 255
    assert [x.mean().item() for x in recipe.student.encoder.features(crops)] == pytest.approx([1, 1], rel=1e-3)
    kept = largest(recipe.vgg.conv1_1.weight, 16)  # type: ignore[arg-type]
    filters, originals = (x.conv1_1.weight.flatten(1) for x in (recipe.student.encoder, recipe.vgg))  # type: ignore[operator,union-attr]
    torch.testing.assert_close(F.normalize(filters), F.normalize(originals[kept]))
    trained = {name for name, p in recipe.networks.named_parameters() if p.requires_grad}
    assert {name for name in recipe.networks.state_dict() if name not in trained} == {
        f"encoder.conv0.{x}" for x in ("weight", "bias")
    }
    random = made(data, stage=2, teacher=str(big(2)), initial="random")
    assert not torch.equal(random.student.encoder.conv1_1.weight, recipe.student.encoder.conv1_1.weight)  # type: ignore[arg-type]


def test_without_distillation_the_pruned_encoder_stays(data: Path, tmp_path: Path) -> None:
    before = made(data, stage=2, encoder_steps=0).student.encoder.state_dict()
    final = run(collab, data, tmp_path, **SMALL, stage=2, encoder_steps=0, decoder_steps=2)
    assert all(torch.equal(final[f"encoder.{name}"], value) for name, value in before.items())


def test_both_phases_learn(data: Path, big: Callable[[int], Path]) -> None:
    recipe = made(data, stage=2, teacher=str(big(2)), decoder_embedding_weight=0.1)
    optimizer = torch.optim.Adam([p for p in recipe.networks.parameters() if p.requires_grad], 3e-3)
    for phase, term in ((0, "embedding"), (1, "decoder_embedding")):
        seen = []
        for _ in range(6):
            optimizer.zero_grad()
            terms = terms_of(recipe, phase)
            terms["loss"].backward()
            optimizer.step()
            seen.append((terms["loss"].item(), terms[term].item()))
        assert seen[-1][0] < 0.9 * seen[0][0]
        assert seen[-1][1] < seen[0][1]


def test_decoder_embeddings_are_of_the_blocks(data: Path, big: Callable[[int], Path]) -> None:
    recipe = made(data, stage=3, teacher=str(big(3)), decoder_embedding_weight=1.0, encoder_steps=0)
    student, teacher = recipe.student, recipe.teacher
    assert teacher is not None
    shapes = {name: tuple(head.weight.shape[:2]) for name, head in student.decoder_heads.items()}
    assert shapes == {"conv3_1": (128, 32), "conv2_1": (64, 16)}
    image = recipe.crops.batch(range(2)).float() / 255
    terms = terms_of(recipe, 1)
    small, large, wanted = student.encoder(image), recipe.vgg(image), 0.0
    blocks, aims = student.decoder.features(small), teacher.features(large)
    for head, own, aim in zip(student.decoder_heads.values(), blocks, aims, strict=False):
        wanted += F.mse_loss(head(own), aim).item()
    assert terms["decoder_embedding"].item() == pytest.approx(wanted, rel=1e-4)
    assert terms["loss"].item() == pytest.approx(
        (terms["decoder_embedding"] + terms["pixel"] + 0.01 * terms["perceptual"]).item()
    )
    assert not any(name.startswith("decoder_heads") for name in recipe.final())


def test_a_deeper_stage_begins_with_the_one_before(data: Path, tmp_path: Path) -> None:
    above = made(data, stage=2, encoder_steps=0).student
    with torch.no_grad():
        for head in above.heads.values():
            head.bias.normal_()
    path = tmp_path / "two.safetensors"
    save_file({name: x.contiguous() for name, x in above.state_dict().items()}, path)
    recipe = made(data, stage=3, start=str(path), encoder_steps=0)
    student, image = recipe.student, recipe.crops.batch(range(2)).float() / 255
    assert (student.number, student.encoder.widths) == (3, widths_of(3, small=True))
    seen, before = student.encoder.features(image), above.encoder.features(image)
    assert all(torch.equal(own, aim) for own, aim in zip(seen, before, strict=False))
    feature = torch.rand(1, 32, 8, 8)
    torch.testing.assert_close(F.relu(student.decoder.conv2_1(feature)), F.relu(above.decoder.conv2_1(feature)))
    # The first new layer sees the embedding: VGG-19's filters read what stands for VGG-19's own features.
    kept = largest(recipe.vgg.conv2_2.weight, 32)  # type: ignore[arg-type]
    lifted = above.last_lifted(before[-1])
    wanted = F.conv2d(lifted, recipe.vgg.conv2_2.weight[kept], recipe.vgg.conv2_2.bias[kept])  # type: ignore[index]
    torch.testing.assert_close(student.encoder.conv2_2(before[-1]), wanted, rtol=1e-3, atol=1e-3)
    assert terms_of(recipe, 1)["loss"].isfinite()


def test_a_joint_decoder_moves_the_encoder_too(data: Path) -> None:
    for joint in (False, True):
        recipe = made(data, stage=2, encoder_steps=0, joint=joint)
        terms = terms_of(recipe, 1)
        terms["loss"].backward()
        moved = {name.split(".")[0] for name, x in recipe.networks.named_parameters() if x.grad is not None}
        assert moved == ({"encoder", "heads", "decoder"} if joint else {"decoder"})
        total = terms["pixel"] + 0.01 * terms["perceptual"] + (10 * terms["embedding"] if joint else 0)
        assert terms["loss"].item() == pytest.approx(total.item())


def test_what_cannot_be_deepened_is_refused(data: Path, tmp_path: Path) -> None:
    narrow = Student((4, 4, 4)).state_dict()
    save_file(narrow, tmp_path / "narrow.safetensors")
    save_file({name: x for name, x in narrow.items() if "heads" not in name}, tmp_path / "alone.safetensors")
    with pytest.raises(ValueError, match=r"no tensors heads\."):
        made(data, stage=3, start=str(tmp_path / "alone.safetensors"), encoder_steps=0)
    with pytest.raises(ValueError, match=r"the published widths \(16, 16, 32\), and its start has \(4, 4, 4\)"):
        made(data, stage=3, start=str(tmp_path / "narrow.safetensors"), encoder_steps=0)
    with pytest.raises(ValueError, match="an encoder of stage 2, not 4"):
        made(data, stage=4, start=str(tmp_path / "narrow.safetensors"), encoder_steps=0)


def test_stage_2_cannot_begin_with_stage_1_which_is_wider(data: Path, tmp_path: Path) -> None:
    save_file(Student(widths_of(1, small=True)).state_dict(), tmp_path / "one.safetensors")
    with pytest.raises(ValueError, match=r"the published widths \(16,\), and its start has \(24,\)"):
        made(data, stage=2, start=str(tmp_path / "one.safetensors"), encoder_steps=0)


def test_crops_too_small_for_a_stage_are_refused() -> None:
    """Maps of stage 5 have a sixteenth of a crop's sides, and a single pixel cannot be padded by reflection."""
    with pytest.raises(ValueError, match="size: expected at least 32 for stage 5, got 16"):
        collab.CollabSettings(stage=5, size=16)
    assert collab.CollabSettings(stage=4, size=16).size == 16


def test_relu_behind_the_embeddings(data: Path, big: Callable[[int], Path]) -> None:
    recipe = made(data, stage=2, teacher=str(big(2)), relu_heads=True)
    image = recipe.crops.batch(range(2)).float() / 255
    features = recipe.student.encoder.features(image)
    lifted = [F.relu(head(x)) for head, x in zip(recipe.student.heads.values(), features, strict=True)]
    wanted = sum(F.mse_loss(x, aim).item() for x, aim in zip(lifted, recipe.vgg.features(image), strict=True))
    terms = terms_of(recipe, 0)
    assert terms["embedding"].item() == pytest.approx(wanted, rel=1e-4)
    assert recipe.teacher is not None
    assert terms["pixel"].item() == pytest.approx(F.mse_loss(recipe.teacher(lifted[-1]), image).item(), rel=1e-4)
    plain = made(data, stage=2, teacher=str(big(2)))
    assert terms_of(plain, 0)["embedding"].item() != pytest.approx(wanted, rel=1e-3)


def test_going_on_takes_the_widths_of_the_file(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    before = Student((5, 6, 7), (3, 4, 7))
    path = tmp_path / "start.safetensors"
    save_file(before.state_dict(), path)
    settings = {"stage": 2, "start": path, "pixel_weight": 0, "perceptual_weight": 0, "encoder_steps": 1, "decoder_steps": 1}
    final = run(collab, data, tmp_path / "run", **SMALL, **settings)
    assert {name: x.shape for name, x in final.items()} == {name: x.shape for name, x in before.state_dict().items()}
    start = made(data, **settings | {"start": str(path)}).final()
    assert all(torch.equal(value, start[name]) for name, value in before.state_dict().items())


def test_a_start_may_lack_decoder_and_embeddings(tmp_path: Path) -> None:
    torch.manual_seed(0)
    before = Student((5, 6, 7))
    path = tmp_path / "start.safetensors"
    save_file({name: x for name, x in before.state_dict().items() if name.startswith("encoder.")}, path)
    after = student_from(path, 2, relu_heads=False, decoder_heads=True)
    assert after.encoder.widths == (5, 6, 7)
    assert torch.equal(after.encoder.conv2_1.weight, before.encoder.conv2_1.weight)  # type: ignore[arg-type]
    assert after.decoder(after.encoder(torch.rand(1, 3, 8, 8))).shape == (1, 3, 8, 8)


@pytest.mark.parametrize(
    ("widths", "back", "message"),
    [((4,), None, "an encoder of stage 1, not 2"), ((4, 5, 6), (4, 5, 7), "the decoder reads other than the encoder's 6")],
)
def test_starts_that_do_not_fit_get_one_line(
    widths: tuple[int, ...], back: tuple[int, ...] | None, message: str, tmp_path: Path
) -> None:
    save_file(Student(widths, back).state_dict(), tmp_path / "start.safetensors")
    with pytest.raises(ValueError, match=message):
        student_from(tmp_path / "start.safetensors", 2, relu_heads=False, decoder_heads=False)


def test_other_files_get_one_line(tmp_path: Path) -> None:
    path = tmp_path / "start.safetensors"
    path.write_bytes(b"not a network")
    for read in (lambda: student_from(path, 2, relu_heads=False, decoder_heads=False), lambda: teacher_from(path, 2)):
        with pytest.raises(ValueError, match=r"start.safetensors: not a safetensors file: [^\n]*$"):
            read()


def test_teachers_of_either_kind(tmp_path: Path, big: Callable[[int], Path]) -> None:
    own = teacher_from(big(2), 2)
    assert own.last_relu
    assert not any(p.requires_grad for p in own.parameters())
    with pytest.raises(ValueError, match="not a big decoder of stage 3"):
        teacher_from(big(2), 3)
    places = {"conv2_1": 1, "conv1_2": 5, "conv1_1": 8}  # among padding, ReLU and upsampling, as published
    tensors = {}
    for name, value in own.state_dict().items():
        layer, kind = name.split(".")
        tensors[f"invertor2.{places[layer]}.{kind}"] = value
    save_file(tensors, tmp_path / "wct.safetensors")
    published = teacher_from(tmp_path / "wct.safetensors", 2)
    assert not published.last_relu
    feature = torch.rand(1, 128, 4, 4)
    torch.testing.assert_close(F.relu(published(feature)), own(feature))
    with pytest.raises(ValueError, match="no decoder of stage 3"):
        teacher_from(tmp_path / "wct.safetensors", 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"initial": "best"}, "initial: expected pruned or random, got 'best'"),
        ({"embedding_weight": 0.0, "pixel_weight": 0.0, "perceptual_weight": 0.0}, "all 0, nothing teaches the encoder"),
        ({"stage": 1, "decoder_embedding_weight": 1.0}, "decoder of stage 1 is one layer"),
    ],
)
def test_settings_that_cannot_be_meant(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        collab.CollabSettings(**settings)  # type: ignore[arg-type]
