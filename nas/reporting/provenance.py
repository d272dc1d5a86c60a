"""Where and when a report was made: date, host, version, and how busy the machine was."""

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version

from cache.cores import usable_cores


def provenance() -> str:
    """Say in one line when, where and by which version a report is written."""
    now = datetime.datetime.now().astimezone()
    return f"{now:%Y-%m-%d %H:%M %Z} on {platform.node()}, by dyncell {_version()}"


def machine() -> str:
    """Name the host and say how busy it is, without which a measured time means little."""
    return f"{platform.node()}, load average {os.getloadavg()[0]:.1f} on {usable_cores()} cores at {_clock()}"


def _clock() -> str:
    return f"{datetime.datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"


def _version() -> str:
    try:
        return version("dyncell")
    except PackageNotFoundError:
        return "of a source tree"
