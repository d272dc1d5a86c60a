"""The C library's allocator, told to keep what is freed: large tensors come and go at every step.

glibc gives blocks over 32 MB back to the system at once, and gets them again page by page, each zeroed first. On
1024x2048 that is half of the encoder's time.
"""

import ctypes
import platform
from typing import Final

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # as in malloc.h
_GROWTH: Final = 2**28  # bytes by which the heap grows at least
_NEVER: Final = 2**31 - 1


def keep_freed_memory() -> bool:
    """Keep freed memory for this process until it ends; with another C library than glibc, nothing is done.

    Returns:
        Whether the allocator agreed.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(
        mallopt(option, value) == 1
        for option, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _NEVER), (_M_TOP_PAD, _GROWTH))
    )
