"""The record of nights, and what a crash leaves of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.unit.telescope.observing import prepared
from toros.clock import REAL
from toros.database.observing import Night
from toros.database.session import Database
from toros.errors import NotInThisState
from toros.telescope.backlog import Backlog
from toros.telescope.memory import Memory
from toros.telescope.record import NightRecord, finish_night, past_of, transitions, unfinished
from toros.telescope.states import Event, State

NIGHT = "2026-06-10"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = prepared(database_url)
    yield made
    made.close()


class Recording:
    """A record, and what it tells."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.told: list[tuple[int, str]] = []
        self.backlog = Backlog(database)
        self.backlog.start()
        self.record = NightRecord(self.backlog, REAL, Memory(folder / "memory.json", 3), self._tell)

    def _tell(self, _date: str, number: int, content: dict[str, Any]) -> None:
        self.told.append((number, content["state"]))

    def end(self) -> None:
        assert self.backlog.flush(5.0)
        self.backlog.stop(1.0)


def test_each_transition_is_recorded_and_what_matters_is_told(database: Database, tmp_path: Path):
    one = Recording(database, tmp_path)
    one.record.begin(NIGHT, None)
    for event in (Event.PREPARE, Event.OPENED, Event.SHUT, Event.OPENED, Event.CLOSE, Event.CLOSED):
        one.record.go(event, "a test")
    one.end()
    assert [then for _, _, then, _ in transitions(database, NIGHT)] == [
        "preparing", "open", "suspended", "open", "closing", "closed",
    ]  # fmt: skip
    assert one.told == [(2, "open"), (3, "suspended"), (4, "open"), (6, "closed")]
    past = past_of(database, NIGHT)
    assert past is not None
    assert (past.state, past.was_opened, past.was_closed, past.changes) == (
        State.CLOSED, True, True, 6,
    )  # fmt: skip


def test_a_wrong_way_changes_nothing(database: Database, tmp_path: Path):
    one = Recording(database, tmp_path)
    one.record.begin(NIGHT, None)
    with pytest.raises(NotInThisState):
        one.record.go(Event.OBSERVE, "a test")
    one.end()
    assert one.record.state is State.CLOSED
    assert transitions(database, NIGHT) == []


def test_calibration_frames_by_day_do_not_count_as_the_nights_end(
    database: Database, tmp_path: Path
):
    one = Recording(database, tmp_path)
    one.record.begin(NIGHT, None)
    one.record.go(Event.CALIBRATE, "biases")
    one.record.go(Event.CLOSED, "biases")
    one.end()
    assert not one.record.was_closed
    past = past_of(database, NIGHT)
    assert past is not None
    assert not past.was_closed


def test_an_error_is_latched_by_the_file_though_the_record_never_came(
    database: Database, tmp_path: Path
):
    one = Recording(database, tmp_path)
    one.record.begin(NIGHT, None)
    one.record.go(Event.FAULT, "a test")
    one.end()
    with database.writing() as session:
        session.query(Night).delete()
    again = Recording(database, tmp_path)
    again.record.begin("2026-06-12", past_of(database, "2026-06-12"))
    assert again.record.state is State.ERROR
    again.record.go(Event.ACKNOWLEDGE, "a person")
    again.end()
    assert Memory(tmp_path / "memory.json", 3).kept.fault is None


def test_earlier_nights_that_a_crash_has_left_are_found_and_closed(
    database: Database, tmp_path: Path
):
    one = Recording(database, tmp_path)
    one.record.begin(NIGHT, None)
    one.record.go(Event.PREPARE, "a test")
    one.end()
    assert unfinished(database, NIGHT) == []
    assert unfinished(database, "2026-06-11") == [(NIGHT, State.PREPARING)]
    finish_night(database, NIGHT, State.PREPARING, REAL.now())
    assert unfinished(database, "2026-06-11") == []
    with database.reading() as session:
        assert session.scalars(select(Night.state)).all() == ["closed"]
