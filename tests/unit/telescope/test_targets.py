"""The book of targets, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.telescope.night_parts import enter
from tests.unit.telescope.observing import prepared
from toros.clock import SimulatedClock
from toros.database.observing import Target
from toros.database.session import Database
from toros.errors import InvalidField, TargetNotFound
from toros.telescope.targets import TargetBook, TargetRow, Work, check_list, progress_of
from toros.workorders.telescope import ReceiveTargets

NOW = datetime(2026, 6, 11, 2, 0, tzinfo=UTC)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = prepared(database_url)
    yield made
    made.close()


@pytest.fixture
def book(database: Database) -> TargetBook:
    return TargetBook(database, SimulatedClock(datetime.now(UTC), NOW, 1.0))


def alert(revision: int, *names: str, **changes: Any) -> ReceiveTargets:
    targets = [{"name": name, "ra": 10.0 * n, "dec": -20.0} for n, name in enumerate(names)]
    values = {"request": "receive_targets", "event": "S1", "revision": revision}
    return ReceiveTargets.model_validate({**values, "targets": targets, **changes})


def names(book: TargetBook) -> list[str]:
    return [row.name for row in book.open_targets()]


def test_the_same_order_is_the_same_target(database: Database, book: TargetBook):
    first = enter(database, book, 1, target="M 1")
    assert enter(database, book, 1, target="M 1") == first
    assert book.of_order(1) == first
    assert book.of_order(2) is None


def test_the_highest_revision_of_a_list_wins_whatever_comes_when(book: TargetBook):
    assert book.receive(alert(2, "A", "B"), {"A": 9.0})["accepted"]
    assert not book.receive(alert(1, "C"), {})["accepted"]
    assert not book.receive(alert(2, "C"), {})["accepted"]
    assert names(book) == ["A", "B"]
    told = book.receive(alert(3, "B", "C"), {})
    assert told["withdrawn"] == 1
    assert names(book) == ["B", "C"]
    book.receive(alert(4), {})
    assert names(book) == []


def test_a_target_that_is_listed_again_waits_again(book: TargetBook):
    book.receive(alert(1, "A"), {})
    book.receive(alert(2), {})
    book.receive(alert(3, "A"), {})
    assert [(row.name, row.state) for row in book.open_targets()] == [("A", "waiting")]


def test_a_list_that_asks_for_no_more_than_was_taken_has_its_target_done(
    database: Database, book: TargetBook
):
    book.receive(alert(1, "A", number_of_exposures=3), {})
    with database.writing() as session:
        progress_of(1, exposures_done=2)(session)
    book.receive(alert(2, "A", number_of_exposures=2), {})
    assert book.get(1).state == "done"


def test_what_is_withdrawn_is_not_brought_back_by_progress(database: Database, book: TargetBook):
    row = enter(database, book, 1)
    with database.writing() as session:
        progress_of(row.id, during=("waiting",), state="observing")(session)
    assert [gone.id for gone in book.withdraw(None, row.id)] == [row.id]
    with database.writing() as session:
        progress_of(row.id, during=("observing",), state="waiting")(session)
    assert book.get(row.id).state == "withdrawn"
    assert book.withdraw(None, row.id) == []


def test_to_withdraw_needs_one_name_that_is_known(book: TargetBook):
    with pytest.raises(InvalidField, match="either event or target"):
        book.withdraw(None, None)
    with pytest.raises(TargetNotFound, match="S9"):
        book.withdraw("S9", None)
    with pytest.raises(TargetNotFound, match="7"):
        book.get(7)


def test_a_target_whose_time_is_over_expires_once(database: Database, book: TargetBook):
    enter(database, book, 1, not_after=(NOW - timedelta(minutes=1)).isoformat())
    enter(database, book, 2, not_after=(NOW + timedelta(hours=1)).isoformat())
    assert [row.id for row in book.expire()] == [1]
    assert book.expire() == []
    assert [row.id for row in book.open_targets()] == [2]


def test_the_end_of_a_target_and_what_is_told_of_it_are_recorded_together(
    database: Database, book: TargetBook
):
    told: list[tuple[int, str]] = []

    def report(row: TargetRow) -> Work:
        return lambda session: told.append((row.id, session.get_one(Target, row.id).state))

    def fails(_row: TargetRow) -> Work:
        raise ValueError("not told")

    past = (NOW - timedelta(minutes=1)).isoformat()
    enter(database, book, 1, not_after=past)
    with pytest.raises(ValueError, match="not told"):
        book.expire(fails)
    assert book.get(1).state == "waiting"
    book.expire(report)
    book.receive(alert(1, "A", number_of_exposures=2), {}, report)
    with database.writing() as session:
        progress_of(2, exposures_done=2)(session)
    book.receive(alert(2, "A", number_of_exposures=2), {}, report)
    enter(database, book, 3, number_of_exposures=1)
    with database.writing() as session:
        progress_of(3, exposures_done=1)(session)
    book.recover(report)
    assert told == [(1, "expired"), (2, "done"), (3, "done")]


def test_an_interrupted_target_waits_again(database: Database, book: TargetBook):
    row = enter(database, book, 1)
    with database.writing() as session:
        progress_of(row.id, state="observing")(session)
    assert book.recover() == (1, [])
    assert book.recover() == (0, [])
    assert book.get(row.id).state == "waiting"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"name": "", "ra": 1.0, "dec": 2.0}, r"targets.0.name: got ''"),
        ({"name": "A", "ra": 361.0, "dec": 2.0}, r"targets.0.ra: got 361.0; expected 0 to 360"),
        ({"name": "A", "dec": 2.0}, r"targets.0.ra: got None"),
        ({"name": "A", "ra": 1.0, "dec": True}, r"targets.0.dec: got True; expected a number"),
        ({"name": "A", "ra": float("nan"), "dec": 2.0}, r"targets.0.ra: got nan"),
        ({"name": "A", "ra": 1.0, "dec": 2.0, "filter": 3}, r"targets.0.filter: got 3"),
    ],
)
def test_a_wrong_target_of_a_list_is_named(target: dict[str, Any], message: str):
    with pytest.raises(InvalidField, match=message):
        check_list(alert(1, targets=[target]))


def test_two_targets_of_one_name_are_refused():
    with pytest.raises(InvalidField, match="'A' is there twice"):
        check_list(alert(1, "A", "A"))
