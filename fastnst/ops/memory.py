"""Memory that operations cache."""

from __future__ import annotations

from fastnst import dispatch


def empty_cache() -> int:
    """Return the memory that CPU operations cache to the system.

    Results of 32 MB and more reuse the memory of earlier results of the same size that were freed. At most four blocks, of
    1 GiB in all, are cached. ``torch.cuda.empty_cache`` does the same for PyTorch's cache on GPUs.

    Returns:
        The number of bytes that were released.
    """
    released: int = dispatch.kernels("cpu", "memory").release() if dispatch.HAS_LIBRARY else 0
    return released
