"""The schema: set up, upgraded under a lock, refused when it is another's."""

from __future__ import annotations

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text

from toros import errors
from toros.database import schema
from toros.database.models import Base, StatusCode
from toros.database.session import Database
from toros.errors import SchemaMismatch


@pytest.fixture
def database(database_url):
    opened = Database(database_url)
    yield opened
    opened.close()


def test_an_empty_database_is_set_up(database):
    assert schema.current_revision(database) is None
    schema.prepare(database)
    assert schema.current_revision(database) == schema.wanted_revision()


def test_migrations_make_what_the_models_say(database):
    schema.prepare(database)
    with database.reading() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_every_error_has_its_status_code_row(database):
    schema.prepare(database)
    with database.reading() as session:
        rows = {row.number_code: row.name for row in session.scalars(select(StatusCode))}
    assert rows == {0: "Success"} | {cls.code: cls.__name__ for cls in errors.error_classes()}


def test_another_version_is_refused_and_the_command_named(database):
    schema.prepare(database)
    with database.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaMismatch, match="toros database upgrade"):
        schema.prepare(database)
    with pytest.raises(SchemaMismatch, match="newer release"):
        schema.upgrade(database)


def test_a_foreign_database_is_refused(database):
    with database.writing() as session:
        session.execute(text("CREATE TABLE somebody_elses (id INTEGER)"))
    with pytest.raises(SchemaMismatch, match="unversioned"):
        schema.prepare(database)


def test_several_processes_may_prepare_at_once(database_url):
    failures = []

    def prepare():
        database = Database(database_url)
        try:
            schema.prepare(database)
        except Exception as error:  # noqa: BLE001 - told by the assertion below
            failures.append(error)
        finally:
            database.close()

    threads = [threading.Thread(target=prepare) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
