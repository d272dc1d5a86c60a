"""LiveReport: the report of a search that goes on, so that its page can be left open in a browser."""

import time
from collections.abc import Callable
from typing import Final

PAUSE: Final = 30.0  # seconds from one writing to the next, at least
SHARE: Final = 0.05  # of the time that writing may take, at most


class LiveReport:
    """Writes the report now and then. The first one comes after a pause, as short searches do without."""

    def __init__(self, write: Callable[[], object], clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to wait.

        Args:
            write: writes the report as it stands.
            clock: tells seconds.
        """
        self._write, self._clock = write, clock
        self._next = clock() + PAUSE

    def update(self) -> None:
        """Write the report if it is time to."""
        start = self._clock()
        if start < self._next:
            return
        self._write()
        end = self._clock()
        self._next = end + max(PAUSE, (end - start) / SHARE)
