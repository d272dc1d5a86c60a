"""Curves of a search for TensorBoard, written as it goes.

They are a copy for the eye; the log of trials is the truth. A resumed search draws them anew from trial 0, and
TensorBoard, told of the new session, forgets what earlier ones drew: the curves go on where they were.
"""

import logging
import math
import time
from pathlib import Path

from nas.runs.trial import Trial

log = logging.getLogger(__name__)


class Curves:
    """Scalars of trials over their numbers, in an event file of `directory`.

    It writes in the calling thread: `tensorboardX.SummaryWriter` does so in one of its own, which dies on a full disk
    and leaves the search waiting for it for ever.

    Raises:
        OSError: here and in every method, if the disk is full.
    """

    def __init__(self, directory: Path) -> None:
        from tensorboardX.event_file_writer import EventsWriter  # here: only who draws needs it
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.summary import scalar

        directory.mkdir(parents=True, exist_ok=True)
        log.info("curves: pip install tensorboard, then tensorboard --logdir %s", directory)
        self._event, self._scalar, self._best = Event, scalar, -math.inf
        self._writer = EventsWriter(str(directory / "events"), f".{time.time_ns()}")  # sessions of one second differ
        self._writer.write_event(Event(wall_time=time.time(), step=0, session_log=SessionLog(status=SessionLog.START)))

    def add(self, trial: Trial) -> None:
        """Draw a sampled trial, in the order of numbers; of a failed one, its time."""
        values = {"seconds": trial.seconds, "halfway_reward": trial.halfway_reward, "reward": trial.reward}
        if trial.reward is not None:
            self._best = max(self._best, trial.reward)
            values |= {"best_reward": self._best, "miou": trial.metrics.get("miou")}
        for name, value in values.items():
            if value is not None:
                summary = self._scalar(name, value)
                self._writer.write_event(self._event(wall_time=time.time(), step=trial.number, summary=summary))
        self._writer.flush()

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
