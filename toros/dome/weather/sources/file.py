"""A file that a weather station writes."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

from toros.clock import REAL, Clock
from toros.config.enclosure import WeatherSource
from toros.dome.weather.observation import Observation
from toros.dome.weather.sources import station
from toros.errors import DeviceNonsense, DeviceUnreachable


class FileSource:
    """Reads a station's JSON from a file.

    Without a time in it, the time at which the file was written counts.

    Parameters
    ----------
    settings : WeatherSource
        With a path.
    clock : Clock
        What the station's time is compared with.
    """

    period_s = 1.0

    def __init__(self, settings: WeatherSource, clock: Clock) -> None:
        assert settings.path is not None  # the section checks it
        self.name = settings.name
        self.age_limit_s = settings.age_limit_s
        self._path = settings.path
        self._fields = settings.fields
        self._stamped = station.Ages(clock)
        # The file system's times are real in a rehearsal, too.
        self._written = station.Ages(REAL)

    def read(self) -> Observation:
        """Read the file.

        Raises
        ------
        DeviceUnreachable
            It cannot be read.
        DeviceNonsense
            It is no station's data.
        """
        content, written = _contents(self._path)
        report = station.parse(content, self._fields)
        age_s = self._written.age_s(written) if report.time is None else (
            self._stamped.age_s(report.time)
        )  # fmt: skip
        return station.observe(report, age_s)


def _contents(path: Path) -> tuple[bytes, datetime]:
    try:
        # Without O_NONBLOCK, opening a pipe would wait for a writer.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise DeviceNonsense(f"{path} is no regular file")
            content = file.read(station.MAX_BYTES + 1)
    except OSError as error:
        raise DeviceUnreachable(f"{path}: {error.strerror or error}") from error
    if len(content) > station.MAX_BYTES:
        raise DeviceNonsense(f"{path} is longer than {station.MAX_BYTES} bytes")
    return content, datetime.fromtimestamp(status.st_mtime, UTC)
