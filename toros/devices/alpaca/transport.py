"""How a device's calls reach its Alpaca server: each on a connection of its own.

alpyca knows the properties and methods of Alpaca's devices; its transport holds
one lock for all devices during each call and downloads images without a
timeout. `speak` gives alpyca's devices this transport instead. It shares
nothing between calls, so that none waits for another, and none meets a
connection that the server has closed meanwhile.

A question (GET) that is not answered is asked again. A command (PUT) that was
sent is not sent again: it may have been carried out.
"""

from __future__ import annotations

import itertools
import logging
import random
import time
from collections.abc import Callable, Mapping
from http.client import HTTPResponse, IncompleteRead
from typing import Any, TypeVar
from urllib.parse import urlencode

from toros.config.hardware import Device
from toros.devices.alpaca.line import TROUBLE, Line, Server
from toros.devices.alpaca.replies import error_of, error_of_status, parse, shown
from toros.errors import DeviceError, DeviceFault, DeviceNonsense, DeviceTimeout, DeviceUnreachable

_log = logging.getLogger(__name__)

T = TypeVar("T")

REPLY_LIMIT = 1 << 20
"""The longest reply that is no image [bytes]."""

_client_id = random.randint(1, 65535)  # noqa: S311  a name in the server's log, no secret
_transactions = itertools.count(1)


