"""A database in trouble: what it says, and how it comes back."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError, IntegrityError

from tests.system.faults import hanging
from toros import clock
from toros.database import deadline, schema
from toros.database.batches import Batches, ExposureRow
from toros.database.session import Database
from toros.errors import DatabaseUnavailable


@pytest.fixture
def database(database_url):
    database = Database(database_url)
    schema.prepare(database)
    yield database
    database.close()


def test_reading_alone_is_no_recovery_and_a_probe_is(database):
    with pytest.raises(DatabaseUnavailable), database.writing() as session:
        session.execute(text("SELECT * FROM nothing_there"))
    assert "nothing_there" in database.trouble
    with database.reading() as session:
        session.execute(text("SELECT 1"))
    assert database.trouble
    database.probe()
    assert database.trouble is None


def test_the_same_trouble_is_told_once(database, caplog):
    caplog.set_level(logging.INFO, "toros.database")
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable), database.writing() as session:
            session.execute(text("SELECT * FROM nothing_there"))
    database.probe()
    levels = [record.levelname for record in caplog.records]
    assert levels == ["ERROR", "INFO"]


def test_a_run_is_begun_once_however_often_it_is_asked_for(database):
    batches = Batches(database, clock.REAL)
    batch = batches.of_url("file:///night")
    for _ in range(2):  # the answer to the first COMMIT was lost
        assert batches.start_run(batch.id, batch.run, "digest").run == 1
    assert batches.start_run(batch.id, 1, "other").run == 2


def test_two_orders_register_the_same_bytes_at_once(database):
    batches = Batches(database, clock.REAL)
    made = [batches.of_url(f"file:///night/{number}").id for number in range(4)]
    values = dict.fromkeys(ExposureRow.__dataclass_fields__)
    rows = [
        ExposureRow(
            **{**values, "sha256": f"{n}", "path": "p", "name": "n", "size_bytes": 1,
               "exposure_type": "bias"}
        )
        for n in range(5)
    ]  # fmt: skip
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda batch: batches.register(batch, rows, []), made))
    assert [len(batches.exposures(batch)) for batch in made] == [5, 5, 5, 5]


def test_what_can_never_be_stored_is_a_defect_and_no_absence(postgres):
    database = Database(postgres.new_database())
    with pytest.raises((DataError, IntegrityError)), database.writing() as session:
        session.execute(text("SELECT 1 / 0"))
    assert database.trouble is None
    database.close()


def test_a_server_that_hangs_is_given_up(postgres):
    database = Database(postgres.new_database(), answer_timeout_s=0.5)
    schema.prepare(database)
    with hanging(postgres), pytest.raises(DatabaseUnavailable):
        database.probe()
    database.probe()
    assert database.trouble is None
    database.close()


def test_migrations_take_their_time(postgres):
    database = Database(postgres.new_database(), answer_timeout_s=0.2)
    begun = time.monotonic()
    with deadline.unhurried(), database.writing() as session:
        session.execute(text("SELECT pg_sleep(1)"))
    assert time.monotonic() - begun >= 1
    with (
        pytest.raises(DatabaseUnavailable, match="has not answered"),
        database.writing() as session,
    ):
        session.execute(text("SELECT pg_sleep(5)"))
    database.close()
