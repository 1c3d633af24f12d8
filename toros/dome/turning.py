"""When the dome turns: by order, after the telescope, to its park position."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from toros.devices.protocols import ShutterState
from toros.dome import rules
from toros.dome.motion import Turn
from toros.dome.rules import Mode, Situation
from toros.errors import OrderCancelled

if TYPE_CHECKING:
    from toros.dome.controller import Controller


class Turning:
    """The turns of the dome.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._motion = controller.motion

    def check(self, who: str, *, for_lease: bool) -> None:
        """Raise why the dome is not turned for `who`, if so.

        Raises
        ------
        DomeError, Stopping
        """
        now_s = self._controller.now()
        stands = self._motion.stands(self._controller.watch.body.reading, now_s)
        refusal = rules.refuse_turning(
            self._controller.situation(now_s),
            who,
            for_lease=for_lease,
            slaved=self.followed(now_s) is not None,
            moving=self._motion.current is not None or not stands,
        )
        if refusal is not None:
            raise refusal

    def begin(self, target: float | Literal["park"], who: str, *, for_lease: bool) -> Turn:
        """Begin to turn to an azimuth [deg] or to the park position; returns at once.

        Raises
        ------
        DomeError, Stopping
        """
        with self._controller.rights.lock:
            self.check(who, for_lease=for_lease)
            return self._motion.begin(target, self._controller.now())

    def abandon(self, turn: Turn) -> None:
        """Stop a turn whose order was cancelled."""
        if self._motion.current is turn:
            self._motion.cancel(OrderCancelled("the order was cancelled"))
            self._stop()

    def followed(self, now_s: float) -> float | None:
        """Return the azimuth that the dome follows [deg]; None if it follows none."""
        rights = self._controller.rights
        held = rights.held(now_s)
        slaved = self._controller.settings.slaved and rights.mode is Mode.AUTOMATIC
        return held.azimuth_deg if held is not None and slaved else None

    def pursue(self, situation: Situation) -> None:
        """Look at the turn under way, and begin the one that is due; at once."""
        controller, now_s = self._controller, situation.now_s
        ended = self._motion.pursue(controller.watch.body.reading, now_s)
        if ended is not None:
            controller.faults.of_turn(ended, now_s)
            if ended.overdue:
                self._stop()
        if situation.paused or situation.opening:
            return
        if controller.parks.turns:
            controller.parks.pursue_dome(ended, now_s)
            return
        azimuth = self.followed(now_s)
        still = situation.shutter is ShutterState.OPEN and controller.closing.current is None
        if azimuth is not None and still and situation.fault is None:
            self._motion.follow(azimuth, controller.watch.body.reading, now_s)

    def _stop(self) -> None:
        """Stop a turn, unless that would stop the shutter, too."""
        controller = self._controller
        shutter_moves = controller.closing.current or controller.opening.current
        if not shutter_moves and controller.stop_hand.free:
            controller.stop_hand.begin("stop the turn", controller.dome.abort)
