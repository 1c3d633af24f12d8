"""The door holds: every refusal is a fault that arrives, at bounded time and memory."""

from __future__ import annotations

import collections
import contextlib
import http.client
import logging
import socket
import subprocess
import sys
import textwrap
import threading
import time
import xmlrpc.client
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROJECT
from tests.fuzz.inputs import call, inputs, post
from tests.fuzz.sender import Sender, read_answer
from tests.unit.frontdesk.serving import connect, exchange, proxy, serving, url
from toros import errors
from toros.frontdesk.server import Caller, FrontDeskServer

BODY = call({"request": "status"})
GOOD = {
    "Host": "localhost",
    "Content-Type": "text/xml",
    "Content-Length": str(len(BODY)),
}


@pytest.fixture(scope="module")
def server() -> Iterator[FrontDeskServer]:
    with serving(body_bytes=100_000) as running:
        yield running


def message(
    *more: str, line: str = "POST /RPC2 HTTP/1.1", body: bytes = BODY, **fields: str | None
) -> bytes:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    lines = [f"{name}: {value}" for name, value in {**GOOD, **named}.items() if value is not None]
    return "\r\n".join([line, *lines, *more, "", ""]).encode("latin-1") + body


REFUSED = 220
TOO_LARGE = 221
MALFORMED = 224


@pytest.mark.parametrize(
    ("raw", "code", "text"),
    [
        (message("Origin: http://localhost"), REFUSED, "Origin"),
        (message("origin: null"), REFUSED, "Origin"),
        (message(Content_Type="application/json"), REFUSED, "should be text/xml"),
        (message(Content_Type="text/plain; a=text/xml"), REFUSED, "should be text/xml"),
        (message(Content_Type="text/xml; charset=utf-16"), REFUSED, "charset"),
        (message(Content_Type=None), REFUSED, "content-type is missing"),
        (message("Content-Type: text/xml"), REFUSED, "occurs 2 times"),
        (message("Content-Encoding: gzip"), REFUSED, "content-encoding"),
        (message("Transfer-Encoding: chunked"), REFUSED, "transfer-encoding"),
        (message("Transfer-Encoding: identity", Content_Length=None), REFUSED, "transfer-enc"),
        (message(Content_Length=None), REFUSED, "content-length is missing"),
        (message(Content_Length="-1"), REFUSED, "'-1' is no length"),
        (message(Content_Length="+5"), REFUSED, "no length"),
        (message(Content_Length="5, 5"), REFUSED, "no length"),
        (message(Content_Length="0x10"), REFUSED, "no length"),
        (message(Content_Length="\xb2"), REFUSED, "no length"),
        (message(Content_Length=""), REFUSED, "no length"),
        (message(Content_Length="9" * 30), REFUSED, "no length"),
        (message("Content-Length: 7"), REFUSED, "occurs 2 times"),
        (message(f"Content-Length: {len(BODY)}"), REFUSED, "occurs 2 times"),
        (message(Content_Length="100001"), TOO_LARGE, "the limit is 100000"),
        (message(Content_Length="999999999999"), TOO_LARGE, "the limit is 100000"),
        (message(Host=None), REFUSED, "Host header is missing"),
        (message("Host: localhost"), REFUSED, "occurs 2 times"),
        (message("Expect: magic"), REFUSED, "Expect"),
        (message(line="POST /rpc2 HTTP/1.1"), REFUSED, "calls go to / or /RPC2"),
        (message(line="POST http://localhost/ HTTP/1.1"), REFUSED, "calls go to"),
        (message(line="POST /" + "a" * 20_000 + " HTTP/1.1"), TOO_LARGE, "the head is longer"),
        (message("X: " + "y" * 20_000), TOO_LARGE, "the head is longer"),
        (message(Content_Length="0", body=b""), MALFORMED, "the body is empty"),
        (message(Content_Length="5", body=b"hello"), MALFORMED, "not well-formed"),
    ],
)
def test_refusals_are_faults(server: FrontDeskServer, raw: bytes, code: int, text: str) -> None:
    answer = exchange(server, raw)
    assert (answer.kind, answer.status, answer.code) == ("fault", 200, code)
    assert text in answer.value
    assert answer.value.isprintable()


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\r\n\r\n",
        b"POST / HTTP/1.1\nHost: localhost\n\n",
        b"POST  / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\n folded\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"POST / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\nX: a\x00b\r\n\r\n",
        b"POST / HTTP/1.1\r\nX: a\rb\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"\n",
        b"x" * 20_000,
    ],
)
def test_what_is_no_http_gets_400_and_a_fault(server: FrontDeskServer, raw: bytes) -> None:
    answer = exchange(server, raw)
    assert (answer.kind, answer.status) == ("fault", 400)
    assert answer.code in (REFUSED, TOO_LARGE)
    assert answer.value.isprintable()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost", 403),
        ("OPTIONS / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost", 403),
        ("GET / HTTP/1.1", 403),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5", 400),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked", 400),
        ("GET / HTTP/1.0", 200),
    ],
)
def test_pages_for_whom(server: FrontDeskServer, head: str, status: int) -> None:
    answer = exchange(server, head.encode() + b"\r\n\r\n")
    assert (answer.kind, answer.status) == ("http", status)


