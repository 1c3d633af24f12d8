"""Runs queued orders: claims, resumes, ends them, one after another or several at a time."""

from __future__ import annotations

import logging
import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from toros import clock, logs
from toros.config import Settings
from toros.database.orders import ClaimedOrder, Orders
from toros.database.session import Database
from toros.errors import (
    DatabaseUnavailable,
    DiskFull,
    InternalError,
    OrderCancelled,
    Stopping,
    TorosError,
)
from toros.frontdesk.registry import Registry
from toros.workorders import parse

log = logging.getLogger(__name__)

_POLL_S = 1.0
_REPORT_EVERY_S = 0.5
_FIRST_DELAY_S = 2.0
_LAST_DELAY_S = 300.0


class PartlyDone(Exception):
    """An order failed after it had reached something worth telling.

    Parameters
    ----------
    error : TorosError
        Why it failed.
    result : Mapping
        What was reached.
    """

    def __init__(self, error: TorosError, result: Mapping[str, Any]) -> None:
        super().__init__(error.message)
        self.error = error
        self.result = result


class HandedOver(Exception):
    """Raised by a handler: the order goes on without it, until `Task.finish` or `Task.fail`.

    For what lasts longer than a thread should wait: a target that waits for its hour. The
    order stays running; after a restart its handler is called again.
    """


class Task:
    """What the handler of a queued order gets beside the order.

    Attributes
    ----------
    order_id, row : str, int
        The order's id, and its row in the database.
    settings, database, resources
        The configuration, the database, and what the daemon itself provides.
    """

    def __init__(self, worker: Worker, claimed: ClaimedOrder) -> None:
        self.order_id = claimed.order_id
        self.row = claimed.row
        self.settings: Settings = worker.settings
        self.database: Database = worker.orders.database
        self.resources = worker.resources
        self.cancelled = False
        self.lost = False
        self.ended = False
        self.recorded = False
        self._worker = worker
        self._told = (0.0, "")
        self._told_at = 0.0
        self._lock = threading.Lock()

    def progress(self, fraction: float, text: str) -> None:
        """Tell how far the work is; ends it if the order was cancelled or the daemon stops.

        Parameters
        ----------
        fraction : float
            Done so far, 0 to 1.
        text : str
            What is being done, for a person.

        Raises
        ------
        OrderCancelled, Stopping
        """
        self._worker.tick()
        self._told = (min(max(fraction, 0.0), 1.0), text)
        self.beat()
        self.check()

    def beat(self) -> None:
        """Renew the lease and record the last progress told, at most twice a second."""
        with self._lock:
            now = time.monotonic()
            if now - self._told_at < _REPORT_EVERY_S:
                return
            self._told_at = now
        try:
            if self._worker.orders.report(self.row, *self._told):
                self.cancelled = True
        except Stopping as taken:
            if not self.ended:  # else it is the end's record that came first
                log.warning("%s", taken.message)
                self.lost = True
        except (DatabaseUnavailable, DiskFull) as error:
            log.debug("progress not recorded: %s", error.message)

    def alive(self) -> None:
        """Show that the work gets on, where there is no progress to tell."""
        self._worker.tick()

    def should_stop(self) -> bool:
        """Return whether the work is to end at its next checkpoint."""
        return self.cancelled or self.lost or self._worker.stopping.is_set()

    def check(self) -> None:
        """End the work here if it is to end.

        Raises
        ------
        OrderCancelled, Stopping
        """
        if self.cancelled:
            raise OrderCancelled("cancelled on request; what was made so far is kept")
        if self.lost or self._worker.stopping.is_set():
            raise Stopping("the daemon is going down; the order goes on after its next start")

    def finish(self, result: Mapping[str, Any]) -> None:
        """End an order that was handed over; returns at once, the record follows."""
        self._worker.end(self, lambda: self._worker.orders.finish(self.row, result))

    def fail(self, error: TorosError, result: Mapping[str, Any] | None = None) -> None:
        """End an order that was handed over as failed or, by `OrderCancelled`, as cancelled."""
        self._worker.end(self, lambda: self._worker.orders.fail(self.row, error, result))

    def note(self, fraction: float, text: str) -> None:
        """Tell how far an order is that was handed over; returns at once."""
        self._told = (min(max(fraction, 0.0), 1.0), text)

    def patiently(self, work: Any) -> Any:
        """Do a unit of work on the database, waiting for it while it is away."""
        return self.database.patiently(work, self._worker.stops_waiting)


