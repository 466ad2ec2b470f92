"""Settings of glibc's memory allocator; with another C library nothing changes."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # of mallopt(3)


def configure_serving() -> None:
    """Let a process that serves return arrays to the system when they are freed, and keep what it always needs."""
    configure(mmap_threshold=2**17)


def configure(*, mmap_threshold: int, trim_threshold: int | None = None) -> None:
    """Let all threads of this process share their memory.

    Parameters
    ----------
    mmap_threshold : pieces of more bytes are returned to the system at once
    trim_threshold : bytes of freed smaller pieces that are kept for the next ones; None for glibc's own choice
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_ARENA_MAX, 2)
        mallopt(_MMAP_THRESHOLD, mmap_threshold)
        if trim_threshold is not None:
            mallopt(_TRIM_THRESHOLD, trim_threshold)
