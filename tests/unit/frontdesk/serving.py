"""A front desk's door on a free port, for the tests of it."""

from __future__ import annotations

import socket
import ssl
import xmlrpc.client
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from tests.fuzz.sender import Answer, read_answer
from toros.frontdesk.access import Access
from toros.frontdesk.server import Caller, FrontDeskServer, ServerLimits


class User(NamedTuple):
    name: str
    password_hash: str
    requests: Any = "all"


def echo(order: Any, caller: Caller) -> Any:
    return {"order": order, "user": caller.user, "address": caller.address}


@contextmanager
def serving(
    front_desk: Callable[[Any, Caller], Any] = echo,
    *,
    page: Callable[[], str] = lambda: "<!doctype html><title>page</title>é",
    users: Sequence[User] = (),
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    **limits: Any,
) -> Iterator[FrontDeskServer]:
    server = FrontDeskServer(
        (host, 0), front_desk, page, Access(users), ServerLimits(**limits), tls
    )
    server.start()
    try:
        yield server
    finally:
        server.stop(5.0)


def url(server: FrontDeskServer, path: str = "/RPC2", scheme: str = "http", user: str = "") -> str:
    host, port = server.address
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{user}{shown}:{port}{path}"


def proxy(server: FrontDeskServer, **options: Any) -> Any:
    return xmlrpc.client.ServerProxy(url(server, **options), allow_none=True)


def connect(server: FrontDeskServer, timeout_s: float = 20.0) -> socket.socket:
    return socket.create_connection(server.address, timeout_s)


def exchange(server: FrontDeskServer, raw: bytes) -> Answer:
    with connect(server) as sock:
        sock.sendall(raw)
        return read_answer(sock, with_body=not raw.startswith(b"HEAD "))
