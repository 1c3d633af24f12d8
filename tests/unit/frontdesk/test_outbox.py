"""Messages arrive at least once, in order, with their ids, whatever is down meanwhile."""

from __future__ import annotations

import json
import logging
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.conftest import free_port
from tests.unit.frontdesk.serving import serving, url
from tests.unit.telescope.observing import prepared
from toros import clock
from toros.database.messages import Messages, NewMessage
from toros.errors import (
    Busy,
    InternalError,
    InvalidField,
    OrderConflict,
    ServiceUnreachable,
    SourceForbidden,
    TransportRefused,
)
from toros.frontdesk.outbox import Outbox, front_desks, web
from toros.notify.web import post_json

PATIENCE_S = 20.0


@pytest.fixture
def database(database_url):
    database = prepared(database_url)
    yield database
    database.close()


@pytest.fixture
def sqlite(tmp_path):
    database = prepared(f"sqlite:///{tmp_path / 'toros.db'}")
    yield database
    database.close()


@pytest.fixture
def outboxes():
    made = []

    def make(database, carry=None, addresses=None, sender="telescope"):
        desks = front_desks(sender, (addresses or {}).__getitem__, timeout_s=2.0)
        outbox = Outbox(
            Messages(database, sender, clock.REAL),
            {"front_desk": carry or desks, "web": web(sender, timeout_s=2.0)},
            first_delay_s=0.05,
            last_delay_s=0.4,
        )
        outbox.start()
        made.append(outbox)
        return outbox

    yield make
    for outbox in made:
        outbox.stop(5.0)


def order(number, recipient="preprocessor", **content):
    return NewMessage(
        "front_desk",
        recipient,
        f"night-{number}",
        "calibrate_file_batch",
        {"url": "/x", **content},
    )


def wait_for(condition, what="it"):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in time"
        time.sleep(0.01)


def state_of(outbox, message_id):
    (told,) = outbox.messages.tell(message_id)
    return told["state"]


class Desk:
    """A front desk that remembers, and answers as it is told."""

    def __init__(self):
        self.orders = []
        self.answers = []

    def __call__(self, order, _caller):
        self.orders.append(order)
        if self.answers and (answer := self.answers.pop(0)) is not None:
            raise answer
        return {"id": order["id"], "status": "queued"}

    @property
    def ids(self):
        return [order["id"] for order in self.orders]


def test_a_message_arrives_with_its_id_and_the_receipt_is_kept(database, outboxes):
    desk = Desk()
    with serving(desk) as server:
        outbox = outboxes(database, addresses={"preprocessor": url(server, "")})
        outbox.post(order(1))
        wait_for(lambda: state_of(outbox, "night-1") == "delivered")
    assert desk.orders == [
        {"request": "calibrate_file_batch", "id": "night-1", "url": "/x", "user": "telescope"}
    ]
    (told,) = outbox.messages.tell("night-1")
    assert (told["receipt"]["status"], told["attempts"]) == ("queued", 1)
    assert outbox.messages.counts() == {"waiting": 0, "delivered": 1, "refused": 0}


def test_the_same_message_is_sent_once(database, outboxes):
    desk = Desk()
    with serving(desk) as server:
        outbox = outboxes(database, addresses={"preprocessor": url(server, "")})
        for _ in range(3):
            outbox.post(order(1))
        outbox.post(order(2))
        wait_for(lambda: state_of(outbox, "night-2") == "delivered")
        with pytest.raises(OrderConflict, match="'night-1'"):
            outbox.post(order(1, url="/y"))
    assert desk.ids == ["night-1", "night-2"]


def test_a_daemon_that_is_down_gets_everything_in_order_when_it_is_up(database, outboxes, caplog):
    port, desk = free_port(), Desk()
    addresses = {"preprocessor": f"http://127.0.0.1:{port}"}
    outbox = outboxes(database, addresses=addresses)
    for number in range(5):
        outbox.post(order(number))
    wait_for(lambda: outbox.messages.tell("night-0")[0]["attempts"] >= 2)
    assert outbox.messages.tell("night-1")[0]["attempts"] == 0
    assert "night-0" in caplog.text
    with serving(desk) as server:
        addresses["preprocessor"] = url(server, "")  # it has moved, too
        wait_for(lambda: state_of(outbox, "night-4") == "delivered")
    assert desk.ids == [f"night-{number}" for number in range(5)]


