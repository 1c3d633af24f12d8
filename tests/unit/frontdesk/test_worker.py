"""The worker: what becomes of an order whose handler or whose end goes wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from toros import clock
from toros.config import Settings
from toros.database import schema
from toros.database.orders import NewOrder, Orders
from toros.database.session import Database
from toros.errors import OrderCancelled, Stopping
from toros.frontdesk.registry import Registry
from toros.frontdesk.worker import HandedOver, Task, Worker
from toros.workorders import CalibrateFileBatch, RestartFileBatch, ResumeFileBatch
from toros.workorders.dome import SetAzim, SetCoordinates

registry = Registry("preprocessor")
begun = threading.Event()
handed_over: list[Task] = []


@registry.serves(CalibrateFileBatch)
def fetch_until_told(_order, task):
    """Stop as those do who are told by `should_stop` alone, which does not say why."""
    begun.set()
    while not task.should_stop():
        time.sleep(0.01)
    raise Stopping("stopped while bringing the files")


@registry.serves(ResumeFileBatch)
def end_badly_if_first(order, _task):
    if order.file_batch == 1:
        return {"made": {"a set"}}  # no database takes one
    return {"file_batch": order.file_batch}


@registry.serves(RestartFileBatch)
def hand_over(order, task):
    handed_over.append(task)
    if order.file_batch == 2:
        task.finish({"ended": "before it was handed over"})
    raise HandedOver


@pytest.fixture
def orders(tmp_path) -> Iterator[Orders]:
    database = Database(f"sqlite:///{tmp_path / 'toros.db'}")
    schema.prepare(database)
    yield Orders(database, "preprocessor", "host:a", clock.REAL)
    database.close()


@pytest.fixture
def worker(orders) -> Iterator[Worker]:
    begun.clear()
    handed_over.clear()
    worker = Worker(registry, Settings(), orders, None, 1)
    worker.start()
    yield worker
    assert worker.stop(10.0)


def send(orders: Orders, order_id: str, request: str, **content: object) -> None:
    orders.record(NewOrder("", order_id, request, content, order_id, {"id": order_id}, 0.0), 10)


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20.0
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_order_cancelled_while_it_fetches_is_not_queued_again(orders, worker):
    send(orders, "1", "calibrate_file_batch", url="/x")
    assert begun.wait(10.0)
    orders.cancel("1", None)
    until(lambda: orders.tell("1", None)["status"] != "running")
    told = orders.tell("1", None)
    assert (told["status"], told["attempts"]) == ("cancelled", 1)


def test_a_stop_queues_the_order_again(orders, worker):
    send(orders, "1", "calibrate_file_batch", url="/x")
    assert begun.wait(10.0)
    assert worker.stop(10.0)
    assert orders.tell("1", None)["status"] == "queued"


def test_an_end_that_cannot_be_recorded_does_not_end_the_worker(orders, worker, caplog):
    send(orders, "1", "resume_file_batch", file_batch=1)
    send(orders, "2", "resume_file_batch", file_batch=2)
    until(lambda: orders.tell("2", None)["status"] == "done")
    assert orders.tell("1", None)["status"] == "running"  # until its lease is over
    assert "met a defect" in caplog.text
    assert worker.silent_s() == 0.0


def test_an_order_handed_over_lasts_until_it_is_ended(orders, worker):
    send(orders, "1", "restart_file_batch", file_batch=1)
    until(lambda: worker.state()["handed_over"] == 1 and not worker.state()["working_on"])
    assert worker.silent_s() == 0.0
    handed_over[0].note(0.5, "waits for its hour")
    until(lambda: orders.tell("1", None)["progress_text"] == "waits for its hour")
    assert orders.tell("1", None)["attempts"] == 0
    handed_over[0].finish({"exposures": 3})
    until(lambda: orders.tell("1", None)["status"] == "done")
    assert orders.tell("1", None)["result"] == {"exposures": 3}
    assert worker.state()["handed_over"] == 0


def test_an_order_that_ends_while_it_is_handed_over_is_done(orders, worker):
    send(orders, "1", "restart_file_batch", file_batch=2)
    until(lambda: orders.tell("1", None)["status"] == "done")
    until(lambda: worker.state()["handed_over"] == 0)


def test_a_cancelled_order_handed_over_is_told_so(orders, worker):
    send(orders, "1", "restart_file_batch", file_batch=1)
    until(lambda: worker.state()["handed_over"] == 1)
    orders.cancel("1", None)
    until(handed_over[0].should_stop)
    handed_over[0].fail(OrderCancelled("withdrawn"))
    until(lambda: orders.tell("1", None)["status"] == "cancelled")


def test_a_stop_queues_orders_handed_over_again(orders, worker):
    send(orders, "1", "restart_file_batch", file_batch=1)
    until(lambda: worker.state()["handed_over"] == 1)
    assert worker.stop(10.0)
    assert orders.tell("1", None)["status"] == "queued"


# What begins soon or not at all

moving = Registry("dome")
turned: list[float] = []
SOON_S = 0.3


@moving.serves(SetAzim, within_s=SOON_S)
def turn(order, _task):
    turned.append(order.azim)
    return {"value": True}


@moving.serves(SetCoordinates, within_s=60.0)
def look(order, _task):
    turned.append(order.az)
    return {"value": True}


@pytest.fixture
def turns(tmp_path) -> Iterator[Callable[[], tuple[Orders, Worker]]]:
    """Make the front desk's two ends of a process; the worker is not started."""
    turned.clear()
    database = Database(f"sqlite:///{tmp_path / 'toros.db'}")
    schema.prepare(database)
    made: list[Worker] = []

    def process() -> tuple[Orders, Worker]:
        orders = Orders(database, "dome", "host:a", clock.REAL)
        made.append(Worker(moving, Settings(), orders, None, 1))
        return orders, made[-1]

    yield process
    assert all(worker.stop(10.0) for worker in made)
    database.close()


def test_an_order_to_move_that_has_waited_is_refused(turns):
    orders, worker = turns()
    send(orders, "old", "SetAzim", azim=10.0)
    time.sleep(SOON_S + 0.1)
    worker.start()
    until(lambda: orders.tell("old", None)["status"] == "cancelled")
    assert "begins within 0.3 s or not at all; send it again" in orders.tell("old", None)["message"]
    assert turned == []


def test_an_order_to_move_is_carried_out_at_once(turns):
    orders, worker = turns()
    worker.start()
    send(orders, "new", "SetCoordinates", alt=50.0, az=20.0)
    until(lambda: orders.tell("new", None)["status"] == "done")
    assert turned == [20.0]


def test_an_order_to_move_from_before_a_restart_is_refused(turns):
    earlier, _ = turns()
    send(earlier, "1", "SetAzim", azim=10.0)
    orders, worker = turns()
    worker.start()
    until(lambda: orders.tell("1", None)["status"] == "cancelled")
    assert "from before a restart" in orders.tell("1", None)["message"]
    assert turned == []


def test_an_order_to_move_is_begun_once(turns):
    orders, _ = turns()
    send(orders, "1", "SetAzim", azim=10.0)
    first = orders.claim()
    assert first is not None
    assert first.waited_s is not None
    assert 0.0 <= first.waited_s < 60.0
    orders.release(first.row)
    again = orders.claim()
    assert again is not None
    assert again.waited_s is None
