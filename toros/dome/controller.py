"""The control loop: several times a second it looks, decides and commands.

It never waits: devices are asked and commanded by threads of their own, the weather and the
sun are judged in others, files are written aside. Locks are held for a few assignments.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from toros.clock import Clock
from toros.config.enclosure import Dome as Settings
from toros.devices.protocols import Dome, Mount, ShutterState
from toros.dome import rules
from toros.dome.closing import Closing, ClosingLane
from toros.dome.faults import Faults
from toros.dome.hands import Call, Crew, Reading
from toros.dome.ledger import Ledger
from toros.dome.memory import Memory
from toros.dome.motion import Motion
from toros.dome.opening import Opening, OpeningLane
from toros.dome.parking import Parks
from toros.dome.rescue import Rescue
from toros.dome.rights import Rights
from toros.dome.rules import Mode, Situation, Verdict
from toros.dome.turning import Turning
from toros.dome.watch import Watch
from toros.errors import OrderCancelled, ShutterFailed, TorosError
from toros.workorders import WorkOrder
from toros.workorders.dome import CloseDome

log = logging.getLogger(__name__)

_TICK_S = 0.2
_HURRY = 10.0
"""In an accelerated rehearsal the loop looks so much more often at the most."""
_WEATHER_GRACE_S = 3.0
"""For so long after a start the weather need not have been read yet [s]."""
_STOP_PAUSE_S = 3.0
"""For so long after a stop a closing that is due waits: less than closing may be late [s]."""
_STOP_AGAIN_S = 10.0
_WINDOW_PERIOD_S = 0.5
_WINDOW_AGE_S = 60.0
_SUN_UNKNOWN = "whether the sun is low enough is not known"
_ANSWER_S = 2.0
_CLOSED_ALREADY_S = 0.8


@dataclass(frozen=True)
class Parts:
    """What the controller works with.

    Parameters
    ----------
    dome : Dome
    mount : Mount or None
    verdict : callable
        Returns the weather's verdict, at once.
    outside : callable
        Returns why the dome is not to be open at this time of the day, None when it may be;
        asked in a thread of its own.
    clock : Clock
        For stamps; what protects the hardware goes by the real time.
    ledger : Ledger
    memory : Memory
    crew : Crew
        Its threads, and the real time.
    """

    dome: Dome
    mount: Mount | None
    verdict: Callable[[], Verdict]
    outside: Callable[[], str | None]
    clock: Clock
    ledger: Ledger
    memory: Memory
    crew: Crew = field(default_factory=Crew)


class Controller:
    """Keeps the dome closed unless it may be open.

    Parameters
    ----------
    settings : Dome
        The section of the configuration.
    parts : Parts
    forbidden : str or None
        An error that only a restart clears: the configuration is wrong.
    """

    def __init__(self, settings: Settings, parts: Parts, forbidden: str | None = None) -> None:
        self.settings = settings
        self.clock = parts.clock
        self.ledger = parts.ledger
        hurry = min(max(1.0, parts.clock.rate), _HURRY)
        crew = self._crew = parts.crew
        self.now = crew.now
        self.watch = Watch(parts.dome, crew, hurry)
        self.rights = Rights(settings, parts.memory, forbidden)
        self.closing = ClosingLane(
            parts.dome, crew, self._roof_may_close, settings.shutter_timeout_s
        )
        self.opening = OpeningLane(parts.dome, crew, self._may_open_yet, settings.shutter_timeout_s)
        self.motion = Motion(
            parts.dome, crew, settings.azimuth_tolerance_deg, settings.turn_timeout_s
        )
        self.parks = Parks(settings, parts.mount, self.motion, crew)
        self.faults = Faults(settings, self.closing)
        self.turning = Turning(self)
        self.dome = parts.dome
        self._verdict = parts.verdict
        self._window = crew.poller("dome-window", parts.outside, _WINDOW_PERIOD_S / hurry)
        self.stop_hand = crew.hand("dome-stop")
        self._rescue = Rescue(self, crew.hand("dome-rescue"))
        self._tick_s = _TICK_S / hurry
        self._orders: list[dict[str, Any]] = []
        self._paused_until_s = 0.0
        self._started_s = self._ticked_s = crew.now()
        self._well_s = 0.0
        self._stopping = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dome-control", daemon=True)

    def start(self) -> None:
        """Begin: what is found open closes, unless a lease comes in time."""
        self.begin()
        self._thread.start()

    def begin(self) -> None:
        """Begin without the loop's thread: `step` is for the caller to call."""
        self._started_s = self.now()
        self.rights.begin(self._started_s)
        self.watch.start()
        self._window.start()

    def stop(self) -> bool:
        """Close the dome, wait for that, and end; return whether it is known to be closed.

        An override holds this off, too: the dome is then left open.
        """
        self.go_down()
        until_s = self.now() + self.settings.shutter_timeout_s + _STOP_PAUSE_S
        if self.parks.roof_waits:
            until_s += self.settings.park_timeout_s
        while self.now() < until_s and not self.at_rest():
            self._ending.wait(_TICK_S)
        closed = self.watch.shutter_now() is ShutterState.CLOSED
        if not closed:
            log.error("the dome's daemon ends, and the dome is not known to be closed")
        self._ending.set()
        self._thread.join(2.0)
        self.watch.stop()
        self._window.stop()
        return closed

    def at_rest(self) -> bool:
        """Tell whether nothing is left to be done before the daemon ends."""
        situation = self.situation(self.now())
        return rules.held_off(situation) or not (situation.closing or rules.may_be_open(situation))

    def go_down(self) -> None:
        """Close and open no more: the daemon ends."""
        self._stopping = True

    def silent_s(self) -> float:
        """Return for how long the loop has made no progress [s]."""
        return self.now() - self._ticked_s

    def is_well(self) -> bool:
        """Tell whether the loop gets on and the dome is as it should be, the weather known."""
        return self.now() - self._well_s < 1.0

    def _run(self) -> None:
        while not self._ending.is_set():
            self.step()
            self._ending.wait(self._tick_s)

    def step(self) -> None:
        """Go one round; a defect does not end the loop, it closes the dome."""
        try:
            self.tick()
            self._ticked_s = self.now()
        except Exception:  # whatever it is, the dome must not stay open
            log.exception("the control loop met a defect; the dome closes")
            self._rescue.pursue(self.now())

    def tick(self) -> None:
        """Look, decide, command; at once."""
        now_s = self.now()
        situation = self.situation(now_s)
        decision = rules.decide(situation)
        if decision.close:
            self._begin_closing(decision.close, now_s)
        elif decision.hold:
            self._hold()
        shutter = self.watch.shutter.reading
        if not situation.paused:
            opening, opened_s = self.opening.pending, self.opening.ended_s
            closed = self.closing.pursue(shutter, now_s, opening=opening, opened_s=opened_s)
            self._end_closing(closed, now_s)
        self._pursue_opening(now_s)
        self.turning.pursue(situation)
        self._keep_grant(situation)
        self.parks.pursue_mount(self.closing.current, now_s)
        for fault in self.faults.look(situation, self.watch.shutter.trouble):
            self._latch(fault)
        if situation.shutter is ShutterState.CLOSED:
            self.ledger.settle()
        if self._is_as_requested(situation):
            self._well_s = now_s

    def situation(self, now_s: float) -> Situation:
        """Return all that the rules look at."""
        held = self.rights.held(now_s)
        shutter = self.watch.shutter.reading
        outside = self._outside(now_s)
        return Situation(
            now_s=now_s,
            shutter=self.watch.shutter_now(),
            believed=self._believed(shutter),
            unheard_s=now_s - (shutter.began_s if shutter is not None else self._started_s),
            closing=self.closing.current is not None,
            opening=self.opening.current is not None,
            mode=self.rights.mode,
            grant=self.rights.grant,
            holder=held.holder if held is not None else None,
            override_s=self.rights.override_s(now_s),
            fault=self.rights.fault,
            weather=self._verdict(),
            outside=outside.value if outside is not None else _SUN_UNKNOWN,
            outside_known=outside is not None,
            starting=now_s - self._started_s < _WEATHER_GRACE_S,
            stopping=self._stopping,
            paused=now_s < self._paused_until_s,
        )

    def _believed(self, shutter: Reading[ShutterState] | None) -> ShutterState | None:
        if shutter is None:
            return None
        return shutter.value if self.opening.knows(shutter) else ShutterState.OPENING

    def _outside(self, now_s: float) -> Reading[str | None] | None:
        reading = self._window.reading
        fresh = reading is not None and now_s - reading.began_s < _WINDOW_AGE_S
        return reading if fresh else None

    # Closing

    def close(self, order: CloseDome, user: str) -> dict[str, Any]:
        """Close now, by order; return the order's record, which `status` follows.

        One that is not the night's own ends the automatic mode, so that the night does not
        open again what a person has closed.
        """
        # The driver first; everything else is said and written after it.
        why = (f"{order.request} by {user or 'somebody'}",)
        now_s = self.now()
        closing = self.closing.begin(why, now_s, ordered=True)
        self._paused_until_s = 0.0
        self.rights.end_override()
        self._preempt(OrderCancelled("the dome was told to close"))
        self._take_from_the_night(order.holder or user, order.holder, now_s)
        record = self.ledger.open(order, user)
        with self.rights.lock:
            self._orders.append(record)
        if closing.last is not None and self._crew.wait(closing.last.done, _ANSWER_S):
            self._crew.wait(closing.done, _CLOSED_ALREADY_S)
        record["progress_text"] = self.closing.told(closing)
        if closing.done.is_set():
            self._end_orders()
        log.warning("%s by %s: %s", order.request, user or "somebody", record["progress_text"])
        return record

    def _take_from_the_night(self, who: str, holder: str | None, now_s: float) -> None:
        """Set the mode to manual, unless it is the night that closes."""
        if self.rights.mode is Mode.MANUAL or self.rights.is_night(who, holder, now_s):
            return
        self.rights.set_mode(Mode.MANUAL, 0.0, who or "somebody", now_s)
        self.ledger.note("mode", mode=Mode.MANUAL.value, override_s=0.0, by=who, order="CloseDome")

    def _begin_closing(self, why: tuple[str, ...], now_s: float) -> None:
        self.closing.begin(why, now_s, ordered=False)
        self._preempt(ShutterFailed(f"the dome closes: {'; '.join(why)}"))
        log.warning("the dome closes: %s", "; ".join(why))
        self.ledger.note("close commanded", why=list(why))

    def _preempt(self, error: TorosError) -> None:
        """End what else is under way and nobody's right to an open dome; park beside it."""
        self.rights.revoke()
        self.opening.end(error)
        self.motion.cancel(error)
        self.parks.want()

    def _roof_may_close(self) -> bool:
        return self.parks.roof_may_move(self.closing.current)

    def _hold(self) -> None:
        current = self.closing.current
        if current is not None and not current.ordered:
            log.warning("closing is held off by a person in manual mode")
            self.closing.drop()

    def _end_closing(self, ended: Closing | None, now_s: float) -> None:
        if ended is None:
            return
        took_s = round(now_s - ended.began_s, 1)
        log.info("the shutter says closed, %g s after the wish", took_s)
        self.ledger.note("closed", took_s=took_s, commands=ended.attempts)
        self._end_orders()

    def _end_orders(self, error: TorosError | None = None) -> None:
        with self.rights.lock:
            orders, self._orders = self._orders, []
        for record in orders:
            self.ledger.end(record, error)

    # Opening

    def check_opening(self, who: str, *, for_lease: bool) -> None:
        """Raise why the dome is not opened for `who`, if so.

        Raises
        ------
        DomeError, DeviceUnreachable, Stopping
        """
        refusal = rules.refuse_opening(self.situation(self.now()), who, for_lease=for_lease)
        if refusal is not None:
            raise refusal

    def open(self, who: str, *, for_lease: bool) -> Opening:
        """Begin to open; returns at once.

        Raises
        ------
        DomeError, DeviceUnreachable, Stopping
        """
        now_s = self.now()
        with self.rights.lock:
            self.check_opening(who, for_lease=for_lease)
            self.motion.cancel(OrderCancelled("the shutter opens"))
            self.parks.leave()
            grant = self.rights.grant_for(who, now_s)
            if self.watch.shutter_now() is ShutterState.OPEN:
                self.rights.grant = grant
                return _open_already(now_s)
            before, self.rights.grant = self.rights.grant, grant
            try:
                opening = self.opening.begin(now_s)
            except TorosError:
                self.rights.grant = before
                raise
        self.ledger.note("open commanded", by=who, right=grant.by)
        return opening

    def abandon(self, opening: Opening) -> None:
        """Give an opening up: its order was cancelled. The dome closes."""
        if self.opening.current is opening:
            self.opening.end(OrderCancelled("the order was cancelled"))
            self.rights.revoke()

    def _may_open_yet(self) -> bool:
        """Tell whether a closing has not come first; one after this is sent again."""
        return self.closing.current is None and self.rights.grant is not None

    def _pursue_opening(self, now_s: float) -> None:
        ended = self.opening.pursue(self.watch.shutter.reading, now_s)
        if ended is None:
            return
        if ended.error is None:
            log.info("the shutter says open, %.1f s after the order", now_s - ended.began_s)
            return
        self.rights.revoke()
        log.error("the dome did not open: %s", ended.error.message)
        if ended.overdue:
            self._latch(ended.error.message)
        if self.closing.current is None:
            # A command whose answer is lost may have been taken, and may yet be.
            self._begin_closing((f"it did not open: {ended.error.message}",), now_s)

    def _keep_grant(self, situation: Situation) -> None:
        """Forget by what right the dome is open once it is closed."""
        shutter = self.watch.shutter.reading
        if self.rights.grant is None or shutter is None or situation.opening:
            return
        if shutter.value is ShutterState.CLOSED and self.opening.knows(shutter):
            self.rights.revoke(unless=lambda: self.opening.current is not None)

    # Stop and errors

    def stop_motion(self, order: WorkOrder, user: str) -> dict[str, Any]:
        """Stop everything; return the order's record.

        A closing that is still due goes on after a pause of a few seconds.
        """
        now_s = self.now()
        call = self.stop_hand.begin("stop", self.dome.abort)
        if now_s > self._paused_until_s + _STOP_AGAIN_S:  # nobody keeps a dome open by stopping
            self._paused_until_s = now_s + _STOP_PAUSE_S
        stopped = OrderCancelled(f"all motion was stopped by {user or 'somebody'}")
        self.closing.stop(now_s)
        self.opening.end(stopped)
        self.motion.cancel(stopped)
        self.parks.leave()
        record = self.ledger.open(order, user)
        self._end_orders(stopped)
        self.ledger.end(record, self._failure_of(call))
        log.warning("%s stops all motion of the dome", user or "somebody")
        return record

    def _latch(self, fault: str) -> None:
        if self.rights.latch(fault):
            self.ledger.note("error latched", error=fault)

    def _failure_of(self, call: Call) -> TorosError | None:
        """Wait a little for a command; return why it failed."""
        if not self._crew.wait(call.done, _ANSWER_S):
            return ShutterFailed("the dome has not answered yet")
        if call.error is None or isinstance(call.error, TorosError):
            return call.error
        return ShutterFailed(f"a defect: {type(call.error).__name__}: {call.error}")

    def _is_as_requested(self, situation: Situation) -> bool:
        if not situation.weather.known:
            return False
        if situation.closing:
            late = self.closing.overdue(situation.now_s)
            return situation.shutter is ShutterState.CLOSING and not late
        if situation.opening:
            return True
        if situation.grant is not None and not rules.reasons_to_close(situation):
            return situation.shutter is not None
        return situation.shutter is ShutterState.CLOSED


def _open_already(now_s: float) -> Opening:
    call = Call("it is open", now_s)
    call.end(None, now_s)
    opening = Opening(call, now_s)
    opening.done.set()
    return opening
