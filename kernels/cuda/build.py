"""Compiles the CUDA kernels on request: ``python -m fastnst.kernels.cuda.build [FOLDER]``, which needs ``nvcc``.

Without a folder, the library goes where ``fastnst.kernels.cuda`` looks for it: the folder that ``FASTNST_CUDA`` names, or the
user's cache. Its name holds a hash of the source, so that a library of another version is never loaded.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

SOURCE = Path(__file__).with_name("wct.cu")
ARCHITECTURES = ("80", "90")
"""Compute capabilities that get machine code: A100, and H100 and H200. Later GPUs compile the last one's PTX on loading."""


def folder() -> Path:
    """The folder of the library."""
    chosen = os.environ.get("FASTNST_CUDA")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastnst"


def library(where: Path | None = None) -> Path:
    """The path of the library of this source; it need not exist."""
    content = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    return (where or folder()) / f"libfastnst-cuda-{content}.so"


def compiler() -> str:
    """The path of ``nvcc``: that of ``CUDA_HOME``, or the first on the ``PATH``.

    Raises:
        FileNotFoundError: there is none.
    """
    home = os.environ.get("CUDA_HOME")
    found = shutil.which("nvcc", path=str(Path(home) / "bin")) if home else None
    found = found or shutil.which("nvcc")
    if found is None:
        raise FileNotFoundError("nvcc, the compiler of CUDA, is neither in CUDA_HOME nor on the PATH")
    return found


def command(output: Path, architectures: Sequence[str] = ARCHITECTURES) -> list[str]:
    """The command that compiles the source to ``output``."""
    codes = [f"-gencode=arch=compute_{each},code=sm_{each}" for each in architectures]
    codes.append(f"-gencode=arch=compute_{architectures[-1]},code=compute_{architectures[-1]}")
    flags = ["-shared", "-O2", "-std=c++17", "-Xcompiler=-fPIC,-fvisibility=hidden,-Wall,-Wextra", "-Werror=all-warnings"]
    return [compiler(), *flags, *codes, "-o", str(output), str(SOURCE)]


def build(where: Path | None = None, architectures: Sequence[str] = ARCHITECTURES) -> Path:
    """Compile the library and return its path.

    Raises:
        FileNotFoundError: there is no ``nvcc``.
        RuntimeError: it failed; the message is its output.
    """
    target = library(where)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Compiled under another name first, so that the library is complete or absent.
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        made = Path(scratch) / target.name
        done = subprocess.run(command(made, architectures), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"nvcc failed:\n{done.stdout}{done.stderr}".rstrip())
        made.replace(target)
    return target


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m fastnst.kernels.cuda.build", description="Compile the CUDA kernels.")
    parser.add_argument("folder", nargs="?", type=Path, help=f"where the library goes (default: {folder()})")
    parser.add_argument("--arch", action="append", metavar="CC", help="compute capability times 10 (default: 80 and 90)")
    options = parser.parse_args(arguments)
    try:
        sys.stdout.write(f"{build(options.folder, options.arch or ARCHITECTURES)}\n")
    except (OSError, RuntimeError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
