"""Work orders in the database: recorded once, claimed by one, ended once."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from toros.clock import Clock, boot_time, to_iso
from toros.database.models import WorkOrder
from toros.database.session import Database
from toros.errors import (
    SUCCESS,
    Abandoned,
    Busy,
    InvalidField,
    NotCancellable,
    OrderCancelled,
    OrderConflict,
    OrderNotFound,
    PermissionDenied,
    Stopping,
    TorosError,
)
from toros.workorders.envelope import ENVELOPE

_PASSWORD = re.compile(r"//[^/@\s]*@")
_SHOWN_CHARS = 500
_REMEMBERED = 1000

MAX_ATTEMPTS = 5
"""An order that ended its process this often is given up."""


@dataclass(frozen=True)
class NewOrder:
    """What the front desk asks to be recorded."""

    user: str
    order_id: str
    request: str
    content: Mapping[str, Any]
    content_sha256: str
    receipt: Mapping[str, Any]
    priority: float


@dataclass(frozen=True)
class ClaimedOrder:
    """An order that a worker has taken."""

    row: int
    user: str
    order_id: str
    request: str
    content: Mapping[str, Any]
    attempts: int
    waited_s: float | None
    """Since its receipt, by a clock that nobody sets [s]; None: it was received by an earlier
    process, or taken before."""


class Orders:
    """The orders of one service.

    Parameters
    ----------
    database : Database
    service : str
        Which daemon's orders.
    owner : str
        Names the daemon's instance; it is the same after a restart, so that an
        instance takes up at once what it left.
    clock : Clock
    lease_s : float
        How long an order stays with its worker without a sign of life [s].
    """

    def __init__(
        self, database: Database, service: str, owner: str, clock: Clock, lease_s: float = 120.0
    ) -> None:
        self.database = database
        self.service = service
        self.owner = owner
        self.clock = clock
        self.lease = timedelta(seconds=lease_s)
        # In memory alone: what an earlier process has received is not known here.
        self._received_s: OrderedDict[int, float] = OrderedDict()

    def record(self, new: NewOrder, queue_limit: int) -> dict[str, Any]:
        """Record an order and return its receipt; the stored one if it is known already.

        Raises
        ------
        OrderConflict
            The id was used by the same user for something else.
        Busy
            `queue_limit` orders are waiting.
        DatabaseUnavailable, DiskFull
        """
        try:
            return self._record(new, queue_limit)
        except IntegrityError:  # the same order arrived twice at once; now it is known
            return self._record(new, queue_limit)

    def stored_receipt(self, new: NewOrder) -> dict[str, Any] | None:
        """Return the receipt of an order that is known already, None if it is not.

        Raises
        ------
        OrderConflict
            The id was used by the same user for something else.
        """
        with self.database.reading() as session:
            return self._known(session, new)

    def _known(self, session: Session, new: NewOrder) -> dict[str, Any] | None:
        known = session.scalar(
            select(WorkOrder).where(
                WorkOrder.service == self.service,
                WorkOrder.user == new.user,
                WorkOrder.order_id == new.order_id,
            )
        )
        if known is None:
            return None
        if known.content_sha256 != new.content_sha256:
            raise OrderConflict(
                f"id: {new.order_id!r} is the id of another order of this user "
                f"({known.request}, received {to_iso(known.received)}); "
                "give each order an id of its own"
            )
        return dict(known.receipt)

    def _record(self, new: NewOrder, queue_limit: int) -> dict[str, Any]:
        with self.database.writing() as session:
            known = self._known(session, new)
            if known is not None:
                return known
            waiting = session.scalar(
                select(func.count()).where(
                    WorkOrder.service == self.service, WorkOrder.state == "queued"
                )
            )
            if (waiting or 0) >= queue_limit:
                raise Busy(f"{waiting} orders are waiting; send this one again later")
            row = WorkOrder(
                service=self.service,
                user=new.user,
                order_id=new.order_id,
                request=new.request,
                content=dict(new.content),
                content_sha256=new.content_sha256,
                receipt=dict(new.receipt),
                priority=new.priority,
                received=self.clock.now(),
            )
            session.add(row)
            session.flush()
            # Before the commit: a worker may have it at once.
            self._received_s[row.id] = boot_time()
            if len(self._received_s) > _REMEMBERED:
                self._received_s.popitem(last=False)
            return dict(new.receipt)

    def claim(self) -> ClaimedOrder | None:
        """Take the most urgent order that waits; None if there is none."""
        claimed = self._claim()
        if claimed is not None:  # and that it is taken is recorded
            self._received_s.pop(claimed.row, None)
        return claimed

    def _claim(self) -> ClaimedOrder | None:
        now = self.clock.now()
        with self.database.writing() as session:
            row = session.scalar(
                select(WorkOrder)
                .where(WorkOrder.service == self.service, WorkOrder.state == "queued")
                .where(or_(WorkOrder.not_before.is_(None), WorkOrder.not_before <= now))
                .order_by(WorkOrder.priority.desc(), WorkOrder.id)
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            if row is None:
                return None
            row.state = "running"
            row.attempts += 1
            row.lease_owner = self.owner
            row.lease_until = now + self.lease
            row.started = row.started or now
            row.not_before = None
            row.message = ""
            received_s = self._received_s.get(row.id)
            waited_s = None if received_s is None else boot_time() - received_s
            return ClaimedOrder(
                row.id, row.user, row.order_id, row.request, dict(row.content), row.attempts,
                waited_s,
            )  # fmt: skip

    def recover(self, working_on: Collection[int] | None = None) -> list[str]:
        """Queue again what nobody works on any more; return the ids.

        Parameters
        ----------
        working_on : collection of int, optional
            The rows that this instance works on: of the others those whose lease
            has run out are taken, as when the database went away just after a claim.
            Without it, at the start, all of this instance's own are taken as well.
        """
        now = self.clock.now()
        lost = WorkOrder.lease_until < now
        if working_on is None:
            lost = or_(lost, WorkOrder.lease_owner == self.owner)
        recovered = []
        with self.database.writing() as session:
            rows = session.scalars(
                select(WorkOrder)
                .where(WorkOrder.service == self.service, WorkOrder.state == "running")
                .where(lost, WorkOrder.id.not_in(working_on or ()))
                .with_for_update()
            )
            for row in rows:
                if row.attempts >= MAX_ATTEMPTS:
                    gone = Abandoned(
                        f"given up: the daemon ended {row.attempts} times while it worked on this"
                    )
                    self._end(row, "failed", gone.code, gone.message, None)
                else:
                    self._release(row)
                    recovered.append(row.order_id)
        return recovered

    def report(self, row_id: int, fraction: float, text: str) -> bool:
        """Note progress, renew the lease; return whether the order is to be cancelled.

        Raises
        ------
        Stopping
            The order is no longer this instance's.
        """
        with self.database.writing(durable=False) as session:
            row = self._held(session, row_id)
            row.progress = fraction
            row.progress_text = text
            row.lease_until = self.clock.now() + self.lease
            return row.cancel_requested

    def finish(self, row_id: int, result: Mapping[str, Any]) -> None:
        """Record that the order is done, with its result."""
        with self.database.writing() as session:
            row = self._held(session, row_id)
            row.progress = 1.0
            row.progress_text = "done"
            self._end(row, "done", SUCCESS, "", dict(result))

    def fail(self, row_id: int, error: TorosError, result: Mapping[str, Any] | None) -> None:
        """Record that the order failed or was cancelled, with what it has reached."""
        state = "cancelled" if isinstance(error, OrderCancelled) else "failed"
        with self.database.writing() as session:
            row = self._held(session, row_id)
            self._end(row, state, error.code, error.message, dict(result) if result else None)

    def release(self, row_id: int) -> None:
        """Queue an order again that the daemon's stop interrupted; it counts as no attempt."""
        with self.database.writing() as session:
            row = self._held(session, row_id)
            row.attempts = max(0, row.attempts - 1)
            self._release(row)

    def hand_over(self, row_id: int) -> None:
        """Note that an order lasts on by itself; restarts while it does count as no attempts."""
        with self.database.writing() as session:
            row = session.get_one(WorkOrder, row_id, with_for_update=True)
            if row.state == "running" and row.lease_owner == self.owner:
                row.attempts = 0

    def postpone(self, row_id: int, error: TorosError, delay_s: float) -> None:
        """Queue an order again that cannot go on now, to be tried after a while."""
        with self.database.writing() as session:
            row = self._held(session, row_id)
            row.attempts -= 1
            row.message = f"waiting: {error.message}"
            row.not_before = self.clock.now() + timedelta(seconds=delay_s)
            self._release(row)

    def cancel(
        self, order_id: str, user: str | None, asker: str | None = None, *, only_own: bool = False
    ) -> dict[str, Any]:
        """Cancel a queued order, or ask a running one to end; return its state.

        Parameters
        ----------
        order_id : str
        user : str or None
            Whose order it is; None where the id alone tells.
        asker : str or None
            Who asks: of several orders of that id, the asker's own is meant.
        only_own : bool
            The asker may cancel no other user's order.

        Raises
        ------
        OrderNotFound, NotCancellable, InvalidField
        PermissionDenied
            It is another user's order.
        """
        with self.database.writing() as session:
            row = self._find(session, order_id, user, asker, lock=True)
            if only_own and row.user != asker:
                raise PermissionDenied(f"order: {order_id!r} is not an order of user {asker!r}")
            if row.state == "queued":
                self._end(row, "cancelled", OrderCancelled.code, "cancelled before it began", None)
            elif row.state == "running":
                row.cancel_requested = True
            else:
                raise NotCancellable(f"order: {order_id!r} has already ended: it is {row.state}")
            return _told(row)

    def tell(self, order_id: str, user: str | None, asker: str | None = None) -> dict[str, Any]:
        """Tell all about one order, ready for the wire; parameters as of `cancel`.

        Raises
        ------
        OrderNotFound
        InvalidField
            Several users have an order of that id, and none was named.
        """
        with self.database.reading() as session:
            return _told(self._find(session, order_id, user, asker))

    def page(self, state: str | None, page: int, page_size: int) -> dict[str, Any]:
        """List orders, the newest first, without their results."""
        with self.database.reading() as session:
            mine = select(WorkOrder).where(WorkOrder.service == self.service)
            if state is not None:
                mine = mine.where(WorkOrder.state == state)
            total = session.scalar(select(func.count()).select_from(mine.subquery())) or 0
            rows = session.scalars(
                mine.order_by(WorkOrder.id.desc()).offset((page - 1) * page_size).limit(page_size)
            )
            orders = [{k: v for k, v in _told(row).items() if k != "result"} for row in rows]
            return {
                "orders": orders,
                "page": page,
                "pages": max(1, -(-total // page_size)),
                "total": total,
            }

    def counts(self) -> dict[str, int]:
        """Count the orders in each state."""
        with self.database.reading() as session:
            rows = session.execute(
                select(WorkOrder.state, func.count())
                .where(WorkOrder.service == self.service)
                .group_by(WorkOrder.state)
            )
            found = {row[0]: int(row[1]) for row in rows}
        return {s: found.get(s, 0) for s in ("queued", "running", "done", "failed", "cancelled")}

    def _held(self, session: Session, row_id: int) -> WorkOrder:
        row = session.get_one(WorkOrder, row_id, with_for_update=True)
        if row.state != "running" or row.lease_owner != self.owner:
            raise Stopping(f"order {row.order_id!r} was taken over by another instance")
        return row

    def _find(
        self,
        session: Session,
        order_id: str,
        user: str | None,
        asker: str | None,
        *,
        lock: bool = False,
    ) -> WorkOrder:
        query = select(WorkOrder).where(
            WorkOrder.service == self.service, WorkOrder.order_id == order_id
        )
        if user is not None:
            query = query.where(WorkOrder.user == user)
        rows = list(session.scalars(query.limit(2).with_for_update() if lock else query.limit(2)))
        if not rows:
            whose = f" of user {user!r}" if user is not None else ""
            raise OrderNotFound(f"order: the {self.service} has no order {order_id!r}{whose}")
        if len(rows) > 1:
            own = session.scalar(query.where(WorkOrder.user == asker))
            if own is not None:
                return own
            raise InvalidField(
                f"order: several users have an order {order_id!r}; name one as order_user"
            )
        return rows[0]

    def _end(
        self,
        row: WorkOrder,
        state: str,
        code: int,
        message: str,
        result: dict[str, Any] | None,
    ) -> None:
        row.state = state
        row.status_code = code
        row.message = message
        row.result = result
        row.finished = self.clock.now()
        row.lease_owner = row.lease_until = None

    def _release(self, row: WorkOrder) -> None:
        row.state = "queued"
        row.lease_owner = row.lease_until = None


def _told(row: WorkOrder) -> dict[str, Any]:
    def when(moment: datetime | None) -> str | None:
        return None if moment is None else to_iso(moment)

    return {
        "id": row.order_id,
        "user": row.user,
        "request": row.request,
        "fields": shown_fields(row.content),
        "status": row.state,
        "priority": row.priority,
        "progress": row.progress,
        "progress_text": row.progress_text,
        "attempts": row.attempts,
        "code": row.status_code,
        "message": row.message,
        "result": row.result,
        "received": when(row.received),
        "started": when(row.started),
        "finished": when(row.finished),
    }


def shown_fields(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an order asks for: passwords in urls are hidden, long texts are cut."""
    own = {key: value for key, value in content.items() if key not in ENVELOPE}
    return {
        key: _PASSWORD.sub("//***@", value)[:_SHOWN_CHARS] if isinstance(value, str) else value
        for key, value in own.items()
    }