@pytest.mark.parametrize(
    ("method", "parameters", "text"),
    [
        ("system.listMethods", (), "there is no method 'system.listMethods'; the only one is"),
        ("system.multicall", ([],), "front_desk"),
        ("front_desk", (), "0 were sent"),
        ("front_desk", ({}, {}), "exactly one parameter, the work order; 2 were sent"),
        ("front_desk\n", ({},), r"'front_desk\n'"),
    ],
)
def test_other_calls(server: FrontDeskServer, method: str, parameters: Any, text: str) -> None:
    with pytest.raises(xmlrpc.client.Fault) as caught:
        getattr(proxy(server), method)(*parameters)
    assert caught.value.faultCode == MALFORMED
    assert text in caught.value.faultString


def test_a_malformed_call_leaves_the_connection(server: FrontDeskServer) -> None:
    with connect(server) as sock:
        for _ in range(2):
            sock.sendall(post(b"<x/>"))
            assert read_answer(sock).code == MALFORMED
        sock.sendall(post(BODY))
        assert read_answer(sock).kind == "result"


@pytest.mark.parametrize("size", [200_000, 30_000_000])
def test_stock_clients_read_the_fault_of_a_body_that_is_too_large(
    server: FrontDeskServer, size: int
) -> None:
    for _ in range(3):
        with pytest.raises(xmlrpc.client.Fault, match="the limit is 100000") as caught:
            proxy(server).front_desk("x" * size)
        assert caught.value.faultCode == TOO_LARGE
    connection = http.client.HTTPConnection(*server.address)
    connection.request("POST", "/", b"x" * size, {"Origin": "x", "Content-Type": "text/xml"})
    assert b"Origin" in connection.getresponse().read()
    connection.close()


def test_a_call_that_breaks_off_is_not_run() -> None:
    ran = []

    def front_desk(order: Any, _: Caller) -> Any:
        ran.append(order)

    with serving(front_desk) as server:
        for cut in (20, len(post(BODY)) - 1):
            with connect(server) as sock:
                sock.sendall(post(BODY)[:cut])
                sock.shutdown(socket.SHUT_WR)
                answer = read_answer(sock)
            assert answer.code == REFUSED
            assert "broke off" in answer.value
        with connect(server) as sock:
            sock.shutdown(socket.SHUT_WR)
            assert read_answer(sock).kind == "closed"
    assert ran == []


# -- slow senders ----------------------------------------------------------------


def drip(sock: socket.socket, data: bytes) -> None:
    """Send a byte every now and then: never idle for long, never done in time."""
    try:
        for byte in data:
            sock.sendall(bytes([byte]))
            time.sleep(0.02)
    except OSError:
        pass


@pytest.mark.parametrize("part", ["head", "body", "stalled head", "stalled body"])
def test_slow_senders(part: str) -> None:
    raw = post(call("x" * 2000))
    head, _, body = raw.partition(b"\r\n\r\n")
    at_once, dripped = {
        "head": (b"", head + b"\r\nX: " + b"y" * 1000),
        "body": (head + b"\r\n\r\n", body),
        "stalled head": (raw[:30], b""),
        "stalled body": (raw[:-1], b""),
    }[part]
    with serving(read_timeout_s=0.5) as server, connect(server) as sock:
        sock.sendall(at_once)
        sender = threading.Thread(target=drip, args=(sock, dripped))
        sender.start()
        answer = read_answer(sock)
        assert (answer.kind, answer.status, answer.code) == ("fault", 200, errors.TooSlow.code)
        assert part.rsplit(maxsplit=1)[-1] in answer.value
        sock.shutdown(socket.SHUT_RDWR)
        sender.join(30)


def test_silent_and_idle_connections_are_closed() -> None:
    with serving(read_timeout_s=0.2, idle_timeout_s=0.3) as server:
        with connect(server) as sock:
            assert sock.recv(1) == b""
        with connect(server) as sock:
            sock.sendall(post(BODY))
            assert read_answer(sock).kind == "result"
            assert sock.recv(1) == b""


def test_who_does_not_read_the_answer_is_cut_off() -> None:
    with (
        serving(lambda *_: "x" * 30_000_000, connections=1, read_timeout_s=0.3) as server,
        socket.socket() as sock,
    ):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(server.address)
        sock.sendall(post(BODY))
        deadline_s = time.monotonic() + 20
        while exchange(server, b"GET / HTTP/1.0\r\n\r\n").kind == "fault":
            assert time.monotonic() < deadline_s
            time.sleep(0.05)


# -- what reaches the log ----------------------------------------------------------


