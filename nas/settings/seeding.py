"""Named random streams: every consumer of randomness gets its own seed, so the order of work changes nothing."""

import hashlib


def stream(root: int, *name: str | int) -> int:
    """Return the seed of one named consumer, in [0, 2**63); `stream(seed, "candidate", key)`, say."""
    label = "/".join(map(str, (root, *name)))
    return int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big") >> 1
