import struct
import subprocess
import sys

from tensorboardX.proto.event_pb2 import Event, SessionLog

from nas.runs.tensorboard import Curves
from nas.runs.trial import Trial


def events(path):
    """The records of an event file: length (8 bytes), its checksum (4), the event, its checksum (4)."""
    content, found = path.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        found.append(Event.FromString(content[12 : 12 + length]))
        content = content[16 + length :]
    return found


def points(directory):
    """What TensorBoard shows: tag -> {step: value}; a session's start makes it forget that step and later ones."""
    shown = {}
    for path in sorted(directory.iterdir()):
        for event in events(path):
            if event.session_log.status == SessionLog.START:
                shown = {tag: {s: v for s, v in curve.items() if s < event.step} for tag, curve in shown.items()}
            for value in event.summary.value:
                assert event.step not in shown.setdefault(value.tag, {})
                shown[value.tag][event.step] = round(value.simple_value, 6)
    return shown


TRIALS = [
    Trial(number=0, status="finished", reward=0.5, halfway_reward=0.25, metrics={"miou": 0.4}, seconds=2.0),
    Trial(number=1, status="failed", error="timeout: no result after 9 s", seconds=9.0),
    Trial(number=2, status="early_stopped", reward=0.3, halfway_reward=0.3, metrics={"miou": 0.2}, seconds=1.0),
    Trial(number=3, status="finished", reward=0.625, halfway_reward=0.5, metrics={"miou": 0.6}, seconds=2.5),
]
CURVES = {
    "reward": {0: 0.5, 2: 0.3, 3: 0.625},
    "best_reward": {0: 0.5, 2: 0.5, 3: 0.625},
    "miou": {0: 0.4, 2: 0.2, 3: 0.6},
    "halfway_reward": {0: 0.25, 2: 0.3, 3: 0.5},
    "seconds": {0: 2.0, 1: 9.0, 2: 1.0, 3: 2.5},
}


def draw(directory, trials, close=True):
    curves = Curves(directory)
    for trial in trials:
        curves.add(trial)
    if close:
        curves.close()


def test_each_curve_has_the_trials_that_have_its_value(tmp_path):
    draw(tmp_path / "events", TRIALS)
    assert points(tmp_path / "events") == CURVES


def test_a_point_is_in_the_file_as_soon_as_it_is_drawn(tmp_path):
    draw(tmp_path, TRIALS, close=False)
    assert points(tmp_path) == CURVES


def test_a_resumed_search_shows_no_point_twice_even_within_a_second(tmp_path):
    draw(tmp_path, TRIALS[:2])
    draw(tmp_path, TRIALS[:3])
    draw(tmp_path, TRIALS)
    assert len(list(tmp_path.iterdir())) == 3
    assert points(tmp_path) == CURVES


FILL_THE_DISK = """
import resource, sys
from pathlib import Path
from nas.runs.tensorboard import Curves
from nas.runs.trial import Trial
curves = Curves(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
try:
    for number in range(100):
        curves.add(Trial(number=number, status="finished", reward=0.5))
except OSError:
    print("full")
"""


def test_a_full_disk_raises_instead_of_hanging(tmp_path):
    command = [sys.executable, "-c", FILL_THE_DISK, tmp_path]
    assert subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=300).stdout == "full\n"
