"""The targets of the running night: which is next, and what becomes of the orders behind them.

They are kept in memory, which the control loop reads and changes without waiting; a thread of
its own reads the book as often as it changes, and ends orders by what the book says.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from toros.clock import Clock
from toros.errors import (
    DatabaseUnavailable,
    DiskFull,
    Interrupted,
    NeverObservable,
    OrderCancelled,
    TargetNotFound,
    TelescopeError,
    TorosError,
)
from toros.telescope import scheduling
from toros.telescope.backlog import Backlog
from toros.telescope.planner import Planner
from toros.telescope.targets import OPEN_STATES, TargetBook, TargetRow, Work, progress_of

log = logging.getLogger(__name__)

_READ_AGAIN_S = 5.0
_SOON_S = 0.3
_ATTEMPTS = 3
_ROWS_LIMIT_S = 30.0
_LOOK_FOR_ALERTS_S = 30.0


class Order(Protocol):
    """An order that waits for its target (`toros.frontdesk.worker.Task`)."""

    cancelled: bool

    def finish(self, result: dict[str, Any]) -> None:
        """End it as done."""

    def fail(self, error: TorosError, result: dict[str, Any] | None = None) -> None:
        """End it as failed."""

    def note(self, fraction: float, text: str) -> None:
        """Tell how far it is."""


class TargetQueue:
    """The open targets, in memory.

    Parameters
    ----------
    book : TargetBook
    planner : Planner
    backlog : Backlog
    clock : Clock
    report : callable
        Makes the unit of work that tells the alert robot what became of one of its targets,
        from the row and the new state; None where there is nobody to tell.
    folder : Path
        Of the exposures.
    """

    def __init__(
        self,
        book: TargetBook,
        planner: Planner,
        backlog: Backlog,
        clock: Clock,
        report: Callable[[TargetRow, str], Work | None],
        folder: Path,
    ) -> None:
        self._book = book
        self._planner = planner
        self._backlog = backlog
        self._clock = clock
        self._report = report
        self._folder = folder
        self._rows: dict[int, TargetRow] = {}
        self._ended: set[int] = set()
        self._changes = 0
        self._orders: dict[int, Order] = {}
        self._ended_at: dict[int, float] = {}
        self._lock = threading.RLock()
        self._news = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="targets", daemon=True)
        self._idle_until_s = -1e9
        self._seen = self._seen_alerts = -1
        self._looked_s = -1e9
        self.version = 0
        """Grows with each change that others have made to the book."""
        self.on_news: Callable[[], None] = lambda: None
        """Called after such a change."""
        self.plan: scheduling.Plan | None = None
        self._planned: list[TargetRow] = []

    def keep_plan(self, plan: scheduling.Plan, rows: Collection[TargetRow]) -> None:
        """Keep a plan of the coming or running night, and what it was made of."""
        with self._lock:
            self.plan, self._planned = plan, [_asks(row) for row in rows]

    def plan_of(self, rows: Collection[TargetRow], end: datetime) -> scheduling.Plan | None:
        """Return the plan if it was made of these targets, up to this end of a night."""
        with self._lock:
            if self.plan is None or self.plan.end != end:
                return None
            return self.plan if self._planned == [_asks(row) for row in rows] else None

    # ---- the thread that reads the book ---------------------------------------------------

    def start(self) -> None:
        """Begin to read the book."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._ending.set()
        self._news.set()
        if self._thread.ident is not None:
            self._thread.join(2.0)

    def changed(self) -> None:
        """Say that the book has changed: it is read again at once."""
        self._news.set()

    def expect(self, work_order_id: int, order: Order) -> None:
        """Keep the order whose target this is, until its end."""
        with self._lock:
            self._orders[work_order_id] = order
        self.changed()

    def _run(self) -> None:
        pause_s = 0.0
        while not self._ending.is_set():
            self._news.wait(pause_s)
            self._news.clear()
            try:
                pause_s = _READ_AGAIN_S if self.refresh() else _SOON_S
            except (DatabaseUnavailable, DiskFull) as error:
                log.debug("targets as last read: %s", error.message)
                pause_s = 1.0
            except Exception:  # new targets are to be seen all the same
                log.exception("a defect in reading the targets")
                pause_s = _READ_AGAIN_S

    def refresh(self) -> bool:
        """Read the book; False if it has to be read again soon.

        Raises
        ------
        DatabaseUnavailable, DiskFull
        """
        with self._lock:
            changes = self._changes
        recorded = self._backlog.behind == 0
        expired = self._book.expire(lambda row: self._report(row, "expired"))
        fresh = {row.id: row for row in self._book.open_targets()}
        gone = self._take_over(fresh, changes if recorded else -1)
        for number in gone - {row.id for row in expired}:
            self._gone(number)
        self._withdraw_cancelled()
        return self._settle_orders()

    def _take_over(self, fresh: dict[int, TargetRow], changes: int) -> set[int]:
        """Bring what was read into the memory; return which targets are gone."""
        with self._lock:
            # Else the book lacks what the control loop has done since.
            whole = changes == self._changes
            if whole:
                self._ended.clear()
            before = self._rows
            self._rows = {
                number: row if whole else _furthered(row, before.get(number))
                for number, row in fresh.items()
                if number not in self._ended
            }
            # What has come to an end here is not there any more, whatever was read.
            gone = before.keys() - fresh.keys()
            is_new = bool(self._rows.keys() - before.keys()) or bool(gone)
            if is_new or any(_asks(row) != _asks(before[n]) for n, row in self._rows.items()):
                self.version += 1
                is_new = True
        if is_new:
            self.on_news()
        return set(gone)

    def _gone(self, number: int) -> None:
        """Report a target that somebody has withdrawn."""
        row = self._book.get(number)
        if row.state == "withdrawn":
            self._tell(row, "withdrawn")

    def _withdraw_cancelled(self) -> None:
        with self._lock:
            cancelled = [n for n, order in self._orders.items() if order.cancelled]
        for work_order_id in cancelled:
            row = self._book.of_order(work_order_id)
            if row is not None and row.state in OPEN_STATES:
                self._book.withdraw(None, row.id)
                self.changed()

    def _settle_orders(self) -> bool:
        """End the orders whose targets have come to an end; False if some must wait for it."""
        with self._lock:
            is_open = {row.work_order_id for row in self._rows.values()}
            waiting = {n: order for n, order in self._orders.items() if n not in is_open}
        settled = True
        for work_order_id, order in waiting.items():
            row = self._book.of_order(work_order_id)
            if row is None:
                order.fail(TargetNotFound(f"the target of order {work_order_id} is not there"))
            elif row.state in OPEN_STATES or not self._end(row, order):
                settled = False
                continue
            with self._lock:
                self._orders.pop(work_order_id, None)
        return settled

    def _end(self, row: TargetRow, order: Order) -> bool:
        """End an order by what became of its target; False while exposures lack their row."""
        names = self._book.files_of(row.id)
        since = self._ended_at.setdefault(row.id, time.monotonic())
        if len(names) < row.exposures_done and time.monotonic() - since < _ROWS_LIMIT_S:
            return False
        del self._ended_at[row.id]
        taken = {
            "target": row.id,
            "exposures": row.exposures_done,
            "files": [str(self._folder / name) for name in names],
        }
        if row.state == "done":
            order.finish(taken)
            return True
        errors: dict[str, type[TorosError]] = {
            "withdrawn": OrderCancelled, "expired": Interrupted, "failed": TelescopeError,
        }  # fmt: skip
        error = errors.get(row.state, Interrupted)
        order.fail(error(f"target {row.id} {row.name}: {row.state}: {row.message}"), taken)
        return True

    # ---- what the control loop asks -------------------------------------------------------

    def rows(self) -> list[TargetRow]:
        """Return the open targets, as far as they are known; at once."""
        with self._lock:
            return list(self._rows.values())

    def next(
        self, without: Collection[int], pointing: tuple[float, float] | None = None
    ) -> TargetRow | None:
        """Return the target to observe now; None if none can be.

        Parameters
        ----------
        without : collection of int
            Targets that are left alone for the moment.
        pointing : (ra_deg, dec_deg), optional
            Where the telescope points, ICRS [deg]: the next slew begins there.
        """
        version = self.version
        rows = [row for row in self.rows() if row.id not in without]
        # By a clock that nobody sets: an hour back must not be an hour without a target.
        now_s = self._clock.monotonic()
        if not rows or (version == self._seen and now_s < self._idle_until_s):
            return None
        self._seen = version
        # An alert's target would interrupt any other: it comes first.
        alerts = self._planner.startable([r for r in rows if r.observing_class == "alert"])
        if alerts:
            return alerts[0]
        chosen, until = self._planner.next(rows, pointing, self.plan)
        self._idle_until_s = now_s + (until - self._clock.now()).total_seconds()
        return chosen

    def filters(self) -> list[str | None]:
        """Return the filters that the open targets ask for, in the order of their names."""
        return sorted({row.filter for row in self.rows()}, key=str)

    def interrupting(self, running: TargetRow, without: Collection[int] = ()) -> TargetRow | None:
        """Return an alert's target that the running one has to give way to.

        It is looked for when the book has changed, and every half a minute.
        """
        now_s = self._clock.monotonic()
        is_old = self.version == self._seen_alerts and now_s - self._looked_s < _LOOK_FOR_ALERTS_S
        if running.observing_class == "alert" or is_old:
            return None
        self._seen_alerts, self._looked_s = self.version, now_s
        mine = self._planner.target(running)
        alerts = [
            row
            for row in self.rows()
            if row.id not in without and scheduling.interrupts(self._planner.target(row), mine)
        ]
        return next(iter(self._planner.startable(alerts)), None)

    def is_withdrawn(self, row: TargetRow) -> bool:
        """Tell whether a target is no longer on the book."""
        with self._lock:
            return row.id not in self._rows

    # ---- what the control loop tells ------------------------------------------------------

    def began(self, row: TargetRow) -> None:
        """Record that a target is being observed."""
        self._change(row, progress_of(row.id, during=("waiting",), state="observing"))

    def took(self, row: TargetRow, path: Path) -> TargetRow:
        """Record an exposure of a target; return the target as it is now."""
        now = replace(row, exposures_done=row.exposures_done + 1)
        # Also of a target that was withdrawn meanwhile: it may be on a list again.
        self._change(now, progress_of(row.id, during=None, exposures_done=now.exposures_done))
        order = self._order_of(row)
        if order is not None:
            done, wanted = now.exposures_done, now.number_of_exposures
            order.note(done / wanted, f"exposure {done} of {wanted}: {path.name}")
        return now

    def leave(self, row: TargetRow, message: str) -> None:
        """Let a target wait again."""
        work = progress_of(row.id, during=("observing",), state="waiting", message=message)
        self._change(self.known(row), work)

    def failed(self, row: TargetRow, error: TorosError) -> None:
        """Count a failure that is the target's own; after three it has failed."""
        row = self.known(row)
        attempts = row.attempts + 1
        if attempts < _ATTEMPTS and not isinstance(error, NeverObservable):
            self._change(
                replace(row, attempts=attempts),
                progress_of(row.id, state="waiting", attempts=attempts, message=error.message),
            )
            return
        values = {"attempts": attempts, "message": error.message, "finished": self._clock.now()}
        self._close(row, "failed", f"failed: {error.message}", **values)

    def finish(self, row: TargetRow) -> None:
        """Record that all exposures of a target are taken."""
        self._close(row, "done", "done", finished=self._clock.now(), message="")

    def known(self, row: TargetRow) -> TargetRow:
        """Return a target as it is known now."""
        with self._lock:
            return self._rows.get(row.id, row)

    def _close(self, row: TargetRow, state: str, told: str, **values: Any) -> None:
        work = progress_of(row.id, state=state, **values)
        message = self._report(row, told)

        def both(session: Any) -> None:
            work(session)
            if message is not None:
                message(session)

        with self._lock:
            self._changes += 1
            self._ended.add(row.id)
            self._rows.pop(row.id, None)
            self._backlog.put(both)
        self.changed()

    def _change(self, row: TargetRow, work: Work) -> None:
        with self._lock:
            self._changes += 1
            if row.id in self._rows:
                self._rows[row.id] = row
            # Within the lock: who reads the book must not take it for recorded before.
            self._backlog.put(work)

    def _order_of(self, row: TargetRow) -> Order | None:
        with self._lock:
            return self._orders.get(row.work_order_id or -1)

    def _tell(self, row: TargetRow, state: str) -> None:
        message = self._report(row, state)
        if message is not None:
            self._backlog.put(message)


def _furthered(row: TargetRow, known: TargetRow | None) -> TargetRow:
    """Return a target as it was read, at least as far as it is known to be."""
    if known is None:
        return row
    done = max(row.exposures_done, known.exposures_done)
    return replace(row, exposures_done=done, attempts=max(row.attempts, known.attempts))


def _asks(row: TargetRow) -> TargetRow:
    """Return what others ask of a target, without its progress."""
    return replace(row, exposures_done=0, attempts=0, state="", message="")
