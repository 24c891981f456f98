"""What a file is that should hold weights and does not: one line that says so, and what to do."""

from __future__ import annotations

from pathlib import Path

_START = 512
_FETCH = "not the file itself: {} in its repository fetches it"
_ELSEWHERE = "{}, which fastnst does not read: save the trained network's tensors as safetensors"
_LUA = (
    "is a file of Lua Torch, which fastnst does not read: save its tensors as safetensors, named after the places of their "
    "modules (0.weight, 0.bias, 2.weight ..); the package torchfile reads them"
)
_STARTS = (
    (b"version https://git-lfs.github.com/spec/", "is a Git LFS pointer, " + _FETCH.format("`git lfs pull`")),
    (b"/annex/objects/", "is a git-annex pointer, " + _FETCH.format("`git annex get`")),
    (b"\x04\0\0\0\x01\0\0\0\x03\0\0\0V 1", _LUA),
    (b"GGUF", _ELSEWHERE.format("is a GGUF file")),
    (b"\x89HDF\r\n\x1a\n", _ELSEWHERE.format("is an HDF5 file, as Keras writes them")),
    (b"\x93NUMPY", _ELSEWHERE.format("is a NumPy array")),
    (b"\x1f\x8b", "is compressed by gzip: unpack it first"),
    (b"\xfd7zXZ", "is compressed by xz: unpack it first"),
    (b"\xff\xd8\xff", "is a JPEG picture"),
    (b"\x89PNG", "is a PNG picture"),
)
_PAGES = (b"<!doctype html", b"<html", b"<?xml")
_SUFFIXES = {
    ".onnx": _ELSEWHERE.format("is an ONNX graph"),
    ".pb": _ELSEWHERE.format("is a TensorFlow graph"),
    ".tflite": _ELSEWHERE.format("is a TensorFlow Lite graph"),
    ".t7": _LUA,
}
_MODEL = b"FNST"


def is_pytorch(path: Path) -> bool:
    """Whether the file begins as those of ``torch.save`` do: a ZIP archive with a pickle, or before PyTorch 1.6 a pickle."""
    if is_safetensors(path):  # whose length may look like a pickle's first bytes
        return False
    start = _start(path)
    return (start.startswith(b"PK\x03\x04") and b"/data.pkl" in start) or start[:2] in {b"\x80\x02", b"\x80\x03", b"\x80\x04"}


def is_safetensors(path: Path) -> bool:
    """Whether the file begins as safetensors do: with the length of a JSON object, and that."""
    start = _start(path)
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size


def weights_in(folder: Path) -> list[Path]:
    """The files of weights in a folder that a run of training has left."""
    return [folder / name for name in ("final.safetensors", "last.safetensors") if (folder / name).is_file()]


def require_weights(path: Path) -> None:
    """Refuse what can be no file of weights, whatever its kind.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a folder, an empty file, a pointer to a file, a web page and the like; one line.
    """
    if path.is_dir():
        inside = weights_in(path)
        raise ValueError(f"{path}: is a folder, not a file of weights" + (f"; {inside[0]} is one" if inside else ""))
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    if not path.is_file():
        raise ValueError(f"{path}: not a regular file")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: is empty")
    if not is_safetensors(path) and (told := _unmistakable(_start(path))):
        raise ValueError(f"{path}: {told}")


def described(path: Path, wanted: str) -> str:
    """What the file ``path``, which :func:`require_weights` lets pass, is instead of ``wanted``: words to follow its name."""
    if is_pytorch(path):
        way = "safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'OUT.safetensors')"
        return f"is a PyTorch file, not {wanted}; of a file of plain tensors {way} makes one"
    if _start(path).startswith(b"PK\x03\x04"):
        return f"is a ZIP archive, not {wanted}"
    if is_safetensors(path):
        return f"is a safetensors file, not {wanted}: `fastnst convert` makes one of a trained network"
    if _start(path).startswith(_MODEL):
        return f"is a fastnst model for the engine, not {wanted}: `fastnst stylize --model` takes it as it is"
    return _SUFFIXES.get(path.suffix.lower(), f"not {wanted}")


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_START)


def _unmistakable(start: bytes) -> str | None:
    if start.lstrip().lower().startswith(_PAGES):
        return "is a web page, saved in place of the file that it leads to"
    return next((told for magic, told in _STARTS if start.startswith(magic)), None)
