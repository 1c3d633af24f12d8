"""The night: what is done in each state, and when it goes on to the next."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta

from toros.errors import (
    BeyondLimit,
    DeviceError,
    DomeNotOpen,
    FocusFailed,
    Interrupted,
    InvalidField,
    NeverObservable,
    NightFaultLatched,
    TorosError,
)
from toros.sky.almanac import sun_altitude
from toros.telescope.control import Aborted, Leaving, Preempted, Shut, Signal
from toros.telescope.ending import Ending
from toros.telescope.ladder import Ladder, Measure
from toros.telescope.parts import Parts
from toros.telescope.states import LIGHT_STATES, Event, State
from toros.telescope.targets import TargetRow
from toros.telescope.wishes import Wishes

log = logging.getLogger(__name__)

_BEFORE_SUNSET = timedelta(minutes=40)
_OPEN_AGAIN_S = 30.0
_OPENING_LIMIT_S = 300.0
_AFTER_ABORT_S = 10.0
_QUIET_S = 600.0
"""For so long nothing can be observed before the night counts as idle [s]."""
_LEFT_S = 600.0
"""For so long a target is left alone that is beyond a limit [s]."""
_LEFT_A_MOMENT_S = 60.0
_FLATS_DEG = (-10.0, 0.0)


class Night:
    """The steps of a night. Each call of `step` does one piece of work, and returns.

    Parameters
    ----------
    parts : Parts
        The telescope's parts.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.ending = Ending(parts)
        self.wishes = Wishes()
        self.acknowledged = False
        self._ladder = Ladder(parts.clock)
        self._prepared = False
        self._safe = False
        self._focused = False
        self._not_before: dict[int, float] = {}
        self._giving_way: TargetRow | None = None
        self._chosen: TargetRow | None = None
        self._rest_until = 0.0
        self._stays_shut_until = 0.0
        self._ask_again = 0.0
        self._last_work_s = 0.0
        self._steps: dict[State, Callable[[], None]] = {
            State.CLOSED: self._closed,
            State.PREPARING: self._preparing,
            State.OPEN: self._open,
            State.OBSERVING: self._observing,
            State.CALIBRATING: self._calibrating,
            State.SUSPENDED: self._suspended,
            State.CLOSING: self._closing,
            State.ERROR: self._error,
        }
        parts.record.summary = parts.summary

    @property
    def automatic(self) -> bool:
        """Whether nights run by the sun."""
        return self._parts.memory.kept.automatic

    @property
    def follows_plan(self) -> bool:
        """Whether the plan is observed in a night that a person has opened."""
        return self._parts.memory.kept.follows_plan

    def set_automatic(self, *, on: bool) -> None:
        """Let nights run by the sun, or by request; any thread may say so."""
        if on:
            self._parts.record.open_anew()
        self._parts.memory.keep(automatic=on, follows_plan=False)

    def step(self) -> None:
        """Do what the state asks for; what goes wrong leads to another state.

        Raises
        ------
        Leaving
            The daemon goes down.
        """
        try:
            self._parts.control.pulse()
            if time.monotonic() < self._rest_until and self.wishes.what is None:
                self._rest()
            else:
                self._steps[self._parts.record.state]()
        except Signal as signal:
            self.heed(signal)
        except TorosError as error:
            self._mishap(error)

    def heed(self, signal: Signal) -> None:
        """Do what follows from what has ended the work.

        Raises
        ------
        Leaving
        """
        if isinstance(signal, Leaving):
            raise signal
        if isinstance(signal, Shut):
            self._shut(str(signal))
        elif isinstance(signal, Aborted):
            self._abort(str(signal))
        else:
            log.info("%s", signal)

    # ---- states ---------------------------------------------------------------------------

    def _closed(self) -> None:
        if self.wishes.what in ("prepare", "open", "dome") or (self.automatic and self._is_time()):
            self.begin_tonight()
            self._prepared = self._focused = False
            self._ladder.descend()
            by = "by request" if self.wishes.what else "the sun goes down"
            self._go(Event.PREPARE, by)
            return
        self.wishes.grant("close")
        self.ending.hand_over_later()

    def begin_tonight(self) -> None:
        """Make the coming or running night the one that is recorded."""
        parts = self._parts
        night = parts.planner.night().date
        if parts.record.date != night.isoformat():
            parts.record.begin(night.isoformat(), None)
            parts.camera.begin_night(night, type(parts.camera.tally)())
            self.ending.forget()

    def _preparing(self) -> None:
        if not self._prepared:
            self._parts.hardware.connect()
            self._parts.make_ready()
            self._prepared = True
            self._parts.replanning.want()
        self.wishes.grant("prepare")
        if self._over():
            self._go(Event.CLOSE, self._why_over())
        elif self.automatic or self.wishes.what in ("open", "dome"):
            self._open_dome()

    def _open(self) -> None:
        with self._parts.control.under_sky():
            self._grant_open()
            self._parts.observer.watch_tracking()
            if self._over():
                self._go(Event.CLOSE, self._why_over())
            elif (self.automatic or self.follows_plan) and not self._twilight():
                if not self._focused and self._parts.focusing.at_start:
                    self._focus()
                elif (chosen := self._choose()) is not None:
                    self._chosen = chosen
                    self._go(Event.OBSERVE, "there are targets")
                    self._last_work_s = self._parts.clock.monotonic()
            elif self.automatic and self._parts.cooling.is_done():
                self._flats_of_twilight()

    def _grant_open(self) -> None:
        """Grant what is so already: the dome is open."""
        if self.wishes.what in ("open", "dome") and not self.automatic:
            self._parts.memory.keep(follows_plan=self.wishes.what == "open")
        self.wishes.grant("prepare", "open", "dome")

    def _flats_of_twilight(self) -> None:
        altitude = sun_altitude(self._parts.planner.site, self._parts.clock.now())
        if _FLATS_DEG[0] < altitude < _FLATS_DEG[1] and self.ending.wants_sky_flats():
            self._go(Event.CALIBRATE, "the twilight has the light for flats")
            self.ending.sky_flats()
            self._go(Event.CALIBRATED, "the flats are done")

    def _focus(self) -> None:
        """Look for the focus once a night; without it the night goes on as it is focused."""
        self._focused = True
        self._go(Event.CALIBRATE, "a focus run")
        try:
            self._parts.focusing.run()
        except FocusFailed as error:
            log.error("the night goes on with the focus as it was: %s", error.message)
        self._go(Event.CALIBRATED, "the focus run is done")

    def _observing(self) -> None:
        with self._parts.control.under_sky():
            self._grant_open()
            if self._over():
                self._go(Event.CLOSE, self._why_over())
                return
            if not (self.automatic or self.follows_plan) or self._twilight():
                self._go(Event.IDLE, "twilight" if self._twilight() else "by request")
                return
            row, self._chosen = self._chosen or self._choose(), None
            if row is None:
                self._parts.observer.watch_tracking()
                idle_s = self._parts.clock.monotonic() - self._last_work_s
                if idle_s > _QUIET_S or not self._parts.targets.rows():
                    self._go(Event.IDLE, "no target can be observed now")
                return
        self._observe(row)
        self._last_work_s = self._parts.clock.monotonic()

    def _observe(self, row: TargetRow) -> None:
        parts = self._parts
        self._giving_way = None
        frames = parts.camera.frames
        try:
            with parts.control.checking(lambda: self._give_way(row)):
                done = parts.observer.observe(row)
        except BeyondLimit as error:
            self._leave(row, error, _LEFT_S)
        except (NeverObservable, InvalidField) as error:
            parts.targets.failed(row, NeverObservable(error.message))
        except TorosError as error:
            # The telescope's trouble, not the target's: others are tried meanwhile.
            self._leave(row, error, _LEFT_A_MOMENT_S)
            raise
        except BaseException as reason:
            parts.targets.leave(row, f"interrupted: {reason}")
            raise
        else:
            parts.targets.finish(done)
        finally:
            if parts.camera.frames != frames:
                self._ladder.descend()

    def _leave(self, row: TargetRow, error: TorosError, for_s: float) -> None:
        """Leave a target for a while [s]."""
        log.warning("target %d %s is left: %s", row.id, row.name, error.message)
        self._not_before[row.id] = self._parts.clock.monotonic() + for_s
        self._parts.targets.leave(row, error.message)

    def _give_way(self, row: TargetRow) -> None:
        """End a target that was withdrawn, or for one that may not wait."""
        parts = self._parts
        may_end = parts.may_cut() or not parts.camera.exposing
        if may_end and parts.targets.is_withdrawn(row):
            raise Preempted(f"target {row.id} {row.name} was withdrawn")
        other = parts.targets.interrupting(row, self._left_alone())
        self._giving_way = other or self._giving_way
        if self._giving_way is not None and may_end:
            other, self._giving_way = self._giving_way, None
            raise Preempted(
                f"target {row.id} {row.name} gives way to {other.name} of {other.event}"
            )

    def _calibrating(self) -> None:
        """Go on after a restart in the midst of calibration frames."""
        if self._parts.dome.view.is_open and not self._over():
            self._go(Event.CALIBRATED, "going on after an interruption")
        else:
            self._go(Event.CLOSE, "going on after an interruption")

    def _suspended(self) -> None:
        if not self._safe:
            self._parts.observer.rest()
            self._parts.hardware.park()
            self._safe = True
        self.wishes.grant("prepare")
        if self._over():
            self._go(Event.CLOSE, self._why_over())
        elif self.automatic or self.follows_plan or self.wishes.what in ("open", "dome"):
            self._open_dome()

    def _closing(self) -> None:
        self._parts.memory.keep(follows_plan=False)
        self.ending.close()
        self.ending.last_frames(self._go)
        self.ending.hand_over()
        self._ladder.descend()
        self._go(Event.CLOSED, "parked, closed, handed over")

    def _error(self) -> None:
        fault = self._parts.record.message
        self.wishes.refuse(NightFaultLatched(
            f"the night is in error: {fault}; send acknowledge after a look"))  # fmt: skip
        if not self._safe:
            self._parts.observer.rest()
            self._parts.dome.close()
            self._parts.hardware.park()
            self._safe = True
        if self.acknowledged:
            self.acknowledged = False
            self._ladder.descend()
            self._go(Event.ACKNOWLEDGE, "acknowledged by a person")

    def take_up(self) -> None:
        """Go on with a night that an earlier process has left; the devices are connected."""
        parts = self._parts
        self._focused = True
        self._last_work_s = parts.clock.monotonic()
        parts.replanning.want()
        if parts.record.state in LIGHT_STATES and not self._over():
            # An open dome is still there if the lease has not lapsed; else it is opened again.
            parts.dome.wants_lease = True
            parts.dome.renew(None, now=True)
            parts.make_ready()
            self._prepared = True

    def defect(self, defect: Exception) -> None:
        """Latch an error after something that nobody has foreseen."""
        if self._parts.record.state is not State.ERROR:
            self._go(Event.FAULT, f"internal error: {type(defect).__name__}: {defect}")

    # ---- what goes wrong ------------------------------------------------------------------

    def _rest(self) -> None:
        """Wait after an error; an open dome is watched meanwhile."""
        if self._parts.record.state in LIGHT_STATES:
            with self._parts.control.under_sky():
                self._parts.observer.watch_tracking()

    def _mishap(self, error: TorosError) -> None:
        """Climb the ladder."""
        state = self._parts.record.state
        rung = self._ladder.climb(error)
        log.warning("the night while %s: %s (%s)", state, error.message, rung.measure)
        self._rest_until = time.monotonic() + rung.pause_s
        if rung.measure is Measure.LATCH:
            if state is not State.ERROR:
                self._go(Event.FAULT, error.message)
        elif rung.measure is Measure.CONNECT:
            self._connect_anew()
        elif rung.measure is Measure.SUSPEND and state in LIGHT_STATES:
            self._stays_shut_until = self._rest_until
            self._rest_until = 0.0
            log.error("the night is suspended for a while: %s", error.message)
            self._shut(error.message)

    def _connect_anew(self) -> None:
        self._prepared = False
        self._parts.connect_anew()
        try:
            self._parts.make_ready()
            self._prepared = True
        except DeviceError as error:
            log.warning("after connecting anew: %s", error.message)

    def _shut(self, reason: str) -> None:
        parts = self._parts
        parts.hardware.stop_exposure()
        if parts.record.state in LIGHT_STATES:
            parts.dome.wants_lease = False
            parts.dome.renew(None, now=True)
            self._go(Event.SHUT, reason)

    def _abort(self, reason: str) -> None:
        parts = self._parts
        parts.memory.keep(automatic=False, follows_plan=False)
        self.wishes.refuse(Interrupted(reason))
        # What closes goes on closing, but not at once.
        self._rest_until = time.monotonic() + _AFTER_ABORT_S
        self._shut(reason)

    # ---- what they have in common ---------------------------------------------------------

    def _go(self, event: Event, reason: str) -> None:
        self._parts.record.go(event, reason)
        if event is not Event.OBSERVE:
            self._chosen = None
        self._safe = False
        if event is Event.OPENED:
            self._parts.replanning.want()

    def _open_dome(self) -> None:
        """Open the dome if it may be; not being allowed to is no fault."""
        parts = self._parts
        if not self._prepared:
            parts.hardware.connect()
            parts.make_ready()
            self._prepared = True
        now_s = time.monotonic()
        if now_s < max(self._stays_shut_until, self._ask_again):
            return
        self._ask_again = now_s + max(0.1, 1.0 / parts.clock.rate)
        parts.dome.wants_lease = True
        view = parts.dome.renew(parts.control.pointing(), now=True)
        if view.is_open and view.safe:
            self._opened("the dome is open")
            return
        if not (view.fresh and view.may_open):
            parts.dome.wants_lease = False
            return
        try:
            self._wait_open(parts.dome.open())
        except DomeNotOpen as error:
            log.warning("%s", error.message)
            parts.dome.wants_lease = False
            pause_s = _OPEN_AGAIN_S / min(max(parts.clock.rate, 1.0), 30.0)
            self._stays_shut_until = time.monotonic() + pause_s
            return
        self._opened("the dome has opened")

    def _opened(self, reason: str) -> None:
        self._go(Event.OPENED, reason)
        self._grant_open()

    def _wait_open(self, order: str) -> None:
        """Wait for the shutter's word."""
        parts = self._parts

        def is_open() -> bool:
            view = parts.dome.renew(parts.control.pointing(), now=True)
            if not view.is_open:
                state, message = parts.dome.outcome(order)
                if state in ("failed", "cancelled"):
                    raise DomeNotOpen(f"the dome did not open: {message}")
            return view.is_open

        try:
            parts.hardware.until("opening the dome", is_open, _OPENING_LIMIT_S)
        except DeviceError as error:
            raise DomeNotOpen(error.message) from error

    def _choose(self) -> TargetRow | None:
        return self._parts.targets.next(self._left_alone(), self._parts.pointing())

    def _left_alone(self) -> set[int]:
        """Return the targets that wait after an error."""
        now = self._parts.clock.monotonic()
        return {number for number, moment in self._not_before.items() if moment > now}

    def _is_time(self) -> bool:
        """Whether tonight's night is to begin by itself."""
        parts = self._parts
        night = parts.planner.night()
        if parts.record.date == night.date.isoformat() and parts.record.was_closed:
            return False
        dark = night.dark(parts.settings.telescope.planning.sun_altitude_deg)
        if dark is None:
            return False
        begin = (night.sunset or dark[0]) - _BEFORE_SUNSET
        return begin <= parts.clock.now() < dark[1]

    def _twilight(self) -> bool:
        limit = self._parts.settings.telescope.planning.sun_altitude_deg
        return sun_altitude(self._parts.planner.site, self._parts.clock.now()) > limit

    def _why_over(self) -> str:
        return "by request" if self.wishes.what == "close" else "the night is over"

    def _over(self) -> bool:
        """Whether the night is to end: by request, or since the sun comes up."""
        if self.wishes.what == "close":
            return True
        parts = self._parts
        night = parts.planner.night()
        if night.date.isoformat() != parts.record.date:
            return True
        if not self.automatic:
            return False
        dark = night.dark(parts.settings.telescope.planning.sun_altitude_deg)
        if dark is None:
            return True
        now = parts.clock.now()
        if now < dark[1]:
            return False
        # A dome that is closed is not opened again for the flats alone.
        is_open = parts.record.state in LIGHT_STATES
        has_light = sun_altitude(parts.planner.site, now) < _FLATS_DEG[1]
        return not (is_open and has_light and self.ending.wants_sky_flats())
