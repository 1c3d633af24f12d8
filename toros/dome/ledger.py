"""Orders to close and to stop: told from memory, written to the journal, copied later.

They need no database. Their status has the shape that all orders have, and a restart knows
the last ones from the journal.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from toros.clock import from_iso, to_iso
from toros.database import schema
from toros.database.models import WorkOrder as Row
from toros.database.session import Database
from toros.dome.journal import Journal, Written
from toros.errors import SUCCESS, DatabaseUnavailable, DiskFull, OrderCancelled, TorosError
from toros.workorders import WorkOrder

log = logging.getLogger(__name__)

_REMEMBERED = 500
_COPY_PERIOD_S = 5.0
_SERVICE = "dome"
_KEYS = {"id", "user", "request", "status", "finished", "received", "started", "priority"}


class Ledger:
    """The immediate orders that move the dome.

    Parameters
    ----------
    journal : Journal
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._orders: OrderedDict[tuple[str, str], dict[str, Any]] = OrderedDict()
        self._uncopied: OrderedDict[tuple[str, str], dict[str, Any]] = OrderedDict()
        self._unfinished: list[dict[str, Any]] = []
        self._lock = threading.Lock()  # held for the memory alone, never during any work

    def open(self, order: WorkOrder, user: str) -> dict[str, Any]:
        """Take an order in; return its record. An id that was used before begins anew."""
        order_id = order.id or uuid.uuid4().hex
        record = {
            "id": order_id,
            "user": user,
            "request": order.request,
            "fields": {},
            "status": "running",
            "priority": order.priority or 0.0,
            "progress": 0.0,
            "progress_text": "",
            "attempts": 1,
            "code": None,
            "message": "",
            "result": None,
            "received": _now(),
            "started": _now(),
            "finished": None,
        }
        self._keep(record)
        return record

    def end(self, record: dict[str, Any], error: TorosError | None = None) -> None:
        """End an order: done, or failed, or cancelled."""
        if record["finished"] is not None:
            return
        state = "cancelled" if isinstance(error, OrderCancelled) else "failed"
        record.update(
            status="done" if error is None else state,
            progress=1.0 if error is None else record["progress"],
            progress_text="done" if error is None else record["progress_text"],
            code=SUCCESS if error is None else error.code,
            message="" if error is None else error.message,
            result={"value": True} if error is None else None,
            finished=_now(),
        )
        self.write(record)

    def write(self, record: Mapping[str, Any]) -> Written:
        """Write an order as it stands to the journal; returns at once."""
        return self._journal.write({"time": _now(), "order": dict(record)})

    def note(self, what: str, **more: object) -> None:
        """Write to the journal what the control loop did; returns at once."""
        self._journal.write({"time": _now(), "event": what, **more})

    def tell(self, order_id: str, user: str | None) -> dict[str, Any] | None:
        """Return the status of an order of ours; None if it is not known here."""
        with self._lock:
            found = [
                dict(record)
                for (whose, name), record in self._orders.items()
                if name == order_id and user in (None, whose)
            ]
        return found[-1] if found else None

    def recall(self) -> None:
        """Take up what the journal knows of an earlier process; it reads a file."""
        latest: dict[tuple[str, str], dict[str, Any]] = {}
        for entry in self._journal.tail():
            record = entry.get("order")
            if isinstance(record, dict) and set(record) >= _KEYS:
                latest[str(record["user"]), str(record["id"])] = record
        for key, record in latest.items():
            with self._lock:
                known = key in self._orders
            if not known:
                self._keep(record)
                if record["finished"] is None:
                    self._unfinished.append(record)

    def settle(self) -> None:
        """End what an earlier process had under way: the live shutter says closed."""
        unfinished, self._unfinished = self._unfinished, []
        for record in unfinished:
            self.end(record)

    def _keep(self, record: dict[str, Any]) -> None:
        key = (str(record["user"]), str(record["id"]))
        with self._lock:
            self._orders.pop(key, None)
            self._orders[key] = self._uncopied[key] = record
            while len(self._orders) > _REMEMBERED:
                self._orders.popitem(last=False)
            while len(self._uncopied) > _REMEMBERED:
                self._uncopied.popitem(last=False)

    def copy_to(self, database: Database) -> int:
        """Copy ended orders into the database; return how many.

        Raises
        ------
        DatabaseUnavailable, DiskFull
        """
        with self._lock:
            ended = [(k, r) for k, r in self._uncopied.items() if r["finished"] is not None]
        if not ended or schema.current_revision(database) != schema.wanted_revision():
            return 0
        for key, record in ended:
            _record(database, record)
            with self._lock:
                if self._uncopied.get(key) is record:
                    del self._uncopied[key]
        return len(ended)


class Copying:
    """A thread that copies the ledger into the database whenever that is there."""

    def __init__(self, ledger: Ledger, database: Database) -> None:
        self._ledger = ledger
        self._database = database
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="dome-copying", daemon=True).start()

    def stop(self) -> None:
        """End; a database that hangs is not waited for."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(_COPY_PERIOD_S):
            try:
                self._ledger.copy_to(self._database)
            except (DatabaseUnavailable, DiskFull) as error:
                log.debug("the journal is copied later: %s", error.message)
            except Exception:  # the next round tries again
                log.exception("the journal could not be copied into the database")
                self._stop.wait(60.0)


def _record(database: Database, record: Mapping[str, Any]) -> None:
    """Put an ended order into the table of orders; of a repeated one the last end counts."""
    content = {"id": record["id"], "immediate": True}
    digest = hashlib.sha256(f"{_SERVICE} {record['request']}".encode()).hexdigest()
    ended = {
        "state": record["status"],
        "status_code": record["code"],
        "message": record["message"],
        "result": record["result"],
        "finished": from_iso(record["finished"]),
    }
    with database.writing() as session:
        row = session.scalar(
            select(Row).where(
                Row.service == _SERVICE,
                Row.user == record["user"],
                Row.order_id == record["id"],
            )
        )
        if row is not None and row.request == record["request"]:
            for name, value in ended.items():
                setattr(row, name, value)
            return
        # An id that another order has already: this one was carried out all the same.
        other = f"{record['id']}#{digest[:8]}" if row is not None else record["id"]
        session.add(
            Row(
                service=_SERVICE,
                user=record["user"],
                order_id=other[-200:],
                request=record["request"],
                content=content,
                content_sha256=digest,
                receipt={"id": record["id"], "request": record["request"], "status": "done"},
                priority=record["priority"],
                attempts=1,
                progress=1.0,
                progress_text="done",
                received=from_iso(record["received"]),
                started=from_iso(record["started"]),
                **ended,
            )
        )


def _now() -> str:
    """Return the real time, as all orders' records have it."""
    return to_iso(datetime.now(UTC))
