"""A connection's bytes under deadlines: a head or a body arrives in time as a whole, or not.

A timeout per read would let a sender of one byte per second hold a connection
for hours. The deadlines are the operating system's, never simulated.
"""

from __future__ import annotations

import socket
import time

from toros.errors import TooLarge, TooSlow, TransportRefused
from toros.frontdesk.message import HEAD_END

_PIECE_BYTES = 1 << 16


class Stream:
    """What a client sends, read piece by piece.

    Parameters
    ----------
    sock : socket
        The connected socket, plain or TLS.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = bytearray()

    def begins_with(self, prefix: bytes) -> bool:
        """Tell whether what is here and not yet taken begins with `prefix`."""
        return self._buffer.startswith(prefix)

    def wait(self, deadline_s: float) -> bool:
        """Wait for the first byte of a message.

        Parameters
        ----------
        deadline_s : float
            Until when, on `time.monotonic` [s].

        Returns
        -------
        bool
            False if the client closed or sent nothing.
        """
        try:
            while True:
                # An empty line before a message is no message (RFC 9112, section 2.2).
                while self._buffer.startswith(b"\r\n"):
                    del self._buffer[:2]
                if self._buffer:
                    return True
                if not self._more(deadline_s):
                    return False
        except TimeoutError:
            return False

    def head(self, limit_bytes: int, deadline_s: float) -> bytes:
        """Read the head of a message, without the empty line at its end.

        Raises
        ------
        TooLarge
            It is longer than `limit_bytes`.
        TooSlow
            It was not there by `deadline_s`.
        TransportRefused
            The client closed before its end, or a line ends in a bare line feed.
        """
        seen = 0
        while True:
            end = self._buffer.find(HEAD_END, max(0, seen - 3))
            head = self._buffer[:end] if end >= 0 else self._buffer
            _refuse_bare_line_feeds(head, max(0, seen - 1))
            if len(head) > limit_bytes:
                raise TooLarge(f"the head is longer than {limit_bytes} bytes")
            if end >= 0:
                taken = bytes(head)
                del self._buffer[: end + len(HEAD_END)]
                return taken
            seen = len(self._buffer)
            self._need(deadline_s, "head")

    def body(self, length: int, deadline_s: float) -> bytes:
        """Read a body of `length` bytes.

        Raises
        ------
        TooSlow
            It was not there by `deadline_s`.
        TransportRefused
            The client closed before its end.
        """
        while len(self._buffer) < length:
            self._need(deadline_s, f"body of {length} bytes")
        taken = bytes(memoryview(self._buffer)[:length])
        del self._buffer[:length]
        return taken

    def send(self, data: bytes, timeout_s: float) -> None:
        """Send `data` as a whole within `timeout_s` seconds.

        Raises
        ------
        OSError
            The client is gone, or does not read.
        """
        self.sock.settimeout(timeout_s)
        self.sock.sendall(data)

    def _need(self, deadline_s: float, what: str) -> None:
        try:
            if not self._more(deadline_s):
                raise TransportRefused(f"the {what} broke off after {len(self._buffer)} bytes")
        except TimeoutError:
            raise TooSlow(f"the {what} did not arrive in time as a whole") from None

    def _more(self, deadline_s: float) -> bool:
        remaining_s = deadline_s - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError
        self.sock.settimeout(remaining_s)
        piece = self.sock.recv(_PIECE_BYTES)
        self._buffer += piece
        return bool(piece)


def _refuse_bare_line_feeds(head: bytearray, begin: int) -> None:
    """Refuse at once what would otherwise wait for an end that never comes."""
    at = head.find(b"\n", begin)
    while at >= 0:
        if at == 0 or head[at - 1] != 0x0D:
            raise TransportRefused("a line of the head ends in a bare line feed, not in CR LF")
        at = head.find(b"\n", at + 1)
