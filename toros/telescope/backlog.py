"""What is to be recorded, in its order, without making the telescope wait for the database."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from sqlalchemy.orm import Session

from toros.database.session import Database
from toros.errors import DatabaseUnavailable, DiskFull

log = logging.getLogger(__name__)

Work = Callable[[Session], None]

_RETRY_S = 2.0
_LIMIT = 100_000


class Backlog:
    """A thread that carries out units of work on the database, one after another.

    While the database is away they wait, in memory. Each must be one that may be carried out
    twice: a process that is killed may have done the last one.

    Parameters
    ----------
    database : Database
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[Work] = deque()
        self._changed = threading.Condition()
        self._ending = False
        self._busy = False
        self._thread = threading.Thread(target=self._run, name="backlog", daemon=True)

    def start(self) -> None:
        """Begin to record."""
        self._thread.start()

    def put(self, work: Work) -> None:
        """Add a unit of work; returns at once."""
        with self._changed:
            if len(self._waiting) >= _LIMIT:
                log.error("the database has been away for too long: the oldest record is dropped")
                self._waiting.popleft()
            self._waiting.append(work)
            self._changed.notify_all()

    @property
    def behind(self) -> int:
        """How many records wait."""
        return len(self._waiting) + self._busy

    def flush(self, timeout_s: float) -> bool:
        """Wait until all is recorded; False if the time [s] is over first."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while self.behind:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def stop(self, timeout_s: float) -> None:
        """Record what waits, for as long as `timeout_s` allows, and end."""
        self.flush(timeout_s)
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join(1.0)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._ending:
                    self._changed.wait()
                if self._ending:
                    return
                work = self._waiting[0]
                self._busy = True
            done = self._carry_out(work)
            with self._changed:
                self._busy = False
                if done and self._waiting and self._waiting[0] is work:
                    self._waiting.popleft()
                self._changed.notify_all()
                if not done and not self._ending:
                    self._changed.wait(_RETRY_S)

    def _carry_out(self, work: Work) -> bool:
        try:
            with self._database.writing() as session:
                work(session)
        except (DatabaseUnavailable, DiskFull) as error:
            log.debug("the record waits: %s", error.message)
            return False
        except Exception:  # one bad record must not stop the rest
            log.exception("a record could not be written and is dropped")
        return True
