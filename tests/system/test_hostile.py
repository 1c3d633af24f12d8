"""A real daemon among enemies: they get their own fault, and everybody else is served."""

from __future__ import annotations

import contextlib
import http.server
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
import xmlrpc.client
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import argon2
import pytest

from tests.conftest import missing_part
from tests.fuzz.inputs import Input, call, post
from tests.fuzz.sender import Answer, Sender, read_answer
from tests.system.daemons import BIN, Preprocessor
from toros.client import FrontDesk
from toros.errors import (
    AuthenticationFailed,
    Busy,
    InvalidField,
    MalformedMessage,
    NoUsableFrames,
    OrderError,
    OrderNotFound,
    PermissionDenied,
    ServiceUnreachable,
    SourceForbidden,
    TooLarge,
    TooManyAttempts,
    TooManyConnections,
    TooSlow,
    TransportRefused,
    UnknownRequest,
)

# Cheap, since the tests are not about argon2; the daemon's own default is not.
HASH = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("secret")
STATUS = call({"request": "status"})


@contextlib.contextmanager
def normal_client(daemon: Preprocessor, **login: str) -> Iterator[None]:
    """Ask for the state all the time; every question must be answered."""
    end, asked = threading.Event(), []

    def ask() -> None:
        desk = FrontDesk(daemon.url, **login)
        while not end.wait(0.02):
            asked.append(desk.status()["service"])

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            yield
        finally:
            end.set()
    asking.result()
    assert len(asked) > 3


def send(daemon: Preprocessor, raw: bytes) -> Answer:
    sender = Sender(("127.0.0.1", daemon.port))
    try:
        return sender.send(Input("hostile", raw, whole=False))
    finally:
        sender.close()


# -- each class of its own --------------------------------------------------------------


def head(*changes: tuple[bytes, bytes]) -> bytes:
    raw = post(STATUS)
    for old, new in changes:
        assert old in raw
        raw = raw.replace(old, new)
    return raw


def value(xml: str) -> bytes:
    return post(
        call({"request": "status", "note": "@"}).replace(b"<string>@</string>", xml.encode())
    )


def with_dtd(dtd: str, text: str) -> bytes:
    body = STATUS.replace(b"?>", b"?>" + dtd.encode(), 1).replace(b">status<", f">{text}<".encode())
    return post(body)


LENGTH = b"Content-Length: %d" % len(STATUS)
HOSTILE: dict[str, tuple[bytes, type]] = {
    "Origin": (
        post(STATUS, extra=b"Origin: http://evil.example\r\n"), TransportRefused),
    "rebound name": (
        head((b"Host: 127.0.0.1", b"Host: evil.example")), TransportRefused),
    "form": (
        head((b"text/xml", b"application/x-www-form-urlencoded")), TransportRefused),
    "plain text": (
        head((b"text/xml", b"text/plain")), TransportRefused),
    "no length": (
        head((LENGTH, b"X: y")), TransportRefused),
    "negative length": (
        head((LENGTH, b"Content-Length: -1")), TransportRefused),
    "two lengths": (
        head((LENGTH, LENGTH + b"\r\n" + LENGTH)), TransportRefused),
    "chunked": (
        head((LENGTH, b"Transfer-Encoding: chunked")), TransportRefused),
    "gzip": (
        post(STATUS, extra=b"Content-Encoding: gzip\r\n"), TransportRefused),
    "too large": (
        post(b"x" * 1_000_001), TooLarge),
    "claims too much": (
        head((LENGTH, b"Content-Length: 999999999999")), TooLarge),
    "entities": (
        with_dtd('<!DOCTYPE x [<!ENTITY a "status">]>', "&a;"), MalformedMessage),
    "external entity": (
        with_dtd('<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>', "&a;"),
        MalformedMessage),
    "DTD": (
        with_dtd('<!DOCTYPE methodCall SYSTEM "http://127.0.0.1:9/x">', "status"),
        MalformedMessage),
    "nesting": (
        value("<array><data><value>" * 40 + "</value></data></array>" * 40), TooLarge),
    "many elements": (
        value("<array><data>" + "<value/>" * 110_000 + "</data></array>"), TooLarge),
    "NaN": (
        value("<double>nan</double>"), MalformedMessage),
    "infinity": (
        value("<double>1e999</double>"), MalformedMessage),
    "beyond 32 bits": (
        value("<int>2147483648</int>"), MalformedMessage),
    "out of range": (
        post(call({"request": "resume_file_batch", "file_batch": 0})), InvalidField),
    "priority": (
        post(call({"request": "status", "priority": 10.5})), InvalidField),
    "year 1 in the east": (
        post(call({"request": "status", "datetime": "0001-01-01T00:00:00+05:00"})), InvalidField),
    "control character": (
        post(call({"request": "status", "id": "1\nERROR forged"})), InvalidField),
    "very long name": (
        post(call({"request": "x" * 900_000})), UnknownRequest),
}  # fmt: skip


