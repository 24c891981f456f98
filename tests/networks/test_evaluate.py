"""``fastnst evaluate``: the pairs it takes, that every number is what it says, and what it leaves behind."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import skimage.metrics
import torch
from PIL import Image
from random_networks import ADAIN_WIDTHS, adain_pair, no_vgg, prefixed, saved, scoring_weights
from safetensors.torch import load_file, save_file
from torch import Tensor

from fastnst import Stylizer, cli
from fastnst.engine.palette import Palette, colors_of
from fastnst.evaluate import BASELINES, evaluate, report, timing
from fastnst.evaluate.loading import load_model
from fastnst.evaluate.pictures import load, pair_folders, read_testset, to_tensor
from fastnst.evaluate.scoring import Scorer
from fastnst.evaluate.sheet import HEIGHT, chosen
from fastnst.metrics.color import color_distance
from fastnst.networks.vgg import ALL_LAYERS, Decoder, Encoder
from fastnst.networks.vgg_files import load_normalised_vgg19
from fastnst.reference.adain import adaptive_instance_normalization, calc_mean_std

SIZE = 40
DATA = os.environ.get("FASTNST_DATA")
SHIPPED = {
    "content": 1.9417, "style": 1.2998, "adain_loss": 14.94, "style_distance_1": 29.511, "style_distance_2": 65.851,
    "style_distance_3": 265.75, "style_distance_4": 400.01, "style_distance_5": 1167.6, "colors": 16.865,
    "ssim": 0.33039, "lpips": 0.53264,
}  # fmt: skip
"""Of the shipped model on the first pair of the test set, at 128 pixels."""


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "ROUNDS", 2)
        patch.setattr(timing, "SAMPLE_SECONDS", 0.0)
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scoring_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def pair() -> dict[str, Tensor]:
    return adain_pair()


@pytest.fixture(scope="module")
def testset(tmp_path_factory: pytest.TempPathFactory, photo_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("testset")
    for name in ("cat", "coffee", "astronaut"):
        Image.open(photo_folder / f"{name}.png").save(folder / f"{name}.png")
    pairs = [("cat", "coffee"), ("cat", "astronaut"), ("astronaut", "coffee")]
    listed = [{"content": f"{content}.png", "style": f"{style}.png"} for content, style in pairs]
    (folder / "testset.json").write_text(json.dumps({"size": SIZE, "pairs": listed}))
    return folder / "testset.json"


# Pairs of pictures.


def test_folders_are_paired_in_order(tmp_path: Path) -> None:
    for name in ("c/2.png", "c/1.jpg", "c/notes.txt", "s/a.png", "s/c.png", "s/b.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    pairs = pair_folders(tmp_path / "c", tmp_path / "s")
    assert [(pair.content.name, pair.style.name) for pair in pairs] == [
        ("1.jpg", "a.png"),
        ("2.png", "b.webp"),
        ("1.jpg", "c.png"),
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no pictures in this folder"):
        pair_folders(tmp_path / "c", tmp_path / "empty")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a test set"),
        ('{"pairs": []}', "not a test set"),
        ('{"size": 64, "pairs": [{"content": "a"}]}', "not a test set"),
        ('{"size": 64, "pairs": []}', "at least one pair"),
        ('{"size": 8, "pairs": [{"content": "a", "style": "b"}]}', "a size of at least 32"),
        ('{"size": 64, "pairs": [{"content": "a", "style": "b"}]}', "a: no such file"),
    ],
)
def test_a_bad_test_set_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "testset.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_testset(tmp_path / "testset.json")


def test_shown_pairs_are_spread() -> None:
    assert chosen(24) == {0, 4, 8, 12, 16, 20}
    assert chosen(2) == {0, 1}


# Numbers.


def test_every_number_is_what_it_says(
    testset: Path, weights: Path, pair: dict[str, Tensor], model_path: Path, tmp_path: Path
) -> None:
    pairs, size = read_testset(testset)
    file = saved(pair, tmp_path / "pair.safetensors")
    advanced: list[None] = []
    done = evaluate(
        [f"int8={model_path}", str(file)],
        pairs,
        size,
        weights=weights,
        against={"int8": "pair"},
        threads=1,
        advance=lambda: advanced.append(None),
    )
    assert len(advanced) == 3 + 2 + 1
    assert done.photographs == ["cat.png", "astronaut.png"]
    own, other = done.models
    vgg = load_normalised_vgg19(weights / "vgg19_random.safetensors", stage=5)
    lpips = Scorer(weights).lpips
    assert lpips is not None
    floats, engine = load_model("pair", file, 1, no_vgg), Stylizer(model_path, 1)
    for i, each in enumerate(pairs):
        content, style = load(each.content, size), load(each.style, size)
        assert min(content.shape[:2]) == SIZE
        results = {own.name: engine(content, style), other.name: floats(content, style)}
        Palette(colors_of(style)).apply(results[other.name], 1)
        wanted = skimage.metrics.peak_signal_noise_ratio(results["int8"], results["pair"])
        assert own.psnr[i] == pytest.approx(wanted, abs=1e-3)
        for model in done.models:
            image, photograph = to_tensor(results[model.name]), to_tensor(content)
            scores = model.scores[i]
            seen, aims, sources = (vgg.features(x) for x in (image, to_tensor(style), photograph))
            target = adaptive_instance_normalization(sources[3], aims[3])
            assert scores["content"] == pytest.approx((seen[3] - target).square().mean().item(), rel=1e-3)
            statistics = [[torch.stack(calc_mean_std(level)) for level in levels[:4]] for levels in (seen, aims)]
            terms = [(a - b).square().mean((1, 2, 3, 4)).sum().item() for a, b in zip(*statistics, strict=True)]
            assert scores["style"] == pytest.approx(sum(terms), rel=1e-3)
            assert scores["adain_loss"] == pytest.approx(scores["content"] + 10 * scores["style"])
            assert scores["colors"] == pytest.approx(255 * color_distance(image, to_tensor(style)))
            grams = [x[4].flatten(2) @ x[4].flatten(2).mT / x[4][0, 0].numel() for x in (seen, aims)]
            assert scores["style_distance_5"] == pytest.approx((grams[0] - grams[1]).norm().item(), rel=1e-3)
            assert scores["lpips"] == pytest.approx(lpips(image, photograph).item(), rel=1e-3)
            settings = {"channel_axis": 2, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
            alike = skimage.metrics.structural_similarity(results[model.name], content, **settings)
            assert scores["ssim"] == pytest.approx(alike, abs=1e-3)
    content = load(pairs[2].content, size)
    rebuilt = engine(content, content, alpha=0.0)
    assert own.reconstruction[1] == {4: pytest.approx(skimage.metrics.peak_signal_noise_ratio(content, rebuilt), abs=1e-3)}
    assert own.means()["content"] == pytest.approx(sum(score["content"] for score in own.scores) / 3)
    assert (own.parameters, own.live_parameters, own.macs, other.psnr) == (12345, None, None, [])
    assert own.sha256 == hashlib.sha256(model_path.read_bytes()).hexdigest()
    assert other.file_bytes == file.stat().st_size
    assert len(own.seconds) == len(other.seconds) == timing.ROUNDS


def test_live_parameters_are_those_of_the_network_without_dead_channels(testset: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder, decoder = Encoder(ADAIN_WIDTHS), Decoder(ADAIN_WIDTHS)
    for network in (encoder, decoder):
        for name in ALL_LAYERS[:9]:  # left alone, random layers have dead channels of their own
            getattr(network, name).weight.data.abs_()
            getattr(network, name).bias.data.fill_(50)
    for layer in (encoder.conv2_2, encoder.conv4_1, decoder.conv3_3):
        layer.weight.data[:2] = 0
        layer.bias.data[:2] = -1
    file = saved(prefixed(encoder=encoder, decoder=decoder), tmp_path / "dead.safetensors")
    pairs, size = read_testset(testset)
    (model,) = evaluate([str(file)], pairs[:1], size, threads=1).models
    # A decoder's widths are those of its inputs, and its conv3_3 gives those of conv3_2.
    slim = Encoder((4, 4, 5, 3, 6, 6, 6, 6, 5)), Decoder((4, 4, 5, 5, 6, 4, 6, 6, 5))
    assert model.live_parameters == sum(p.numel() for network in slim for p in network.parameters())


def test_measures_without_their_networks_are_left_out(
    testset: Path, pair: dict[str, Tensor], weights: Path, tmp_path: Path
) -> None:
    file = str(saved(pair, tmp_path / "pair.safetensors"))
    pairs, size = read_testset(testset)
    done = evaluate([file], pairs[:1], size, threads=1)
    assert set(done.models[0].scores[0]) == {"colors", "ssim"}
    assert [line.partition(":")[0] for line in done.left_out] == ["AdaIN loss and style distances", "LPIPS"]
    page = report.markdown(done, {})
    assert "* Left out: LPIPS: it needs lpips_alex" in page
    assert "Style distance by stage" not in page
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "lpips_alex.safetensors").symlink_to(weights / "lpips_alex_random.safetensors")
    done = evaluate([file], pairs[:1], size, weights=tmp_path / "some", threads=1)
    assert set(done.models[0].scores[0]) == {"colors", "ssim", "lpips"}


def test_scoring_networks_that_are_none_are_refused(weights: Path, tmp_path: Path) -> None:
    save_file({"conv0.weight": torch.zeros(1)}, tmp_path / "vgg19_a.safetensors")
    with pytest.raises(ValueError, match=r"vgg19_a.safetensors: "):
        Scorer(tmp_path)
    (tmp_path / "vgg19_a.safetensors").unlink()
    tensors = load_file(weights / "lpips_alex_random.safetensors")
    save_file(tensors | {"lin0.weight": torch.zeros(2)}, tmp_path / "lpips_alex.safetensors")
    with pytest.raises(ValueError, match=r"not LPIPS on AlexNet: .*lin0") as caught:
        Scorer(tmp_path)
    assert "\n" not in str(caught.value)
    (tmp_path / "lpips_alex_b.safetensors").touch()
    with pytest.raises(ValueError, match="several files lpips_alex"):
        Scorer(tmp_path)
    with pytest.raises(NotADirectoryError, match="is not a folder"):
        Scorer(tmp_path / "absent")


# The command.


def test_the_command_writes_its_report(
    testset: Path, weights: Path, pair: dict[str, Tensor], model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = saved(pair, tmp_path / "pair.safetensors"), tmp_path / "out"
    rows = ["a|b=" + str(model_path), f"float={file}", f"same={file}"]
    options = ["--testset", str(testset), "--weights", str(weights), "--threads", "1", "--pairs", "2", "--size", "32"]
    command = ["evaluate", *rows, "-o", str(out), *options, "--against", "a|b=float", "--against", "same=float"]
    assert cli.main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["a|b", "float", "same", str(out / "evaluation.md")]
    assert sorted(path.name for path in out.iterdir()) == ["evaluation.json", "evaluation.md", "sheet.jpg", "sheet.png"]
    data = json.loads((out / "evaluation.json").read_text())
    assert (data["size"], len(data["pairs"]), data["left_out"]) == (32, 2, [])
    assert [model["name"] for model in data["models"]] == ["a|b", "float", "same"]
    assert data["models"][2]["psnr"] == [None, None]  # equal pictures
    assert data["models"][0]["mean"]["psnr"] > 0
    assert len(data["models"][0]["scores"]) == 2
    page = (out / "evaluation.md").read_text()
    assert data["models"][1]["sha256"] in page
    assert f"{data['models'][1]['mean']['adain_loss']:.2f}" in page
    assert r"a\|b" in page
    with Image.open(out / "sheet.png") as page_image, Image.open(out / "sheet.jpg") as jpeg:
        assert page_image.height > 2 * HEIGHT
        assert page_image.size == jpeg.size
    assert cli.main([*command, "--json"]) == 1
    assert "exists already; --overwrite replaces it" in capsys.readouterr().err
    assert cli.main([*command, "--json", "--overwrite"]) == 0
    again = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [model["name"] for model in again] == ["a|b", "float", "same"]
    for before, now in zip(data["models"], again, strict=True):
        assert {**before["mean"], "milliseconds": 0, "name": before["name"]} == {**now, "milliseconds": 0}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("", 2, "give either --testset, or --content and --style"),
        ("--testset t.json --content c --style s", 2, "give either --testset"),
        ("--content c", 2, "--content and --style go together"),
        ("--testset t.json --size 31", 2, "31 is less than 32"),
        ("--testset t.json --against x", 2, "'x' does not name two rows"),
        ("--testset absent.json", 1, "absent.json: No such file"),
        ("--testset TESTSET --against adain-16x=y", 2, "--against y: no model has this name"),
        ("adain-16x --testset TESTSET", 2, "another model is named 'adain-16x'"),
        ("no.fnst --testset TESTSET", 1, "no.fnst: no such model"),
        ("--testset TESTSET --weights nowhere", 1, "nowhere: is not a folder"),
    ],
)
def test_a_bad_command_is_one_line_and_leaves_nothing(
    arguments: str, code: int, message: str, testset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    given = [str(testset) if argument == "TESTSET" else argument for argument in arguments.split()]
    try:
        status = cli.main(["evaluate", "adain-16x", *given, "-o", str(out)])
    except SystemExit as exit_:
        status = int(exit_.code or 0)
    error = capsys.readouterr().err
    assert status == code
    assert message in error
    assert len(error.splitlines()) == 1
    assert not out.exists()


def test_a_failure_on_the_way_leaves_nothing(tmp_path: Path, model_path: Path, photo_folder: Path) -> None:
    (tmp_path / "c").mkdir()
    Image.open(photo_folder / "cat.png").save(tmp_path / "c" / "a.png")
    (tmp_path / "c" / "b.png").write_text("no picture")
    options = ["--content", str(tmp_path / "c"), "--style", str(photo_folder), "--size", "32", "--threads", "1"]
    assert cli.main(["evaluate", str(model_path), "-o", str(tmp_path / "out"), *options]) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(DATA is None, reason="FASTNST_DATA names no folder with testset.json and weights/")
def test_the_shipped_model_on_the_test_set() -> None:
    assert DATA is not None
    pairs, _ = read_testset(Path(DATA) / "testset.json")
    (model,) = evaluate(["adain-16x"], pairs[:1], 128, weights=Path(DATA) / "weights", threads=1).models
    assert model.means() == pytest.approx(SHIPPED, rel=1e-2)


def test_baselines_are_the_photograph_and_its_palette(testset: Path, model_path: Path) -> None:
    pairs, size = read_testset(testset)
    done = evaluate([str(model_path)], pairs, size, threads=1, palette=0.5)
    assert done.palette == 0.5
    untouched, alone = (done.baselines[name] for name in BASELINES)
    assert [score["ssim"] for score in untouched] == pytest.approx([1.0] * len(pairs))
    assert all(moved["colors"] < 0.5 * still["colors"] for still, moved in zip(untouched, alone, strict=True))
    assert "| palette alone |" in report.markdown(done, {})
