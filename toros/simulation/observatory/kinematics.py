"""Motion as a function of time: where something is that started then, at that speed.

Nothing runs while hardware moves. What is stored is where the motion began, where it ends, when
it began and how fast it is; where it is now follows from the clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Travel:
    """A motion along one axis at an even speed.

    Attributes
    ----------
    start, end : float
        Where it begins and ends, in the axis' unit.
    since_s : float
        When it began, by the clock's monotonic time [s].
    speed : float
        In the axis' unit per second, above 0.
    """

    start: float
    end: float
    since_s: float = 0.0
    speed: float = 1.0

    @property
    def duration_s(self) -> float:
        """How long it takes [s]."""
        return abs(self.end - self.start) / self.speed

    @property
    def arrival_s(self) -> float:
        """When it ends, by the clock's monotonic time [s]."""
        return self.since_s + self.duration_s

    def at(self, now_s: float) -> float:
        """Return where it is at a time.

        A time before the start is one of another boot of the machine: the motion is long over.
        """
        if not self.moving(now_s):
            return self.end
        return self.start + math.copysign((now_s - self.since_s) * self.speed, self._way)

    def moving(self, now_s: float) -> bool:
        """Tell whether it is under way at a time."""
        return self.since_s <= now_s < self.arrival_s

    @property
    def _way(self) -> float:
        return self.end - self.start

    def turned_to(self, end: float, now_s: float, speed: float | None = None) -> Travel:
        """Return the motion that goes to another place from where this one is now."""
        return Travel(self.at(now_s), end, now_s, self.speed if speed is None else speed)

    def stopped(self, now_s: float) -> Travel:
        """Return the motion that ends where this one is now."""
        return self.turned_to(self.at(now_s), now_s)


def at_rest(where: float) -> Travel:
    """Return a motion that has long ended at a place."""
    return Travel(where, where)


AT_ZERO = at_rest(0.0)
"""A motion that has long ended at 0."""


def shortest_way(angle_deg: float, to_deg: float) -> float:
    """Return the turn from one direction to another, the shorter way round.

    Parameters
    ----------
    angle_deg, to_deg : float [deg]
        Any turns on top of them do not matter.

    Returns
    -------
    float [deg]
        -180 <= turn < 180.
    """
    return (to_deg - angle_deg + 180) % 360 - 180


def turn(now: Travel, to_deg: float, now_s: float, speed: float) -> Travel:
    """Return the motion of a full circle's axis to a direction, the shorter way round.

    Parameters
    ----------
    now : Travel [deg]
    to_deg : float [deg]
    now_s : float
        The clock's monotonic time [s].
    speed : float [deg/s]
    """
    start = now.at(now_s) % 360
    return Travel(start, start + shortest_way(start, to_deg), now_s, speed)