@pytest.fixture
def guarded(make_preprocessor):
    limits = {"Body Limit (MB)": 1.0, "Connections": 12, "Read Timeout (s)": 2.0}
    return make_preprocessor(changes={"Front Desk": limits}).start()


def test_each_gets_its_own_fault_while_others_are_served(guarded):
    with normal_client(guarded):
        for name, (raw, error) in HOSTILE.items():
            answer = send(guarded, raw)
            assert (name, answer.kind, answer.code) == (name, "fault", error.code), answer
            assert len(str(answer.value)) > 20, name
        page = b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"
        assert send(guarded, page).status == 403

        # Slow senders hold most of the connections; then strangers hold all that are left.
        slow = [socket.create_connection(("127.0.0.1", guarded.port), 20) for _ in range(9)]
        for sock in slow:
            sock.sendall(post(STATUS)[:-5])
        assert {read_answer(sock).code for sock in slow} == {TooSlow.code}
        held = [socket.create_connection(("127.0.0.1", guarded.port), 20) for _ in range(20)]
        codes = {read_answer(sock).code for sock in held[11:]}
        assert codes == {TooManyConnections.code}
        for sock in (*slow, *held):
            sock.close()
    assert guarded.desk.status()["service"] == "preprocessor"
    assert "internal error" not in guarded.log.read_text("utf-8")


def test_an_order_of_thousands_of_keys_has_a_short_receipt(guarded):
    keys = {f"k{n}": None if n % 2 else n for n in range(5000)}
    url = str(guarded.incoming / "nothing")
    receipt = guarded.desk.submit("calibrate_file_batch", url=url, **keys)
    assert len(str(receipt)) < 10_000
    assert receipt["warnings"][-1] == "and 2480 more keys that it does not know"


# -- what reaches the log ---------------------------------------------------------------

FORGED = "\x1b[31m\n2026-01-01T00:00:00.000Z ERROR preprocessor [-] forged: \r\x07\u202e\x85end"
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ preprocessor \[.+\] [\w.]+: .+")


def check_lines(text: str) -> None:
    for line in text.removesuffix("\n").split("\n"):
        assert LINE.fullmatch(line), line
        assert line.isprintable(), line


