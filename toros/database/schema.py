"""The schema's version: set up, checked, upgraded."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import threading
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, select, text

from toros import clock, errors, store
from toros.database.deadline import unhurried
from toros.database.models import StatusCode
from toros.database.session import Database
from toros.errors import DatabaseUnavailable, SchemaMismatch

log = logging.getLogger(__name__)

_TURN_TIMEOUT_S = 10.0
_TURN_POLL_S = 0.05
_LOCK_KEY = 0x70120501  # PostgreSQL's advisory lock for migrations of this application


def wanted_revision() -> str:
    """Return the schema version that this software works with."""
    head = ScriptDirectory.from_config(_alembic()).get_current_head()
    assert head is not None, "the package carries migrations"
    return head


def current_revision(database: Database) -> str | None:
    """Return the schema version of the database; None when it is empty.

    Raises
    ------
    DatabaseUnavailable
    """
    with database.reading() as session:
        return _revision(session.connection())


def prepare(database: Database) -> None:
    """Make the database ready for work: set up an empty one, refuse another version.

    Raises
    ------
    DatabaseUnavailable, DiskFull
    SchemaMismatch
        The schema is of another version; the message names the command that mends it.
    """
    if current_revision(database) is None:
        upgrade(database)
    found, wanted = current_revision(database), wanted_revision()
    if found != wanted:
        raise SchemaMismatch(
            f"{database.shown_url} has schema version {found}, this software needs {wanted}; "
            "stop the daemons, make a backup and run: toros database upgrade"
        )
    _record_status_codes(database)


def upgrade(database: Database) -> str:
    """Bring the schema to this software's version, alone; return the version.

    Raises
    ------
    DatabaseUnavailable, DiskFull
    SchemaMismatch
        The schema is newer than this software.
    """
    with _alone(database), database.writing() as session:
        connection = session.connection()
        found = _revision(connection)
        known = {
            script.revision for script in ScriptDirectory.from_config(_alembic()).walk_revisions()
        }
        if found is not None and found not in known:
            raise SchemaMismatch(
                f"{database.shown_url} has schema version {found}, which this software does not "
                "know: it is of a newer release; install that release again"
            )
        config = _alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    if found != wanted_revision():
        log.info("%s: schema %s, was %s", database.shown_url, wanted_revision(), found or "empty")
    _record_status_codes(database)
    return wanted_revision()


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("toros.database") / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).get_table_names():
        return None
    return MigrationContext.configure(connection).get_current_revision() or "unversioned"


@contextlib.contextmanager
def _alone(database: Database) -> Iterator[None]:
    """Hold the lock under which one process at a time migrates.

    Raises
    ------
    DatabaseUnavailable
        Another process holds it for long.
    """
    with _file_lock(database) if database.is_sqlite else _server_lock(database):
        yield


@contextlib.contextmanager
def _file_lock(database: Database) -> Iterator[None]:
    path = Path(f"{database.url.database}.migration-lock")

    def taken() -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    try:
        file = path.open("w")
    except OSError as error:
        raise store.storage_error(error, path) from error
    with file:
        _wait_for_turn(taken, database)
        yield


@contextlib.contextmanager
def _server_lock(database: Database) -> Iterator[None]:
    with unhurried(), database.reading() as session:
        take = text("SELECT pg_try_advisory_lock(:key)")
        _wait_for_turn(lambda: bool(session.scalar(take, {"key": _LOCK_KEY})), database)
        try:
            yield
        finally:
            session.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK_KEY})


def _wait_for_turn(taken: Callable[[], bool], database: Database) -> None:
    deadline = time.monotonic() + _TURN_TIMEOUT_S
    while not taken():
        if time.monotonic() > deadline:
            raise DatabaseUnavailable(
                f"{database.shown_url}: another process has been changing the schema for more than "
                f"{_TURN_TIMEOUT_S:g} s"
            )
        clock.REAL.wait(threading.Event(), _TURN_POLL_S)


def _record_status_codes(database: Database) -> None:
    """Make the StatusCode table say what this software's codes mean."""
    wanted = {errors.SUCCESS: ("Success", "done, nothing went wrong")}
    wanted |= {cls.code: (cls.__name__, cls.description) for cls in errors.error_classes()}
    with database.reading() as session:
        rows = session.scalars(select(StatusCode))
        if {row.number_code: (row.name, row.description) for row in rows} == wanted:
            return
    with _alone(database), database.writing() as session:
        for code, (name, description) in wanted.items():
            session.merge(StatusCode(number_code=code, name=name, description=description))