def test_a_refusal_is_final_and_the_next_goes_on(database, outboxes, caplog):
    desk = Desk()
    desk.answers = [SourceForbidden("not below"), None]
    with serving(desk) as server, caplog.at_level(logging.ERROR):
        outbox = outboxes(database, addresses={"preprocessor": url(server, "")})
        outbox.post(order(1))
        outbox.post(order(2))
        wait_for(lambda: state_of(outbox, "night-2") == "delivered")
        assert state_of(outbox, "night-1") == "refused"
        assert "[102]" in outbox.messages.tell("night-1")[0]["last_error"]
        assert "is refused by preprocessor: [102] not below" in caplog.text
        assert outbox.messages.send_again("night-1") == 1
        outbox.wake()
        wait_for(lambda: state_of(outbox, "night-1") == "delivered")


def test_what_says_nothing_of_the_message_is_tried_again(sqlite, outboxes):
    desk = Desk()
    desk.answers = [Busy("full"), InternalError("a defect"), None]
    with serving(desk) as server:
        outbox = outboxes(sqlite, addresses={"preprocessor": url(server, "")})
        outbox.post(order(1))
        wait_for(lambda: state_of(outbox, "night-1") == "delivered")
    assert desk.ids == ["night-1"] * 3


def test_a_defect_that_stays_does_not_hold_up_the_rest_for_ever(sqlite, outboxes):
    calls = []

    def carry(message):
        calls.append(message.message_id)
        if message.message_id == "night-1":
            raise InternalError("a defect")
        return {}

    outbox = outboxes(sqlite, carry)
    outbox.last_delay_s = 0.05
    outbox.post(order(1))
    outbox.post(order(2))
    wait_for(lambda: state_of(outbox, "night-2") == "delivered")
    assert state_of(outbox, "night-1") == "refused"
    assert len(calls) == 21


def test_our_own_defect_delays_and_is_logged(sqlite, outboxes, caplog):
    calls = []

    def carry(_message):
        calls.append(1)
        if len(calls) < 3:
            raise ZeroDivisionError
        return {}

    outbox = outboxes(sqlite, carry)
    outbox.post(order(1))
    wait_for(lambda: state_of(outbox, "night-1") == "delivered")
    assert "a defect in sending night-1" in caplog.text


def test_a_recipient_that_hangs_delays_no_other(sqlite, outboxes):
    release, told = threading.Event(), []

    def carry(message):
        if message.recipient == "preprocessor":
            release.wait(PATIENCE_S)
        told.append(message.recipient)
        return {}

    outbox = outboxes(sqlite, carry)
    started = time.monotonic()
    outbox.post(order(1))
    outbox.post(order(1, recipient="lvcgcn"))
    assert time.monotonic() - started < 5  # who posts waits for nobody
    wait_for(lambda: told == ["lvcgcn"])
    wait_for(lambda: outbox.state()["sending_to"] == ["preprocessor"])
    release.set()
    wait_for(lambda: len(told) == 2)


def test_what_waits_is_sent_after_a_restart(database, outboxes):
    first = outboxes(database, addresses={"preprocessor": f"http://127.0.0.1:{free_port()}"})
    first.post(order(1))
    wait_for(lambda: first.messages.tell("night-1")[0]["attempts"] >= 1)
    first.stop()
    desk = Desk()
    with serving(desk) as server:
        outboxes(database, addresses={"preprocessor": url(server, "")})
        wait_for(lambda: desk.ids == ["night-1"])


def test_two_daemons_have_outboxes_of_their_own(sqlite, outboxes):
    told = []
    mine = outboxes(sqlite, lambda message: told.append("telescope") or {})
    other = outboxes(sqlite, lambda message: told.append("lvcgcn") or {}, sender="lvcgcn")
    mine.post(order(1))
    other.post(order(1))
    wait_for(lambda: sorted(told) == ["lvcgcn", "telescope"])


