"""A connection of the VOEvent Transport Protocol: packets in, packets out."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from toros.lvcgcn.reception.transport import HEADER

LIMIT_BYTES = 4_000_000
"""The largest packet that is taken."""
_CONNECT_S = 15.0
_PACKET_S = 60.0
_TICK_S = 1.0
_SEND_S = 5.0
_CHUNK_BYTES = 65_536


class Unusable(Exception):
    """The connection can be used no further; says why."""


def connect(address: str, limit_bytes: int = LIMIT_BYTES) -> Connection:
    """Connect to a host and its port.

    Raises
    ------
    OSError
    """
    host, _, port = address.rpartition(":")
    made = socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S)
    return Connection(made, limit_bytes)


class Connection:
    """Carries packets over a socket; one thread receives, several may send.

    Parameters
    ----------
    connected : socket.socket
    limit_bytes : int
        The longest packet that is taken.
    """

    def __init__(self, connected: socket.socket, limit_bytes: int = LIMIT_BYTES) -> None:
        self._socket = connected
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._socket.settimeout(_TICK_S)
        self._limit_bytes = limit_bytes
        self._sending = threading.Lock()
        self._begun = bytearray()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection, also for a thread that waits on it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def send(self, packet: bytes) -> None:
        """Send a packet.

        Raises
        ------
        OSError
            It was not sent, or in part: then the connection is closed.
        """
        with self._sending:
            try:
                deadline = time.monotonic() + _SEND_S
                rest = memoryview(packet)
                while rest:
                    try:
                        rest = rest[self._socket.send(rest) :]
                    except TimeoutError:
                        if time.monotonic() > deadline:
                            raise
            except OSError:
                self.close()
                raise

    def receive(self) -> bytes | None:
        """Return the next packet without its length; None if none begins in a second.

        Memory grows with what has come, not with what is announced.

        Raises
        ------
        OSError
        Unusable
            The packet is too long, or comes too slowly.
        """
        if not self._fill(HEADER.size, None):
            return None
        (length,) = HEADER.unpack_from(self._begun)
        if length > self._limit_bytes:
            raise Unusable(f"a packet of {length} bytes; at most {self._limit_bytes} are taken")
        self._fill(HEADER.size + length, time.monotonic() + _PACKET_S)
        raw = bytes(self._begun[HEADER.size :])
        self._begun.clear()
        return raw

    def _fill(self, length: int, deadline: float | None) -> bool:
        """Read until so many bytes are there; without a deadline False when they pause."""
        while len(self._begun) < length:
            try:
                piece = self._socket.recv(min(length - len(self._begun), _CHUNK_BYTES))
            except TimeoutError:
                if deadline is None:
                    return False
                piece = None
            if piece == b"":
                raise Unusable("the broker has closed the connection")
            if deadline is not None and time.monotonic() > deadline:
                raise Unusable(f"a packet did not come whole within {_PACKET_S:g} s")
            self._begun += piece or b""
        return True
