"""PyTorch's files of tensors: plain ones, and those that programs wrap in dictionaries and prefixes; never code.

What is read: a dictionary of named tensors; one within a checkpoint, beside an optimizer's state and the like; tensors whose
names all begin as ``DataParallel`` and the usual training programs have them begin.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

WRAPPERS = ("state_dict", "params_ema", "params", "model_state_dict", "model", "generator", "netG", "G", "net", "network")
"""What checkpoints call the network that is used, the first that there is; anything else has to be the only one."""
SAVES = "torch.save(model.state_dict(), 'OUT.pth')"


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The named tensors of one of PyTorch's files.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds something else, or several networks; one line that says how to save tensors.
    """
    _require_plain_archive(path)
    with path.open("rb") as file:
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # PyTorch's readers have no error in common, and say more than a line
            raise ValueError(f"{path}: {_refused(str(error))}") from None
    tensors = unwrapped(content, path)
    for name, tensor in tensors.items():
        _require_plain_tensor(f"{path}: {name}", tensor)
    return tensors


def unwrapped(content: object, path: Path) -> dict[str, Tensor]:
    """The one network in what a file held; errors as of :func:`read_checkpoint`."""
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: not a PyTorch file of named tensors, but of {type(content).__name__}")
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    inner = {str(name): value for name, value in content.items() if isinstance(value, Mapping) and _holds_tensors(value)}
    if inner and not any("." in name for name in tensors):
        return unwrapped(inner[_chosen(list(inner), path)], path)
    if len(tensors) < len(content) or not tensors:
        raise ValueError(f"{path}: not a PyTorch file of named tensors")
    return without_prefixes(tensors, path)


def without_prefixes(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """``tensors`` without ``module.`` and without the name of the network that they are of; errors as above."""
    named = {re.sub(r"(^|\.)(?:module|_orig_mod)\.", r"\1", name): value for name, value in tensors.items()}
    heads = {name.split(".")[0] for name in named}
    if any(re.fullmatch(r"(?:net)?(?:G|D)(?:_\w+)?|generator|discriminator", head) for head in heads) or (
        len(heads) == 1 and heads & (set(WRAPPERS) - {"model"})
    ):
        head = _chosen(sorted(head for head in heads if not re.match("(?:net)?D|discriminator", head)), path)
        return without_prefixes({n.removeprefix(f"{head}."): x for n, x in named.items() if n.startswith(f"{head}.")}, path)
    return named


def _chosen(names: list[str], path: Path) -> str:
    known = [name for name in WRAPPERS if name in names]
    if not known and len(names) != 1:
        listed = ", ".join(names[:6])
        raise ValueError(f"{path}: holds several networks ({listed}): save one of them alone")
    return known[0] if known else names[0]


def _holds_tensors(value: Mapping[Any, Any]) -> bool:
    """Whether a network's tensors are there, however deep; an optimizer numbers what it holds."""
    named = [each for name, each in value.items() if isinstance(name, str)]
    return any(isinstance(each, Tensor) or (isinstance(each, Mapping) and _holds_tensors(each)) for each in named)


def _require_plain_archive(path: Path) -> None:
    """Refuse what no ``torch.save`` of tensors writes, before anything of it is unpacked."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OverflowError):
        raise ValueError(f"{path}: a damaged PyTorch file") from None
    if any(entry.filename.endswith("/constants.pkl") or "/code/" in entry.filename for entry in entries):
        saves = "torch.save(torch.jit.load(FILE).state_dict(), 'OUT.pth')"
        raise ValueError(f"{path}: is a TorchScript program, which is not run here: {saves} saves its tensors")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError(f"{path}: is compressed inside, as no file that torch.save writes")


def _refused(error: str) -> str:
    """Words for what PyTorch would not load."""
    found = re.search(r"GLOBAL ([\w.]+)", error) or re.search(r"Unsupported (?:class|operand)\W*([\w.]+)", error)
    if found:
        name = found[1]
        return f"holds more than tensors ({name}), and to load that runs code: where it was made, {SAVES} saves its tensors"
    return "not a PyTorch file of plain tensors, or a damaged one"


def _require_plain_tensor(name: str, tensor: Tensor) -> None:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.device.type != "cpu":
        raise ValueError(f"{name} is no plain tensor of real numbers")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise ValueError(f"{name} is larger than what the file holds of it")
