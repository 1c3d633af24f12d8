"""A web server on loopback that can misbehave, and small parts the tests share."""

from __future__ import annotations

import contextlib
import http.server
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import missing_part
from toros.preprocessor.sources import SourceRules

Reply = Callable[[http.server.BaseHTTPRequestHandler], None]
FITS = b"SIMPLE  =                    T".ljust(2880)


def rules_for(*folders: Path, **changes: object) -> SourceRules:
    """Rules that let tests reach loopback and lose no time."""
    given: dict[str, object] = {"private_addresses": True, "timeout_s": 1.0, "pauses_s": (0.0, 0.0)}
    return SourceRules(folders=folders, **(given | changes))  # type: ignore[arg-type]


def body(content: bytes, status: int = 200, **headers: str) -> Reply:
    """Answer with `content`."""

    def reply(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        with contextlib.suppress(OSError):  # the client may have had enough
            handler.wfile.write(content)

    return reply


def redirect(location: str, status: int = 302) -> Reply:
    return body(b"", status, Location=location)


def raw(*pieces: bytes, pause: threading.Event | None = None, pause_s: float = 0.0) -> Reply:
    """Answer with bytes as they are, a pause before each but the first; then hang up."""

    def reply(handler: http.server.BaseHTTPRequestHandler) -> None:
        with contextlib.suppress(OSError):
            for number, piece in enumerate(pieces):
                if number and pause is not None:
                    pause.wait(pause_s)
                handler.wfile.write(piece)
                handler.wfile.flush()
        handler.close_connection = True

    return reply


def in_turn(*replies: Reply) -> Reply:
    """Answer the first time with the first, …, from then on with the last."""
    left = list(replies)

    def reply(handler: http.server.BaseHTTPRequestHandler) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(handler)

    return reply


@dataclass
class Site:
    """What the server answers, and what it was asked."""

    pages: dict[str, Reply] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


@contextlib.contextmanager
def serving(
    address: str = "127.0.0.1", tls: ssl.SSLContext | None = None, scheme: str = "http"
) -> Iterator[Site]:
    site = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
            site.pages.get(self.path, body(b"not here", 404))(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass

    with Server((address, 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        site.url = f"{scheme}://{address}:{server.server_address[1]}"
        yield site
        server.shutdown()
        thread.join()


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder, by their relative names."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        missing_part("the right to mount a tmpfs", "run as root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)