def test_nothing_reaches_a_log_line_unescaped(make_preprocessor):
    users = [{"Name": "ann", "Password Hash": HASH, "Requests": "all"}]
    daemon = make_preprocessor(changes={"Front Desk": {"Users": users}})
    daemon.desk = desk = FrontDesk(daemon.url, "ann", "secret")
    daemon.start()
    # XML itself cannot carry all of it; what can is sent in every place.
    sendable = FORGED.replace("\x1b", "").replace("\x07", "")
    for field in ("id", "user", "request", "state"):
        with pytest.raises(OrderError):
            desk.send({"request": "list_orders", field: sendable})
    with pytest.raises(AuthenticationFailed):
        FrontDesk(daemon.url, FORGED, "secret").status()
    with pytest.raises(xmlrpc.client.Fault):
        proxy = xmlrpc.client.ServerProxy(daemon.url.replace("//", "//ann:secret@"))
        getattr(proxy, sendable)()
    for old, new in (
        (b"POST /RPC2", b"POST /\x1b[31m\x07RPC2"),
        (b"Host: 127.0.0.1", b"Host: \x1b[31m\x85"),
        (b"Host: 127.0.0.1", b"Host: 127.0.0.1\r\nX: \x85\x9b31m\r\n forged"),
        (b"POST ", b"\x1b[31m "),
    ):
        assert send(daemon, post(STATUS).replace(old, new)).kind == "fault"

    # Names of files are logged as an order runs; so is why it failed.
    with pytest.raises(SourceForbidden, match="control characters"):
        desk.submit("calibrate_file_batch", url=str(daemon.incoming / f"none{sendable}"))
    folder = daemon.incoming / "night" / f"folder{FORGED}"
    folder.mkdir(parents=True)
    for place in (folder, folder.parent):
        (place / f"frame{FORGED}.fits").write_bytes(f"nonsense of {place}".encode())
    order = {"request": "calibrate_file_batch", "url": str(folder.parent), sendable: sendable}
    with pytest.raises(NoUsableFrames):
        desk.wait(desk.send(order)["id"], 60)
    log = daemon.log.read_text("utf-8")
    check_lines(log)
    check_lines((daemon.folder / "stderr").read_text("utf-8"))
    assert log.count("forged: ") >= 3, "what was sent does occur, escaped"
    assert "user '\\x1b[31m\\n2026" in log
    with subprocess.Popen(
        [BIN / "toros-submit", "--config", daemon.configuration, "preprocessor", "list_orders",
         "--user", "ann", "--json"],
        env={"TOROS_PASSWORD": "secret"}, stdout=subprocess.PIPE,
    ) as listing:  # fmt: skip
        assert b"\x1b" not in listing.stdout.read()


# -- a queue that is full ---------------------------------------------------------------


@contextlib.contextmanager
def stalling_server() -> Iterator[str]:
    """Serve an archive that never comes."""
    end = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            end.wait(60)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/night.zip"
        end.set()
        server.shutdown()


def test_a_full_queue_says_busy_and_answers_all_else(make_preprocessor):
    changes = {
        "Front Desk": {"Queue Limit": 3},
        "Preprocessor": {"Sources": {"Private Addresses": True}},
    }
    daemon = make_preprocessor(changes=changes).start()
    desk, nothing = daemon.desk, str(daemon.incoming / "nothing")
    with stalling_server() as url:
        desk.submit("calibrate_file_batch", url=url, id="long")
        while desk.status("long")["status"] == "queued":
            time.sleep(0.02)
        orders = [
            {"request": "calibrate_file_batch", "url": nothing, "id": str(n)} for n in range(3)
        ]
        receipts = [desk.send(order) for order in orders]
        for _ in range(5):
            with pytest.raises(Busy, match="3 orders are waiting"):
                desk.submit("calibrate_file_batch", url=nothing)
        assert [desk.send(order) for order in orders] == receipts
        assert desk.submit("list_orders", state="queued")["total"] == 3
        desk.cancel("1")
        assert desk.submit("calibrate_file_batch", url=nothing)["status"] == "queued"
        with pytest.raises(Busy):
            desk.submit("calibrate_file_batch", url=nothing)


# -- others than this machine -----------------------------------------------------------


def start_refused(daemon: Preprocessor) -> str:
    command = [BIN / "toros-preprocessor", "--config", daemon.configuration]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert said.returncode == 2
    return said.stderr


