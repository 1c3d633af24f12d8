"""The open targets in memory: never behind what was done, never ahead of the book."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.telescope.night_parts import Observatory, Patience, enter, observatory
from toros.clock import SimulatedClock
from toros.database.messages import NewMessage
from toros.errors import NeverObservable, OrderCancelled, PointingFailed
from toros.telescope.targets import progress_of
from toros.workorders.telescope import ReceiveTargets


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Observatory]:
    with observatory(tmp_path, begin=False) as made:
        yield made


def known(at: Observatory, number: int) -> Any:
    at.wait(lambda: any(row.id == number for row in at.parts.targets.rows()), "the target")
    return next(row for row in at.parts.targets.rows() if row.id == number)


def test_progress_is_kept_though_the_book_is_read_before_it_is_recorded(at: Observatory):
    row, order = at.order(1, number_of_exposures=3)
    queue = at.parts.targets
    known(at, row.id)
    queue.began(row)
    done = queue.took(row, Path("a.fits"))
    with at.database.writing() as session:  # as if the record had not come yet
        progress_of(row.id, exposures_done=0)(session)
    queue._take_over({row.id: row}, -1)
    assert known(at, row.id).exposures_done == done.exposures_done == 1
    assert order.notes == [pytest.approx(1 / 3)]


def test_an_order_ends_when_the_book_says_so(at: Observatory):
    row, order = at.order(1, number_of_exposures=1)
    queue = at.parts.targets
    known(at, row.id)
    queue.began(row)
    queue.finish(replace(row, exposures_done=0))
    at.wait(lambda: order.ended, "the order")
    assert order.result == {"target": row.id, "exposures": 0, "files": []}
    assert at.book.get(row.id).state == "done"
    assert queue.rows() == []


def test_an_order_that_comes_again_after_its_targets_end_is_ended(at: Observatory):
    row = enter(at.database, at.book, 1)
    at.book.withdraw(None, row.id)
    order = Patience()
    at.parts.targets.expect(1, order)
    at.wait(lambda: order.ended, "the order")
    assert isinstance(order.error, OrderCancelled)


def test_a_cancelled_order_withdraws_its_target(at: Observatory):
    row, order = at.order(1)
    known(at, row.id)
    order.cancelled = True
    at.parts.targets.changed()
    at.wait(lambda: order.ended, "the order")
    assert at.book.get(row.id).state == "withdrawn"
    assert at.parts.targets.is_withdrawn(row)


def test_an_exposure_counts_though_its_target_was_withdrawn_meanwhile(at: Observatory):
    listed: dict[str, Any] = {
        "request": "receive_targets", "event": "S1", "revision": 1, "number_of_exposures": 2,
        "targets": [{"name": "G", "ra": 10.0, "dec": -30.0}],
    }  # fmt: skip
    at.book.receive(ReceiveTargets.model_validate(listed), {"G": 9.5})
    at.parts.targets.changed()
    row = known(at, 1)
    at.parts.targets.began(row)
    at.book.withdraw("S1", None)
    at.parts.targets.took(row, Path("a.fits"))
    assert at.parts.backlog.flush(5.0)
    assert at.book.get(1).state == "withdrawn"
    assert at.book.get(1).exposures_done == 1
    at.book.receive(ReceiveTargets.model_validate({**listed, "revision": 2}), {"G": 9.5})
    at.parts.targets.changed()
    assert known(at, 1).exposures_done == 1


def test_what_can_never_be_observed_fails_at_once_the_rest_after_three_times(at: Observatory):
    first, order = at.order(1)
    second, _ = at.order(2)
    queue = at.parts.targets
    known(at, second.id)
    queue.failed(first, NeverObservable("no such filter"))
    for _ in range(2):
        queue.failed(second, PointingFailed("lost"))
    assert [row.id for row in queue.rows()] == [second.id]
    queue.failed(second, PointingFailed("lost"))
    assert queue.rows() == []
    at.wait(lambda: order.ended, "the order")
    assert "no such filter" in str(order.error)
    at.parts.backlog.flush(5.0)
    assert at.book.get(second.id).attempts == 3


def test_an_alerts_target_interrupts_the_others_but_not_another_alerts(at: Observatory):
    row, _ = at.order(1)
    queue = at.parts.targets
    mine = known(at, row.id)
    assert queue.interrupting(mine) is None
    for event in ("S1", "S2"):
        order = ReceiveTargets.model_validate(
            {"request": "receive_targets", "event": event, "revision": 1,
             "targets": [{"name": "G", "ra": row.ra, "dec": -30.0}]}
        )  # fmt: skip
        at.book.receive(order, {"G": 9.5})
    queue.changed()
    at.wait(lambda: len(queue.rows()) == 3, "the alerts")
    other = queue.interrupting(mine)
    assert other is not None
    assert other.event == "S1"
    assert queue.interrupting(other) is None
    assert queue.next(()) == other
    assert queue.next((other.id,)) != other


def test_the_alert_robot_is_told_with_the_progress(at: Observatory):
    order = ReceiveTargets.model_validate(
        {"request": "receive_targets", "event": "S1", "revision": 1,
         "targets": [{"name": "G", "ra": 10.0, "dec": -30.0}]}
    )  # fmt: skip
    at.book.receive(order, {"G": 9.5})
    at.parts.targets.changed()
    row = known(at, 1)
    at.parts.targets.finish(row)
    assert at.parts.backlog.flush(5.0)
    messages = at.messages.heads()
    assert [waiting.message.request for waiting in messages] == ["report_target"]
    told: NewMessage = messages[0].message
    assert told.content["state"] == "done"
    assert told.content["name"] == "G"


def test_a_clock_that_is_set_back_lets_no_target_wait_for_it(tmp_path: Path):
    with observatory(tmp_path, begin=False, rate=30.0) as at:
        row, _ = at.order(1, ra=(at.high_ra() - 70.0) % 360.0)  # it has just set
        queue = at.parts.targets
        known(at, row.id)
        assert queue.next(()) is None
        clock = at.parts.clock
        assert isinstance(clock, SimulatedClock)
        clock.start -= timedelta(hours=1)
        at.wait(lambda: queue.next(()), "the target, which stands high again")


def test_a_clock_that_is_set_has_the_night_planned_anew(tmp_path: Path):
    with observatory(tmp_path, begin=False, rate=30.0) as at:
        known(at, at.order(1)[0].id)
        at.parts.replanning.start()
        at.parts.replanning.want()
        at.wait(lambda: at.parts.targets.plan, "a plan")
        clock = at.parts.clock
        assert isinstance(clock, SimulatedClock)
        for hours in (1, -1):
            clock.start += timedelta(hours=hours)
            now = clock.now()
            at.wait(
                lambda now=now: 0 <= (at.parts.targets.plan.start - now).total_seconds() < 600,
                "a plan of the night as the clock has it now",
            )
