"""Units of work that write to SQLite: who waits for whom, and what reaches the disk."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import text

from toros.database.session import Database

FULL, NORMAL = 2, 1


@pytest.fixture
def database(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'toros.db'}")
    with database.writing() as session:
        session.execute(text("CREATE TABLE t (a INTEGER)"))
    yield database
    database.close()


def synchronous(session):
    return session.scalar(text("PRAGMA synchronous"))


def test_only_what_may_be_lost_is_not_waited_for(database):
    for _ in range(2):  # the second time on connections of the pool
        with database.writing() as session:
            assert synchronous(session) == FULL
        with database.writing(durable=False) as session:
            assert synchronous(session) == NORMAL


def test_threads_write_one_after_another(database):
    holds, seen = threading.Event(), []

    def hold():
        with database.writing() as session:
            session.execute(text("INSERT INTO t VALUES (1)"))
            holds.set()
            time.sleep(0.3)

    thread = threading.Thread(target=hold)
    thread.start()
    holds.wait(5)
    with database.writing() as session:
        seen.append(session.scalar(text("SELECT count(*) FROM t")))
    thread.join()
    assert seen == [1]


def test_a_turn_that_does_not_come_is_no_deadlock(database):
    # As within a unit of work that takes long, or in another thread that is stuck.
    database._writer.acquire()
    with database.writing() as session:
        session.execute(text("INSERT INTO t VALUES (1)"))
    database._writer.release()
    with database.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM t")) == 1
