"""Memory that operations cache."""

from __future__ import annotations

from fastnst import dispatch


def empty_cache() -> int:
    """Give the memory that CPU operations cache back to the system; the number of bytes.

    Results of 32 MB and more come from memory of earlier ones of their size that are gone. At most four blocks,
    1 GiB in all, stay idle. ``torch.cuda.empty_cache`` is the same for what PyTorch keeps on GPUs.
    """
    released: int = dispatch.kernels("cpu", "memory").release() if dispatch.HAS_LIBRARY else 0
    return released
