"""One connection to the front desk: request after request, until one side has enough."""

from __future__ import annotations

import contextlib
import logging
import secrets
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from toros import errors
from toros.errors import MalformedMessage, TorosError, TransportRefused
from toros.frontdesk import message, wire
from toros.frontdesk.message import Head
from toros.frontdesk.service import Caller, Service
from toros.frontdesk.stream import Stream
from toros.frontdesk.wire import Value

log = logging.getLogger(__name__)

METHOD = "front_desk"
PATHS = ("/", "/RPC2")

_XML = "text/xml; charset=utf-8"
_PLAIN = "text/plain; charset=utf-8"
_HTML = "text/html; charset=utf-8"
_PAGE_FIELDS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="TOROS", charset="UTF-8"'}
_STATUS: dict[type[TorosError], HTTPStatus] = {
    errors.AuthenticationFailed: HTTPStatus.UNAUTHORIZED,
    errors.TooManyAttempts: HTTPStatus.TOO_MANY_REQUESTS,
    errors.TransportRefused: HTTPStatus.FORBIDDEN,
    errors.InternalError: HTTPStatus.INTERNAL_SERVER_ERROR,
}
# Bodies over this size are read and decoded by a few connections at a time only.
_LARGE_BYTES = 1 << 18


@dataclass(frozen=True)
class _Reply:
    status: HTTPStatus
    kind: str
    body: bytes
    close: bool = False
    extra: Mapping[str, str] = field(default_factory=dict)


def internal_error(defect: Exception, what: str) -> errors.InternalError:
    """Log a defect under a new tag; return the error that names the tag only."""
    tag = secrets.token_hex(4)
    log.error("internal error [%s] in %s", tag, what, exc_info=defect)
    return errors.InternalError(f"internal error [{tag}]")


def fault(error: TorosError) -> bytes:
    """Encode an error as the body of an XML-RPC fault."""
    return wire.encode_fault(error.code, error.message)


