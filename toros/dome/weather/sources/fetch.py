"""One bounded HTTP GET: size, time and redirects have limits that hold.

`http.client` speaks the protocol; its socket is wrapped so that the time limit is one on
the whole, which a sender that drips cannot stretch.
"""

from __future__ import annotations

import base64
import functools
import http.client
import io
import socket
import ssl
import time
from typing import cast
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from toros import __version__
from toros.errors import DeviceNonsense, DeviceTimeout, DeviceUnreachable

MAX_REDIRECTS = 3
_REDIRECTS = (301, 302, 303, 307, 308)
_PORTS = {"http": 80, "https": 443}


def fetch(url: str, timeout_s: float, max_bytes: int) -> bytes:
    """Fetch what an address holds.

    Parameters
    ----------
    url : str
        http or https; a user and a password in it are sent to its host only.
    timeout_s : float
        For all of it, redirects included, but for the look-up of the host's name; real
        time [s].
    max_bytes : int
        The most that is accepted [byte].

    Raises
    ------
    DeviceUnreachable
        No connection, a broken one, or another answer than 200.
    DeviceTimeout
        It took longer than `timeout_s`.
    DeviceNonsense
        It is longer than `max_bytes`, or the redirects lead nowhere.
    """
    deadline = time.monotonic() + timeout_s
    parts = first = urlsplit(url)
    for _ in range(MAX_REDIRECTS + 1):
        label = _shown(parts)
        try:
            target = _get(parts, _authorization(first, parts), deadline, max_bytes)
        except TimeoutError as error:
            raise DeviceTimeout(f"{label}: no full answer within {timeout_s:g} s") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise DeviceUnreachable(f"{label}: {why}") from error
        if isinstance(target, bytes):
            return target
        parts = _redirected(parts, target)
    raise DeviceNonsense(f"{_shown(first)} redirects more than {MAX_REDIRECTS} times")


class _Reader(io.RawIOBase):
    """Reads from a socket until a deadline."""

    def __init__(self, raw: socket.socket, deadline: float) -> None:
        self._raw, self._deadline = raw, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._raw.settimeout(_left(self._deadline))
        return self._raw.recv_into(buffer)


class _Socket:
    """What `http.client` needs of a socket; whoever connected closes it."""

    def __init__(self, raw: socket.socket, deadline: float) -> None:
        self._raw, self._deadline = raw, deadline

    def sendall(self, content: bytes) -> None:
        self._raw.settimeout(_left(self._deadline))
        self._raw.sendall(content)

    def makefile(self, mode: str) -> io.BufferedReader:
        del mode  # always "rb"
        return io.BufferedReader(_Reader(self._raw, self._deadline))

    def close(self) -> None:
        """Leave it open: the answer is still to be read."""


def _get(
    parts: SplitResult, authorization: str | None, deadline: float, max_bytes: int
) -> bytes | str:
    """Return the body, or where it is to be found instead."""
    host, port = cast(str, parts.hostname), parts.port or _PORTS[parts.scheme]
    connection = http.client.HTTPConnection(host, port)
    connection.default_port = _PORTS[parts.scheme]
    with _connected(parts.scheme, host, port, deadline) as raw:
        connection.sock = cast(socket.socket, _Socket(raw, deadline))
        headers = {
            "User-Agent": f"toros/{__version__}",
            "Accept": "application/json, */*",
            "Accept-Encoding": "identity",
            "Cache-Control": "no-cache",
            "Connection": "close",
        }
        if authorization is not None:
            headers["Authorization"] = authorization
        query = f"?{parts.query}" if parts.query else ""
        connection.request("GET", (parts.path or "/") + query, headers=headers)
        answer = connection.getresponse()
        if answer.status in _REDIRECTS:
            return answer.getheader("Location") or ""
        if answer.status != 200:
            raise OSError(f"answers HTTP {answer.status} {answer.reason!r:.60}")
        body = answer.read(max_bytes + 1)
        if len(body) > max_bytes:
            raise DeviceNonsense(f"{_shown(parts)} sends more than {max_bytes} bytes")
        if answer.length:  # `read` with a size does not complain of a body cut short
            raise http.client.IncompleteRead(body, answer.length)
        return body


def _connected(scheme: str, host: str, port: int, deadline: float) -> socket.socket:
    raw = socket.create_connection((host, port), timeout=_left(deadline))
    if scheme == "http":
        return raw
    try:
        raw.settimeout(_left(deadline))
        return _tls().wrap_socket(raw, server_hostname=host)
    except BaseException:
        raw.close()
        raise


@functools.cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time is over")
    return left


def _redirected(parts: SplitResult, location: str) -> SplitResult:
    try:
        target = urlsplit(urljoin(parts.geturl(), location))
        good = target.scheme in _PORTS and bool(target.hostname) and target.port != 0
    except ValueError:
        good = False
    downgraded = good and parts.scheme == "https" and target.scheme == "http"
    if not location or not good or downgraded or not location.isprintable() or " " in location:
        raise DeviceNonsense(f"{_shown(parts)} redirects to where a station cannot be")
    return target


def _authorization(first: SplitResult, parts: SplitResult) -> str | None:
    there = (parts.scheme, parts.hostname, parts.port) == (first.scheme, first.hostname, first.port)
    if first.username is None or not there:
        return None
    secret = f"{unquote(first.username)}:{unquote(first.password or '')}".encode()
    return "Basic " + base64.b64encode(secret).decode()


def _shown(parts: SplitResult) -> str:
    """Return the address without user, password and query, which may hold a key."""
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
