"""Plans the night anew, in a thread of its own: the control loop never waits for a plan."""

from __future__ import annotations

import logging
import threading

from toros.clock import Clock
from toros.telescope import scheduling
from toros.telescope.camera_work import CameraWork
from toros.telescope.planner import Planner
from toros.telescope.record import NightRecord
from toros.telescope.target_queue import TargetQueue

log = logging.getLogger(__name__)

_PAUSE_S = 3.0
_LOOK_S = 1.0
_STEP_S = 30.0
"""By so much more or less than the time that nobody sets the clock must have moved [s], real."""


class Replanning:
    """Keeps the plan of what is left of the night up to date.

    The plan that is recorded is the last one before the first light of the night: what was
    intended, to be held against what was done.

    Parameters
    ----------
    planner, targets, record, camera, clock
        The night's own.
    """

    def __init__(
        self,
        planner: Planner,
        targets: TargetQueue,
        record: NightRecord,
        camera: CameraWork,
        clock: Clock,
    ) -> None:
        self._planner = planner
        self._targets = targets
        self._record = record
        self._camera = camera
        self._clock = clock
        self._ahead_s = self._ahead()
        self._wanted = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="planning", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the plan under way."""
        self._ending.set()
        self._wanted.set()
        if self._thread.ident is not None:
            self._thread.join(5.0)

    def want(self) -> None:
        """Have the night planned anew; returns at once."""
        self._wanted.set()

    def _run(self) -> None:
        while not self._ending.is_set():
            wanted = self._wanted.wait(_LOOK_S)
            self._wanted.clear()
            if self._ending.is_set():
                return
            try:
                if self._clock_was_set() or wanted:
                    self._plan()
                else:
                    continue
            except Exception:  # without a plan the next target is chosen all the same
                log.exception("a defect in planning")
            # Targets that come one after another need no plan each.
            self._ending.wait(_PAUSE_S / min(max(self._clock.rate, 1.0), 30.0))

    def _ahead(self) -> float:
        """Return by how much the clock is ahead of the time that nobody sets [s]."""
        return self._clock.now().timestamp() - self._clock.monotonic()

    def _clock_was_set(self) -> bool:
        """Tell whether somebody has set the clock since this was asked the last time."""
        before, self._ahead_s = self._ahead_s, self._ahead()
        step_s = self._ahead_s - before
        if abs(step_s) < _STEP_S * max(1.0, self._clock.rate):
            return False
        log.warning("the clock was set by %+.0f s; what is left of the night is planned anew",
                    step_s)  # fmt: skip
        return True

    def _plan(self) -> None:
        rows = self._targets.rows()
        plan = self._planner.plan_night(rows, self._planner.night())
        self._targets.keep_plan(plan, rows)
        if self._record.date and not self._camera.count("light"):
            self._record.note(plan=scheduling.plan_dict(plan))
        log.info("planned: %d targets, %d left out", len(plan.entries), len(plan.left_out))