class Connection:
    """One connection and the thread that serves it.

    Parameters
    ----------
    sock : socket
        The accepted socket.
    address : str
        The IP address of the client.
    service : Service
        What it is connected to.
    tls : ssl.SSLContext or None
        With what to encrypt it.
    """

    def __init__(
        self, sock: socket.socket, address: str, service: Service, tls: ssl.SSLContext | None
    ) -> None:
        self.sock = sock
        self.address = address
        self.idle_since_s: float | None = None
        self.served = 0
        self._service = service
        self._limits = service.limits
        self._tls = tls
        self._stream = Stream(sock)

    def abort(self) -> None:
        """End it from another thread, at once."""
        # Not SSLSocket.shutdown: that would let the serving thread go on in plain text.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def serve(self) -> None:
        """Answer requests until the client or the server closes."""
        deadline_s = time.monotonic() + self._limits.read_timeout_s
        try:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                self._encrypt(self._tls)
            while self._wait(deadline_s) and self._exchange():
                deadline_s = time.monotonic() + self._limits.idle_timeout_s
        except OSError as error:
            log.debug("the connection from %s broke: %a", self.address, error)
        except Exception as defect:  # noqa: BLE001 - logged; one connection must not end the daemon
            internal_error(defect, "a connection")

    def _encrypt(self, tls: ssl.SSLContext) -> None:
        self.sock.settimeout(self._limits.read_timeout_s)
        self.sock = tls.wrap_socket(self.sock, server_side=True, do_handshake_on_connect=False)
        self._stream = Stream(self.sock)
        self.sock.do_handshake()  # its timeout is for the handshake as a whole

    def _wait(self, deadline_s: float) -> bool:
        self.idle_since_s = time.monotonic()
        # Only after it counts as idle: the stop either sees that, or is seen here.
        if self._service.stopping.is_set():
            return False
        arrived = self._stream.wait(deadline_s)
        self.idle_since_s = None
        return arrived

    def _exchange(self) -> bool:
        """Read a request and answer it; False when the connection is to end."""
        begin_s = time.monotonic()
        what, with_body = "?", True
        raw = b""
        try:
            raw = self._stream.head(self._limits.head_bytes, begin_s + self._limits.read_timeout_s)
            head = message.parse_head(raw)
        except TorosError as error:
            reply = self._unparsable(error)
        else:
            what, with_body = f"{head.method} {head.target}", head.method != "HEAD"
            reply = self._answer(head)
        close = reply.close or self._service.stopping.is_set()
        data = message.response(
            reply.status,
            reply.kind,
            reply.body,
            close=close,
            extra=reply.extra,
            with_body=with_body,
        )
        self._stream.send(data, self._limits.read_timeout_s)
        self.served += 1
        if log.isEnabledFor(logging.DEBUG):
            spent_ms = 1e3 * (time.monotonic() - begin_s)
            log.debug("%s %a: %d in %.1f ms", self.address, what, reply.status, spent_ms)
        return not close

    def _unparsable(self, error: TorosError) -> _Reply:
        """Answer a head that is none; a call that is merely long or slow gets its fault."""
        call = isinstance(error, errors.TooSlow | errors.TooLarge) and self._stream.begins_with(
            b"POST "
        )
        status = HTTPStatus.OK if call else HTTPStatus.BAD_REQUEST
        return _Reply(status, _XML, fault(error), close=True)

    def _answer(self, head: Head) -> _Reply:
        if head.method == "POST":
            return self._call(head)
        try:
            message.check_origin(head, self._limits.allowed_hosts)
            self._service.access.authenticate(head.one("authorization"), self.address)
            return self._page(head)
        except TorosError as error:
            refusal = error
        except Exception as defect:  # noqa: BLE001 - logged; a defect of the page is an answer
            refusal = internal_error(defect, "the page")
        status = _STATUS.get(type(refusal), HTTPStatus.BAD_REQUEST)
        extra = _CHALLENGE if status == HTTPStatus.UNAUTHORIZED else {}
        return _Reply(status, _PLAIN, f"{refusal.message}\n".encode(), close=True, extra=extra)

    def _page(self, head: Head) -> _Reply:
        if head.method not in ("GET", "HEAD"):
            status, extra = HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "GET, HEAD, POST"}
            text = f"this address takes calls of {METHOD} by POST, and GET\n"
            return _Reply(status, _PLAIN, text.encode(), close=True, extra=extra)
        if (
            head.fields.get("content-length", ("0",)) != ("0",)
            or "transfer-encoding" in head.fields
        ):
            return _Reply(HTTPStatus.BAD_REQUEST, _PLAIN, b"a GET has no body\n", close=True)
        close = not head.keeps_alive
        if head.target != "/":
            return _Reply(HTTPStatus.NOT_FOUND, _PLAIN, b"there is one page, /\n", close=close)
        body = self._service.page().encode("utf-8", "backslashreplace")
        return _Reply(HTTPStatus.OK, _HTML, body, close=close, extra=_PAGE_FIELDS)

    def _call(self, head: Head) -> _Reply:
        """Answer a POST: with a result, or with a fault whatever goes wrong."""
        taken = False  # whether the body has been read; if not, the connection must end
        status = HTTPStatus.OK
        try:
            user, length = self._admit(head)
            with self._room_for(length):
                if length:
                    self._invite(head)
                body = self._stream.body(length, time.monotonic() + self._limits.read_timeout_s)
                taken = True
                method, parameters = wire.decode_call(body, self._limits.wire)
                del body
            order = _work_order(method, parameters)
            self._refuse_if_stopping()
            result = self._service.front_desk(order, Caller(user, self.address))
            answer = wire.encode_result(result)
        except errors.AuthenticationFailed as error:
            answer = fault(error)
            status = HTTPStatus.OK if taken else HTTPStatus.UNAUTHORIZED
        except TorosError as error:
            answer = fault(error)
        except Exception as defect:
            if isinstance(defect, OSError) and not taken:
                raise  # the connection itself broke
            answer = fault(internal_error(defect, METHOD))
        extra = _CHALLENGE if status == HTTPStatus.UNAUTHORIZED else {}
        return _Reply(status, _XML, answer, close=not taken or not head.keeps_alive, extra=extra)

    def _admit(self, head: Head) -> tuple[str | None, int]:
        """Check all that the head says, before anything of the body is read."""
        if head.target not in PATHS:
            raise TransportRefused(f"calls go to {' or '.join(PATHS)}, not to {head.target[:80]!a}")
        message.check_origin(head, self._limits.allowed_hosts)
        length = message.body_length(head, self._limits.body_bytes)
        user = self._service.access.authenticate(head.one("authorization"), self.address)
        return user, length

    def _refuse_if_stopping(self) -> None:
        if self._service.stopping.is_set():
            raise errors.Stopping("the daemon is going down; send the order again later")

    @contextlib.contextmanager
    def _room_for(self, length: int) -> Iterator[None]:
        """Wait for room in memory for a body of `length` bytes, and its decoded values."""
        if length <= _LARGE_BYTES:
            yield
            return
        if not self._service.large.acquire(timeout=self._limits.read_timeout_s):
            raise errors.Busy("too many large calls at once; send the order again in a minute")
        try:
            yield
        finally:
            self._service.large.release()

    def _invite(self, head: Head) -> None:
        """Tell a client that asked first that its body is welcome."""
        expected = head.tokens("expect")
        if not expected or head.minor == 0:
            return
        if expected != {"100-continue"}:
            raise TransportRefused("the only Expect that is met is 100-continue")
        self._stream.send(b"HTTP/1.1 100 Continue\r\n\r\n", self._limits.read_timeout_s)


def _work_order(method: str, parameters: list[Value]) -> Value:
    """Check that a call is ``front_desk(work_order)``; return the work order."""
    if method != METHOD:
        raise MalformedMessage(
            f"there is no method {method[:80]!a}; the only one is {METHOD}(work_order)"
        )
    if len(parameters) != 1:
        raise MalformedMessage(
            f"{METHOD} takes exactly one parameter, the work order; {len(parameters)} were sent"
        )
    return parameters[0]
