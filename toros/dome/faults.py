"""What is wrong with the dome: alarms, and the errors that stay until a person has looked."""

from __future__ import annotations

from toros.config.enclosure import Dome as Settings
from toros.devices.protocols import ShutterState
from toros.dome.alarm import Alarm
from toros.dome.closing import ClosingLane
from toros.dome.motion import Turn
from toros.dome.rules import Situation
from toros.errors import NotSupported

_SILENT_S = 30.0
_STUCK_S = 3.0
"""A command that has not been answered for so long is told of [s]."""


class Faults:
    """Looks at the dome in each round of the control loop.

    Parameters
    ----------
    settings : Dome
    lane : ClosingLane
    """

    def __init__(self, settings: Settings, lane: ClosingLane) -> None:
        self.alarm = Alarm(settings.alarm_interval_s)
        self._settings = settings
        self._lane = lane

    def look(self, situation: Situation, trouble: str | None) -> list[str]:
        """Sound the alarms that are due; return what is to be latched.

        Parameters
        ----------
        situation : Situation
        trouble : str or None
            Why the shutter does not tell its state.
        """
        now_s = situation.now_s
        found = []
        if situation.shutter is ShutterState.ERROR and not situation.paused:
            found.append("the shutter reports an error")
        if situation.shutter is not None:
            self.alarm.end("silent")
        elif situation.unheard_s > _SILENT_S:
            text = f"the shutter does not tell its state: {trouble}"
            self.alarm.sound("silent", text, now_s)
        found += self._of_closing(now_s)
        fault = situation.fault or next(iter(found), None)
        if fault is None:
            self.alarm.end("fault")
        else:
            self.alarm.sound("fault", f"the dome does not open: {fault}", now_s)
        self.alarm.repeat(now_s)
        return found

    def of_turn(self, turn: Turn, now_s: float) -> None:
        """Tell of a turn that has ended."""
        if turn.error is None:
            self.alarm.end("turn")
        elif not (turn.cancelled or isinstance(turn.error, NotSupported)):
            self.alarm.sound("turn", f"the dome did not turn: {turn.error.message}", now_s)

    def _of_closing(self, now_s: float) -> list[str]:
        current = self._lane.current
        if current is None:
            for key in ("command", "closing", "park"):
                self.alarm.end(key)
            return []
        found = []
        last = current.last
        if last is not None and last.succeeded:
            self.alarm.end("command")
        elif last is not None and (last.error or now_s - last.began_s > _STUCK_S):
            why = last.error or "it has not answered"
            text = f"the dome could not be told to close: {why}; it is tried again without end"
            self.alarm.sound("command", text, now_s)
        if self._lane.overdue(now_s):
            limit_s = self._settings.shutter_timeout_s
            found.append(f"the shutter was not closed {limit_s:g} s after the command")
            self.alarm.sound("closing", f"{found[-1]}; it is told again without end", now_s)
        limit_s = self._settings.park_timeout_s
        if current.due_s is None and now_s - current.waits_s > limit_s:
            found.append(f"the roof is held open: the mount did not park in {limit_s:g} s")
            self.alarm.sound("park", f"{found[-1]}; it is tried again without end", now_s)
        return found
