"""The door does its work: calls, the page, keep-alive, users, TLS, the end."""

from __future__ import annotations

import contextlib
import http.client
import logging
import shutil
import socket
import ssl
import subprocess
import threading
import time
import xmlrpc.client
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import argon2
import numpy as np
import pytest

from tests.conftest import missing_part
from tests.fuzz.inputs import call, post
from tests.fuzz.sender import read_answer
from tests.unit.frontdesk.serving import User, connect, exchange, proxy, serving, url
from toros import errors
from toros.frontdesk.access import Access
from toros.frontdesk.server import Caller, FrontDeskServer, ServerLimits

HASH = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("pä:ss")


def new_connection(server: FrontDeskServer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(*server.address, timeout=20)


@pytest.mark.parametrize("path", ["/", "/RPC2"])
def test_a_stock_client_calls(path: str) -> None:
    with serving() as server:
        order = {"request": "observation", "priority": None, "ra": 1.5, "n": [1, True, "é"]}
        answer = proxy(server, path=path).front_desk(order)
        assert answer == {"order": order, "user": None, "address": "127.0.0.1"}


def test_a_connection_is_kept() -> None:
    with serving() as server, connect(server) as sock:
        for n in range(3):
            sock.sendall(post(call(n)))
            assert read_answer(sock).value["order"] == n


def test_pipelined_calls_are_answered_in_order() -> None:
    with serving() as server, connect(server) as sock:
        sock.sendall(post(call(1)) + b"\r\n" + post(call(2)))
        data = b""
        while data.count(b"</methodResponse>") < 2:
            data += sock.recv(65536)
        first, second = data.split(b"</methodResponse>")[:2]
        assert b"<int>1</int>" in first
        assert b"<int>2</int>" in second


def test_http_1_0() -> None:
    with serving() as server, connect(server) as sock:
        body = call("old")
        head = f"POST / HTTP/1.0\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body)
        answer = read_answer(sock)
        assert answer.value["order"] == "old"
        assert b"Connection: close" in answer.head
        assert sock.recv(1) == b""


def test_expect_continue() -> None:
    with serving() as server, connect(server) as sock:
        body = call("big")
        raw = post(body, extra=b"Expect: 100-continue\r\n")
        sock.sendall(raw[: -len(body)])
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert read_answer(sock).value["order"] == "big"


def test_the_page() -> None:
    with serving() as server:
        for method in ("GET", "HEAD"):
            connection = new_connection(server)
            connection.request(method, "/")
            answer = connection.getresponse()
            assert answer.status == 200
            assert answer.getheader("Content-Type") == "text/html; charset=utf-8"
            policy = answer.getheader("Content-Security-Policy") or ""
            assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")
            assert answer.getheader("X-Content-Type-Options") == "nosniff"
            assert not [
                name for name, _ in answer.getheaders() if name.lower().startswith("access")
            ]
            text = answer.read().decode()
            assert text == ("<!doctype html><title>page</title>é" if method == "GET" else "")
            connection.close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/RPC2", 404),
        ("GET", "/favicon.ico", 404),
        ("GET", "/?x", 404),
        ("PUT", "/", 405),
        ("OPTIONS", "/", 405),
        ("DELETE", "/RPC2", 405),
        ("TRACE", "/", 405),
    ],
)
def test_other_requests(method: str, path: str, status: int) -> None:
    with serving() as server:
        connection = new_connection(server)
        connection.request(method, path)
        answer = connection.getresponse()
        assert answer.status == status
        assert answer.read()
        connection.close()


def test_typed_errors_arrive_as_faults() -> None:
    def refuse(order: Any, _: Caller) -> None:
        raise errors.InvalidField(f"ra: {order!r} is no angle\x00")

    with serving(refuse) as server, pytest.raises(xmlrpc.client.Fault) as caught:
        proxy(server).front_desk("x<y")
    assert (caught.value.faultCode, caught.value.faultString) == (204, "ra: 'x<y' is no angle\\x00")


@pytest.mark.parametrize("defect", ["raise", "numpy", "recursion"])
def test_defects_are_tagged(defect: str, caplog: pytest.LogCaptureFixture) -> None:
    def front_desk(order: Any, _: Caller) -> Any:
        if defect == "raise":
            return 1 // 0
        if defect == "numpy":
            return {"x": np.float64(1)}
        order.append(order)
        return order

    with serving(front_desk) as server, pytest.raises(xmlrpc.client.Fault) as caught:
        proxy(server).front_desk([1])
    assert caught.value.faultCode == errors.InternalError.code
    text = caught.value.faultString
    assert text.startswith("internal error [")
    (record,) = caplog.records
    assert text in record.getMessage()
    assert record.exc_info is not None


