"""A raw sender: bytes in, one answer out, whatever the bytes are."""

from __future__ import annotations

import contextlib
import socket
import xmlrpc.client
from dataclasses import dataclass
from typing import Any

from tests.fuzz.inputs import Input


@dataclass(frozen=True)
class Answer:
    """What came back.

    ``kind`` is *result*, *fault*, *http* (a page, or a plain refusal of what
    is no POST), *closed* (nothing came), or *broken* (half of something).
    """

    kind: str
    status: int = 0
    code: int = 0
    value: Any = None
    head: bytes = b""

    @property
    def parsed(self) -> bool:
        """Whether the body passed the XML parser: it has a result, or a fault of its content."""
        return self.kind == "result" or (
            self.kind == "fault" and not 220 <= self.code <= 224 and self.code != 900
        )


class Sender:
    """Sends inputs to one front desk, over one connection as long as it lasts."""

    def __init__(self, address: tuple[str, int], timeout_s: float = 30.0) -> None:
        self.address = address
        self.timeout_s = timeout_s
        self._socket: socket.socket | None = None

    def send(self, what: Input) -> Answer:
        """Send one input and read its answer."""
        if not what.whole:
            self.close()
        answer = self._send(what)
        if not what.whole or b"connection: close" in answer.head.lower() or not answer.head:
            self.close()
        return answer

    def close(self) -> None:
        """End the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, what: Input) -> Answer:
        if self._socket is None:
            self._socket = socket.create_connection(self.address, self.timeout_s)
        # The server may have refused and closed before all was sent; its answer counts.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(what.raw)
            if not what.whole:
                self._socket.shutdown(socket.SHUT_WR)
        return read_answer(self._socket, with_body=not what.raw.startswith(b"HEAD "))


def read_answer(sock: socket.socket, *, with_body: bool = True) -> Answer:
    """Read one response and say what it is."""
    data = b""
    while True:
        head, end, body = data.partition(b"\r\n\r\n")
        if end and head.startswith(b"HTTP/1.1 100"):
            data = body
        elif end:
            break
        else:
            piece = _received(sock)
            if not piece:
                return Answer("broken" if data else "closed")
            data += piece
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    length = int(fields[b"content-length"]) if with_body else 0
    while len(body) < length:
        piece = _received(sock)
        if not piece:
            return Answer("broken", head=head)
        body += piece
    return classify(int(head[9:12]), fields[b"content-type"], body[:length], head)


def _received(sock: socket.socket) -> bytes:
    with contextlib.suppress(ConnectionResetError):
        return sock.recv(65536)
    return b""


def classify(status: int, content_type: bytes, body: bytes, head: bytes) -> Answer:
    """Say what a response is, by the standard library's decoder."""
    if not content_type.startswith(b"text/xml"):
        return Answer("http", status, head=head)
    try:
        (value,), _ = xmlrpc.client.loads(body, use_builtin_types=True)
    except xmlrpc.client.Fault as fault:
        return Answer("fault", status, int(fault.faultCode), str(fault.faultString), head)
    return Answer("result", status, value=value, head=head)
