"""Turning the dome: one motion at a time, by order or after the telescope."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from typing import Literal

from toros.devices.protocols import Dome
from toros.dome.hands import Call, Crew, Reading
from toros.dome.watch import FRESH_S, Body
from toros.errors import DomeBusy, NotSupported, TorosError, TurnFailed

_SETTLE_S = 1.0
"""A dome that stands still so long after the command was taken has not begun to turn, or
has ended [s]."""
_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 300.0


def off_by(azimuth_deg: float, target_deg: float) -> float:
    """Return the angle between two azimuths, 0 to 180 [deg]."""
    return abs(math.remainder(azimuth_deg - target_deg, 360.0))


@dataclass
class Turn:
    """A motion that was begun.

    Attributes
    ----------
    target : float or "park"
        The azimuth [deg].
    call : Call
        The command.
    began_s : float
        Time since the boot [s].
    error : TorosError or None
        Why it failed.
    cancelled : bool
        It failed since something else was done.
    overdue : bool
        It failed since it took too long.
    done : threading.Event
        Set at its end.
    """

    target: float | Literal["park"]
    call: Call
    began_s: float
    error: TorosError | None = None
    cancelled: bool = False
    overdue: bool = False
    done: threading.Event = field(default_factory=threading.Event)

    def end(self, error: TorosError | None = None) -> None:
        """End it."""
        self.error = error
        self.done.set()


class Motion:
    """The dome's turns.

    Parameters
    ----------
    dome : Dome
    crew : Crew
    tolerance_deg : float
        How far the slit may be from where it is to be [deg].
    timeout_s : float
        Time of the longest turn, with a margin [s].
    """

    def __init__(self, dome: Dome, crew: Crew, tolerance_deg: float, timeout_s: float) -> None:
        self.current: Turn | None = None
        self._dome = dome
        self._tolerance_deg = tolerance_deg
        self._timeout_s = timeout_s
        self._hand = crew.hand("dome-turn")
        self._pause_s = _FIRST_PAUSE_S
        self._not_before_s = 0.0

    def begin(self, target: float | Literal["park"], now_s: float) -> Turn:
        """Begin to turn; returns at once.

        Raises
        ------
        DomeBusy
            It turns already, or its last command has not been answered.
        """
        if self.current is not None or not self._hand.free:
            raise DomeBusy("another motion of the dome is under way; stop it first, or wait")
        if target == "park":
            call = self._hand.begin("park", self._park)
        else:
            azimuth = float(target) % 360.0
            call = self._hand.begin(f"turn to {azimuth:.1f} deg", lambda: self._turn(azimuth))
        self.current = Turn(target, call, now_s)
        return self.current

    def cancel(self, error: TorosError) -> None:
        """End the turn under way, because something else is done now."""
        current, self.current = self.current, None
        if current is not None:
            current.cancelled = True
            current.end(error)

    def stands(self, body: Reading[Body] | None, now_s: float) -> bool:
        """Tell whether the dome has said that it stands still, since the last command to turn.

        What is not known counts as moving: a command whose answer was lost may have been taken.
        """
        last = self._hand.last
        if body is None or now_s - body.began_s > FRESH_S:
            return False
        # What was asked at the same moment may have been told before the command came.
        if last is not None and (last.ended_s is None or body.began_s <= last.ended_s):
            return False
        return body.value.slewing is False

    def follow(
        self, azimuth_deg: float, reading: Reading[Body] | None, now_s: float
    ) -> Turn | None:
        """Begin a turn after the telescope if it is due; return it."""
        if reading is None or not self.stands(reading, now_s):
            return None
        body = reading.value
        if body.azimuth is None:
            return None
        if self.current is not None or not self._hand.free or now_s < self._not_before_s:
            return None
        if off_by(body.azimuth, azimuth_deg) <= self._tolerance_deg:
            return None
        return self.begin(azimuth_deg, now_s)

    def pursue(self, body: Reading[Body] | None, now_s: float) -> Turn | None:
        """Look at the dome; return the turn if it has just ended."""
        current = self.current
        if current is None:
            return None
        ended, error = self._look(current, body, now_s)
        if not ended:
            return None
        self.current = None
        if error is None:
            self._pause_s = _FIRST_PAUSE_S
        else:
            self._not_before_s = now_s + self._pause_s
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        current.end(error)
        return current

    def _look(
        self, turn: Turn, body: Reading[Body] | None, now_s: float
    ) -> tuple[bool, TorosError | None]:
        if turn.call.error is not None:
            return True, _as_failure(turn.call.error)
        where = body.value if body is not None else None
        if now_s - turn.began_s > self._timeout_s:
            turn.overdue = True
            at = f"it is at {where.azimuth} deg" if where and where.azimuth is not None else ""
            return True, TurnFailed(
                f"the dome did not reach {_name(turn)} in {self._timeout_s:g} s; {at}".rstrip("; ")
            )
        if turn.call.ended_s is None or body is None or body.began_s < turn.call.ended_s:
            return False, None
        if body.value.slewing is not False:
            return False, None
        if self._has_arrived(turn, body.value):
            return True, None
        if body.began_s - turn.call.ended_s < _SETTLE_S:
            return False, None
        return True, TurnFailed(
            f"the dome stands still at {body.value.azimuth} deg instead of {_name(turn)}"
        )

    def _has_arrived(self, turn: Turn, body: Body) -> bool:
        if turn.target == "park":
            return body.at_park is True
        return body.azimuth is not None and (
            off_by(body.azimuth, float(turn.target)) <= self._tolerance_deg
        )

    def _turn(self, azimuth_deg: float) -> None:
        if not self._dome.can_turn:
            raise NotSupported("the dome cannot be turned")
        self._dome.slew_to_azimuth(azimuth_deg)

    def _park(self) -> None:
        if not self._dome.can_park:
            raise NotSupported("the dome has no park position")
        self._dome.park()


def _name(turn: Turn) -> str:
    return "its park position" if turn.target == "park" else f"azimuth {turn.target:.1f} deg"


def _as_failure(error: Exception) -> TorosError:
    if isinstance(error, TorosError):
        return error
    return TurnFailed(f"a defect: {type(error).__name__}: {error}")
