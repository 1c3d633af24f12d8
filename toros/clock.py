"""Time: the wall clock in UTC, the monotonic clock, and waiting.

Code that stamps, schedules or waits takes a `Clock`, so that a rehearsal or a
test can hand it a simulated one. Socket timeouts, watchdogs and deadlines that
protect hardware use the operating system's clocks directly and stay real.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What tells the time."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware, in UTC."""

    def monotonic(self) -> float:
        """Return a time in seconds that never goes back; its zero means nothing."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until `event` is set or `timeout_s` seconds have passed; True if it is set."""


class RealClock:
    """The operating system's clocks."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the monotonic time [s]."""
        return time.monotonic()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until `event` is set or `timeout_s` seconds have passed; True if it is set."""
        return event.wait(timeout_s)


REAL: Clock = RealClock()


def to_iso(moment: datetime) -> str:
    """Write a moment as ISO 8601 in UTC with milliseconds, without an offset.

    A naive `moment` is taken as UTC, as on the wire.
    """
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return aware.replace(tzinfo=None).isoformat(timespec="milliseconds")


def from_iso(text: str) -> datetime:
    """Read ISO 8601 into an aware UTC moment; a naive time is UTC.

    Raises
    ------
    ValueError
        `text` is no ISO 8601 date and time, or none of the years 1 to 9999 in UTC.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is before the year 1 or after 9999 in UTC") from None
