"""The heartbeat for hardware that closes the dome when software cannot.

It stops whenever the dome is not known to be as it should be, in weather that is not known
say: it is for a relay with a timer or a PLC that closes the dome, not for a watchdog that
starts the computer again.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

_PERIOD_S = 1.0


class Heartbeat:
    """Writes once a second while all is well.

    Parameters
    ----------
    path : Path
        A file, which gets the number of the beat, or a device such as a relay's serial line.
    is_well : callable
        Returns at once whether the control loop gets on and the dome is as it should be.
    """

    def __init__(self, path: Path, is_well: Callable[[], bool]) -> None:
        self._path = path
        self._is_well = is_well
        self._stop = threading.Event()
        self._descriptor = -1
        self._is_device = False
        self._beats = 0
        self._told = ""

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="dome-heartbeat", daemon=True).start()

    def stop(self) -> None:
        """End: the hardware closes the dome after its time."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(_PERIOD_S):
            if not self._is_well():
                continue
            try:
                self._beat()
                self._told = ""
            except OSError as error:
                self._descriptor = -1
                if str(error) != self._told:
                    log.error("the heartbeat cannot be written: %s: %s", self._path, error)
                self._told = str(error)

    def _beat(self) -> None:
        if self._descriptor < 0:
            # O_NONBLOCK: a pipe without a reader is an error, not something to wait for.
            flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
            self._descriptor = os.open(self._path, flags, 0o644)
            self._is_device = not stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        self._beats += 1
        if self._is_device:
            os.write(self._descriptor, b"\n")
        else:
            os.pwrite(self._descriptor, f"{self._beats:>12}\n".encode(), 0)
