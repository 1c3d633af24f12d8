"""The Python client of a front desk.

Examples
--------
>>> from toros.client import FrontDesk
>>> desk = FrontDesk("http://127.0.0.1:8080")          # doctest: +SKIP
>>> receipt = desk.submit("calibrate_file_batch", url="/data/2019-03-05")  # doctest: +SKIP
>>> done = desk.wait(receipt["id"])                    # doctest: +SKIP
>>> done["result"]["products"]                         # doctest: +SKIP
24
"""

from __future__ import annotations

import base64
import http.client
import math
import ssl
import time
import uuid
import xmlrpc.client
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from xml.parsers.expat import ExpatError

from toros import clock
from toros.errors import (
    AuthenticationFailed,
    DatabaseUnavailable,
    InvalidField,
    MalformedMessage,
    OrderCancelled,
    ServiceUnreachable,
    Stopping,
    TooManyConnections,
    WaitTimeout,
    from_code,
)

# What says nothing about the order that is asked for.
_AWAY = (ServiceUnreachable, DatabaseUnavailable, Stopping, TooManyConnections)
_INT_LIMIT = 2**31
_FIRST_POLL_S = 0.1
_LAST_POLL_S = 2.0


class FrontDesk:
    """One daemon's front desk, seen from outside.

    Parameters
    ----------
    url : str
        The daemon's address, such as ``http://127.0.0.1:8080``.
    user, password : str, optional
        Sent as HTTP Basic; over plain http only to this machine, please.
    timeout_s : float
        How long one call may take [s].
    tls : ssl.SSLContext, optional
        For https; by default the machine's certificates are trusted.
    """

    def __init__(
        self,
        url: str,
        user: str | None = None,
        password: str | None = None,
        timeout_s: float = 10.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidField(f"url: got {url!r}; a front desk's address is http://HOST:PORT")
        self.url = url
        self._shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        headers = []
        if user is not None:
            token = base64.b64encode(f"{user}:{password or ''}".encode()).decode("ascii")
            headers.append(("Authorization", f"Basic {token}"))
        self._transport = (
            _SecureTransport(timeout_s, headers, tls)
            if parts.scheme == "https"
            else _Transport(timeout_s, headers)
        )

    def submit(self, request: str, **fields: Any) -> dict[str, Any]:
        """Send a work order.

        Parameters
        ----------
        request : str
            The request's name.
        **fields
            The order's other keys. ``id`` is made up when absent; give one of your
            own to be able to send the same order again after a lost answer.

        Returns
        -------
        dict
            The receipt {id, request, status, message, warnings}; of an immediate
            request its result.

        Raises
        ------
        TorosError
            Of the class that the daemon raised.
        ServiceUnreachable
            The daemon does not answer.
        """
        order = {"request": request, **fields}
        if order.get("id") is None:
            order["id"] = uuid.uuid4().hex
        return self.send(order)

    def status(self, order: str | None = None, order_user: str | None = None) -> dict[str, Any]:
        """Ask for the daemon's state or, with `order`, for that order's.

        Raises
        ------
        OrderNotFound, ServiceUnreachable
        """
        return self.submit("status", order=order, order_user=order_user)

    def cancel(self, order: str, order_user: str | None = None) -> dict[str, Any]:
        """Cancel an order; return its state.

        Raises
        ------
        OrderNotFound, NotCancellable, ServiceUnreachable
        """
        return self.submit("cancel_order", order=order, order_user=order_user)

    def wait(
        self,
        order: str,
        timeout_s: float | None = None,
        on_progress: Callable[[dict[str, Any]], None] | None = None,
        order_user: str | None = None,
    ) -> dict[str, Any]:
        """Wait until an order has ended.

        A daemon that does not answer for a while, or that cannot tell since it goes
        down or its database is away, is asked again until the time is over.

        Parameters
        ----------
        order : str
            The order's id.
        timeout_s : float, optional
            How long to wait at the most [s]; without it, until the end.
        on_progress : callable, optional
            Called with each status that was read.
        order_user : str, optional
            Whose order it is, where two users have used the same id.

        Returns
        -------
        dict
            The status of the order that is done, its ``result`` included.

        Raises
        ------
        WaitTimeout
            The order had not ended in time; it goes on.
        ServiceUnreachable, DatabaseUnavailable, Stopping, TooManyConnections
            The daemon could not tell, either at first or when the time was over.
        TorosError
            The order failed or was cancelled; of the class that ended it. Its
            attribute ``status`` holds the order's last status, result included.
        """
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        pause, answered = _FIRST_POLL_S, False
        while True:
            try:
                told = self.status(order, order_user)
            except _AWAY:
                if not answered or time.monotonic() > deadline:
                    raise
            else:
                answered = True
                if on_progress is not None:
                    on_progress(told)
                if told["status"] not in ("queued", "running"):
                    return _ended(told)
            if time.monotonic() + pause > deadline:
                raise WaitTimeout(f"order {order!r} had not ended after {timeout_s:g} s")
            time.sleep(pause)
            pause = min(pause * 1.5, _LAST_POLL_S)

    def send(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Send a work order as it stands and return the answer.

        Raises
        ------
        TorosError, ServiceUnreachable
        """
        # A proxy is made for each call: it keeps no state but the transport's connection.
        proxy = xmlrpc.client.ServerProxy(self.url, transport=self._transport, allow_none=True)
        try:
            answer = proxy.front_desk(_travelling(order, "work_order"))
        except xmlrpc.client.Fault as fault:
            raise from_code(fault.faultCode, fault.faultString) from None
        except xmlrpc.client.ProtocolError as error:
            self._transport.close()
            if error.errcode == http.HTTPStatus.UNAUTHORIZED:
                raise AuthenticationFailed(f"{self._shown}: {error.errmsg}") from None
            refusal = f"HTTP {error.errcode} {error.errmsg}"
            raise ServiceUnreachable(f"{self._shown}: {refusal}") from None
        except (OSError, http.client.HTTPException) as error:
            self._transport.close()
            reason = "no answer in time" if isinstance(error, TimeoutError) else str(error)
            raise ServiceUnreachable(f"{self._shown}: {reason or type(error).__name__}") from error
        except (xmlrpc.client.ResponseError, ExpatError, ValueError) as error:
            self._transport.close()
            raise MalformedMessage(f"{self._shown}: the answer is no XML-RPC: {error}") from error
        if not isinstance(answer, dict):
            raise MalformedMessage(f"{self._shown}: the answer is no dictionary")
        return answer


def _ended(told: dict[str, Any]) -> dict[str, Any]:
    if told["status"] == "done":
        return told
    code = told["code"] if told["code"] is not None else OrderCancelled.code
    error = from_code(int(code), str(told["message"]))
    error.status = told
    raise error


def _travelling(value: Any, where: str) -> Any:
    """Make a value fit for XML-RPC, or say which one is not."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if -_INT_LIMIT <= value < _INT_LIMIT else str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidField(f"{where}: {value} cannot travel; leave the key out instead")
        return float(value)  # numpy's is one, and does not travel
    if isinstance(value, str):
        bad = [c for c in value if (c < " " and c not in "\t\n\r") or "\ud800" <= c <= "\udfff"]
        if bad:
            raise InvalidField(f"{where}: the character {bad[0]!r} cannot travel in XML")
        return value
    if isinstance(value, Mapping):
        return {str(key): _travelling(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_travelling(item, f"{where}[{n}]") for n, item in enumerate(value)]
    if isinstance(value, datetime):
        return clock.to_iso(value)
    raise InvalidField(f"{where}: a {type(value).__name__} cannot travel")


class _Transport(xmlrpc.client.Transport):
    """XML-RPC over http with a timeout."""

    def __init__(self, timeout_s: float, headers: list[tuple[str, str]]) -> None:
        super().__init__(headers=headers)
        self._timeout_s = timeout_s
        self.user_agent = "toros-client"

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        """Open or reuse the connection."""
        if self._connection and host == self._connection[0]:
            kept = self._connection[1]
            assert kept is not None
            return kept
        chost, self._extra_headers, _ = self.get_host_info(host)
        connection = http.client.HTTPConnection(chost, timeout=self._timeout_s)
        self._connection = host, connection
        return connection


class _SecureTransport(xmlrpc.client.SafeTransport):
    """XML-RPC over https with a timeout."""

    def __init__(
        self, timeout_s: float, headers: list[tuple[str, str]], tls: ssl.SSLContext | None
    ) -> None:
        super().__init__(headers=headers, context=tls)
        self._timeout_s = timeout_s
        self.user_agent = "toros-client"

    def make_connection(self, host: Any) -> http.client.HTTPSConnection:
        """Open or reuse the connection."""
        connection = super().make_connection(host)
        connection.timeout = self._timeout_s
        return connection
