"""Valid inputs, spoiled: bytes are flipped, cut, doubled and put in; values of a tree are replaced by strange ones."""

import copy
import json
import resource
import time
from random import Random

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

MEMORY = 400  # MB that all cases of a drill together may add
SECONDS = 2.0  # of the processor, for one case
A_SEED = 20  # cases; Hypothesis takes longer over a draw than most readers over a case
STRANGE = [
    *(None, True, False, 0, -1, 1, 3, 255, 256, 2**31, 2**63, 10**400, -(10**30), 0.5, -0.0, 1e308, 5e-324),
    *(float("nan"), float("inf"), -float("inf"), "", "x", "a" * 300, "0", "1e5", "\0", "\ud800", "../../x"),
    *([], [[]], [None] * 40, {}, {"": {}}, {"x": [1]}, "2001-99-99", "skip", "block9", "!!python/name:os.system"),
]
DEEP = b"[" * 100
LAUGHS = ("a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}x]\n" for n in range(1, 9))).encode()


def fuzz(count, make, run):
    """Call `run` on `count` values of `make`, which takes a `Random`; returns how many, and what they took."""
    seconds, memory = [], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @settings(
        max_examples=count // A_SEED,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**32))
    def cases(seed):
        random = Random(seed)
        for _ in range(A_SEED):
            value = make(random)
            start = time.process_time()
            run(value)
            seconds.append(time.process_time() - start)
            assert seconds[-1] < SECONDS

    cases()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    assert grown < MEMORY
    return len(seconds), f"slowest {1e3 * max(seconds):.0f} ms, memory +{grown:.0f} MB"


def spoil(content, random):
    """Make one to four changes to `content`, bytes."""
    data = bytearray(content)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data) + 1)
        match random.choice(["flip", "flip", "cut", "drop", "put", "double"]):
            case "flip":
                data[at : at + 1] = bytes(byte ^ random.randint(1, 255) for byte in data[at : at + 1])
            case "cut":
                del data[at:]
            case "drop":
                del data[at : at + random.randint(1, 8)]
            case "put":
                data[at:at] = random.randbytes(random.randint(1, 4))
            case "double":
                data[at:at] = data[at : at + random.randint(1, 64)]
    return bytes(data)


def alter(tree, random):
    """Make one to three changes to a copy of `tree`, of JSON's kinds."""
    top = {"": copy.deepcopy(tree)}
    for _ in range(random.randint(1, 3)):
        held = list(_places(top))
        holder, key = random.choice(held)
        other, other_key = random.choice(held)
        strange = random.choice(STRANGE)
        match random.choice(["set", "set", "set", "delete", "copy", "swap"]):
            case "set":
                holder[key] = copy.deepcopy(strange)
            case "delete":
                del holder[key]
            case "copy" if isinstance(holder, list):
                holder.insert(key, copy.deepcopy(holder[key]))
            case "copy" if isinstance(strange, str):
                holder[strange] = copy.deepcopy(holder[key])
            case "swap":
                holder[key] = copy.deepcopy(other[other_key])
        top.setdefault("", None)
    return top[""]


def _places(tree):
    """Yield (holder, key) of every value in a tree."""
    for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


def make_text(random, trees, *raw):
    """Make a text: an altered tree in JSON, which is YAML, too; a tree or one of `raw` with spoiled bytes; noise."""
    match random.randrange(5):
        case 0 | 1:
            return json.dumps(alter(random.choice(trees), random)).encode()
        case 2:
            return spoil(json.dumps(random.choice(trees)).encode(), random)
        case 3 if raw:
            return spoil(random.choice(raw), random)
        case _:
            return random.randbytes(random.randint(0, 60))
