"""Settings that runs of earlier versions do not have, and what these did.

A setting that is new, or gets another default, needs a line in `BEFORE` unless its default is what was done before.
"""

from typing import Any, Final

BEFORE: Final[dict[str, Any]] = {
    "static": {"encoder": "mobilenet_v2"},
    "candidate": {"objective": "geometric_mean", "measure_halfway": False},
    "warm_start": False,
    "repetition": 0,
}
"""Values by which runs were made that are too old to have the setting."""