def test_a_message_is_recorded_together_with_what_it_tells_of(database, outboxes):
    outbox = outboxes(database, lambda message: {})
    with pytest.raises(ZeroDivisionError), database.writing() as session:
        outbox.messages.add(session, order(1))
        raise ZeroDivisionError
    with database.writing() as session:
        outbox.messages.add(session, order(2))
    outbox.wake()
    wait_for(lambda: state_of(outbox, "night-2") == "delivered")
    assert outbox.messages.tell("night-1") == []


def test_what_is_posted_while_the_database_is_away_is_sent_when_it_is_back(tmp_path, outboxes):
    folder = tmp_path / "database"
    folder.mkdir()
    database = prepared(f"sqlite:///{folder / 'toros.db'}")
    told = []
    outbox = outboxes(database, lambda message: told.append(message.message_id) or {})
    wait_for(lambda: outbox.messages.counts()["waiting"] == 0)
    database.close()
    folder.rename(tmp_path / "away")
    for number in range(3):
        outbox.post(order(number))
        outbox.post(order(number))
    assert told == []
    assert outbox.state()["unrecorded"] == 3
    (tmp_path / "away").rename(folder)
    wait_for(lambda: told == ["night-0", "night-1", "night-2"])
    wait_for(lambda: outbox.messages.counts()["delivered"] == 3)
    database.close()


def test_what_was_never_recorded_is_named_at_the_end(tmp_path, outboxes, caplog):
    folder = tmp_path / "database"
    folder.mkdir()
    database = prepared(f"sqlite:///{folder / 'toros.db'}")
    outbox = outboxes(database, lambda message: {})
    outbox.stop()
    database.close()
    folder.rename(tmp_path / "away")
    outbox.post(order(1))
    outbox.stop(0.1)
    assert "lost: calibrate_file_batch 'night-1' to preprocessor" in caplog.text
    outbox._unrecorded.clear()
    database.close()


class Page(BaseHTTPRequestHandler):
    status = [200]
    seen: list = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, dict(self.headers), json.loads(body)))
        answers = self.server.answers
        self.send_response(answers.pop(0) if answers else 204)
        self.send_header("Content-Length", "0")
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def page(*answers):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    server.seen, server.answers = [], list(answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{server.server_port}/told"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class TestWeb:
    def test_an_address_is_told_by_a_post_of_json(self, sqlite, outboxes):
        with page(503, 429, 200) as (server, address):
            outbox = outboxes(sqlite)
            outbox.post(NewMessage("web", address, "n-1", "night_closed", {"frames": 3}))
            wait_for(lambda: state_of(outbox, "n-1") == "delivered")
        assert len(server.seen) == 3
        path, headers, body = server.seen[-1]
        assert (path, headers["Idempotency-Key"]) == ("/told", '"n-1"')
        assert headers["Content-Type"] == "application/json"
        assert body == {"id": "n-1", "sender": "telescope", "message": "night_closed", "frames": 3}

    @pytest.mark.parametrize("status", [301, 400, 404, 410])
    def test_an_address_that_does_not_take_it_refuses(self, status):
        with page(status) as (server, address), pytest.raises(TransportRefused, match=str(status)):
            post_json(address, {}, "k")
        assert len(server.seen) == 1  # no redirection is followed

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502])
    def test_what_may_pass_is_tried_again(self, status):
        with page(status) as (_, address), pytest.raises(ServiceUnreachable, match=str(status)):
            post_json(address, {}, "k")

    def test_nobody_there(self):
        with pytest.raises(ServiceUnreachable):
            post_json(f"http://127.0.0.1:{free_port()}/", {}, "k", 1.0)

    def test_a_login_travels_in_its_header_and_never_in_a_message(self):
        with page() as (server, address):
            post_json(address.replace("//", "//ana:p%40ss@"), {}, "k")
        assert server.seen[0][1]["Authorization"] == "Basic YW5hOnBAc3M="
        with pytest.raises(ServiceUnreachable) as raised:
            post_json(f"http://ana:secret@127.0.0.1:{free_port()}/", {}, "k", 1.0)
        assert "secret" not in str(raised.value)

    @pytest.mark.parametrize(
        ("address", "content"),
        [("ftp://x/", {}), ("http:///x", {}), ("http://x/", {"a": float("nan")})],
    )
    def test_what_cannot_be_sent_is_refused(self, address, content):
        with pytest.raises(InvalidField):
            post_json(address, content, "k")
