"""HEIC (ISO 23008-12), by libheif where the extra ``heif`` is installed. It is read only."""

from __future__ import annotations

from fastnst.pictures.format import Format, brands
from fastnst.pictures.picture import KindError

_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


def _recognises(head: bytes) -> bool:
    found = brands(head)
    return bool(found & _BRANDS) and not found & {b"avif", b"avis"}  # mif1 and msf1 are brands of both formats


def _prepare() -> None:
    try:
        import pillow_heif
    except (ImportError, OSError):  # the latter: the Python part is there, its library is not
        raise KindError("HEIC pictures need the extra heif: pip install 'fastnst[heif]'") from None
    pillow_heif.register_heif_opener()


FORMAT = Format(name="HEIC", suffixes=(".heic", ".heif"), recognises=_recognises, decoders=("HEIF",), prepare=_prepare)