def test_a_page_with_a_defect_is_tagged(caplog: pytest.LogCaptureFixture) -> None:
    def page() -> str:
        raise RuntimeError("no page")

    with serving(page=page) as server:
        answer = exchange(server, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.status == 500
    assert "internal error [" in caplog.text


def test_an_immediate_call_does_not_wait_for_a_long_one() -> None:
    entered, leave = threading.Event(), threading.Event()

    def front_desk(order: Any, _: Caller) -> Any:
        if order == "long":
            entered.set()
            assert leave.wait(20)
        return order

    with serving(front_desk) as server, ThreadPoolExecutor(1) as pool:
        long = pool.submit(proxy(server).front_desk, "long")
        assert entered.wait(20)
        assert proxy(server).front_desk("short") == "short"
        assert not long.done()
        leave.set()
        assert long.result(20) == "long"


def test_two_hundred_connections_at_a_time() -> None:
    together = threading.Barrier(200)

    def front_desk(order: Any, _: Caller) -> Any:
        together.wait(60)
        return order

    with serving(front_desk, connections=256) as server, ThreadPoolExecutor(200) as pool:
        assert list(pool.map(lambda n: proxy(server).front_desk(n), range(200))) == [*range(200)]


def test_too_many_connections_get_a_fault() -> None:
    with serving(connections=2, read_timeout_s=60) as server:
        held = [connect(server) for _ in range(2)]
        for sock in held:
            sock.sendall(b"POST / HT")
        wait_until(lambda: refused(server) is not None)
        for _ in range(20):
            fault = refused(server)
            assert fault is not None
            assert fault.faultCode == errors.TooManyConnections.code
        for sock in held:
            sock.close()
        wait_until(lambda: refused(server) is None)


def refused(server: FrontDeskServer) -> xmlrpc.client.Fault | None:
    try:
        proxy(server).front_desk("x" * 100_000)
    except xmlrpc.client.Fault as fault:
        return fault
    return None


def answers(client: Any) -> bool:
    with contextlib.suppress(xmlrpc.client.Fault):
        return bool(client.front_desk(2)["order"] == 2)
    return False


def wait_until(happened: Any) -> None:
    deadline_s = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_idle_connections_make_room() -> None:
    with serving(connections=2) as server:
        held = [proxy(server) for _ in range(2)]
        for client in held:
            client.front_desk(1)
        wait_until(lambda: refused(server) is None)
        # The one that was closed comes again by itself, as soon as there is room for it.
        for client in held:
            wait_until(lambda client=client: answers(client))


# -- users ---------------------------------------------------------------------


def test_users() -> None:
    with serving(users=[User("observer", HASH)]) as server:
        client = proxy(server, user="observer:p%C3%A4:ss@")
        assert [client.front_desk(n)["user"] for n in range(2)] == ["observer"] * 2
        for credentials in ("", "observer:no@"):
            with pytest.raises(xmlrpc.client.ProtocolError) as caught:
                proxy(server, user=credentials).front_desk(1)
            assert caught.value.errcode == 401
            assert caught.value.headers["WWW-Authenticate"].startswith("Basic ")
        answer = exchange(server, post(call(1)))
        assert (answer.status, answer.kind, answer.code) == (401, "fault", 210)
        answer = exchange(server, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (answer.status, answer.kind) == (401, "http")


def test_too_many_wrong_passwords() -> None:
    with serving(users=[User("observer", HASH)]) as server:
        for _ in range(5):
            with pytest.raises(xmlrpc.client.ProtocolError):
                proxy(server, user="observer:no@").front_desk(1)
        with pytest.raises(xmlrpc.client.Fault, match="try again in") as caught:
            proxy(server, user="observer:no@").front_desk(1)
        assert caught.value.faultCode == errors.TooManyAttempts.code


def test_the_body_of_a_stranger_is_not_read() -> None:
    with serving(users=[User("observer", HASH)], body_bytes=10**9) as server, connect(server) as s:
        s.sendall(post(b"")[:-4].replace(b"Length: 0", b"Length: 900000000") + b"\r\n\r\n")
        assert read_answer(s).status == 401


# -- addresses -----------------------------------------------------------------


def test_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        with serving(host="::1") as server:
            assert proxy(server).front_desk(1)["address"] == "::1"
    except errors.ConfigurationError as error:
        pytest.skip(f"this machine has no IPv6 loopback: {error}")


def serve_on(host: str, port: int) -> FrontDeskServer:
    return FrontDeskServer(
        (host, port), lambda order, _: order, lambda: "", Access(()), ServerLimits(), None
    )


def test_an_address_in_use() -> None:
    with serving() as server:
        host, port = server.address
        with pytest.raises(errors.AlreadyRunning, match=f"{host} port {port}: "):
            serve_on(host, port).start()
    again = serve_on(host, port)
    again.start()
    assert again.address == (host, port)
    again.stop(1)


@pytest.mark.parametrize(
    ("host", "port"), [("192.0.2.1", 0), ("256.1.1.1", 0), ("127.0.0.1", 70_000)]
)
def test_an_address_that_cannot_be_bound(host: str, port: int) -> None:
    with pytest.raises(errors.ConfigurationError, match=f"{host} port {port} cannot"):
        serve_on(host, port).start()


@pytest.mark.parametrize(
    ("host", "taken"),
    [
        ("localhost", True),
        ("LOCALHOST:8080", True),
        ("127.0.0.1:1", True),
        ("127.8.9.1", True),
        ("[::1]:8080", True),
        ("dome.example:8443", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_rebinding_is_refused(host: str, taken: bool) -> None:
    raw = post(call(1)).replace(b"Host: 127.0.0.1", f"Host: {host}".encode())
    with serving(allowed_hosts=frozenset({"Dome.Example"})) as server:
        answer = exchange(server, raw)
        page = exchange(server, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert (answer.kind, answer.code) == (("result", 0) if taken else ("fault", 220))
    assert page.status == (200 if taken else 403)
    with serving(allowed_hosts=None) as server:
        assert exchange(server, raw).kind == "result"


# -- TLS -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        missing_part("openssl", "apt-get install openssl")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        f"-subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout {path} -out {path}.crt",
        shell=True,
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


def test_tls(tls: ssl.SSLContext, certificate: Path) -> None:
    with serving(tls=tls, body_bytes=100_000, users=[User("observer", HASH)]) as server:
        client = xmlrpc.client.ServerProxy(
            url(server, scheme="https", user="observer:p%C3%A4:ss@"),
            context=ssl.create_default_context(cafile=str(certificate)),
        )
        assert [client.front_desk(n)["order"] for n in range(3)] == [0, 1, 2]
        # A refusal that leaves the body unread arrives through TLS, too.
        with pytest.raises(xmlrpc.client.Fault, match="the limit is 100000"):
            client.front_desk("x" * 2_000_000)
        assert client.front_desk("again")["order"] == "again"


def test_plain_http_to_tls_and_slow_handshakes_end(tls: ssl.SSLContext) -> None:
    with serving(tls=tls, read_timeout_s=0.3) as server:
        with connect(server) as sock:
            sock.sendall(post(call(1)))
            assert b"HTTP" not in drained(sock)
        with connect(server) as sock:
            assert drained(sock) == b""


def drained(sock: socket.socket) -> bytes:
    data = b""
    try:
        while piece := sock.recv(4096):
            data += piece
    except ConnectionResetError:
        pass
    return data


# -- the end -------------------------------------------------------------------


def test_stopping_lets_calls_finish_and_ends_idle_connections() -> None:
    entered, leave = threading.Event(), threading.Event()

    def front_desk(order: Any, _: Caller) -> Any:
        if order == "long":
            entered.set()
            assert leave.wait(20)
        return order

    with serving(front_desk) as server, ThreadPoolExecutor(2) as pool, connect(server) as idle:
        idle.sendall(post(call(1)))
        assert read_answer(idle).value == 1
        long = pool.submit(proxy(server).front_desk, "long")
        assert entered.wait(20)
        stopping = pool.submit(server.stop, 20)
        assert idle.recv(1) == b""
        assert not long.done()
        with pytest.raises(OSError):
            connect(server, 1).close()
        leave.set()
        assert long.result(20) == "long"
        stopping.result(20)


def test_stopping_does_not_wait_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    entered, leave = threading.Event(), threading.Event()

    def front_desk(order: Any, _: Caller) -> Any:
        entered.set()
        assert leave.wait(60)
        return order

    with serving(front_desk) as server, ThreadPoolExecutor(1) as pool:
        raw = pool.submit(exchange, server, post(call(1)))
        assert entered.wait(20)
        with caplog.at_level(logging.WARNING):
            server.stop(0.1)
        assert "did not end in time" in caplog.text
        assert raw.result(20).kind in ("closed", "broken")
        leave.set()


def test_stopping_leaves_no_thread() -> None:
    before = threading.active_count()
    with serving() as server:
        clients = [proxy(server) for _ in range(5)]
        for client in clients:
            client.front_desk(1)
    wait_until(lambda: threading.active_count() <= before)
    server.stop(1)
    serve_on("127.0.0.1", 0).stop(1)
