"""Work orders in the database: recorded once, claimed by one, ended once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from toros import clock
from toros.database import schema
from toros.database.orders import MAX_ATTEMPTS, NewOrder, Orders
from toros.database.session import Database
from toros.errors import (
    Abandoned,
    Busy,
    DiskFull,
    InvalidField,
    NotCancellable,
    OrderCancelled,
    OrderConflict,
    OrderNotFound,
    StackingFailed,
    Stopping,
)


class SteppedClock(clock.RealClock):
    def __init__(self):
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self):
        return self.moment


@pytest.fixture
def ticking():
    return SteppedClock()


@pytest.fixture
def orders(database_url, ticking):
    database = Database(database_url)
    schema.prepare(database)
    yield Orders(database, "preprocessor", "host:a", ticking)
    database.close()


def new(order_id="1", user="u", content=None, priority=0.0):
    content = content or {"url": "/x"}
    return NewOrder(
        user=user,
        order_id=order_id,
        request="calibrate_file_batch",
        content=content,
        content_sha256=str(sorted(content.items())),
        receipt={"id": order_id, "status": "queued"},
        priority=priority,
    )


def test_the_same_order_returns_the_stored_receipt(orders):
    first = orders.record(new(), 10)
    assert orders.record(new(), 10) == first
    assert orders.stored_receipt(new()) == first
    assert orders.counts()["queued"] == 1


def test_the_same_id_with_other_content_is_refused(orders):
    orders.record(new(), 10)
    with pytest.raises(OrderConflict, match="'1' is the id of another order"):
        orders.record(new(content={"url": "/y"}), 10)


def test_two_users_may_use_one_id(orders):
    orders.record(new(user="a"), 10)
    orders.record(new(user="b"), 10)
    with pytest.raises(InvalidField, match="order_user"):
        orders.tell("1", None)
    assert orders.tell("1", "b")["user"] == "b"


def test_a_full_queue_is_busy(orders):
    orders.record(new("1"), 1)
    with pytest.raises(Busy, match="1 orders are waiting"):
        orders.record(new("2"), 1)
    assert orders.record(new("1"), 1)["id"] == "1"  # known orders are answered all the same


def test_urgent_orders_go_first_then_the_older(orders):
    for order_id, priority in (("a", 0.0), ("b", 5.0), ("c", 5.0), ("d", 10.0)):
        orders.record(new(order_id, priority=priority), 10)
    assert [orders.claim().order_id for _ in range(4)] == ["d", "b", "c", "a"]
    assert orders.claim() is None


def test_an_order_is_claimed_by_one_worker(orders):
    for number in range(40):
        orders.record(new(str(number)), 100)
    claimed, lock = [], threading.Lock()

    def work():
        while (order := orders.claim()) is not None:
            with lock:
                claimed.append(order.order_id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed, key=int) == [str(number) for number in range(40)]


def test_writers_wait_for_each_other(orders):
    failures = []

    def write(first):
        try:
            for number in range(first, first + 25):
                orders.record(new(str(number)), 10_000)
        except Exception as error:  # noqa: BLE001 - told by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=write, args=(1000 * n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert orders.counts()["queued"] == 200


def test_the_same_order_from_many_threads_is_recorded_once(orders):
    receipts = []
    threads = [
        threading.Thread(target=lambda: receipts.append(orders.record(new(), 10))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert receipts == [receipts[0]] * 8
    assert orders.counts()["queued"] == 1


def test_what_was_running_is_queued_again_after_a_restart(orders):
    orders.record(new(), 10)
    orders.claim()
    assert orders.recover() == ["1"]
    again = orders.claim()
    assert (again.order_id, again.attempts) == ("1", 2)


def test_another_instances_order_is_left_alone_until_its_lease_is_over(orders, ticking):
    orders.record(new(), 10)
    orders.claim()
    other = Orders(orders.database, "preprocessor", "host:b", ticking)
    assert other.recover() == []
    ticking.moment += timedelta(seconds=121)
    assert other.recover() == ["1"]
    row = other.claim().row
    with pytest.raises(Stopping, match="taken over"):
        orders.finish(row, {})
    other.finish(row, {"a": 1})
    assert other.tell("1", None)["result"] == {"a": 1}


def test_an_order_that_ends_its_process_every_time_is_given_up(orders):
    orders.record(new(), 10)
    for _ in range(MAX_ATTEMPTS):
        assert orders.claim() is not None
        orders.recover()
    told = orders.tell("1", None)
    assert (told["status"], told["code"]) == ("failed", Abandoned.code)


def test_a_stop_counts_as_no_attempt(orders):
    orders.record(new(), 10)
    for _ in range(MAX_ATTEMPTS + 2):
        orders.release(orders.claim().row)
    assert orders.tell("1", None)["attempts"] == 0


def test_a_postponed_order_waits_and_says_why(orders, ticking):
    orders.record(new(), 10)
    orders.postpone(orders.claim().row, DiskFull("no space"), 30)
    assert orders.claim() is None
    assert orders.tell("1", None)["message"] == "waiting: no space"
    ticking.moment += timedelta(seconds=31)
    assert orders.claim().order_id == "1"


def test_outcomes_are_told(orders):
    for order_id in "abc":
        orders.record(new(order_id), 10)
    orders.finish(orders.claim().row, {"products": 3})
    orders.fail(orders.claim().row, StackingFailed("no"), {"products": 1})
    orders.fail(orders.claim().row, OrderCancelled("stopped"), None)
    told = [orders.tell(order_id, None) for order_id in "abc"]
    assert [t["status"] for t in told] == ["done", "failed", "cancelled"]
    assert [t["code"] for t in told] == [0, StackingFailed.code, OrderCancelled.code]
    assert [t["result"] for t in told] == [{"products": 3}, {"products": 1}, None]


def test_cancelling(orders):
    with pytest.raises(OrderNotFound):
        orders.cancel("nobody", None)
    orders.record(new("a"), 10)
    assert orders.cancel("a", None)["status"] == "cancelled"
    with pytest.raises(NotCancellable, match="cancelled"):
        orders.cancel("a", None)
    orders.record(new("b"), 10)
    row = orders.claim().row
    assert orders.report(row, 0.5, "half") is False
    assert orders.cancel("b", None)["status"] == "running"
    assert orders.report(row, 0.6, "more") is True


def test_pages(orders):
    for number in range(7):
        orders.record(new(str(number)), 10)
    page = orders.page(None, 2, 3)
    assert [order["id"] for order in page["orders"]] == ["3", "2", "1"]
    assert (page["pages"], page["total"]) == (3, 7)
    assert orders.page("done", 1, 3)["orders"] == []


def test_an_order_whose_claim_was_lost_is_taken_up_after_its_lease(orders, ticking):
    """The answer to the claim's COMMIT was lost: the row is running, and nobody runs it."""
    orders.record(new("1"), 10)
    orders.record(new("2"), 10)
    lost, mine = orders.claim(), orders.claim()
    assert orders.recover([mine.row]) == []
    ticking.moment += timedelta(seconds=121)
    assert orders.recover([mine.row]) == ["1"]
    assert orders.claim().row == lost.row
