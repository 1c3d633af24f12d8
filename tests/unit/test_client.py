"""The client, against a server whose every answer is known."""

from __future__ import annotations

import threading
import xmlrpc.client
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from tests.conftest import free_port
from toros.client import FrontDesk
from toros.errors import (
    DatabaseUnavailable,
    MalformedMessage,
    OrderNotFound,
    ServiceUnreachable,
    StackingFailed,
    Stopping,
    TooManyConnections,
    TorosError,
)


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        left: list[str] = self.server.left  # type: ignore[attr-defined]
        body = (left.pop(0) if len(left) > 1 else left[0]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def desk_that_says() -> Iterator[Callable[..., FrontDesk]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()

    def say(*answers: str) -> FrontDesk:
        server.left = list(answers)  # type: ignore[attr-defined]
        return FrontDesk(f"http://user:secret@127.0.0.1:{server.server_port}", timeout_s=5.0)

    yield say
    server.shutdown()
    thread.join()
    server.server_close()


def told(state: str, code: int | None = None) -> str:
    return xmlrpc.client.dumps(
        ({"status": state, "code": code, "message": ""},), methodresponse=True, allow_none=True
    )


def fault(error: type[TorosError]) -> str:
    return xmlrpc.client.dumps(xmlrpc.client.Fault(error.code, "not now"))


@pytest.mark.parametrize("error", [DatabaseUnavailable, Stopping, TooManyConnections])
def test_waiting_outlasts_what_says_nothing_about_the_order(desk_that_says, error):
    desk = desk_that_says(told("running"), fault(error), told("done", 0))
    assert desk.wait("1", timeout_s=10.0)["status"] == "done"
    with pytest.raises(error):
        desk_that_says(fault(error)).wait("1", timeout_s=10.0)


@pytest.mark.parametrize("error", [StackingFailed, DatabaseUnavailable])
def test_an_order_that_failed_is_not_waited_for(desk_that_says, error):
    with pytest.raises(error) as raised:
        desk_that_says(told("running"), told("failed", error.code)).wait("1", timeout_s=10.0)
    assert raised.value.status is not None
    with pytest.raises(OrderNotFound):
        desk_that_says(told("running"), fault(OrderNotFound)).wait("1", timeout_s=10.0)


@pytest.mark.parametrize("answer", ["<html>welcome<br></html>", "no XML", told("done")[:-30]])
def test_another_kind_of_server_is_named_without_the_password(desk_that_says, answer):
    with pytest.raises(MalformedMessage, match="no XML-RPC") as raised:
        desk_that_says(answer).status()
    assert "secret" not in str(raised.value)


def test_an_unreachable_desk_is_named_without_the_password():
    with pytest.raises(ServiceUnreachable) as raised:
        FrontDesk("http://user:secret@127.0.0.1:1").status()
    assert "secret" not in raised.value.message
    assert "127.0.0.1:1" in raised.value.message


def test_a_number_of_numpys_travels_as_a_number():
    desk = FrontDesk(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ServiceUnreachable):  # it was fit to be sent
        desk.submit("observation", ra=np.float64(12.5), dec=-30.0)
