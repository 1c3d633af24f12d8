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


def boot_time() -> float:
    """Return the real time since the boot [s].

    Unlike the monotonic time it goes on while the machine is suspended, so that a reading
    from before is old afterwards.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Clock(Protocol):
    """What tells the time."""

    @property
    def rate(self) -> float:
        """How many of its seconds pass in a real second."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware, in UTC."""

    def monotonic(self) -> float:
        """Return a time in seconds that never goes back; its zero means nothing."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until `event` is set or `timeout_s` seconds have passed; True if it is set."""


class RealClock:
    """The operating system's clocks."""

    rate = 1.0

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


class SimulatedClock:
    """The time of a rehearsal: the real one, moved and accelerated.

    ``now = start + (real now - anchor) * rate``. All processes that are given the same
    three numbers share it, across restarts too.

    Parameters
    ----------
    anchor : datetime, aware
        The real time at which the simulated one is `start`.
    start : datetime, aware
    rate : float
        Simulated seconds in a real second.
    """

    def __init__(self, anchor: datetime, start: datetime, rate: float) -> None:
        self.anchor = anchor
        self.start = start
        self.rate = rate

    def now(self) -> datetime:
        """Return the simulated wall-clock time, aware, in UTC."""
        return self.start.astimezone(UTC) + (REAL.now() - self.anchor) * self.rate

    def monotonic(self) -> float:
        """Return the simulated monotonic time [s], the same for all processes of a machine."""
        return time.monotonic() * self.rate

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until `event` is set or `timeout_s` simulated seconds have passed."""
        return event.wait(timeout_s / self.rate)


def of_rehearsal(anchor: datetime | None, start: datetime | None, rate: float) -> Clock:
    """Return the clock of a rehearsal's settings; the real one where there is none."""
    if anchor is None or start is None:
        return REAL
    return SimulatedClock(anchor, start, rate)


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
