"""Training data and trained weights in files of limited size, for machines with a limit on files that go in and out.

python -m fastnst.train.packs pack DATA -o FOLDER         # pictures and VGG-19 -> pack-1-of-2.tar ...
python -m fastnst.train.packs unpack FOLDER -o DATA       # and back
python -m fastnst.train.packs give RUN... -o FOLDER       # runs' weights in float16 -> NAME.safetensors, or NAME-1-of-2 ...
python -m fastnst.train.packs join FILE... -o FILE        # and the parts of one network back into one file
"""

from __future__ import annotations

import argparse
import io
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from fastnst.images import Picture, resize_short_side
from fastnst.system.atomic import atomic_output

from .checkpoints import load_checkpoint, save_checkpoint
from .data import opened, picture_files
from .scoring import VGG_FILE

MIB = 2**20
PACK, GIVEN = 60, 16
"""The largest file in MiB: of a pack, and of weights."""
SIDE = 288
"""Short side of packed pictures in pixels, enough for crops of 256 pixels that are zoomed out a little."""
QUALITY = 92
FOLDERS = ("content-train", "style-train")
PLACES = ("weights", *FOLDERS)
BLOCK = 512
"""The size of a block in a tar file; members begin at multiples of it."""
END = 2 * BLOCK
"""The number of zero bytes at the end of a tar file."""


def small_picture(path: Path, side: int) -> tuple[str, bytes]:
    """The name and bytes of a picture; if its short side is above ``side`` pixels, of a smaller WebP of it."""
    picture = opened(path)
    if min(picture.size) <= side:
        return path.name, path.read_bytes()
    data = io.BytesIO()
    resize_short_side(Picture(picture, None), side).rgb.save(data, "WEBP", quality=QUALITY)
    return f"{path.stem}.webp", data.getvalue()


def members(data: Path, side: int) -> Iterator[tuple[str, bytes]]:
    """The files in a folder of training data that recipe ``adain`` reads: their names in it, and contents."""
    yield f"weights/{VGG_FILE}", (data / "weights" / VGG_FILE).read_bytes()
    for folder in FOLDERS:
        seen: set[str] = set()
        for path in picture_files(data / folder):
            name, content = small_picture(path, side)
            if name in seen:
                raise ValueError(f"{path}: another picture would be packed as {name} too; rename one of them")
            seen.add(name)
            yield f"{folder}/{name}", content


def pack(data: Path, folder: Path, side: int = SIDE, limit: int = PACK * MIB) -> list[Path]:
    """Write ``pack-1-of-N.tar`` and so on to ``folder``, each of at most ``limit`` bytes.

    Raises:
        ValueError: a single file is larger; two pictures would get the same name.
        OSError, ImageError: a file cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    packs: list[list[tuple[str, bytes]]] = [[]]
    taken = room = limit - tarfile.RECORDSIZE  # the file is padded to whole records
    for name, content in members(data, side):
        size = BLOCK + -(-len(content) // BLOCK) * BLOCK
        if size > room:
            raise ValueError(f"{data / name}: {len(content):,} bytes do not fit in a pack of {limit:,}")
        if taken < size:
            packs.append([])
            taken = room
        packs[-1].append((name, content))
        taken -= size
    return [written(folder / f"pack-{i}-of-{len(packs)}.tar", each) for i, each in enumerate(packs, 1)]


def written(path: Path, files: Sequence[tuple[str, bytes]]) -> Path:
    """Write a tar file whose bytes depend only on ``files``, names and contents."""
    with atomic_output(path) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def unpack(folder: Path, data: Path) -> int:
    """Extract the files of all packs in ``folder`` to ``data``, and return their number.

    Raises:
        ValueError: a pack is missing, is cut off, or has unexpected content.
    """
    packs = sorted(folder.glob("pack-*-of-*.tar"))
    counts = {path.stem.rpartition("-of-")[2] for path in packs}
    if counts != {str(len(packs))}:
        raise ValueError(f"{folder}: expected pack-1-of-N.tar to pack-N-of-N.tar, found {len(packs)} packs")
    count = 0
    for path in packs:
        with path.open("rb") as file:
            file.seek(-min(END, path.stat().st_size), io.SEEK_END)
            if file.read() != bytes(END):  # tarfile would accept a pack that ends between two members
                raise ValueError(f"{path}: cut off, or not a tar file")
        with tarfile.open(path) as archive:
            for member in archive:
                place, _, name = member.name.partition("/")
                if not member.isfile() or place not in PLACES or not name or "/" in name:
                    raise ValueError(f"{path}: {member.name}: not a file that a pack holds")
                content = archive.extractfile(member)
                assert content is not None  # it is a file
                (data / place).mkdir(parents=True, exist_ok=True)
                with atomic_output(data / place / name) as output:
                    output.write(content.read())
                count += 1
    return count


def weights_of(run: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The result of a run and its facts, or the averaged weights of the last checkpoint if the run is not finished.

    Raises:
        ValueError: the run has neither.
    """
    final, last = run / "final.safetensors", run / "last.safetensors"
    if final.exists():
        return load_checkpoint(final)
    if not last.exists():
        raise ValueError(f"{run}: neither final.safetensors nor last.safetensors")
    tensors, facts = load_checkpoint(last)
    own = {name.removeprefix("model."): x for name, x in tensors.items() if name.startswith("model.")}
    own |= {name.removeprefix("average."): x for name, x in tensors.items() if name.startswith("average.")}
    return {name: x for name, x in own.items() if name.startswith(("encoder.", "decoder.", "heads."))}, facts


