"""Where and when a report was made: date, host, version, and how busy the machine was."""

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version

from cache.cores import usable_cores


def provenance() -> str:
    """Say in one line when, where and by which version a report is written."""
    now = datetime.datetime.now().astimezone()
    return f"{now:%Y-%m-%d %H:%M %Z} on {platform.node()}, by dyncell {version_of('dyncell')}"


def machine() -> str:
    """Name the host and say how busy it is, without which a measured time means little."""
    return f"{platform.node()}, load average {os.getloadavg()[0]:.1f} on {usable_cores()} cores at {_clock()}"


def _clock() -> str:
    return f"{datetime.datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"


def version_of(package: str) -> str:
    """Say which version of a package is installed; where none is, it is imported from its sources."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "of a source tree"
