"""Archives of a data set: WebDataset's shards, and tables of Parquet."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import COMMAND, Run, failed, pixels
from PIL import Image

import fastnst
from fastnst.jobs import archives, journals, shards

from .conftest import OPTIONS, encoded, picture, read_tar, write_tar

JOB = ("stylize", "shards", "styles", "--sample", "1", *OPTIONS)


class Killed(BaseException):
    """Ends a run wherever it is."""


def image_of(data: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.usefixtures("here")
def test_a_shard_becomes_a_shard_of_the_same_samples(run: Run) -> None:
    result = run(*JOB, "-o", "out", "--manifest", "m.jsonl")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("73 stylized, ")
    files = read_tar(Path("out/a-0.tar"))
    assert len(files) == 140
    assert [name.partition("-")[0] for name in files] == [f"{at:03}" for at in range(70) for _ in range(2)]
    told = [json.loads(line) for line in Path("m.jsonl").read_text().splitlines()]
    assert len(told) == 73
    for each in told[:70]:
        name = each["output"].removeprefix("a-0.tar/")
        assert hashlib.sha256(files[name]).hexdigest() == each["sha256"]
        assert files[name.replace(".jpg", ".cls")] == read_tar(Path("shards/a-0.tar"))[each["input"][8:-4] + ".cls"]
    last, stylizer = told[-1], fastnst.Stylizer("adain-nano")
    content = read_tar(Path("shards/a-1.tar"))[last["input"].removeprefix("a-1.tar/")]
    style = next(path for path in Path("styles").iterdir() if path.stem == last["style"])
    wanted = stylizer(image_of(content), pixels(style))
    done = read_tar(Path("out/a-1.tar"))[last["output"].removeprefix("a-1.tar/")]
    np.testing.assert_array_equal(image_of(done), wanted)


@pytest.mark.usefixtures("here")
def test_what_is_written_depends_on_names_and_contents_alone(run: Run) -> None:
    run(*JOB, "-o", "one")
    run(*JOB[:-1], "1", "-o", "two")
    for name in ("a-0.tar", "a-1.tar"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()
        assert Path("one", name).stat().st_size % tarfile.RECORDSIZE == 0
        with tarfile.open(f"one/{name}") as archive:
            assert {(member.mtime, member.uid, member.uname) for member in archive} == {(0, 0, "")}


@pytest.fixture
def odd(here: Path) -> Path:
    """A shard of all that may be in one."""
    image = encoded(picture(1))
    files = {
        "f/a.jpg": image,
        "f/a.seg.png": encoded(picture(2), "PNG"),
        "f/a.json": b"{}",
        "__about__": b"no sample",
        "words.txt": b"alone",
        "b.broken.jpg": image,  # its suffix is .broken.jpg
        "c.jpg": image[: len(image) // 3],
        "c.cls": b"3",
        "d.gif": b"GIF89a",
        "e.png": b"",
        "täst.webp": encoded(picture(3), "WEBP"),
        "l" * 180 + ".jpg": image,
    }
    write_tar(here / "odd.tar", files)
    return here / "odd.tar"


def test_what_belongs_to_a_picture_stays_with_it_and_what_fails_is_named(run: Run, odd: Path) -> None:
    result = run("stylize", odd, "styles", "--sample", "2", "-o", "out", *OPTIONS)
    assert result.code == 1
    assert [line.split(": ")[2] for line in result.err.splitlines()] == [
        f"{odd}/{name}" for name in ("c.jpg", "d.gif", "e.png")
    ]
    assert "broken picture" in result.err
    assert "is a GIF picture" in result.err
    assert "is empty" in result.err
    assert result.out.startswith("6 stylized, 3 failed")
    files = read_tar(Path("out/odd.tar"))
    before = read_tar(odd)
    keys = [name for name in files if name.startswith("f/")]
    assert len(keys) == 6
    assert {name.partition(".")[2] for name in keys} == {"jpg", "seg.png", "json"}
    for name in keys:
        assert "." not in name.removeprefix("f/").partition(".")[0]
        if not name.endswith(".jpg"):
            assert files[name] == before["f/a." + name.partition(".")[2]]
    assert {name: files[name] for name in ("__about__", "words.txt", "b.broken.jpg")} == {
        name: before[name] for name in ("__about__", "words.txt", "b.broken.jpg")
    }
    assert not [name for name in files if name.startswith(("c", "d", "e"))]
    assert sum(name.startswith("täst-s_") for name in files) == 2
    again = run("stylize", odd, "styles", "--sample", "2", "-o", "out", *OPTIONS)
    assert (again.code, again.err) == (1, result.err)
    assert again.out.startswith("0 stylized, 1 already there, 3 failed")


@pytest.mark.usefixtures("here")
def test_a_run_that_is_killed_is_gone_on_with(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_BETWEEN", 8)
    run(*JOB, "-o", "whole", "--manifest", "whole.jsonl")
    write, styled = archives._write, list[str]()
    one = shards._of_sample

    def counted(task: Any, archive: Any, sample: Any, *rest: Any) -> Any:
        styled.append(sample.name)
        return one(task, archive, sample, *rest)

    monkeypatch.setattr(shards, "_of_sample", counted)
    for stop in (1, 30, 31, 60):
        left = [stop]

        def killed(file: Any, name: str, data: bytes, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                file.write(b"torn")
                raise Killed
            write(file, name, data)

        monkeypatch.setattr(archives, "_write", killed)
        with pytest.raises(Killed):
            run(*JOB, "-o", "out", "--manifest", "m.jsonl")
        assert not Path("out/a-0.tar").exists()
    monkeypatch.setattr(archives, "_write", write)
    log = next(Path("out/.fastnst-job").glob("*.jsonl"))
    log.write_bytes(log.read_bytes() + b'{"samples": 99, "by')
    styled.clear()
    assert run(*JOB, "-o", "out", "--manifest", "m.jsonl").code == 0
    assert len(styled) < 40  # of 73
    for name in ("a-0.tar", "a-1.tar"):
        assert Path("out", name).read_bytes() == Path("whole", name).read_bytes()
    assert Path("m.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()
    assert not list(Path("out").rglob("*.part"))


def test_a_process_that_is_killed_loses_little(run: Run, here: Path) -> None:
    files = {f"{at:04}.jpg": encoded(picture(at % 7, (48, 48))) for at in range(150)}
    write_tar(here / "long.tar", files)
    words = ["stylize", "long.tar", "styles", "--sample", "1", *OPTIONS, "--no-style-cache", "-o"]
    process = subprocess.Popen([*COMMAND, *words, "out"], stderr=subprocess.PIPE)
    end = time.monotonic() + 100
    while not any(b'"samples"' in log.read_bytes() for log in here.glob("out/.fastnst-job/*.jsonl")):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not Path("out/long.tar").exists()
    assert run(*words, "out").code == 0
    run(*words, "whole")
    assert Path("out/long.tar").read_bytes() == Path("whole/long.tar").read_bytes()


@pytest.mark.usefixtures("here")
def test_a_shard_that_has_changed_meanwhile_is_begun_anew(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tar(Path("x.tar"), {f"{at}.png": encoded(picture(at), "PNG") for at in range(4)})
    words = ("stylize", "x.tar", "woodcut", *OPTIONS, "-o")
    with monkeypatch.context() as patch:
        patch.setattr(shards, "_BETWEEN", 1)
        patch.setattr(archives.Tar, "finish", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            run(*words, "out")
    write_tar(Path("x.tar"), {f"{at}.png": encoded(picture(9 + at), "PNG") for at in range(4)})
    assert run(*words, "out").code == 0
    run(*words, "whole")
    assert Path("out/x.tar").read_bytes() == Path("whole/x.tar").read_bytes()


@pytest.mark.usefixtures("here")
def test_a_full_disk_stops_a_shard_and_it_goes_on_later(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run(*JOB, "-o", "whole")
    write, calls = archives._write, list[None]()

    def full(file: Any, name: str, data: bytes) -> None:
        calls.append(None)
        if len(calls) > 133:
            file.write(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(file, name, data)

    with monkeypatch.context() as patch:
        patch.setattr(archives, "_write", full)
        assert failed(run(*JOB, "-o", "out"), "out/a-0.tar: cannot be written: No space left on device")
    assert not list(Path("out").glob("*.tar"))
    assert run(*JOB, "-o", "out").code == 0
    for name in ("a-0.tar", "a-1.tar"):
        assert Path("out", name).read_bytes() == Path("whole", name).read_bytes()


@pytest.mark.usefixtures("here")
def test_what_is_no_shard_is_named_and_the_others_are_done(run: Run) -> None:
    Path("set").mkdir()
    whole = Path("shards/a-1.tar").read_bytes()
    (Path("set") / "cut.tar").write_bytes(whole[:2048])
    (Path("set") / "text.tar").write_text("no archive")
    (Path("set") / "x.tar").write_bytes(whole)
    with tarfile.open("set/linked.tar", "w") as archive:
        member = tarfile.TarInfo("a.jpg")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    result = run("stylize", "set", "styles", "--sample", "1", "-o", "out", *OPTIONS)
    assert result.code == 1
    assert [line.split(": ", 2)[2] for line in result.err.splitlines()] == [
        "set/cut.tar: is cut short, or not a tar file",
        "set/linked.tar: a.jpg: is a link or a device, and shards hold files",
        "set/text.tar: is cut short, or not a tar file",
    ]
    assert [path.name for path in Path("out").glob("*.tar")] == ["x.tar"]


@pytest.mark.usefixtures("here")
def test_two_processes_do_not_make_one_shard(run: Run) -> None:
    from fastnst.jobs.plans import Task

    if journals.fcntl is None:
        pytest.skip("nothing keeps two runs apart here")
    journal = journals.Journal(Path("out"), Task(Path("shards/a-1.tar"), Path("out/a-1.tar"), place=Path("a-1.tar")), True)
    try:
        result = run(*JOB, "-o", "out")
    finally:
        journal.close()
    assert result.err == "fastnst: error: out/a-1.tar: another process is making it\n"
    assert Path("out/a-0.tar").exists()


@pytest.mark.usefixtures("here")
def test_a_plan_of_shards_is_printed(run: Run) -> None:
    result = run(*JOB, "-o", "out", "--dry-run")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[0].startswith("out/a-0.tar")
    assert not Path("out").exists()


# ---- Parquet ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.usefixtures("here")
def test_a_table_with_a_column_of_pictures(run: Run, named: bool) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    from pyarrow import parquet

    data = [encoded(picture(at), "PNG") for at in range(5)]
    images: list[Any] = [{"bytes": each, "path": f"p{at}.png"} for at, each in enumerate(data)] if named else data
    table = pyarrow.table({"image": [*images, None], "label": list(range(6))}).replace_schema_metadata({"huggingface": "{}"})
    parquet.write_table(table, "t.parquet")
    assert run("stylize", "t.parquet", "styles", "--sample", "2", *OPTIONS, "-o", "out").out.startswith("6 stylized")
    done = parquet.read_table("out/t.parquet")
    assert done.schema.equals(table.schema, check_metadata=True)
    assert done.column("label").to_pylist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5]
    first = done.column("image")[0].as_py()
    assert image_of(first["bytes"] if named else first).shape == (36, 44, 3)
    run("stylize", "t.parquet", "styles", "--sample", "2", *OPTIONS, "-o", "again")
    assert Path("again/t.parquet").read_bytes() == Path("out/t.parquet").read_bytes()


@pytest.mark.usefixtures("here")
def test_what_is_no_table_of_pictures_is_named(run: Run) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"label": [1]}), "t.parquet")
    result = run("stylize", "t.parquet", "woodcut", *OPTIONS, "-o", "out/")
    assert result.code == 1
    assert result.err.startswith("fastnst: error: t.parquet: has no column of pictures")
