"""What closes the dome while the control loop has a defect: few words, each on its own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from toros.devices.protocols import ShutterState
from toros.dome.closing import Closing
from toros.dome.hands import Hand
from toros.dome.rules import Mode
from toros.dome.watch import FRESH_S
from toros.errors import DeviceNotConnected, OrderCancelled

if TYPE_CHECKING:
    from toros.dome.controller import Controller

log = logging.getLogger(__name__)

_AGAIN_S = 3.0
_WHY = ("a defect of the control loop",)


class Rescue:
    """Closes in place of a control loop that does not get on.

    What one part of the daemon cannot do keeps no other from its work; and when the closing
    lane itself is what fails, the command goes out past it.

    Parameters
    ----------
    controller : Controller
    hand : Hand
        For the command that goes past the closing lane.
    """

    def __init__(self, controller: Controller, hand: Hand) -> None:
        self._controller = controller
        self._hand = hand
        self._told: set[str] = set()
        self._own: Closing | None = None
        self._parked_for: Closing | None = None

    def pursue(self, now_s: float) -> None:
        """Do what is due; at once. It raises nothing."""
        if self._does("look at the override", lambda: self._held_off(now_s)):
            return
        controller = self._controller
        self._does("revoke the right", controller.rights.revoke)
        error = OrderCancelled("a defect of the control loop")
        self._does("end the opening", partial(controller.opening.end, error))
        self._does("end the turn", partial(controller.motion.cancel, error))
        if not self._does("close", lambda: self._close(now_s)):
            self._does("close past the lane", lambda: self._close_directly(now_s))
        self._does("park the mount", lambda: self._park(now_s))
        self._does("park the dome", lambda: self._park_dome(now_s))

    def _does(self, what: str, act: Callable[[], object]) -> bool:
        """Do one thing, whatever comes of it; False if it failed or said so."""
        try:
            return bool(act())
        except Exception:  # the next one has its turn all the same
            if what not in self._told:
                log.exception("a defect keeps the dome's daemon from this: %s", what)
            self._told.add(what)
            return False

    def _held_off(self, now_s: float) -> bool:
        """Tell whether a person is in the slit: no defect closes it before their time is over."""
        rights, current = self._controller.rights, self._controller.closing.current
        ordered = current is not None and current.ordered
        return rights.mode is Mode.MANUAL and rights.override_s(now_s) > 0 and not ordered

    def _close(self, now_s: float) -> bool:
        controller = self._controller
        lane, opening = controller.closing, controller.opening.pending
        if lane.current is None and not self._is_closed(now_s):
            lane.begin(_WHY, now_s, ordered=False)
        lane.pursue(controller.watch.shutter.reading, now_s, opening=opening)
        return True

    def _close_directly(self, now_s: float) -> bool:
        last = self._hand.last
        if self._is_closed(now_s) or not self._hand.free or not self._roof_may_move(now_s):
            return False
        if last is None or now_s - last.began_s >= _AGAIN_S:
            self._hand.begin("close the shutter past the lane", self._command)
        return True

    def _roof_may_move(self, now_s: float) -> bool:
        if self._own is None:
            self._own = Closing(_WHY, now_s, ordered=False, waits_s=now_s)
        controller = self._controller
        return controller.parks.roof_may_move(controller.closing.current or self._own)

    def _command(self) -> None:
        dome = self._controller.dome
        try:
            dome.close_shutter()
        except DeviceNotConnected:
            dome.connect()
            dome.close_shutter()

    def _is_closed(self, now_s: float) -> bool:
        """Tell whether the shutter has just said so, with nothing on its way to open it."""
        controller = self._controller
        reading = controller.watch.shutter.reading
        return (
            reading is not None
            and now_s - reading.began_s <= FRESH_S
            and reading.value is ShutterState.CLOSED
            and controller.opening.knows(reading)
        )

    def _park(self, now_s: float) -> bool:
        controller = self._controller
        current = controller.closing.current or self._own
        if current is not self._parked_for:
            self._parked_for = current
            controller.parks.want()
        controller.parks.pursue_mount(controller.closing.current, now_s)
        return True

    def _park_dome(self, now_s: float) -> bool:
        controller = self._controller
        ended = controller.motion.pursue(controller.watch.body.reading, now_s)
        if controller.parks.turns:
            controller.parks.pursue_dome(ended, now_s)
        return True