def test_others_than_this_machine_need_users_and_should_have_tls(make_preprocessor):
    address = {"Preprocessor Service Address": {"IP": "0.0.0.0"}}
    daemon = make_preprocessor(changes=address)
    said = start_refused(daemon)
    assert "Preprocessor Service Address / IP" in said
    assert "Front Desk / Users" in said
    users = [{"Name": "ann", "Password Hash": HASH, "Requests": "all"}]
    daemon.configure({"Front Desk": {"Users": users}})
    daemon.desk = FrontDesk(daemon.url, "ann", "secret")
    daemon.start()
    assert any("expected a TLS Certificate" in told for told in daemon.desk.status()["warnings"])
    assert "expected a TLS Certificate" in daemon.log.read_text("utf-8")
    with pytest.raises(AuthenticationFailed):
        FrontDesk(daemon.url).status()


@pytest.fixture
def certificate(tmp_path):
    if shutil.which("openssl") is None:
        missing_part("openssl", "apt-get install openssl")
    key, path = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "
        f"/CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {path}",
        shell=True, check=True, capture_output=True,
    )  # fmt: skip
    return path, key


def test_users_over_tls(make_preprocessor, certificate):
    path, key = certificate
    users = [
        {"Name": "ann", "Password Hash": HASH, "Requests": "all"},
        {"Name": "bob", "Password Hash": HASH, "Requests": ["status", "calibrate_file_batch"]},
        {"Name": "eve", "Password Hash": HASH, "Requests": ["status"]},
    ]
    section = {"Users": users, "TLS Certificate": str(path), "TLS Key": str(key)}
    daemon = make_preprocessor(changes={"Front Desk": section})
    daemon.configure({"Preprocessor Service Address": {"HTTP": f"https://127.0.0.1:{daemon.port}"}})
    daemon.url = url = f"https://127.0.0.1:{daemon.port}"
    trust = ssl.create_default_context(cafile=str(path))
    ann, bob, eve = (FrontDesk(url, name, "secret", tls=trust) for name in ("ann", "bob", "eve"))
    daemon.desk = ann
    daemon.start()

    with pytest.raises(ServiceUnreachable, match="(?i)certificate"):
        FrontDesk(url, "ann", "secret").status()
    with pytest.raises(ServiceUnreachable):
        FrontDesk(url.replace("https", "http"), "ann", "secret", timeout_s=5).status()

    # An id is each user's own, and an order is its sender's whatever it says.
    order: dict[str, Any] = {
        "request": "calibrate_file_batch", "id": "7", "url": str(daemon.incoming / "nothing"),
    }  # fmt: skip
    assert ann.send(order)["status"] == "queued"
    assert bob.send({**order, "user": "ann", "url": order["url"] + "/other"})["status"] == "queued"
    assert ann.status("7", "bob")["user"] == "bob"
    assert ann.status("7")["user"] == "ann"  # of two orders of one id, the asker's own
    for forbidden in ("calibrate_file_batch", "list_orders", "cancel_order"):
        with pytest.raises(PermissionDenied, match=f"'eve' may not send {forbidden}"):
            eve.submit(forbidden, order="7", url="/")
    with pytest.raises(OrderNotFound):
        eve.status("7", "eve")

    command = [
        BIN / "toros-submit", "--config", daemon.configuration, "preprocessor", "status",
        "order=7", "order_user=ann", "--json", "--user", "ann",
    ]  # fmt: skip
    environment = {"SSL_CERT_FILE": str(path), "TOROS_PASSWORD": "secret"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert '"user": "ann"' in done.stdout

    # Guessing is slowed down; who has logged in before goes on.
    guesser = FrontDesk(url, "bob", "wrong", tls=trust)
    for _ in range(5):
        with pytest.raises(AuthenticationFailed):
            guesser.status()
    with pytest.raises(TooManyAttempts):
        guesser.status()
    assert ann.status()["service"] == "preprocessor"
    assert Path(daemon.log).read_text("utf-8").count("a wrong user or password") == 5
