"""The schema's version: set up, checked, upgraded."""

from __future__ import annotations

import contextlib
import fcntl
import logging
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, select, text

from toros import errors, store
from toros.database.deadline import unhurried
from toros.database.models import StatusCode
from toros.database.session import Database
from toros.errors import SchemaMismatch

log = logging.getLogger(__name__)

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
    """Hold the lock under which one process at a time migrates."""
    if database.is_sqlite:
        path = Path(f"{database.url.database}.migration-lock")
        try:
            file = path.open("w")
        except OSError as error:
            raise store.storage_error(error, path) from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        return
    with unhurried(), database.reading() as session:
        session.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK_KEY})
        try:
            yield
        finally:
            session.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK_KEY})


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
