"""The closing lane: from the wish to the live shutter's word, without end.

`ClosingLane.begin` sends the command at once, from the caller's thread by a hand of the
lane's own; `ClosingLane.pursue`, called several times a second, sends it again until the
shutter says that it is closed. Nothing here looks at what the shutter was, asks the
database, writes a file or takes a lock that is held during such work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from toros.devices.protocols import Dome, ShutterState
from toros.dome.hands import Call, Crew, Reading
from toros.errors import DeviceNotConnected

_HANDS = 4
_BACK_OFF_S = (1.0, 2.0, 3.0)
"""After the first, second, … command that failed; the last for all that follow [s]."""
_IGNORED_S = 2.0
"""A command that was taken moves the shutter within this time [s]."""
_ERROR_S = 5.0
_OVERDUE_S = 10.0
_STOPPED_S = 5.0
"""A closing that begins so soon after a stop goes on with the one that was stopped [s]."""


@dataclass
class Closing:
    """One closing.

    Attributes
    ----------
    why : tuple of str
    began_s : float
        When it was wished for, as time since the boot [s].
    ordered : bool
        A person has ordered it; no override holds it off.
    waits_s : float
        Since when a roll-off roof waits for the mount: a stop in between prolongs it not [s].
    due_s : float or None
        When the roof was first free to move: a roll-off roof waits for the mount [s].
    sent_s : float or None
        When the command was first sent [s].
    closed_s : float or None
        When the shutter had said that it is closed [s].
    attempts : int
        How many commands were sent.
    calls : list of Call
        The last of them.
    done : threading.Event
        Set when the shutter has said that it is closed.
    """

    why: tuple[str, ...]
    began_s: float
    ordered: bool
    waits_s: float
    due_s: float | None = None
    sent_s: float | None = None
    closed_s: float | None = None
    attempts: int = 0
    calls: list[Call] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def last(self) -> Call | None:
        """The command that was sent last."""
        return self.calls[-1] if self.calls else None


class ClosingLane:
    """Closes the shutter.

    Parameters
    ----------
    dome : Dome
    crew : Crew
    may_send : callable
        Returns whether the roof may move: only a roll-off roof waits, for the mount's park.
    timeout_s : float
        Travel time of the shutter, with a margin [s].
    """

    def __init__(
        self, dome: Dome, crew: Crew, may_send: Callable[[], bool], timeout_s: float
    ) -> None:
        self.current: Closing | None = None
        self._dome = dome
        self._may_send = may_send
        self._timeout_s = timeout_s
        self._hands = [crew.hand(f"dome-close-{n}") for n in range(1, _HANDS + 1)]
        self._stopped: tuple[float, float] | None = None
        # Orders come in threads of their own; held for a few assignments.
        self._lock = threading.RLock()

    def begin(self, why: tuple[str, ...], now_s: float, *, ordered: bool) -> Closing:
        """Begin a closing, or go on with the one under way; the command is sent in any case.

        Returns at once.
        """
        with self._lock:
            current = self.current
            if current is None:
                current = self.current = Closing(why, now_s, ordered, self._waits_since(now_s))
            elif ordered:
                current.ordered = True
            self._send(current, now_s)
        return current

    def drop(self) -> None:
        """Give the closing up: it was held off."""
        with self._lock:
            self.current = None

    def stop(self, now_s: float) -> None:
        """Give the closing up for the moment: all motion was stopped."""
        with self._lock:
            current, self.current = self.current, None
            if current is not None:
                self._stopped = (current.waits_s, now_s)

    def _waits_since(self, now_s: float) -> float:
        stopped, self._stopped = self._stopped, None
        if stopped is None or now_s - stopped[1] > _STOPPED_S:
            return now_s
        return stopped[0]

    def overdue(self, now_s: float) -> bool:
        """Tell whether the shutter should have been closed by now, since it was free to move."""
        current = self.current
        since_s = current.due_s if current is not None else None
        return since_s is not None and now_s - since_s > self._timeout_s

    def pursue(
        self,
        shutter: Reading[ShutterState] | None,
        now_s: float,
        *,
        opening: bool,
        opened_s: float = 0.0,
    ) -> Closing | None:
        """Look at the shutter and do what is due; return the closing if it has just ended.

        Parameters
        ----------
        shutter : Reading or None
            What the shutter said last.
        now_s : float
            Time since the boot [s].
        opening : bool
            A command to open may still reach the dome.
        opened_s : float
            When the last command to open came back [s]: what was sent before does not count.
        """
        with self._lock:
            current = self.current
            if current is None:
                return None
            if not opening and _is_closed(current, shutter, opened_s):
                current.closed_s = now_s
                current.done.set()
                self.current = None
                return current
            if self._is_due(current, shutter, now_s, opened_s):
                self._send(current, now_s)
            return None

    def told(self, closing: Closing) -> str:
        """Say how far a closing is, for a person."""
        last = closing.last
        if closing.done.is_set():
            return "the shutter says closed"
        if last is None:
            return "closing: the mount is parked first"
        if last.error is not None:
            return f"closing: the dome did not take the command ({last.error}); it is sent again"
        if last.pending:
            return "closing: the command was sent, the dome has not answered yet"
        return "closing: the dome has taken the command"

    def _is_due(
        self,
        current: Closing,
        shutter: Reading[ShutterState] | None,
        now_s: float,
        opened_s: float,
    ) -> bool:
        last = current.last
        if last is None or last.began_s < opened_s:
            return True
        since_s = now_s - last.began_s
        if last.pending or last.error is not None:
            # What hangs may never have reached the dome: another way in is tried meanwhile.
            return since_s >= _BACK_OFF_S[min(current.attempts, len(_BACK_OFF_S)) - 1]
        if self.overdue(now_s):
            return since_s >= _OVERDUE_S
        state = shutter.value if shutter and shutter.began_s >= last.began_s else None
        if state is ShutterState.CLOSING:
            return False
        return since_s >= (_ERROR_S if state in (None, ShutterState.ERROR) else _IGNORED_S)

    def _send(self, current: Closing, now_s: float) -> None:
        if not self._may_send():
            return
        if current.due_s is None:
            current.due_s = now_s
        hand = next((hand for hand in self._hands if hand.free), None)
        if hand is None:  # all hang; the first that comes back is used
            return
        current.calls = [*current.calls[-_HANDS:], hand.begin("close the shutter", self._close)]
        current.attempts += 1
        if current.sent_s is None:
            current.sent_s = now_s

    def _close(self) -> None:
        try:
            self._dome.close_shutter()
        except DeviceNotConnected:
            self._dome.connect()
            self._dome.close_shutter()


def _is_closed(current: Closing, shutter: Reading[ShutterState] | None, opened_s: float) -> bool:
    """Tell whether the shutter has said so after the command was sent, with none to open since."""
    return (
        current.sent_s is not None
        and shutter is not None
        and shutter.value is ShutterState.CLOSED
        and shutter.began_s >= max(current.sent_s, opened_s)
    )
