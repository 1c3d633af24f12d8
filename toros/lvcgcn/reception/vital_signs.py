"""How a receiver is: what it says of itself, and when it says so to the admins."""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime
from typing import Any

from toros.clock import Clock, to_iso


class VitalSigns:
    """What is known of a source; tells of each change once.

    A line of the level ERROR is mailed to the admins: silence is told once, and its end with
    INFO. Durations are those of the real clock, also in a rehearsal: sockets know no other.

    Parameters
    ----------
    name : str
        What lines and the status call the source.
    silence_s : float or None
        Without a sign of life for so long it counts as dead [s]; None: it may be silent.
    clock : Clock
        For the times in the status.
    log : logging.Logger
    """

    def __init__(
        self, name: str, silence_s: float | None, clock: Clock, log: logging.Logger
    ) -> None:
        self.name = name
        self.connected = False
        self.received = 0
        self._silence_s = silence_s
        self._clock = clock
        self._log = log
        self._lock = threading.Lock()
        self._last_message: datetime | None = None
        self._last_heartbeat: datetime | None = None
        self._alive = time.monotonic()
        self._is_told = False
        self._troubles: dict[str, str] = {}

    def message(self) -> None:
        """Note that a notice has come."""
        self._last_message = self._clock.now()
        self.received += 1
        self._note_life()

    def heartbeat(self) -> None:
        """Note a sign of life that is no notice."""
        self._last_heartbeat = self._clock.now()
        self._note_life()

    def _note_life(self) -> None:
        with self._lock:
            silent_s, told = time.monotonic() - self._alive, self._is_told
            self._alive, self._is_told = time.monotonic(), False
        if told:
            self._log.info("%s is back after %.0f s of silence", self.name, silent_s)

    @property
    def silent_s(self) -> float:
        """For how long there was no sign of life [s]."""
        return time.monotonic() - self._alive

    def check(self) -> None:
        """Tell the admins of a silence, once; call it about every second."""
        with self._lock:
            silent_s = time.monotonic() - self._alive
            if self._silence_s is None or silent_s < self._silence_s or self._is_told:
                return
            self._is_told = True
        self._log.error(
            "%s is silent: no sign of life for %.0f s (limit %g s); alerts from there are missed "
            "until it is back%s",
            self.name, silent_s, self._silence_s, self._because(),
        )  # fmt: skip

    def _because(self) -> str:
        return f": {self.trouble}" if self.trouble else ""

    def worry(self, key: str, text: str, level: int = logging.WARNING) -> None:
        """Note a trouble and tell of it, once until it is `over`.

        Parameters
        ----------
        key : str
            Of its kind: a second one of the same kind replaces the text and is not told.
        """
        with self._lock:
            is_new = key not in self._troubles
            self._troubles[key] = text
        if is_new:
            self._log.log(level, "%s: %s", self.name, text)

    def over(self, *keys: str) -> None:
        """Note that troubles of these kinds are over."""
        with self._lock:
            for key in keys:
                self._troubles.pop(key, None)

    @property
    def troubles(self) -> frozenset[str]:
        """The kinds of trouble there are now."""
        with self._lock:
            return frozenset(self._troubles)

    @property
    def trouble(self) -> str:
        """What is wrong now; empty where nothing is."""
        with self._lock:
            return "; ".join(self._troubles.values())

    def state(self) -> dict[str, Any]:
        """Return what the daemon's status shows of the source, fit to travel."""
        return {
            "name": self.name,
            "connected": self.connected,
            "received": self.received,
            "last_message": None if self._last_message is None else to_iso(self._last_message),
            "last_heartbeat": None
            if self._last_heartbeat is None
            else to_iso(self._last_heartbeat),
            "silent_s": round(self.silent_s, 1),
            "trouble": self.trouble,
        }
