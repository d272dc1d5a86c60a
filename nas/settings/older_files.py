"""Settings that runs of earlier versions do not have, and what these did.

A setting that is new, or gets another default, needs a line in `BEFORE` unless its default is what was done before.
"""

from typing import Any, Final

BEFORE: Final[dict[str, Any]] = {
    "static": {"encoder": "mobilenet_v2"},
    "data": {"gaps": [1], "refresh": 0},
    "candidate": {
        "objective": "geometric_mean",
        "measure_halfway": False,
        "windows": 0,
        "dec_weight": 0.0,
        "logit_weight": 0.0,
        "label_weight": 1.0,
        "schedule": "constant",
    },
    "warm_start": False,
    "repetition": 0,
}
"""Values by which runs were made that are too old to have the setting."""
