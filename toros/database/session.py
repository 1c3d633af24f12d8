"""The connection to the database, and its units of work."""

from __future__ import annotations

import logging
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from toros import clock, store
from toros.database.deadline import connector
from toros.errors import DatabaseUnavailable, DiskFull, TorosError

T = TypeVar("T")

log = logging.getLogger(__name__)

# A client waits ten seconds for an answer: the fault must reach it before.
_BUSY_TIMEOUT_MS = 8_000
_TURN_S = 1.0
_CONNECT_TIMEOUT_S = 3
_ANSWER_TIMEOUT_S = 5.0
_RETRY_WAIT_S = 1.0
_TOLD_AGAIN_S = 300.0
# SQLite met no space, or could not lengthen the file that its processes share.
_FULL = frozenset({"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"})


class Database:
    """One database, SQLite or PostgreSQL, for all threads of a process.

    Parameters
    ----------
    url : str
        An SQLAlchemy URL, with its credentials.
    answer_timeout_s : float
        By when a server must have answered a statement [s]; ours take milliseconds.
    """

    def __init__(self, url: str, answer_timeout_s: float = _ANSWER_TIMEOUT_S) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = (
            _sqlite_engine(url) if self.is_sqlite else _server_engine(url, answer_timeout_s)
        )
        self._readers = sessionmaker(self.engine, expire_on_commit=False)
        self._writers = sessionmaker(
            self.engine.execution_options(toros_begin="IMMEDIATE"), expire_on_commit=False
        )
        self._noters = sessionmaker(
            self.engine.execution_options(toros_begin="IMMEDIATE", toros_durable=False),
            expire_on_commit=False,
        )
        for factory in (self._readers, self._writers, self._noters):
            event.listen(factory, "after_flush", _note_writing)
        self.trouble: str | None = None
        """Why units of work fail; None again once something could be written.

        On a full or read-only disk reading goes on well: that is no sign of recovery.
        """
        self._told = ("", -math.inf)
        self._writer = threading.Lock()

    @property
    def shown_url(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a unit of work that only reads.

        Raises
        ------
        DatabaseUnavailable
        """
        with self._unit(self._readers) as session:
            yield session

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Session]:
        """Open a unit of work that writes; it is committed when the block ends well.

        On SQLite the transaction begins as a writer (BEGIN IMMEDIATE), so that it
        waits for its turn instead of failing half way.

        Parameters
        ----------
        durable : bool
            False for what a power cut may undo (on SQLite; never without undoing all
            that was committed after it): it is not waited for until the disk has it.

        Raises
        ------
        DatabaseUnavailable, DiskFull
        """
        factory = self._writers if durable else self._noters
        with self._turn(), self._unit(factory) as session:
            yield session

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Let this process's threads write to SQLite one after another.

        SQLite alone would see to that, too, but there who waits sleeps, for up to
        0.1 s at a time, and who comes later may be first: receipts would be late. Hence
        no harm is done where the turn does not come in time.
        """
        held = self.is_sqlite and self._writer.acquire(timeout=_TURN_S)
        try:
            yield
        finally:
            if held:
                self._writer.release()

    @contextmanager
    def _unit(self, factory: sessionmaker[Session]) -> Iterator[Session]:
        try:
            with factory.begin() as session:
                yield session
        except (IntegrityError, DataError):
            raise  # a defect or a race that the caller knows of, not an absence
        except (DBAPIError, PoolTimeout) as error:
            raise self._translate(error) from error
        if self.trouble is not None and session.info.get(_WROTE):
            self._forget_connections()
            self.trouble = None
            log.info("the database answers again: %s", self.shown_url)

    def _translate(self, error: Exception) -> DatabaseUnavailable | DiskFull:
        cause = getattr(error, "orig", None) or error
        reason = " ".join(str(cause).split())
        self._forget_connections()
        trouble = self.trouble = f"{self.shown_url}: {reason}"
        now = time.monotonic()
        if trouble != self._told[0] or now - self._told[1] > _TOLD_AGAIN_S:
            self._told = (trouble, now)
            log.error("the database is in trouble: %s", trouble)
        name = getattr(cause, "sqlite_errorname", None)
        if name in _FULL or "disk is full" in reason or "No space left" in reason:
            return DiskFull(f"{trouble}; free some space, the work then goes on")
        return DatabaseUnavailable(trouble)

    def _forget_connections(self) -> None:
        """Let the next units of work open new connections.

        SQLite opens a file that cannot be written for reading, and the connection stays so
        when the file can be written again.
        """
        if self.is_sqlite:
            self.engine.dispose()

    def patiently(self, work: Callable[[], T], should_stop: Callable[[], bool]) -> T:
        """Do a unit of work, again and again while the database is away.

        Parameters
        ----------
        work : callable
            Opens its own unit of work; it is called anew at each try.
        should_stop : callable
            Ends the waiting; the last error is then raised.

        Raises
        ------
        DatabaseUnavailable, DiskFull
            The database was still away when `should_stop` said so.
        """
        never = threading.Event()
        while True:
            try:
                return work()
            except (DatabaseUnavailable, DiskFull):
                if should_stop():
                    raise
                clock.REAL.wait(never, _RETRY_WAIT_S)

    def probe(self) -> None:
        """Write something without meaning, to find out whether that is possible (again).

        Raises
        ------
        DatabaseUnavailable, DiskFull
        """
        with self.writing() as session:
            if self.is_sqlite:
                version = session.scalar(text("PRAGMA user_version"))
                session.execute(text(f"PRAGMA user_version = {version}"))
            else:
                session.execute(text("SELECT txid_current()"))
            session.info[_WROTE] = True

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


_WROTE = "toros_wrote"


def _note_writing(session: Session, _context: Any) -> None:
    session.info[_WROTE] = True


def _sqlite_engine(url: str) -> Engine:
    engine = create_engine(
        url, connect_args={"timeout": _BUSY_TIMEOUT_MS / 1000}, pool_size=10, max_overflow=30
    )
    path = make_url(url).database
    if path and path != ":memory:":
        folder = Path(path).parent
        made: list[Path] = []

        def make_folder(*_: object) -> None:
            # Once only: a folder that goes away later is on a disk that did, and an empty
            # database in its place would hide that. Where it cannot be made, SQLite says so.
            with suppress(TorosError):
                if not made:
                    store.make_folder(folder)
                    made.append(folder)

        event.listen(engine, "do_connect", make_folder)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy's "begin" event says how to begin
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {_BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",  # a committed order survives a power cut
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    mode = options.get("toros_begin", "DEFERRED")
    if mode == "IMMEDIATE":
        # A durable commit syncs the whole log, with what others have left in it.
        level = "FULL" if options.get("toros_durable", True) else "NORMAL"
        connection.exec_driver_sql(f"PRAGMA synchronous = {level}")
    connection.exec_driver_sql(f"BEGIN {mode}")


def _server_engine(url: str, answer_timeout_s: float) -> Engine:
    address = make_url(url)
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    engine = create_engine(
        address,
        pool_pre_ping=True,
        connect_args={"connect_timeout": _CONNECT_TIMEOUT_S},
        pool_timeout=_CONNECT_TIMEOUT_S,
        pool_size=10,
        max_overflow=30,
    )
    event.listen(engine, "do_connect", connector(answer_timeout_s))
    return engine
