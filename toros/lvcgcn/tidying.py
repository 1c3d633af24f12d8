"""Removes the files of old tests and mock events.

LIGO/Virgo/KAGRA send a mock event each hour, of some megabytes: a good sign of life, and a full
disk within a year.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from toros.clock import Clock
from toros.database.alerts import Alerts
from toros.errors import TorosError
from toros.lvcgcn.files import safe_name

log = logging.getLogger(__name__)

_EVERY_S = 6 * 3600.0
_AT_A_TIME = 500


class Tidying:
    """Looks for old files some times a day.

    Parameters
    ----------
    folder : Path
        Of the alerts: ``events`` and ``archive`` are in it.
    alerts : Alerts
    days : float
        How long files are kept [d].
    clock : Clock
    """

    def __init__(self, folder: Path, alerts: Alerts, days: float, clock: Clock) -> None:
        self._folder = folder
        self._alerts = alerts
        self._kept = timedelta(days=days)
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="tidying", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(5.0)

    def _work(self) -> None:
        while True:
            try:
                self.tidy()
            except (TorosError, OSError) as error:
                log.warning("old files of mock events stay for now: %s", error)
            if self._stopping.wait(_EVERY_S):
                return

    def tidy(self) -> tuple[int, int]:
        """Remove what is old; return how many events and notices it was of."""
        events, files = self._alerts.old_tests(self._clock.now() - self._kept)
        for name in events:
            shutil.rmtree(self._folder / "events" / safe_name(name), ignore_errors=True)
        self._remove_archived(files)
        for first in range(0, max(len(files), 1), _AT_A_TIME):
            self._alerts.forget_files(
                events if first == 0 else [], files[first : first + _AT_A_TIME]
            )
        if files:
            log.info("removed the files of %d old notices of mock events", len(files))
        return len(events), len(files)

    def _remove_archived(self, files: Sequence[str]) -> None:
        """Remove archived notices, and what had come with the same bytes again."""
        same = {Path(file).stem.rpartition("_")[2] for file in files}
        if not same:
            return
        for path in (self._folder / "archive").glob("*/*_*_*_*"):
            if path.name.split("_")[2] in same:
                path.unlink(missing_ok=True)
