"""One http(s) connection to one checked address, with deadlines that hold.

`http.client` speaks the protocol; this gives it a socket that is connected to
an address that was checked before (nothing resolves the name a second time), that can
be interrupted, and that gives up on a sender that drips.
"""

from __future__ import annotations

import http.client
import io
import os
import select
import socket
import ssl
import time
from collections.abc import Callable

from toros.errors import SourceUnreachable, TorosError
from toros.preprocessor.sources.addresses import Endpoint
from toros.preprocessor.sources.places import HttpUrl
from toros.preprocessor.sources.watch import SLICE_S, Watch

#: The least speed [byte/s], averaged over the time limit, of a body.
LEAST_SPEED = 1000.0
_BUFFER_BYTES = 64 << 10


class TransientError(Exception):
    """What another attempt may mend.

    Parameters
    ----------
    final : TorosError
        The error, if none does.
    """

    def __init__(self, final: TorosError) -> None:
        super().__init__(final.message)
        self.final = final


def _transient(message: str) -> TransientError:
    return TransientError(SourceUnreachable(message))


class Pace:
    """Gives up when too little arrives.

    Parameters
    ----------
    label : str
        Who sends, for messages.
    timeout_s : float
        The length [s] of the window in which `LEAST_SPEED` must be kept.
    """

    def __init__(self, label: str, timeout_s: float) -> None:
        self.label, self._timeout_s = label, timeout_s
        self._since, self._credit = time.monotonic(), 0

    def credit(self, size: int) -> None:
        """Count bytes of the body."""
        self._credit += size

    def check(self) -> None:
        """Give up if the window is over and too little came.

        Raises
        ------
        TransientError
        """
        if time.monotonic() - self._since < self._timeout_s:
            return
        if self._credit < LEAST_SPEED * self._timeout_s:
            raise _transient(
                f"{self.label} sent {self._credit} bytes of content within {self._timeout_s:g} s"
                " (Preprocessor / Sources / Timeout (s))"
            )
        self._since, self._credit = time.monotonic(), 0


class _Socket:
    """What `http.client` needs of a socket."""

    def __init__(self, raw: socket.socket, watch: Watch, pace: Pace) -> None:
        self._raw, self._watch, self._pace = raw, watch, pace

    def sendall(self, content: bytes) -> None:
        try:  # a request is smaller than any socket's buffer, so that this does not block
            self._raw.sendall(content)
        except OSError as error:
            raise _transient(f"{self._pace.label}: {_text(error)}") from error

    def makefile(self, mode: str) -> io.BufferedReader:
        del mode  # always "rb"
        return io.BufferedReader(_Reader(self._raw, self._watch, self._pace), _BUFFER_BYTES)

    def close(self) -> None:
        """Do nothing: whoever connected closes, after the body was read."""


class _Reader(io.RawIOBase):
    def __init__(self, raw: socket.socket, watch: Watch, pace: Pace) -> None:
        self._raw, self._watch, self._pace = raw, watch, pace

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while True:
            self._watch.check()
            self._pace.check()
            try:
                return self._raw.recv_into(buffer)
            except (TimeoutError, ssl.SSLWantReadError):
                continue
            except OSError as error:
                raise _transient(f"{self._pace.label}: {_text(error)}") from error


class Connection(http.client.HTTPConnection):
    """An http(s) connection to a checked address.

    Parameters
    ----------
    url : HttpUrl
    endpoints : list of Endpoint
        The checked addresses of its host, tried in this order.
    context : ssl.SSLContext
    watch : Watch
    timeout_s : float
        For connecting, for TLS, and the window of `Pace` [s].
    """

    def __init__(
        self,
        url: HttpUrl,
        endpoints: list[Endpoint],
        context: ssl.SSLContext,
        watch: Watch,
        timeout_s: float,
    ) -> None:
        super().__init__(url.host, url.port)
        self.default_port = 443 if url.scheme == "https" else 80
        self._url, self._endpoints, self._context = url, endpoints, context
        self._watch, self._timeout_s = watch, timeout_s
        self._raw: socket.socket | None = None
        self.pace = Pace(url.shown, timeout_s)

    def connect(self) -> None:
        """Connect to the first of the addresses that answers.

        Raises
        ------
        TransientError, SourceUnreachable, Stopping
        """
        problem = "it has no address"
        for endpoint in self._endpoints:
            try:
                self._raw = self._connect_to(endpoint)
                break
            except OSError as error:
                problem = _text(error)
        else:
            raise _transient(f"{self._url.shown}: no connection: {problem}")
        if self._url.scheme == "https":
            self._raw = self._secured(self._raw)
        self._raw.settimeout(SLICE_S)
        self.pace = Pace(self._url.shown, self._timeout_s)
        self.sock = _Socket(self._raw, self._watch, self.pace)

    def _connect_to(self, endpoint: Endpoint) -> socket.socket:
        raw = socket.socket(endpoint.family, socket.SOCK_STREAM)
        try:
            raw.setblocking(False)
            raw.connect_ex(endpoint.address)
            poll = select.poll()
            poll.register(raw, select.POLLOUT)
            self._until(lambda: bool(poll.poll(SLICE_S * 1000)))
            _raise_pending(raw)
        except BaseException:
            raw.close()
            raise
        return raw

    def _secured(self, raw: socket.socket) -> ssl.SSLSocket:
        raw.settimeout(SLICE_S)

        def shake_hands() -> bool:
            try:
                secured.do_handshake()
            except (TimeoutError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return False
            return True

        try:
            secured = self._context.wrap_socket(
                raw, server_hostname=self._url.host, do_handshake_on_connect=False
            )
            self._raw = secured
            self._until(shake_hands)
        except ssl.SSLCertVerificationError as error:
            raise SourceUnreachable(
                f"{self._url.shown}: its certificate is not trusted: {error.verify_message}"
            ) from error
        except OSError as error:
            raise _transient(f"{self._url.shown}: TLS failed: {_text(error)}") from error
        return secured

    def _until(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + self._timeout_s
        while not done():
            self._watch.check()
            if time.monotonic() > end:
                raise TimeoutError(f"no answer within {self._timeout_s:g} s")

    def close(self) -> None:
        """Close what `http.client` holds, but not yet the socket."""
        super().close()

    def shut(self) -> None:
        """Close the socket."""
        self.close()
        if self._raw is not None:
            self._raw.close()
            self._raw = None


def _raise_pending(raw: socket.socket) -> None:
    if code := raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(code, os.strerror(code))
    raw.getpeername()  # raises if it is not connected after all


def _text(error: OSError) -> str:
    return error.strerror or str(error)
