"""One HTTP exchange on a connection of its own, with an end in sight.

``http.client`` counts its timeout anew with every packet: a server that sends a
byte now and then holds its caller for ever. Here a call has a deadline, and a
download a longest silence.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

PULSE_S = 0.25
"""How often the caller of a download hears that it lives [s]."""

TROUBLE = (OSError, http.client.HTTPException, ValueError)
"""What a broken exchange raises: sockets, HTTP that is none, lengths that are none."""


@dataclass
class Line:
    """What came of an exchange, also when it failed.

    Parameters
    ----------
    deadline : float
        Monotonic time by which all must have been read [s].
    silence_s : float, optional
        The deadline moves on to so long after each piece of data.
    pulse : callable, optional
        Called every `PULSE_S` while data are awaited and while they arrive.
    """

    deadline: float
    silence_s: float | None = None
    pulse: Callable[[], None] | None = None
    sent: bool = False
    """Whether anything may have reached the server."""
    pulsing: bool = False
    """Whether the error that ended the exchange is the pulse's own."""

    def left_s(self) -> float:
        """Return the time that is left [s].

        Raises
        ------
        TimeoutError
            There is none.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Reader(io.RawIOBase):
    """What a socket receives, as a raw stream that keeps to the line's deadline."""

    def __init__(self, connection: socket.socket, line: Line) -> None:
        self._connection = connection
        self._line = line
        self._pulsed = time.monotonic()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        line = self._line
        while True:
            self._pulse()
            left = line.left_s()
            self._connection.settimeout(left if line.pulse is None else min(left, PULSE_S))
            try:
                count = self._connection.recv_into(buffer)
            except TimeoutError:
                continue
            if line.silence_s is not None:
                line.deadline = time.monotonic() + line.silence_s
            return count

    def _pulse(self) -> None:
        now = time.monotonic()
        if self._line.pulse is not None and now - self._pulsed >= PULSE_S:
            self._pulsed = now
            self._line.pulsing = True
            self._line.pulse()
            self._line.pulsing = False


class _Socket:
    """As much of a socket as ``http.client`` uses; it is closed by who opened it."""

    def __init__(self, connection: socket.socket, line: Line) -> None:
        self._connection = connection
        self._line = line

    def sendall(self, data: bytes) -> None:
        self._line.sent = True
        self._connection.settimeout(self._line.left_s())
        self._connection.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._connection, self._line), 1 << 16)

    def close(self) -> None:
        """Leave it open: the reply is still to be read."""


class Server:
    """A server's host and port; a name is looked up once.

    Looking up a name has no timeout, so that a name server that died must not
    delay a later call.

    Parameters
    ----------
    address : str
        ``host:port``, an IPv6 host in brackets.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.host, self.port = host.strip("[]"), int(port)
        self._found: list[Any] = []

    def connect(self, line: Line) -> socket.socket:
        """Open a connection, trying each of the host's addresses.

        Raises
        ------
        OSError
            None can be reached in time.
        """
        if not self._found:
            self._found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        for number, (family, kind, protocol, _, place) in enumerate(self._found, 1):
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(line.left_s())
                connection.connect(place)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                connection.close()
                if number == len(self._found):
                    raise
            else:
                return connection
        raise OSError(f"{self.host} has no address")

    @contextmanager
    def exchange(
        self,
        line: Line,
        method: str,
        path: str,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request on a new connection; give the reply, whose body is still to be read.

        Raises
        ------
        OSError, http.client.HTTPException, ValueError
            See `TROUBLE`; `line` tells whether the request had been sent.
        """
        connection = self.connect(line)
        try:
            request = http.client.HTTPConnection(self.host, self.port)
            request.sock = _Socket(connection, line)
            request.request(method, path, body, {**(headers or {}), "Connection": "close"})
            with request.getresponse() as reply:
                yield reply
        finally:
            connection.close()
