"""What is done after an error: again, connected anew, suspended for a while, latched.

Each family of errors climbs a ladder of its own; an exposure that is stored leads down again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from toros.clock import Clock
from toros.errors import (
    DatabaseUnavailable,
    DeviceError,
    DiskFull,
    DomeError,
    StorageFailed,
    TorosError,
)

_FASTEST = 30.0  # pauses are shortened in a rehearsal, but no further
_FORGET_S = 7200.0


class Measure(StrEnum):
    """What to do."""

    AGAIN = "again"
    CONNECT = "connect"
    SUSPEND = "suspend"
    LATCH = "latch"


class Rung(NamedTuple):
    """What to do, and how long to wait before it is tried again [s], real."""

    measure: Measure
    pause_s: float


_SUSPENDED = (
    Rung(Measure.SUSPEND, 30.0),
    Rung(Measure.SUSPEND, 120.0),
    Rung(Measure.SUSPEND, 300.0),
    Rung(Measure.SUSPEND, 600.0),
)
LADDERS: Mapping[str, Sequence[Rung]] = {
    "device": (
        Rung(Measure.AGAIN, 2.0),
        Rung(Measure.CONNECT, 5.0),
        Rung(Measure.CONNECT, 15.0),
        *_SUSPENDED,
        Rung(Measure.LATCH, 0.0),
    ),
    "dome": (
        Rung(Measure.AGAIN, 5.0),
        Rung(Measure.AGAIN, 15.0),
        *_SUSPENDED,
        Rung(Measure.LATCH, 0.0),
    ),
    # Time mends it, or a person who frees some space; nothing is broken.
    "storage": (
        Rung(Measure.AGAIN, 5.0),
        Rung(Measure.AGAIN, 15.0),
        Rung(Measure.AGAIN, 30.0),
        Rung(Measure.SUSPEND, 60.0),
    ),
    "other": (
        Rung(Measure.AGAIN, 2.0),
        Rung(Measure.AGAIN, 5.0),
        Rung(Measure.CONNECT, 15.0),
        *_SUSPENDED,
        Rung(Measure.LATCH, 0.0),
    ),
}
"""The rungs for each family of errors; the last one is for all that follow."""


class Ladder:
    """Counts errors, and says what is to be done.

    Parameters
    ----------
    clock : Clock
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rungs: dict[str, int] = {}
        self._last_s = -1e9

    def climb(self, error: TorosError) -> Rung:
        """Return what to do after an error; the next one of its family finds the next rung."""
        now_s = self._clock.monotonic()
        if now_s - self._last_s > _FORGET_S:
            self._rungs.clear()
        self._last_s = now_s
        family = _family(error)
        rungs = LADDERS[family]
        number = self._rungs.get(family, 0)
        self._rungs[family] = number + 1
        rung = rungs[min(number, len(rungs) - 1)]
        return Rung(rung.measure, rung.pause_s / min(max(self._clock.rate, 1.0), _FASTEST))

    def descend(self) -> None:
        """Begin below again: something has come off."""
        self._rungs.clear()


def _family(error: TorosError) -> str:
    if isinstance(error, DeviceError):
        return "device"
    if isinstance(error, DomeError):
        return "dome"
    if isinstance(error, DiskFull | StorageFailed | DatabaseUnavailable):
        return "storage"
    return "other"
