"""Sky maps are fetched from allowed addresses only, within size and time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import free_port
from toros.errors import SkyMapRefused, SkyMapUnreachable
from toros.lvcgcn.skymaps.addresses import Address
from toros.lvcgcn.skymaps.fetching import fetch
from toros.lvcgcn.skymaps.limits import MapLimits

CONTENT = b"SIMPLE  = a map " * 5000
SMALL = MapLimits(bytes=200_000)


class Handler(BaseHTTPRequestHandler):
    """A server of many bad habits; the path says which."""

    server: Server

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.heads.append(dict(self.headers))
        name, _, rest = self.path.partition("?")[0].lstrip("/").partition("/")
        with suppress(OSError):
            getattr(self, f"serve_{name}")(rest)

    def answer(self, status: int, headers: dict[str, Any], content: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content)

    def serve_map(self, _: str) -> None:
        self.answer(200, {"Content-Length": len(CONTENT)}, CONTENT)

    def serve_unsized(self, _: str) -> None:
        self.answer(200, {}, CONTENT)

    def serve_endless(self, _: str) -> None:
        self.answer(200, {})
        while True:
            self.wfile.write(bytes(65536))

    def serve_chunks(self, _: str) -> None:
        self.answer(200, {"Transfer-Encoding": "chunked"})
        while True:
            self.wfile.write(b"8000\r\n" + bytes(0x8000) + b"\r\n")

    def serve_huge(self, _: str) -> None:
        self.answer(200, {"Content-Length": 2 << 30}, b"x")

    def serve_drip(self, _: str) -> None:
        self.answer(200, {"Content-Length": 1000})
        self.drip(b"x")

    def serve_driphead(self, _: str) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        self.drip(b"y")

    def serve_silent(self, _: str) -> None:
        self.server.ended.wait(20)

    def serve_short(self, _: str) -> None:
        self.answer(200, {"Content-Length": len(CONTENT) + 10}, CONTENT)

    def serve_long(self, _: str) -> None:
        self.answer(200, {"Content-Length": len(CONTENT)}, CONTENT + b"more" * 100_000)

    def serve_status(self, rest: str) -> None:
        self.answer(int(rest), {"Content-Length": 0})

    def serve_later(self, rest: str) -> None:
        """Answer 404, or what is said, until asked for the third time."""
        if self.server.asked.count(self.path) < 3:
            self.answer(int(rest), {"Content-Length": 0})
        else:
            self.serve_map("")

    def serve_hangup(self, _: str) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)

    def serve_nonsense(self, _: str) -> None:
        self.wfile.write(b"\x00\xff" * 100 + b"\r\n\r\n")

    def serve_to(self, rest: str) -> None:
        self.answer(302, {"Location": rest, "Content-Length": 0})

    def serve_loop(self, _: str) -> None:
        self.answer(302, {"Location": "/loop", "Content-Length": 0})

    def serve_nowhere(self, _: str) -> None:
        self.answer(302, {"Content-Length": 0})

    def drip(self, byte: bytes) -> None:
        while not self.server.ended.wait(0.05):
            self.wfile.write(byte)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.heads: list[dict[str, str]] = []
        self.ended = threading.Event()

    @property
    def at(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def running() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        thread.join(10)
        server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as one:
        yield one


def get(server: Server, path: str, **changed: Any) -> bytes:
    options = {"retries": 0, "timeout_s": 10.0, "first_pause_s": 0.01} | changed
    return fetch(server.at + path, (server.at + "/",), SMALL, **options)


@pytest.mark.parametrize("path", ["/map", "/map?mode=full", "/unsized", "/long"])
def test_map_is_fetched(server: Server, path: str) -> None:
    assert get(server, path) == CONTENT
    assert "Authorization" not in server.heads[0]
    assert server.heads[0]["User-Agent"].startswith("toros/")
    assert server.heads[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/endless", "has over 200000 bytes, the limit"),
        ("/chunks", "has over 200000 bytes, the limit"),
        ("/huge", "has 2147483648 bytes, where at most 200000 are allowed"),
        ("/status/401", "HTTP 401"),
        ("/status/403", "HTTP 403"),
        ("/status/410", "HTTP 410"),
        ("/status/204", "HTTP 204"),
        ("/loop", "more than 5 redirects"),
    ],
)
def test_last_word(server: Server, path: str, said: str) -> None:
    with pytest.raises(SkyMapRefused, match=said):
        get(server, path, retries=3)
    assert len(server.asked) == (6 if path == "/loop" else 1)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/status/404", "HTTP 404"),
        ("/status/429", "HTTP 429"),
        ("/status/503", "HTTP 503"),
        ("/short", "IncompleteRead|broke off after 80000 of 80010"),
        ("/hangup", "127.0.0.1"),
        ("/nonsense", "127.0.0.1"),
        ("/nowhere", "redirects to nowhere"),
    ],
)
def test_what_may_be_otherwise_later_is_tried_again(server: Server, path: str, said: str) -> None:
    with pytest.raises(SkyMapUnreachable, match=rf"(?s){said}.*tried 3 times"):
        get(server, path, retries=2)
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [404, 500, 503])
def test_map_that_is_not_yet_there(server: Server, status: int) -> None:
    assert get(server, f"/later/{status}", retries=4) == CONTENT
    assert len(server.asked) == 3


@pytest.mark.parametrize("path", ["/drip", "/driphead", "/silent"])
def test_deadline_is_for_everything(server: Server, path: str) -> None:
    started = time.monotonic()
    with pytest.raises(SkyMapUnreachable, match="was not here in time|no answer in time"):
        get(server, path, retries=100, timeout_s=0.5)
    # Twenty seconds is what the server would take.
    assert time.monotonic() - started < 10
    assert len(server.asked) == 1


def test_deadline_ends_the_tries(server: Server) -> None:
    with pytest.raises(SkyMapUnreachable, match="HTTP 503"):
        get(server, "/status/503", retries=10_000, timeout_s=0.5, first_pause_s=0.05)
    assert 2 <= len(server.asked) <= 10


def test_pause_ends_when_told(server: Server) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(SkyMapUnreachable, match="tried 1 times"):
        get(server, "/status/503", retries=5, timeout_s=60, first_pause_s=50, stop=stop)


def test_nobody_there() -> None:
    at = f"http://127.0.0.1:{free_port()}/"
    with pytest.raises(SkyMapUnreachable, match="refused.*tried 2 times"):
        fetch(at, (at,), retries=1, first_pause_s=0.01)


def test_host_that_has_no_address() -> None:
    at = "http://no-such-host.invalid/"
    with pytest.raises(SkyMapUnreachable, match="no-such-host"):
        fetch(at, (at,), retries=0, timeout_s=10)


def test_redirects_only_to_allowed_addresses(server: Server) -> None:
    assert get(server, "/to//map") == CONTENT
    with running() as other:
        with pytest.raises(SkyMapRefused, match="at none of the allowed addresses"):
            get(server, f"/to/{other.at}/map", retries=3)
        assert other.asked == []
        both = (server.at + "/", other.at + "/")
        assert fetch(f"{server.at}/to/{other.at}/map", both, SMALL) == CONTENT
        with pytest.raises(SkyMapRefused, match="user or password"):
            get(server, f"/to/http://me:secret@127.0.0.1:{other.server_address[1]}/map")
        assert other.asked == ["/map"]


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/map", "gopher:x"])
def test_redirects_only_to_the_web(server: Server, target: str) -> None:
    with pytest.raises(SkyMapRefused):
        fetch(f"{server.at}/to/{target}", (server.at + "/", "file:///etc/"), SMALL)


def test_https_is_not_http(server: Server) -> None:
    secure = server.at.replace("http:", "https:")
    with pytest.raises(SkyMapUnreachable, match="https://127.0.0.1"):
        fetch(secure + "/map", (secure,), SMALL, retries=0)
    with pytest.raises(SkyMapRefused, match="allowed"):
        fetch(server.at + "/map", (secure,), SMALL)
    assert server.asked == []


ALLOWED = ("https://one.org/maps", "https://two.org:8443/", "http://three.org/")


@pytest.mark.parametrize(
    "url",
    [
        "https://one.org/maps",
        "https://one.org/maps/a.fits?x=1",
        "https://ONE.org:443/maps/a.fits",
        "https://two.org:8443/a/b.fits,1",
        "http://three.org",
    ],
)
def test_allowed(url: str) -> None:
    Address.of(url).check(ALLOWED)


@pytest.mark.parametrize(
    "url",
    [
        "https://one.org/",
        "https://one.org/mapsandmore/a.fits",
        "http://one.org/maps/a.fits",
        "https://one.org:8443/maps/a.fits",
        "https://one.org.evil.org/maps/a.fits",
        "https://evil.org/https://one.org/maps/a.fits",
        "https://one.org@evil.org/maps/a.fits",
        "https://me:secret@one.org/maps/a.fits",
        "https://one.org/maps/../secret",
        "https://one.org/maps/%2e%2e/secret",
        "https://one.org/maps/..%2fsecret",
        "https://one.org/maps\\..\\secret",
        "https://two.org/a.fits",
        "https://one.org/maps/a b.fits",
        "https://one.org/maps/a\r\nHost: evil.org",
        "https://one.org:99999/maps/",
        "https://[::1/maps/",
        "file:///etc/passwd",
        "file://one.org/maps/a.fits",
        "ftp://one.org/maps/a.fits",
        "//one.org/maps/a.fits",
        "/maps/a.fits",
        "",
        "https://" + "a" * 5000,
    ],
)
def test_not_allowed(url: str) -> None:
    with pytest.raises(SkyMapRefused):
        fetch(url, ALLOWED)


def test_password_is_not_shown() -> None:
    with pytest.raises(SkyMapRefused) as caught:
        fetch("https://me:secret@one.org/maps/a.fits", ALLOWED)
    assert "secret" not in caught.value.message


def test_files_of_an_allowed_folder(tmp_path: Path) -> None:
    folder, other = tmp_path / "maps", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    (folder / "a map.fits").write_bytes(CONTENT)
    (other / "b.fits").write_bytes(CONTENT)
    (folder / "link.fits").symlink_to(other / "b.fits")
    (folder / "large.fits").write_bytes(bytes(200_001))
    allowed = (f"file://{folder}/",)
    assert fetch(f"file://{folder}/a%20map.fits", allowed, SMALL) == CONTENT
    for name, said in (
        ("link.fits", "none of the allowed"),
        ("../other/b.fits", "dot segments"),
        ("large.fits", "over 200000 bytes"),
        ("", "no file"),
    ):
        with pytest.raises(SkyMapRefused, match=said):
            fetch(f"file://{folder}/{name}", allowed, SMALL)
    with pytest.raises(SkyMapUnreachable, match="No such file"):
        fetch(f"file://{folder}/none.fits", allowed, SMALL)
    with pytest.raises(SkyMapRefused, match="none of the allowed"):
        fetch(f"file://{folder}/a%20map.fits", ("https://one.org/",), SMALL)
