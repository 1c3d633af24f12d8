"""Opening: one command, followed by the shutter's own word."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from toros.devices.protocols import Dome, ShutterState
from toros.dome.hands import Call, Crew, Reading
from toros.errors import DomeBusy, ShutterFailed, TorosError

_UNMOVED_S = 5.0
"""A shutter that took the command and has not moved so long after it does not open [s]."""


@dataclass
class Opening:
    """An opening.

    Attributes
    ----------
    call : Call
        The command.
    began_s : float
        Time since the boot [s].
    error : TorosError or None
        Why it failed.
    overdue : bool
        It failed since it took too long.
    done : threading.Event
        Set at its end.
    """

    call: Call
    began_s: float
    error: TorosError | None = None
    overdue: bool = False
    done: threading.Event = field(default_factory=threading.Event)


class OpeningLane:
    """Opens the shutter, one time at a time.

    Parameters
    ----------
    dome : Dome
    crew : Crew
    may_send : callable
        Asked just before the command: whether nothing has begun to close meanwhile.
    timeout_s : float
        Travel time of the shutter, with a margin [s].
    """

    def __init__(
        self, dome: Dome, crew: Crew, may_send: Callable[[], bool], timeout_s: float
    ) -> None:
        self.current: Opening | None = None
        self._dome = dome
        self._may_send = may_send
        self._timeout_s = timeout_s
        self._hand = crew.hand("dome-open")

    @property
    def pending(self) -> bool:
        """Whether a command to open may still reach the dome."""
        return not self._hand.free

    @property
    def ended_s(self) -> float:
        """When the last command to open came back, as time since the boot [s]."""
        last = self._hand.last
        return (last.ended_s or last.began_s) if last is not None else 0.0

    def knows(self, shutter: Reading[ShutterState]) -> bool:
        """Tell whether a word of the shutter is younger than the last command to open.

        An older one says nothing of what that command has done, whatever became of its
        answer.
        """
        last = self._hand.last
        return last is None or (last.ended_s is not None and shutter.began_s > last.ended_s)

    def begin(self, now_s: float) -> Opening:
        """Begin to open; returns at once.

        Raises
        ------
        DomeBusy
            An earlier command has not been answered yet.
        """
        if not self._hand.free:
            raise DomeBusy("an earlier command to open has not been answered yet")
        self.current = Opening(self._hand.begin("open the shutter", self._open), now_s)
        return self.current

    def end(self, error: TorosError | None = None) -> None:
        """End the opening under way, if there is one."""
        current, self.current = self.current, None
        if current is not None:
            current.error = error
            current.done.set()

    def pursue(self, shutter: Reading[ShutterState] | None, now_s: float) -> Opening | None:
        """Look at the shutter; return the opening if it has just ended."""
        current = self.current
        if current is None:
            return None
        error: TorosError | None = None
        if current.call.error is not None:
            error = _as_failure(current.call.error)
        elif now_s - current.began_s > self._timeout_s:
            current.overdue = True
            error = ShutterFailed(f"the shutter did not open in {self._timeout_s:g} s")
        elif shutter is None or shutter.began_s < current.call.began_s:
            return None
        elif shutter.value is not ShutterState.OPEN:
            if not _stands(shutter, current.call):
                return None
            error = ShutterFailed(f"told to open, the shutter is {shutter.value}")
        self.end(error)
        return current

    def _open(self) -> None:
        if not self._may_send():
            raise ShutterFailed("the dome closes; the command to open was not sent")
        self._dome.open_shutter()


def _stands(shutter: Reading[ShutterState], call: Call) -> bool:
    """Tell whether the shutter has taken the command, and does not move."""
    still = shutter.value in (ShutterState.CLOSED, ShutterState.ERROR)
    return still and call.ended_s is not None and shutter.began_s > call.ended_s + _UNMOVED_S


def _as_failure(error: Exception) -> TorosError:
    if isinstance(error, TorosError):
        return error
    return ShutterFailed(f"a defect: {type(error).__name__}: {error}")
