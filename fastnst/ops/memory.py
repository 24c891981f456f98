"""Memory that operations keep."""

from __future__ import annotations

from fastnst import dispatch


def empty_cache() -> int:
    """Give back to the system what operations on the CPU keep of large results for the next ones; bytes.

    Results of 32 MB and more come from memory of earlier ones of their size that are gone. At most four blocks,
    1 GiB in all, stay idle. ``torch.cuda.empty_cache`` is the same for what PyTorch keeps on GPUs.
    """
    released: int = dispatch.kernels("cpu", "memory").release() if dispatch.HAS_LIBRARY else 0
    return released
