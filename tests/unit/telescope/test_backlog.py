"""Records wait for the database, in their order, and one bad one holds up nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.unit.telescope.observing import prepared
from toros.database.observing import Night
from toros.database.session import Database
from toros.errors import DatabaseUnavailable, OrderConflict
from toros.telescope.backlog import Backlog


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = prepared(f"sqlite:///{tmp_path / 'toros.db'}")
    yield made
    made.close()


def adding(date: str):
    return lambda session: session.add(Night(date=date, state="closed"))


def dates(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.scalars(select(Night.date).order_by(Night.date)))


def test_records_are_made_in_their_order_and_a_bad_one_is_dropped(database: Database):
    backlog = Backlog(database)

    def conflict(_session: Session) -> None:
        raise OrderConflict("a test")

    for work in (adding("2026-01-01"), adding("2026-01-01"), conflict, adding("2026-01-02")):
        backlog.put(work)
    assert backlog.behind == 4
    backlog.start()
    assert backlog.flush(5.0)
    backlog.stop(1.0)
    assert dates(database) == ["2026-01-01", "2026-01-02"]


def test_a_record_waits_while_the_database_is_away(database: Database):
    backlog, away = Backlog(database), threading.Event()
    away.set()

    def work(session: Session) -> None:
        if away.is_set():
            raise DatabaseUnavailable("a test")
        adding("2026-01-01")(session)

    backlog.put(work)
    backlog.start()
    assert not backlog.flush(0.2)
    away.clear()
    assert backlog.flush(5.0)
    backlog.stop(1.0)
    assert dates(database) == ["2026-01-01"]
