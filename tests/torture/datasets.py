"""Jobs over data sets, in folders and in shards, that are killed again and again."""

from __future__ import annotations

import io
import random
import shutil
import tarfile
from functools import partial
from pathlib import Path

from PIL import Image

from fastnst import cli
from fastnst.jobs.journals import FOLDER
from fastnst.verify import picture
from torture.crashes import hidden, workplace
from torture.forks import ended, forked, killed_after
from torture.framework import Outcome, check, timed

CLASSES, SHARDS = 10, 2
PATIENCE = 3600
"""Seconds that a whole job may take."""
DISTINCT = 100
"""Pictures that differ: a data set of any size repeats them, each under a name of its own, by which its style is drawn."""


def _furnish(folder: Path, pictures: int) -> None:
    """``in``: half of them in folders of classes, the other half in shards; ``styles``: three."""
    for index in range(3):
        (folder / "styles").mkdir(exist_ok=True)
        Image.fromarray(picture(10, 12, 1000 + index)).save(folder / "styles" / f"{index}.png")
    files = []
    for index in range(min(DISTINCT, pictures)):
        data = io.BytesIO()
        Image.fromarray(picture(8, 8 + index % 5, index + 1)).save(data, "PNG")
        files.append(data.getvalue())
    (folder / "data").mkdir()
    for number in range(CLASSES):
        (folder / "data" / f"c{number}").mkdir()
    for index in range(1, pictures, 2):
        (folder / "data" / f"c{index // 2 % CLASSES}" / f"{index:06}.png").write_bytes(files[index % len(files)])
    for number in range(SHARDS):
        with tarfile.open(folder / "data" / f"archive-{number}.tar", "w") as shard:
            for index in range(2 * number, pictures, 2 * SHARDS):
                member = tarfile.TarInfo(f"{index:06}.png")
                member.size = len(files[index % len(files)])
                shard.addfile(member, io.BytesIO(files[index % len(files)]))


def _job(folder: Path, output: str) -> int:
    names = [str(folder / each) for each in ("data", "styles", output, "model.fnst", f"{output}.jsonl")]
    words = ["stylize", *names[:2], "-o", names[2], "--model", names[3], "--manifest", names[4]]
    return cli.main([*words, "--sample", "1", "--seed", "3", "--threads", "2", "--no-style-cache", "--quiet"])


def _outputs(folder: Path) -> dict[str, bytes]:
    """Name -> contents of every file that a reader of the data set sees."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder): path for path in paths}
    return {
        name.as_posix(): path.read_bytes() for name, path in names.items() if not any(each[0] == "." for each in name.parts)
    }


def _left(folder: Path) -> list[str]:
    """What a finished job should not leave: parts of files, and of shards in its record."""
    return [name for name in hidden(folder) if name != FOLDER] + [path.name for path in folder.rglob("*.part")]


@check("a job of 100,000 small pictures killed 20 times: the same bytes", quick=3, full=20)
def dataset_kills(count: int) -> Outcome:
    """Outputs, shards and manifest of a job that is killed and gone on with are those of one that is not."""
    outcome, chance = Outcome(), random.Random(9)
    pictures = 5000 * count if count >= 20 else 600
    with workplace(0) as folder:
        _furnish(folder, pictures)
        seconds = timed(lambda: ended(forked(partial(_job, folder, "whole"), PATIENCE)))
        before = timed(lambda: ended(forked(partial(_job, folder, "whole"), PATIENCE)))  # the first of the work begins
        wanted = _outputs(folder / "whole")
        outcome.expect(len(wanted) == pictures // 2 + SHARDS, f"{len(wanted)} outputs")
        job = partial(_job, folder, "out")
        runs = 1
        while outcome.reached <= count:
            there = _outputs(folder / "out")
            if not killed_after(job, before / 2 + chance.uniform(0, 2 * seconds / count)):
                shutil.rmtree(folder / "out")
                runs += 1
                continue
            now = _outputs(folder / "out")
            sound = now.items() <= wanted.items() and there.items() <= now.items()
            outcome.expect(sound, f"after kill {outcome.reached}: {sorted(now.items() ^ wanted.items())[:3]}")
        outcome.expect(ended(forked(job, PATIENCE)) == 0 and _outputs(folder / "out") == wanted, "the last run")
        manifests = [(folder / f"{each}.jsonl").read_bytes() for each in ("whole", "out")]
        outcome.expect(manifests[0] == manifests[1] and bool(manifests[0]), "another manifest")
        outcome.expect(not _left(folder / "out"), f"left: {_left(folder / 'out')[:3]}")
    outcome.note = f"{pictures:,} pictures, {runs} whole jobs"
    return outcome
