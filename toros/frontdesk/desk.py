"""The front desk: one function that takes work orders."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import toros
from toros import logs, store
from toros.clock import Clock
from toros.config import Settings
from toros.database.orders import NewOrder, Orders, shown_fields
from toros.errors import DatabaseUnavailable, PermissionDenied, Stopping
from toros.frontdesk.access import Access
from toros.frontdesk.registry import Registry
from toros.frontdesk.resources import Resources
from toros.frontdesk.server import Caller
from toros.workorders import WorkOrder, parse
from toros.workorders.parsing import canonical, unknown_keys

log = logging.getLogger(__name__)


class Asked(NamedTuple):
    """What the handler of an immediate request gets beside the order."""

    desk: FrontDesk
    caller: Caller


# An order of thousands of unknown keys is not answered with as many sentences.
_WARNINGS = 20


class FrontDesk:
    """Checks, records and answers the work orders of one daemon.

    Parameters
    ----------
    registry : Registry
        The daemon's own requests and their handlers.
    common : Registry
        Those that every daemon answers.
    settings : Settings
    orders : Orders
        Where queued orders are recorded.
    access : Access
        Who may send what.
    clock : Clock
    wake : callable
        Called when an order has been queued.
    reserve_bytes : int
        What must stay free on the state folder's disk; below it no order is queued.
    """

    def __init__(
        self,
        registry: Registry,
        common: Registry,
        settings: Settings,
        orders: Orders,
        access: Access,
        clock: Clock,
        wake: Callable[[], None],
        reserve_bytes: int,
    ) -> None:
        self.service = registry.service
        self.handlers = {**common.handlers, **registry.handlers}
        self.checks = registry.checks
        self.appraisals = registry.appraisals
        self.settings = settings
        self.orders = orders
        self.access = access
        self.clock = clock
        self.wake = wake
        self.reserve_bytes = reserve_bytes
        self.worker_state: Callable[[], dict[str, Any]] = dict
        self.resources = Resources()
        self.database_is_ready = True
        self.stopping = threading.Event()
        self._started = clock.monotonic()

    def front_desk(self, work_order: object, caller: Caller) -> dict[str, Any]:
        """Answer one work order: its result if it is immediate, else a receipt.

        Parameters
        ----------
        work_order : object
            What came over the wire.
        caller : Caller
            Who sent it.

        Returns
        -------
        dict
            The result of an immediate request; of a queued one the receipt
            {id, request, status, message, warnings}.

        Raises
        ------
        TorosError
            The order was refused; nothing was done and nothing recorded.
        """
        order = parse(work_order, self.service)
        permitted = order.everybody or self.access.permits(caller.user, order.request)
        if not permitted:
            raise PermissionDenied(f"user {caller.user!r} may not send {order.request}")
        if type(order).immediate:
            with logs.order(order.id or order.request):
                return self.handlers[type(order)](order, Asked(self, caller))
        return self._queue(order, caller)

    def _queue(self, order: WorkOrder, caller: Caller) -> dict[str, Any]:
        if self.stopping.is_set():
            raise Stopping(
                f"the {self.service} is going down; send the order again to its successor"
            )
        if not self.database_is_ready:
            store.check_free_space(self.settings.state_folder, 0, self.reserve_bytes)
            raise DatabaseUnavailable(f"{self._database_state()}; send the order again later")
        new = self._new(order, caller)
        stored = self.orders.stored_receipt(new)
        if stored is not None:
            return stored
        store.check_free_space(self.settings.state_folder, 0, self.reserve_bytes)
        if check := self.checks.get(type(order)):
            check(order, self)
        if appraise := self.appraisals.get(type(order)):
            new = _with_priority(new, *appraise(order, self))
        receipt = self.orders.record(new, self.settings.front_desk.queue_limit)
        with logs.order(new.order_id):
            what = shown_fields(new.content)
            log.info(
                "%s %s received from user %r at %s", new.request, what, new.user, caller.address
            )
        self.wake()
        return receipt

    def _new(self, order: WorkOrder, caller: Caller) -> NewOrder:
        order_id = order.id or uuid.uuid4().hex
        unknown = unknown_keys(order)
        warnings = [
            f"{key}: {order.request} does not know this key; it is kept, nothing is done with it"
            for key in unknown[:_WARNINGS]
        ]
        if len(unknown) > _WARNINGS:
            warnings.append(f"and {len(unknown) - _WARNINGS} more keys that it does not know")
        receipt = {
            "id": order_id,
            "request": order.request,
            "status": "queued",
            "message": "; ".join(["queued", *warnings]),
            "warnings": warnings,
        }
        return NewOrder(
            user=user_of(order, caller),
            order_id=order_id,
            request=order.request,
            content=order.model_dump(mode="json", exclude_none=True),
            content_sha256=hashlib.sha256(canonical(order).encode()).hexdigest(),
            receipt=receipt,
            priority=order.priority or 0.0,
        )

    def state(self) -> dict[str, Any]:
        """Tell how the daemon is; this needs no database."""
        return {
            "service": self.service,
            "version": toros.__version__,
            "observatory": self.settings.observatory.name,
            "host": platform.node(),
            "pid": os.getpid(),
            "uptime_s": round(self.clock.monotonic() - self._started, 3),
            "stopping": self.stopping.is_set(),
            **self.worker_state(),
            **self.resources.state(),
            "database": self._database_state(),
            "configuration": str(self.settings.source),
            "configuration_sha256": self.settings.sha256,
            "warnings": list(self.settings.warnings),
        }

    def _database_state(self) -> str:
        ready = "ok" if self.database_is_ready else "it is being set up"
        return self.orders.database.trouble or ready


def _with_priority(new: NewOrder, priority: float, reasons: Sequence[str]) -> NewOrder:
    """Put the priority that the daemon gives an order into the order and its receipt."""
    told = {"priority": priority, "reasons": list(reasons)}
    return replace(new, priority=priority, receipt={**new.receipt, **told})


def user_of(order: WorkOrder, caller: Caller) -> str:
    """Return whose order it is: the authenticated user, else the one that the order names."""
    return caller.user if caller.user is not None else (order.user or "")
