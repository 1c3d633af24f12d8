"""An Alpaca server of the tests' own, on a real socket: it answers what it is told to."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from toros.config.hardware import Device

Answer = Callable[[socket.socket], None]


class Stub:
    """One server; `answers` maps a call such as ``GET azimuth`` to what comes back, in turn.

    The last answer of a call is repeated. What has none gets HTTP 400.
    """

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def on(self, call: str, *answers: Answer) -> None:
        """Set the answers to a call."""
        self.answers[call] = list(answers)

    def calls(self) -> list[str]:
        """Return the calls seen, such as ``PUT park``."""
        return [call for call, _ in self.seen]

    def settings(self, timeout_s: float = 2.0, retries: int = 2, number: int = 0) -> Device:
        """Return the settings of a device behind this server."""
        return Device(
            driver="alpaca", address=self.address, timeout_s=timeout_s, retries=retries,
            device_number=number,
        )  # fmt: skip

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            head, _, body = _until(connection, b"\r\n\r\n").partition(b"\r\n\r\n")
            method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
            length = 0
            for line in head.split(b"\r\n")[1:]:
                key, _, value = line.partition(b":")
                if key.lower() == b"content-length":
                    length = int(value)
            while len(body) < length:
                body += connection.recv(65536)
            url = urlsplit(target)
            call = f"{method} {url.path.rpartition('/')[2]}"
            self.seen.append((call, dict(parse_qsl(url.query or body.decode()))))
            answers = self.answers.get(call, [http(400, b"no such call")])
            (answers.pop(0) if len(answers) > 1 else answers[0])(connection)

    def close(self) -> None:
        self._socket.close()
        for connection in self._connections:
            connection.close()


def _until(connection: socket.socket, end: bytes) -> bytes:
    data = b""
    while end not in data:
        piece = connection.recv(65536)
        if not piece:
            raise OSError("closed")
        data += piece
    return data


def http(status: int, body: bytes, kind: str = "application/json") -> Answer:
    """Answer with a status and a body."""
    head = f"HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return raw(head.encode() + body)


def raw(data: bytes) -> Answer:
    """Answer with these bytes."""
    return lambda connection: connection.sendall(data)


def value(value: Any) -> Answer:
    """Answer with a value."""
    return reply(Value=value)


def reply(number: int = 0, message: str = "", **more: Any) -> Answer:
    """Answer as Alpaca does."""
    return http(200, json.dumps({"ErrorNumber": number, "ErrorMessage": message, **more}).encode())


def hang(seconds: float) -> Answer:
    """Answer nothing for a while, then close."""
    return lambda _: time.sleep(seconds)


def drip(data: bytes, every_s: float) -> Answer:
    """Answer one byte after the other."""

    def answer(connection: socket.socket) -> None:
        for n in range(len(data)):
            connection.sendall(data[n : n + 1])
            time.sleep(every_s)

    return answer


def reset(connection: socket.socket) -> None:
    """Reset the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


@contextlib.contextmanager
def stub() -> Iterator[Stub]:
    server = Stub()
    try:
        yield server
    finally:
        server.close()