class Transport:
    """The way to one device.

    Parameters
    ----------
    settings : Device
        Address, number, timeout and retries.
    device_type : str
        Alpaca's name of its kind, in lower case.
    name : str
        What messages call it.
    hurried : bool
        All attempts together take no longer than one timeout, because the caller has
        something better to do than to wait.
    """

    def __init__(
        self, settings: Device, device_type: str, name: str, *, hurried: bool = False
    ) -> None:
        if settings.address is None:
            raise ValueError("an Alpaca device needs the address of its server")
        self.name = name
        self.number = settings.device_number
        self.address = settings.address
        self._server = Server(settings.address)
        self._path = f"/api/v1/{device_type}/{settings.device_number}"
        self._timeout_s = settings.timeout_s
        self._retries = settings.retries
        self._hurried = hurried

    def get(self, attribute: str, _tmo: float = 0, **fields: object) -> Any:
        """Ask for a value. The signature is that of alpyca's ``Device._get``.

        Raises
        ------
        DeviceError
            The class says why there is no value.
        """
        call = f"{self.name}: {attribute}"

        def attempt(deadline: float) -> Any:
            reply = self._exchange(Line(deadline), "GET", attribute, fields)
            if "Value" not in reply:
                raise _Failed(DeviceNonsense(f"{call}: the answer has no value"), again=True)
            return reply["Value"]

        return self._repeat(attempt, self._timeout_s if self._hurried else None)

    def put(self, attribute: str, _tmo: float = 0, **fields: object) -> dict[str, Any]:
        """Send a command. The signature is that of alpyca's ``Device._put``.

        Only where the server could not be connected to, so that nothing was sent, is it tried
        again.

        Raises
        ------
        DeviceError
            The class says why it was not carried out; with `DeviceTimeout`,
            `DeviceUnreachable` and `DeviceNonsense` it may have been.
        """
        return self._repeat(
            lambda deadline: self._exchange(Line(deadline), "PUT", attribute, fields),
            self._timeout_s,
        )

    def download(
        self,
        attribute: str,
        accept: str,
        read: Callable[[HTTPResponse], T],
        pulse: Callable[[], None],
    ) -> T:
        """Ask for something large, and read it while it arrives.

        A silence as long as the timeout ends it.

        Parameters
        ----------
        attribute : str
        accept : str
            The Accept header.
        read : callable
            Reads the reply's body; raises a `DeviceError` where it is wrong.
        pulse : callable
            Called at least twice a second; what it raises ends the download.

        Raises
        ------
        DeviceError
            The class says why there is nothing.
        """

        def attempt(deadline: float) -> T:
            line = Line(deadline, self._timeout_s, pulse)
            try:
                return self._send(line, "GET", attribute, {}, {"Accept": accept}, read)
            except _Failed as failed:
                # Whoever was silent for a whole timeout is not asked to send it all again.
                failed.again = failed.again and not isinstance(failed.error, DeviceTimeout)
                raise

        return self._repeat(attempt, None)

    def _repeat(self, attempt: Callable[[float], T], limit_s: float | None) -> T:
        """Try until it works, the retries are used up, or `limit_s` seconds have passed."""
        begun = time.monotonic()
        number = 0
        while True:
            end = time.monotonic() + self._timeout_s
            try:
                return attempt(end if limit_s is None else min(end, begun + limit_s))
            except _Failed as failed:
                pause = min(0.1 * 2**number, 1.0)
                over = limit_s is not None and time.monotonic() + pause >= begun + limit_s
                if not failed.again or number == self._retries or over:
                    raise failed.error from failed.__cause__
                _log.info("%s; trying again", failed.error)
            time.sleep(pause)
            number += 1

    def _exchange(
        self, line: Line, method: str, attribute: str, fields: Mapping[str, object]
    ) -> dict[str, Any]:
        call = f"{self.name}: {attribute}"

        def read(reply: HTTPResponse) -> dict[str, Any]:
            body = reply.read(REPLY_LIMIT + 1)
            if len(body) > REPLY_LIMIT:
                raise DeviceNonsense(f"{call}: the answer is longer than {REPLY_LIMIT} bytes")
            return parse(call, body)

        value = self._send(line, method, attribute, fields, {}, read)
        if error := error_of(call, value["ErrorNumber"], value.get("ErrorMessage")):
            raise error
        return value

    def _send(
        self,
        line: Line,
        method: str,
        attribute: str,
        fields: Mapping[str, object],
        headers: Mapping[str, str],
        read: Callable[[HTTPResponse], T],
    ) -> T:
        """Exchange once; raise `_Failed` for what is no answer of the device."""
        call = f"{self.name}: {attribute}"
        query = urlencode(
            {**fields, "ClientID": _client_id, "ClientTransactionID": next(_transactions)}
        )
        path, body = f"{self._path}/{attribute}", None
        if method == "PUT":
            body = query
            headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
        else:
            path = f"{path}?{query}"
        again = method == "GET"
        try:
            with self._server.exchange(line, method, path, body, headers) as reply:
                if reply.status != 200:
                    said = reply.read(400).decode("utf-8", "replace")
                    error = error_of_status(call, reply.status, said)
                    raise _Failed(error, again=again and isinstance(error, DeviceFault))
                return read(reply)
        except TROUBLE as error:
            if line.pulsing:
                raise
            trouble = self._trouble(call, method, line, error)
            raise _Failed(trouble, again=again or not line.sent) from error
        except DeviceNonsense as error:
            raise _Failed(error, again=again) from None

    def _trouble(self, call: str, method: str, line: Line, error: Exception) -> DeviceError:
        done = "; it may have been carried out" if method == "PUT" and line.sent else ""
        if isinstance(error, TimeoutError):
            verb = "answered" if line.sent else "connected"
            return DeviceTimeout(f"{call}: not {verb} within {self._timeout_s:g} s{done}")
        if not line.sent:
            why = shown(str(error))
            return DeviceUnreachable(f"{call}: {self.address} cannot be reached ({why})")
        if isinstance(error, OSError | IncompleteRead):
            why = shown(str(error))
            return DeviceUnreachable(f"{call}: the connection broke ({why}){done}")
        return DeviceNonsense(f"{call}: the answer is no HTTP ({shown(repr(error))}){done}")


class _Failed(Exception):
    """An attempt failed; `again` tells whether another may be made."""

    def __init__(self, error: DeviceError | None, again: bool) -> None:
        super().__init__(error)
        assert error is not None
        self.error = error
        self.again = again


def speak(make: Callable[[str, int], Any], transport: Transport) -> Any:
    """Make one of alpyca's devices that speaks through a transport of ours.

    Parameters
    ----------
    make : callable
        One of alpyca's device classes.
    transport : Transport
    """
    device = make(transport.address, transport.number)
    # All that alpyca's devices send goes through these two; the images do not.
    device._get, device._put = transport.get, transport.put
    return device
