"""The front desk's door: XML-RPC over HTTP/1.1, a thread for each connection.

What it takes is in `toros.frontdesk.message` (heads), `toros.frontdesk.wire`
(bodies) and `toros.frontdesk.access` (users); `toros.frontdesk.connection`
serves one connection. Here connections are accepted, counted and ended. No lock
is held while a call runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from http import HTTPStatus

from toros.errors import AlreadyRunning, ConfigurationError, TooManyConnections
from toros.frontdesk import message
from toros.frontdesk.access import Access
from toros.frontdesk.connection import Connection, fault
from toros.frontdesk.linger import Closer
from toros.frontdesk.service import Caller, ServerLimits, Service
from toros.frontdesk.wire import Value

__all__ = ["Caller", "FrontDeskServer", "ServerLimits"]

log = logging.getLogger(__name__)

_BACKLOG = 256
# A connection that has waited this long for its next request may be closed for another's sake.
_EVICTABLE_S = 1.0
_PAUSE_S = 0.1
_FAREWELL_S = 1.0


class FrontDeskServer:
    """Answers ``front_desk(work_order)`` on one address.

    Parameters
    ----------
    address : tuple of str and int
        IP address and port; port 0 for a free one.
    front_desk : callable
        Takes the decoded parameter and the `Caller`; returns what can travel.
        A `TorosError` becomes a fault of its code, any other exception an
        `InternalError` whose traceback is in the log.
    page : callable
        Returns the page for a GET, as HTML.
    access : Access
        Who may send.
    limits : ServerLimits
        How much a client may ask for.
    tls : ssl.SSLContext or None
        A server-side context; None for plain HTTP.
    """

    def __init__(
        self,
        address: tuple[str, int],
        front_desk: Callable[[Value, Caller], object],
        page: Callable[[], str],
        access: Access,
        limits: ServerLimits,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if not message.is_loopback(address[0]):
            # The guard is for browsers on this machine; elsewhere users log in.
            limits = dataclasses.replace(limits, allowed_hosts=None)
        self._address = address
        self._service = Service(front_desk, page, access, limits)
        self._tls = tls
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._closer = Closer()
        self._connections: set[Connection] = set()
        self._changed = threading.Condition()
        self._refusal = message.response(
            HTTPStatus.OK,
            "text/xml; charset=utf-8",
            fault(
                TooManyConnections(
                    f"all {limits.connections} connections are in use; try again in some seconds"
                )
            ),
            close=True,
        )

    @property
    def address(self) -> tuple[str, int]:
        """IP address and port; the port that was chosen once it has been started."""
        if self._listener is None:
            return self._address
        host, port = self._listener.getsockname()[:2]
        return str(host), int(port)

    def bind(self) -> None:
        """Bind the address; who calls already is answered from the start on.

        Raises
        ------
        AlreadyRunning
            Something listens there already.
        ConfigurationError
            The address cannot be bound.
        """
        self._listener = self._bind()

    def start(self) -> None:
        """Begin to answer, and bind the address if that has not been done.

        Raises
        ------
        AlreadyRunning, ConfigurationError
            As `bind` says.
        """
        if self._listener is None:
            self.bind()
        assert self._listener is not None
        self._closer.start()
        self._acceptor = threading.Thread(
            target=self._accept, args=(self._listener,), name="front-desk-door", daemon=True
        )
        self._acceptor.start()

    def stop(self, timeout_s: float) -> None:
        """Stop: accept nothing new, end idle connections, let calls that run finish.

        Parameters
        ----------
        timeout_s : float
            How long calls that run may take to finish [s]; then their
            connections are cut.
        """
        deadline_s = time.monotonic() + timeout_s
        self._service.stopping.set()
        if self._listener is None:
            return
        if self._acceptor is None:  # bound, but never started
            self._listener.close()
            return
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._acceptor.join(_FAREWELL_S)
        with self._changed:
            for connection in self._connections:
                if connection.idle_since_s is not None:
                    connection.abort()
            self._changed.wait_for(
                lambda: not self._connections, max(0.0, deadline_s - time.monotonic())
            )
            for connection in self._connections:
                log.warning("a call from %s did not end in time; cut off", connection.address)
                connection.abort()
        self._closer.stop(min(_FAREWELL_S, timeout_s))
        self._listener.close()

    def _bind(self) -> socket.socket:
        host, port = self._address
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            return socket.create_server(self._address, family=family, backlog=_BACKLOG)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            if getattr(error, "errno", None) == errno.EADDRINUSE:
                raise AlreadyRunning(
                    f"{host} port {port}: {reason}; another instance or program listens there"
                ) from None
            raise ConfigurationError(
                f"{host} port {port} cannot be listened on: {reason}; "
                "IP must be an address of this machine, Port a free one"
            ) from None

    def _accept(self, listener: socket.socket) -> None:
        complained = False
        while not self._service.stopping.is_set():
            try:
                sock, peer = listener.accept()
                complained = False
            except OSError as error:
                if self._service.stopping.is_set():
                    return
                if not complained:  # once, not ten times a second
                    log.warning("no connection can be accepted: %s", error)
                complained = True
                self._service.stopping.wait(_PAUSE_S)
                continue
            self._admit(sock, str(peer[0]))

    def _admit(self, sock: socket.socket, address: str) -> None:
        """Give a connection its thread, or refuse it without waiting for it."""
        connection = Connection(sock, address, self._service, self._tls)
        with self._changed:
            room = len(self._connections) < self._service.limits.connections or self._evict()
            if room:
                self._connections.add(connection)
        if not room:
            self._refuse(sock)
            return
        try:
            threading.Thread(
                target=self._serve, args=(connection,), name="front-desk-connection", daemon=True
            ).start()
        except RuntimeError as error:  # the system has no thread left
            log.warning("no thread for a connection from %s: %s", address, error)
            self._leave(connection)

    def _serve(self, connection: Connection) -> None:
        try:
            connection.serve()
        finally:
            self._leave(connection)

    def _leave(self, connection: Connection) -> None:
        self._closer.take(connection.sock)
        with self._changed:
            self._connections.discard(connection)
            self._changed.notify_all()

    def _evict(self) -> bool:
        """Close the connection that has been waiting the longest for its next request."""
        waiting = [
            (since_s, connection)
            for connection in self._connections
            if connection.served and (since_s := connection.idle_since_s) is not None
        ]
        if not waiting:
            return False
        since_s, connection = min(waiting, key=lambda pair: pair[0])
        if time.monotonic() - since_s < _EVICTABLE_S:
            return False
        # Its place is free now; its thread ends as soon as it sees this.
        self._connections.discard(connection)
        connection.abort()
        return True

    def _refuse(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        if self._tls is None:  # without a handshake nothing can be said
            with contextlib.suppress(OSError):
                sock.send(self._refusal)
        self._closer.take(sock)
