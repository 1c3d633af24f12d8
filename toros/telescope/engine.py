"""The one thread that moves the telescope: the night, and what people ask for in between."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from toros.errors import InternalError, Interrupted, NotInThisState, TelescopeBusy, TorosError
from toros.telescope.control import Leaving, Preempted, Signal
from toros.telescope.night import Night
from toros.telescope.parts import Parts
from toros.telescope.states import Event, State

log = logging.getLogger(__name__)

_STEP_S = 0.2
_AFTER_ERROR_S = 2.0
_TOLD_AGAIN_S = 60.0
_PARKING_S = 30.0
_UNDER_SKY = frozenset({State.OPEN})
_ANYWHERE = frozenset({State.CLOSED, State.PREPARING, State.OPEN, State.SUSPENDED})
_BACK = {
    State.CLOSED: Event.CLOSED,
    State.PREPARING: Event.PREPARE,
    State.OPEN: Event.CALIBRATED,
    State.SUSPENDED: Event.SHUT,
}


@dataclass
class Job:
    """Something that a person asked for, carried out between the steps of the night."""

    what: str
    run: Callable[[], dict[str, Any]]
    needs_sky: bool
    calibrates: bool = False
    done: threading.Event = field(default_factory=threading.Event)
    given_up: threading.Event = field(default_factory=threading.Event)
    result: dict[str, Any] | None = None
    error: TorosError | None = None

    def check(self) -> None:
        """End the work if nobody waits for it any more.

        Raises
        ------
        Preempted
        """
        if self.given_up.is_set():
            raise Preempted("the order was given up")


class Engine:
    """Runs the night in a thread of its own.

    Parameters
    ----------
    parts : Parts
    recover : callable
        Brings hardware and record together, before the first step; it may raise, and is then
        called again.
    """

    def __init__(self, parts: Parts, recover: Callable[[Night], None]) -> None:
        self.parts = parts
        self.night = Night(parts)
        self._recover = recover
        self._recovered = False
        self._jobs: list[Job] = []
        self._current: Job | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._told = ("", 0.0)
        self._thread = threading.Thread(target=self._run, name="night", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """End the work at its next pulse; return whether it has ended in time."""
        self.parts.control.stopping.set()
        self._wake.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def suspend(self, why: str) -> None:
        """End what is under way, by a person's word; the night goes on by hand only."""
        log.warning("stopped by hand: %s", why)
        self.night.set_automatic(on=False)
        self.parts.control.abort.set()
        self.wake()

    def wake(self) -> None:
        """Let the next step begin at once."""
        self._wake.set()

    def silent_s(self) -> float:
        """Return for how long the control loop has not got on [s]."""
        return self.parts.control.silent_s() if self._thread.is_alive() else float("inf")

    def check_free(self, what: str, *, needs_sky: bool) -> None:
        """Refuse what could not be done now: nothing is queued behind a running motion.

        Raises
        ------
        TelescopeBusy, NotInThisState
        """
        with self._lock:
            other = self._current or (self._jobs[0] if self._jobs else None)
        if other is not None:
            raise TelescopeBusy(f"{what}: the telescope is at {other.what}")
        self._check(what, needs_sky=needs_sky)

    def do(self, job: Job, alive: Callable[[], None]) -> dict[str, Any]:
        """Have something done by the telescope, and wait for its end.

        Parameters
        ----------
        job : Job
            Its `run` is called by the thread that moves the telescope.
        alive : callable
            Called while waiting; may raise to leave, which ends the work.

        Raises
        ------
        TelescopeBusy, NotInThisState
            At once.
        TorosError
            What the work raised.
        """
        with self._lock:
            other = self._current or (self._jobs[0] if self._jobs else None)
            if other is not None:
                raise TelescopeBusy(f"{job.what}: the telescope is at {other.what}")
            self._check(job.what, needs_sky=job.needs_sky)
            self._jobs.append(job)
        self.wake()
        try:
            while not job.done.wait(0.2):
                alive()
        except BaseException:
            job.given_up.set()
            raise
        if job.error is not None:
            raise job.error
        return job.result or {}

    def _check(self, what: str, *, needs_sky: bool) -> None:
        state = self.parts.record.state
        if state in (State.OBSERVING, State.CALIBRATING, State.CLOSING):
            raise TelescopeBusy(f"{what}: the night is {state}; suspend or close it first")
        allowed = _UNDER_SKY if needs_sky else _ANYWHERE
        if state not in allowed:
            raise NotInThisState(
                f"{what}: the night is {state}; it must be {' or '.join(sorted(allowed))}"
            )

    def _run(self) -> None:
        while not self.parts.control.stopping.is_set():
            pause_s = max(0.01, _STEP_S / self.parts.clock.rate)
            try:
                if not self._recovered:
                    self._recover(self.night)
                    self._recovered = True
                self._do_jobs()
                self.night.step()
            except Leaving:
                break
            except Signal as signal:
                log.warning("before the night could begin: %s", signal)
            except TorosError as error:
                self._tell(error.message)
                pause_s = _AFTER_ERROR_S
            except Exception as defect:  # the lease, and so the open dome, hang on this loop
                log.exception("the night met a defect")
                pause_s = _AFTER_ERROR_S
                if self._recovered:
                    self.night.defect(defect)
            self._wake.wait(pause_s)
            self._wake.clear()
        self._leave()

    def _tell(self, message: str) -> None:
        text, told_at = self._told
        if text != message or time.monotonic() - told_at > _TOLD_AGAIN_S:
            # What lasts is told to the admins.
            level = logging.ERROR if text == message else logging.WARNING
            self._told = (message, time.monotonic())
            log.log(level, "the night cannot go on: %s", message)

    def _do_jobs(self) -> None:
        with self._lock:
            if not self._jobs:
                return
            job = self._current = self._jobs.pop(0)
        ended_by: Signal | None = None
        try:
            job.check()
            self._check(job.what, needs_sky=job.needs_sky)
            job.result = self._carry_out(job)
        except TorosError as error:
            job.error = error
        except Signal as signal:
            job.error = Interrupted(f"{job.what}: {signal}")
            ended_by = signal
        except Exception:
            log.exception("%s met a defect", job.what)
            job.error = InternalError(f"{job.what} met a defect; the log has more")
        finally:
            self._current = None
            job.done.set()
        if ended_by is not None:
            self.night.heed(ended_by)

    def _carry_out(self, job: Job) -> dict[str, Any]:
        record = self.parts.record
        before = record.state
        if before is State.CLOSED:
            self.night.begin_tonight()
        if job.calibrates:
            record.go(Event.CALIBRATE, job.what)
        try:
            with self.parts.control.checking(job.check):
                if not job.needs_sky:
                    return job.run()
                with self.parts.control.under_sky():
                    return job.run()
        finally:
            if job.calibrates:
                record.go(_BACK[before], f"{job.what}: ended")

    def _leave(self) -> None:
        """Bring the telescope to a safe state: parked, the dome told to close."""
        parts = self.parts
        with self._lock:
            jobs, self._jobs = self._jobs, []
        for job in jobs:
            job.error = Interrupted(f"{job.what}: the daemon goes down")
            job.done.set()
        if parts.record.state is State.CLOSED:
            return
        parts.hardware.stop_exposure()
        parts.dome.close()
        mount = parts.hardware.devices.mount
        if mount is None:
            return
        try:
            if mount.at_park():
                return
            mount.abort()
            mount.park()
            deadline = time.monotonic() + min(
                _PARKING_S, 0.7 * parts.settings.telescope.stop_timeout_s
            )
            while not mount.at_park() and time.monotonic() < deadline:
                parts.hardware.pause()
        except TorosError as error:
            log.warning("the mount could not be parked: %s", error.message)