def parted(tensors: Mapping[str, Tensor], limit: int) -> list[dict[str, Tensor]]:
    """``tensors`` in the fewest groups, in their order, of at most ``limit`` bytes each, names included."""
    groups: list[dict[str, Tensor]] = [{}]
    left = limit
    for name, tensor in sorted(tensors.items()):
        size = tensor.numel() * tensor.element_size() + len(name) + 128  # its entry in the header
        if size > left and groups[-1]:
            groups.append({})
            left = limit
        if size > left:
            raise ValueError(f"{name}: {size:,} bytes do not fit in a file of {limit:,}")
        groups[-1][name] = tensor
        left -= size
    return groups


def give(run: Path, folder: Path, limit: int = GIVEN * MIB) -> list[Path]:
    """Write the weights of a run in float16 to files of at most ``limit`` bytes, named after its folder."""
    tensors, facts = weights_of(run)
    head = 4096 + 2 * len(str(facts))
    groups = parted({name: x.half() for name, x in tensors.items()}, limit - head)
    names = [f"-{i}-of-{len(groups)}" if len(groups) > 1 else "" for i in range(1, len(groups) + 1)]
    paths = [folder / f"{run.name}{name}.safetensors" for name in names]
    for path, group in zip(paths, groups, strict=True):
        save_checkpoint(path, group, facts)
    return paths


def join(files: Sequence[Path], output: Path) -> Path:
    """Join the parts of one network in one file.

    Raises:
        ValueError: by their names they are parts of different runs, or not all parts of one.
    """
    parts = [load_checkpoint(file) for file in files]
    stems = {file.stem.rpartition("-of-")[0].rpartition("-")[0] for file in files}
    counts = {file.stem.rpartition("-of-")[2] for file in files}
    if len(stems) > 1 or len({str(facts) for _, facts in parts}) > 1:
        raise ValueError(f"{', '.join(map(str, files))}: not parts of one network")
    if len({file.name for file in files}) != len(files) or counts != {str(len(files))}:
        raise ValueError(f"{', '.join(map(str, files))}: not all the parts of a network, NAME-1-of-N to NAME-N-of-N")
    tensors = {name: tensor for part, _ in parts for name, tensor in part.items()}
    save_checkpoint(output, tensors, parts[0][1])
    return output


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m fastnst.train.packs", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, given, text in (
        ("pack", "DATA", "a folder as recipe adain reads it, into packs"),
        ("unpack", "FOLDER", "packs, into a folder of data"),
        ("give", "RUN", "the weights of runs in float16"),
        ("join", "FILE", "the parts of one network"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("given", type=Path, metavar=given, nargs="+" if name in {"give", "join"} else None)
        command.add_argument("-o", "--output", type=Path, required=True)
        if name in {"pack", "give"}:
            largest = PACK if name == "pack" else GIVEN
            command.add_argument("--limit", type=float, default=largest, metavar="MIB", help="of each file (%(default)s)")
        if name == "pack":
            command.add_argument("--side", type=int, default=SIDE, help="largest short side of pictures (%(default)s)")
    asked = parser.parse_args(argv)
    try:
        if asked.command == "pack":
            made = pack(asked.given, asked.output, asked.side, int(asked.limit * MIB))
        elif asked.command == "unpack":
            sys.stdout.write(f"{unpack(asked.given, asked.output):,} files\n")
            return 0
        elif asked.command == "give":
            made = [path for run in asked.given for path in give(run, asked.output, int(asked.limit * MIB))]
        else:
            made = [join(asked.given, asked.output)]
    except (OSError, ValueError, tarfile.TarError) as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return 1
    for path in made:
        sys.stdout.write(f"{path}  {path.stat().st_size:,} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