def test_nothing_from_outside_reaches_the_log_unescaped(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving() as server:
        for raw in (
            message(line="POST /\x1b[2J HTTP/1.1"),
            message(line="POST /%0aERROR HTTP/1.1"),
            message("X: \x85\x9b31m"),
            message("Origin: \xad\x9b"),
            b"\x1b]0;x\x07\r\n\r\n",
        ):
            exchange(server, raw)
        with pytest.raises(xmlrpc.client.Fault):
            getattr(proxy(server), "x\nERROR y")()
    assert caplog.records
    for record in caplog.records:
        line = record.getMessage()
        assert line.isascii()
        assert line.isprintable()


# -- memory and descriptors --------

SERVER = """
    import sys
    from toros.frontdesk.access import Access
    from toros.frontdesk.server import FrontDeskServer, ServerLimits
    server = FrontDeskServer(
        ("127.0.0.1", 0), lambda order, _: len(order), lambda: "", Access(()), ServerLimits(), None
    )
    server.start()
    print(server.address[1], flush=True)
    sys.stdin.read()
    server.stop(1)
"""


def memory_mb(pid: int, what: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    (line,) = [line for line in lines if line.startswith(what)]
    return int(line.split()[1]) / 1024


@contextlib.contextmanager
def own_process(before: str = "") -> Iterator[tuple[int, tuple[str, int]]]:
    """Run a door in a process of its own; give the process's id and the address."""
    process = subprocess.Popen(
        [sys.executable, "-c", before + textwrap.dedent(SERVER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=PROJECT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.pid, ("127.0.0.1", int(process.stdout.readline()))
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


def test_running_out_of_descriptors_is_survived() -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))\n"
    with own_process(limit) as (_, address):
        held = [socket.create_connection(address, 20) for _ in range(60)]
        for sock in held:
            sock.close()
        with socket.create_connection(address, 20) as sock:
            sock.sendall(post(BODY))
            assert read_answer(sock).value == 1


def test_stalled_large_calls_do_not_hold_up_small_ones() -> None:
    with serving(read_timeout_s=60) as server:
        held = [connect(server) for _ in range(8)]
        for sock in held:
            sock.sendall(post(b"").replace(b"Length: 0", b"Length: 4000000"))
        for n in range(20):
            assert proxy(server).front_desk(n)["order"] == n
        for sock in held:
            sock.close()


def test_memory_is_bounded() -> None:
    with own_process() as (pid, address):
        empty, full = memory_mb(pid, "VmRSS"), 3_900_000
        around = call("@").split(b"<string>@</string>")

        def value(xml: bytes) -> bytes:
            return post(xml.join(around))

        bodies = {
            "text": value(b"<string>" + b"x" * full + b"</string>"),
            "array": value(b"<array><data>" + b"<value/>" * (full // 8) + b"</data></array>"),
            "deep": value(b"<array><data><value>" * (full // 20)),
            "bomb": post(b'<!DOCTYPE x [<!ENTITY a "b">]>' + b"<x>" * (full // 3)),
            "names": value(b"<struct>" + b"<member><name>a" * (full // 15)),
            "attributes": value(b"<int " + b"a='' " * (full // 5) + b"/>"),
            "over": post(b"x" * 30_000_000),
            "claimed": post(b"").replace(b"Length: 0", b"Length: 4000000"),
        }

        def send(raw: bytes) -> int:
            with socket.create_connection(address, 60) as sock:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    sock.sendall(raw)
                    sock.shutdown(socket.SHUT_WR)
                return read_answer(sock).code

        with ThreadPoolExecutor(16) as pool:
            codes = {}
            for name, raw in bodies.items():
                codes[name] = set(pool.map(send, [raw] * 16))
        assert codes == {
            "text": {TOO_LARGE},
            "array": {TOO_LARGE},
            "deep": {TOO_LARGE},
            "bomb": {MALFORMED},
            "names": {MALFORMED},
            "attributes": {TOO_LARGE},
            "over": {TOO_LARGE},
            "claimed": {REFUSED},
        }
        assert memory_mb(pid, "VmHWM") - empty < 150


# -- fuzz ----------------------------------------------------------------------------


def front_desk(order: Any, _: Caller) -> Any:
    """A desk in small: receipts for what a preprocessor takes, typed faults otherwise."""
    if not isinstance(order, dict):
        raise errors.MalformedOrder("a work order is a struct")
    if order.get("request") not in ("status", "describe", "list_orders", "calibrate_file_batch"):
        raise errors.UnknownRequest(f"{order.get('request')!r} is no request")
    return {"id": order.get("id"), "order": order, "message": repr(order)}


def test_fuzz() -> None:
    kinds: collections.Counter[str] = collections.Counter()
    count, parsed = 4000, 0
    with serving(front_desk) as server:
        sender = Sender(server.address)
        for made in inputs(seed=20190305, count=count):
            answer = sender.send(made)
            kinds[answer.kind] += 1
            parsed += answer.parsed
            assert answer.kind in ("result", "fault", "http"), made
            assert answer.kind != "http" or made.raw[:4] in (b"GET ", b"PUT "), made
            assert answer.code != errors.InternalError.code, made
        sender.close()
        assert proxy(server).front_desk({"request": "status"})["id"] is None
        assert url(server).startswith("http://127.0.0.1:")
    assert parsed > count / 3
    assert kinds["result"] > count / 10


def test_fuzz_inputs_repeat() -> None:
    assert list(inputs(3, 200)) == list(inputs(3, 200))
    assert list(inputs(3, 200)) != list(inputs(4, 200))
