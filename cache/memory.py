"""Memory that this process may use: of a machine and a container's limit, the least."""

import os
from pathlib import Path

from cache.control_groups import limits


def usable_memory(root: Path = Path("/")) -> int:
    """Find how many bytes this process may use at most: the machine's, or fewer where its control groups limit it.

    Args:
        root: of the file system in which `proc` and `sys` lie.
    """
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    words = [word for group in limits("memory", ["memory.max"], ["memory.limit_in_bytes"], root) for word in group]
    return min([whole, *(int(word) for word in words if word.isdecimal())])  # `max`: no limit