class Worker:
    """The threads that run a daemon's queued orders.

    Parameters
    ----------
    registry : Registry
        The handlers.
    settings : Settings
    orders : Orders
    resources : object
        What the daemon's own handlers need (a process pool, a device, …).
    at_a_time : int
        How many orders run at once; 1 is one after another.
    """

    def __init__(
        self,
        registry: Registry,
        settings: Settings,
        orders: Orders,
        resources: object,
        at_a_time: int,
    ) -> None:
        self.registry = registry
        self.settings = settings
        self.orders = orders
        self.resources = resources
        self.stopping = threading.Event()
        self._wake = threading.Condition()
        self._orders_waiting = True
        self._running: dict[int, Task] = {}
        self._handed_over: dict[int, Task] = {}
        self._ends: deque[tuple[Task, Callable[[], None]]] = deque()
        self._last_tick = time.monotonic()
        self._delays: dict[int, float] = {}  # of the orders that were postponed, by row
        self._queue: dict[str, int] | None = None
        names = [f"worker-{n}" for n in range(1, at_a_time + 1)]
        self._threads = [
            threading.Thread(target=self._work, name=name, daemon=True) for name in names
        ]
        self._monitor = threading.Thread(target=self._watch, name="monitor", daemon=True)

    def start(self) -> None:
        """Take up what an earlier process left, and begin."""
        self._take_up(self.orders.recover())
        for thread in (*self._threads, self._monitor):
            thread.start()

    def _take_up(self, recovered: Sequence[str]) -> None:
        for order_id in recovered:
            log.warning("order %s was interrupted and is queued again", order_id)
        if recovered:
            self.wake()

    def stop(self, timeout_s: float) -> bool:
        """Let the running steps end or reach their checkpoint; return whether all did."""
        self.stopping.set()
        self.wake()
        deadline = time.monotonic() + timeout_s
        for thread in (*self._threads, self._monitor):
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def end(self, task: Task, record: Callable[[], None]) -> None:
        """Note the end of an order that was handed over; the monitor records it."""
        self._ends.append((task, record))

    def wake(self) -> None:
        """Say that an order has arrived."""
        with self._wake:
            self._orders_waiting = True
            self._wake.notify()

    def tick(self) -> None:
        """Note a sign of life."""
        self._last_tick = time.monotonic()

    def silent_s(self) -> float:
        """Return for how long the work under way has shown no progress; 0 when idle [s].

        Without end if a thread has ended by a defect: its orders would wait for ever.
        """
        threads = (*self._threads, self._monitor)
        if any(thread.ident is not None and not thread.is_alive() for thread in threads):
            return 0.0 if self.stopping.is_set() else math.inf
        return time.monotonic() - self._last_tick if self._running else 0.0

    def stops_waiting(self) -> bool:
        """Say whether the daemon stops; to wait for the database is no silence."""
        self.tick()
        return self.stopping.is_set()

    def state(self) -> dict[str, Any]:
        """Tell queue and running orders, without asking the database."""
        return {
            "queue": self._queue,
            "working_on": [task.order_id for task in list(self._running.values())],
            "handed_over": len(self._handed_over),
        }

    def _watch(self) -> None:
        """Keep the queue's count fresh, the leases of silent work alive, and no order lost."""
        while not self.stopping.is_set():
            try:
                self._record_ends()
                self._queue = self.orders.counts()
                for task in [*self._running.values(), *self._handed_over.values()]:
                    task.beat()
                if self.orders.database.trouble is not None:
                    self.orders.database.probe()
                self._take_up(self.orders.recover([*self._running, *self._handed_over]))
            except (DatabaseUnavailable, DiskFull) as error:
                log.debug("the queue cannot be counted: %s", error.message)
            except Exception:  # the leases end with this thread
                log.exception("the monitor met a defect")
            clock.REAL.wait(self.stopping, _POLL_S)
        self._give_back()

    def _record_ends(self) -> None:
        """Record the ends of orders that were handed over; those that cannot be now, later."""
        while self._ends:
            task, record = self._ends[0]
            try:
                record()
            except Stopping as taken:
                log.warning("%s", taken.message)
            self._ends.popleft()
            task.ended = task.recorded = True
            self._handed_over.pop(task.row, None)

    def _give_back(self) -> None:
        """Queue the orders again that were handed over and have not ended."""
        try:
            self._record_ends()
            for row in list(self._handed_over):
                self.orders.release(row)
        except (DatabaseUnavailable, DiskFull, Stopping) as error:
            log.warning("orders handed over are taken up at the next start: %s", error.message)

    def _work(self) -> None:
        while not self.stopping.is_set():
            try:
                claimed = self.orders.claim()
                if claimed is None:
                    self._idle()
                    continue
                self.tick()
                with logs.order(claimed.order_id):
                    self._run(claimed)
            except (DatabaseUnavailable, DiskFull) as error:
                log.debug("waiting for the database: %s", error.message)
                clock.REAL.wait(self.stopping, _POLL_S)
            except Exception:  # an order whose end could not be recorded is taken up by its lease
                log.exception("%s met a defect", threading.current_thread().name)
                clock.REAL.wait(self.stopping, _POLL_S)

    def _idle(self) -> None:
        with self._wake:
            if not self._orders_waiting and not self.stopping.is_set():
                self._wake.wait(_POLL_S)
            self._orders_waiting = False

    def _run(self, claimed: ClaimedOrder) -> None:
        task = Task(self, claimed)
        self._running[claimed.row] = task
        delay_s = self._delays.pop(claimed.row, None)
        try:
            try:
                result = self._handle(claimed, task)
            except Stopping:
                if task.cancelled:  # what stops at `should_stop` does not know why
                    task.check()
                raise
            finally:
                task.ended = True
        except Stopping as stopping:
            log.info("%s", stopping.message)
            self._record(lambda: self.orders.release(claimed.row))
        except HandedOver:
            self._keep(task)
        except (DiskFull, DatabaseUnavailable) as missing:
            self._postpone(claimed, missing, delay_s)
        except PartlyDone as partly:
            self._fail(claimed, partly.error, partly.result)
        except TorosError as failed:
            self._fail(claimed, failed, None)
        except Exception:
            tag = secrets.token_hex(4)
            log.exception("%s met a defect [%s]", claimed.request, tag)
            defect = InternalError(f"internal error [{tag}]; the log has more under this tag")
            self._record(lambda: self.orders.fail(claimed.row, defect, None))
        else:
            self._record(lambda: self.orders.finish(claimed.row, result))
            log.info("%s done", claimed.request)
        finally:
            # Once its end is recorded, another thread may have it again already.
            if self._running.get(claimed.row) is task:
                del self._running[claimed.row]

    def _keep(self, task: Task) -> None:
        """Keep an order that was handed over; it may have ended already."""
        self._handed_over[task.row] = task
        task.ended = task.recorded
        if task.recorded:
            self._handed_over.pop(task.row, None)
        self._record(lambda: self.orders.hand_over(task.row))

    def _fail(
        self, claimed: ClaimedOrder, error: TorosError, result: Mapping[str, Any] | None
    ) -> None:
        if isinstance(error, OrderCancelled):
            log.info("%s cancelled", claimed.request)
        else:
            log.error("%s failed: %s", claimed.request, error.message)
        self._record(lambda: self.orders.fail(claimed.row, error, result))

    def _handle(self, claimed: ClaimedOrder, task: Task) -> dict[str, Any]:
        order = parse({"request": claimed.request, **claimed.content}, self.registry.service)
        _refuse_if_stale(claimed, self.registry.within_s.get(type(order)))
        log.info("%s begins, attempt %d", claimed.request, claimed.attempts)
        return self.registry.handlers[type(order)](order, task)

    def _postpone(
        self,
        claimed: ClaimedOrder,
        missing: DatabaseUnavailable | DiskFull,
        before: float | None,
    ) -> None:
        """Queue an order again that cannot go on now; only the first time is an error."""
        delay = _FIRST_DELAY_S if before is None else min(2 * before, _LAST_DELAY_S)
        self._delays[claimed.row] = delay
        level = logging.ERROR if before is None else logging.WARNING
        log.log(level, "%s waits %g s: %s", claimed.request, delay, missing.message)
        self._record(lambda: self.orders.postpone(claimed.row, missing, delay))

    def _record(self, work: Any) -> None:
        """Record an order's end, waiting for the database; at a stop the lease tells the rest."""
        try:
            self.orders.database.patiently(work, self.stops_waiting)
        except (DatabaseUnavailable, DiskFull, Stopping) as error:
            log.warning(
                "the end of the order is not recorded, it will be resumed: %s", error.message
            )


def _refuse_if_stale(claimed: ClaimedOrder, within_s: float | None) -> None:
    """Refuse what begins soon or not at all, and has waited.

    Raises
    ------
    OrderCancelled
    """
    if within_s is None:
        return
    if claimed.waited_s is None:
        raise OrderCancelled(
            f"{claimed.request} is from before a restart, or was interrupted; send it again"
        )
    if claimed.waited_s > within_s:
        raise OrderCancelled(
            f"{claimed.request} has waited {claimed.waited_s:.0f} s, and begins within "
            f"{within_s:g} s or not at all; send it again"
        )
