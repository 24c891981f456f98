"""A data set of folders: what is chosen, resumed, shared among processes, recorded and refused."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Run, failed, pixels
from PIL import Image

import fastnst
from fastnst.jobs.names import Part
from fastnst.pictures.writing import Saving

from .conftest import OPTIONS

JOB = ("stylize", "data", "styles", "--sample", "2", "--seed", "5", *OPTIONS)


def outputs(folder: str | Path) -> dict[str, bytes]:
    """What a job made, without its record."""
    paths = [path for path in Path(folder).rglob("*") if path.is_file()]
    names = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    return {name: data for name, data in names.items() if not name.startswith(".fastnst-job/")}


def lines(path: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


@pytest.mark.usefixtures("here")
def test_classes_are_kept_and_the_manifest_says_what_each_output_is(run: Run) -> None:
    assert run(*JOB, "-o", "out", "--manifest", "m.jsonl", "--alpha", "0.75").out.startswith("12 stylized, ")
    made = outputs("out")
    assert {str(Path(name).parent) for name in made} == {"cats", "cats/old", "dogs"}
    told = lines("m.jsonl")
    assert [each["input"] for each in told] == sorted(each["input"] for each in told)
    assert {each["output"]: each["sha256"] for each in told} == {
        name: hashlib.sha256(data).hexdigest() for name, data in made.items()
    }
    stylizer = fastnst.Stylizer("adain-nano")
    for each in told:
        assert each["alpha"] == 0.75
        if each["output"].endswith(".png"):
            style = next(path for path in Path("styles").iterdir() if path.stem == each["style"])
            wanted = stylizer(pixels(f"data/{each['input']}"), pixels(style), alpha=0.75)
            np.testing.assert_array_equal(pixels(f"out/{each['output']}"), wanted)


@pytest.mark.usefixtures("here")
def test_any_number_of_threads_and_any_interruption_give_the_same_bytes(run: Run) -> None:
    run(*JOB, "-o", "whole", "--manifest", "whole.jsonl")
    run(*JOB[:-1], "1", "-o", "out", "--manifest", "m.jsonl")
    assert outputs("out") == outputs("whole")
    for path in list(Path("out").rglob("*.jpg"))[::2]:
        path.unlink()
    Path("m.jsonl").unlink()
    result = run(*JOB, "-o", "out", "--manifest", "m.jsonl")
    assert "already there" in result.out
    assert outputs("out") == outputs("whole")
    assert Path("m.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()


@pytest.mark.usefixtures("here")
def test_shards_share_the_contents(run: Run) -> None:
    run(*JOB, "-o", "whole", "--manifest", "whole.jsonl")
    counts = []
    for number in (1, 2, 3):
        run(*JOB, "-o", "out", "--shard", f"{number}/3", "--manifest", f"{number}.jsonl")
        counts.append(len(lines(f"{number}.jsonl")))
    assert outputs("out") == outputs("whole")
    assert sum(counts) == 12
    together = [line for number in (1, 2, 3) for line in lines(f"{number}.jsonl")]
    assert sorted(map(str, together)) == sorted(map(str, lines("whole.jsonl")))


def test_a_shard_depends_on_the_name_alone() -> None:
    places = [Path(f"c{at % 7}/{at}.jpg") for at in range(3000)]
    counts = [sum(Part(number, 4).holds(place) for place in places) for number in range(1, 5)]
    assert sum(counts) == 3000
    assert min(counts) > 650
    assert [Part(number, 3).holds(Path("n01/x.jpg")) for number in (1, 2, 3)] == [False, False, True]  # for ever
    for text in ("0/3", "4/3", "3", "a/b", "1/0", "-1/3"):
        with pytest.raises(ValueError, match="shard"):
            Part.of(text)


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        (("--seed", "6"), "seed was 5 and is 6 now"),
        (("--alpha", "0.5"), "alpha was 1.0 and is 0.5 now"),
        (("--model", "adain-16x"), "model was adain-nano"),
        (("--size", "30"), "size was 0 and is 30 now"),
        (("--quality", "80"), "quality was None and is 80 now"),
        (("--style", "woodcut"), "styles was 5 of digest"),
    ],
)
@pytest.mark.usefixtures("here")
def test_the_folder_of_another_job_is_refused_and_the_difference_named(
    run: Run, options: tuple[str, ...], difference: str
) -> None:
    assert run(*JOB, "-o", "out", "--shard", "1/6").code == 0
    before = outputs("out")
    words = [*JOB, "-o", "out", *options]
    if options[0] == "--style":
        words = ["stylize", "data", "--style", "styles", *JOB[3:], "-o", "out", *options]
    assert failed(run(*words), "is the folder of another job", difference, code=2)
    assert failed(run(*words, "--dry-run"), difference, code=2)
    assert outputs("out") == before


@pytest.mark.usefixtures("here")
def test_outputs_without_a_record_are_nobodys(run: Run) -> None:
    run(*JOB, "-o", "out")
    shutil.rmtree("out/.fastnst-job")
    assert failed(run(*JOB, "-o", "out"), "no record of the job that made them", code=2)
    assert run(*JOB, "-o", "out", "--overwrite").code == 0
    Path("out/.fastnst-job/job.json").write_text("{")
    assert failed(run(*JOB, "-o", "out"), "job.json: is damaged", code=2)


@pytest.mark.usefixtures("here")
def test_a_full_disk_stops_the_job_in_one_line_and_it_goes_on_later(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run(*JOB, "-o", "whole")
    write, calls = Saving.write, list[None]()

    def full(self: Saving, *arguments: Any) -> None:
        calls.append(None)
        if len(calls) > 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Saving, "write", full)
        assert failed(run(*JOB, "-o", "out"), "cannot be written: No space left on device")
    assert len(outputs("out")) == 4
    assert run(*JOB, "-o", "out").code == 0
    assert outputs("out") == outputs("whole")


@pytest.mark.usefixtures("here")
def test_a_full_disk_stops_an_ordinary_folder_run_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Saving, "write", full)
    assert failed(run("stylize", "data", "woodcut", "-o", "out", *OPTIONS), "No space left on device")


def test_a_square_is_cut_out_of_the_middle(run: Run, here: Path) -> None:
    options = ("--size", "30", "--crop", "21", "--format", "png")
    assert run("stylize", "data", "woodcut", "-o", "out", *OPTIONS, *options).code == 0
    content = Image.open("data/cats/b.png").convert("RGB")
    small = content.resize((37, 30), Image.Resampling.LANCZOS).crop((8, 4, 29, 25))
    wanted = fastnst.Stylizer("adain-nano")(small, fastnst.load_look(fastnst.stylize.shipped_look("woodcut", "adain-nano")))
    np.testing.assert_array_equal(pixels("out/cats/b.png"), np.asarray(wanted))
    assert failed(run("stylize", "data/cats/b.png", "woodcut", "-o", "x.png", *OPTIONS, "--crop", "40"), "square of 40 pixels")
    assert not (here / "x.png").exists()
    dry = run("stylize", "data/cats/b.png", "woodcut", "-o", "x.png", *OPTIONS, "--crop", "20", "--dry-run", "--json")
    assert (json.loads(dry.out)["width"], json.loads(dry.out)["height"]) == (20, 20)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("data", "styles", "-o", "out", "--crop", "30", "--size", "20"), "--crop 30 is more than --size 20 leaves"),
        (("data", "styles", "-o", "out", "--shard", "0/3"), "the number of a shard is 1 to"),
        (("data", "styles", "-o", "out", "--style-cache", "x", "--no-style-cache"), "not allowed with"),
        (("data/cats/b.png", "woodcut", "-o", "x.png", "--manifest", "m"), "--manifest tells of outputs in a folder"),
        (("shards/a-0.tar", "styles", "-o", "out.tar", "--sample", "1"), "name a folder"),
    ],
)
@pytest.mark.usefixtures("here")
def test_wrong_usage(run: Run, words: tuple[str, ...], part: str) -> None:
    assert failed(run("stylize", *words, *OPTIONS), part, code=2)
    assert not Path("out").exists()


def test_looks_are_kept_where_told(run: Run, here: Path) -> None:
    run(*JOB, "-o", "out")
    kept = {path.name for path in (here / "cache" / "fastnst" / "looks").rglob("*.look")}
    assert 0 < len(kept) <= 5
    run(*JOB, "-o", "two", "--style-cache", "mine")
    assert {path.name for path in Path("mine").rglob("*.look")} == kept
    shutil.rmtree(here / "cache")
    run(*JOB, "-o", "three", "--no-style-cache")
    assert not (here / "cache").exists()
    assert outputs("three") == outputs("out") == outputs("two")


def test_a_cache_that_cannot_be_written_is_a_warning(run: Run, here: Path) -> None:
    (here / "file").write_text("")
    result = run(*JOB, "-o", "out", "--style-cache", "file")
    assert result.code == 0
    assert result.err == "fastnst: warning: file: looks cannot be kept here: Not a directory\n"
