"""Signals that ask a program to end, made to wait for a write in hand."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

AGAIN = 0.05  # seconds until an interrupt that got lost comes again

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)  # by the last, one that got lost comes again


@contextmanager
def hold_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the block ends; for the main thread, the only one that hears them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for held in came:
            signal.raise_signal(held)


def end_on_sigterm() -> None:
    """Treat SIGTERM, which schedulers and `kill` send, as Ctrl-C, and let neither get lost.

    Python prints and forgets what is raised while it clears something away, an interrupt too. It is raised once more.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGALRM, _interrupt)

    def unraisable(lost: "sys.UnraisableHookArgs") -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
        else:
            sys.__unraisablehook__(lost)

    sys.unraisablehook = unraisable


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
