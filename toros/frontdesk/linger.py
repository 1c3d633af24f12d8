"""Closing a connection so that the client still reads the last answer.

A socket that is closed while something of the client lies unread is reset, and
the reset destroys the answer before the client sees it; the client of the
standard library then even sends its call again. So the sending side is closed
first, and what still comes is thrown away: for a bounded time, up to a bounded
amount, for a bounded number of sockets, in one thread for all.

References
----------
RFC 9112, section 9.6, Tear-down.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
import time
from collections import deque

_LONGEST_S = 10.0
_MOST_BYTES = 256 << 20
_MOST_SOCKETS = 256
_PIECE_BYTES = 1 << 18
_TICK_S = 0.5


class Closer:
    """The thread that sees connections off."""

    def __init__(self) -> None:
        self._arrived: deque[socket.socket] = deque()
        self._count = 0
        self._lock = threading.Lock()
        self._stop_at_s: float | None = None
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake_out, selectors.EVENT_READ)
        self._waste = bytearray(_PIECE_BYTES)
        self._thread = threading.Thread(target=self._run, name="front-desk-closer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def take(self, sock: socket.socket) -> None:
        """Close a socket in the right way; it is not the caller's any more."""
        try:
            sock.setblocking(False)
            if isinstance(sock, ssl.SSLSocket):
                # Says goodbye; the peer's goodbye is not waited for.
                with contextlib.suppress(OSError, ValueError):
                    sock.unwrap()
                sock = socket.socket(fileno=sock.detach())
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            sock.close()
            return
        with self._lock:
            full = self._count >= _MOST_SOCKETS or self._stop_at_s is not None
            if not full:
                self._count += 1
                self._arrived.append(sock)
        if full:
            sock.close()
        else:
            self._wake()

    def stop(self, timeout_s: float) -> None:
        """End the thread when the last client has closed, or after `timeout_s` seconds."""
        with self._lock:
            self._stop_at_s = time.monotonic() + timeout_s
        self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout_s + _TICK_S)

    def _wake(self) -> None:
        # A full buffer means that the thread has been woken already.
        with contextlib.suppress(OSError):
            self._wake_in.send(b"\0")

    def _run(self) -> None:
        leaving: dict[socket.socket, tuple[float, int]] = {}  # since when [s], bytes so far
        while True:
            events = self._selector.select(_TICK_S if leaving else None)
            for key, _ in events:
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                if sock is self._wake_out:
                    self._drain_wakes()
                    self._welcome(leaving)
                elif not self._waste_from(sock, leaving):
                    self._drop(sock, leaving)
            now = time.monotonic()
            for sock, (since_s, _) in list(leaving.items()):
                if now - since_s > _LONGEST_S:
                    self._drop(sock, leaving)
            with self._lock:
                stop_at_s, waiting = self._stop_at_s, self._count
            if stop_at_s is not None and (not waiting or now >= stop_at_s):
                break
        for sock in list(leaving):
            self._drop(sock, leaving)
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def _drain_wakes(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_out.recv(4096)

    def _welcome(self, leaving: dict[socket.socket, tuple[float, int]]) -> None:
        while self._arrived:
            sock = self._arrived.popleft()
            self._selector.register(sock, selectors.EVENT_READ)
            leaving[sock] = (time.monotonic(), 0)

    def _waste_from(
        self, sock: socket.socket, leaving: dict[socket.socket, tuple[float, int]]
    ) -> bool:
        """Throw away what is there; False when that was the end."""
        try:
            count = sock.recv_into(self._waste)
        except BlockingIOError:
            return True
        except OSError:
            return False
        since_s, so_far = leaving[sock]
        leaving[sock] = (since_s, so_far + count)
        return count > 0 and so_far + count <= _MOST_BYTES

    def _drop(self, sock: socket.socket, leaving: dict[socket.socket, tuple[float, int]]) -> None:
        del leaving[sock]
        self._selector.unregister(sock)
        sock.close()
        with self._lock:
            self._count -= 1
