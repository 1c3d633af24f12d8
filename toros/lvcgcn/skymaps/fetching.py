"""Fetching a sky map by its address: allowed ones only, bounded in size and time.

References
----------
.. [1] RFC 9110, sections 15 (status codes) and 10.2.3 (Retry-After is not heeded: an
   alert does not wait).
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urljoin

import toros
from toros.errors import SkyMapRefused, SkyMapUnreachable
from toros.lvcgcn.skymaps.addresses import Address
from toros.lvcgcn.skymaps.limits import MapLimits

_REDIRECTS = 5
_REDIRECT = frozenset({301, 302, 303, 307, 308})
# A notice may be faster than its map: 404 is no last word.
_PASSING = frozenset({404, 408, 425, 429})
_BLOCK_BYTES = 1 << 16
_LONGEST_PAUSE_S = 10.0


def fetch(
    url: str,
    allowed: tuple[str, ...],
    limits: MapLimits | None = None,
    *,
    retries: int = 5,
    timeout_s: float = 30.0,
    first_pause_s: float = 0.5,
    stop: threading.Event | None = None,
) -> bytes:
    """Fetch a sky map.

    Parameters
    ----------
    url : str
        https, http or file.
    allowed : tuple of str
        Beginnings of addresses, such as ``https://gracedb.ligo.org/``; redirects go
        to no others either. ``file:///folder/`` allows the files of a folder.
    limits : MapLimits, optional
        Of it, `bytes`.
    retries : int
        How often it is tried again, after pauses that double.
    timeout_s : float
        For everything together: names, connections, all tries and pauses [s].
    first_pause_s : float [s]
    stop : threading.Event, optional
        Ends pauses.

    Returns
    -------
    bytes
        As it was sent; the server is asked not to compress it once more.

    Raises
    ------
    SkyMapRefused
        The address, a redirect or the size is not allowed, or the server says no.
    SkyMapUnreachable
        It cannot be had now, or not wholly; it may be later.
    """
    limits = limits or MapLimits()
    stop = stop or threading.Event()
    ends_at = time.monotonic() + timeout_s
    address = Address.of(url)
    address.check(allowed)
    if address.scheme == "file":
        return _read_file(address, allowed, limits)
    pause_s = first_pause_s
    for tried in range(retries + 1):
        try:
            return _Attempt(allowed, limits, ends_at).run(address)
        except SkyMapUnreachable as error:
            left_s = ends_at - time.monotonic()
            if tried == retries or left_s <= pause_s or stop.wait(pause_s):
                raise SkyMapUnreachable(f"{error.message} (tried {tried + 1} times)") from error
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    raise AssertionError  # the last try returns or raises


class _Attempt:
    """One try, in a thread of its own.

    A name's lookup has no timeout, and a dripping server renews that of each read; the
    thread that waits for this one has a deadline for everything.
    """

    def __init__(self, allowed: tuple[str, ...], limits: MapLimits, ends_at: float) -> None:
        self._allowed, self._limits, self._ends_at = allowed, limits, ends_at
        self._connection: http.client.HTTPConnection | None = None
        self._content: bytes | None = None
        self._error: Exception | None = None

    def run(self, address: Address) -> bytes:
        thread = threading.Thread(target=self._work, args=[address], name="sky map", daemon=True)
        thread.start()
        thread.join(max(0.0, self._ends_at - time.monotonic()))
        if thread.is_alive():
            self._break_off()
            raise SkyMapUnreachable(f"sky map: {address} was not here in time")
        if self._error is not None:
            raise self._error
        assert self._content is not None
        return self._content

    def _work(self, address: Address) -> None:
        try:
            self._content = self._follow(address)
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            self._error = error

    def _break_off(self) -> None:
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def _follow(self, address: Address) -> bytes:
        for _ in range(_REDIRECTS + 1):
            address.check(self._allowed)
            connection = self._connection = self._connect(address)
            try:
                answer = self._ask(address, connection)
                if answer.status not in _REDIRECT:
                    return self._body(address, answer)
                location = answer.getheader("Location")
            finally:
                connection.close()
            if not location:
                raise SkyMapUnreachable(f"sky map: {address} redirects to nowhere")
            address = Address.of(urljoin(str(address), location))
            if address.scheme == "file":
                raise SkyMapRefused(f"sky map: a redirect to {address}")
        raise SkyMapRefused(f"sky map: {address}: more than {_REDIRECTS} redirects")

    def _connect(self, address: Address) -> http.client.HTTPConnection:
        left_s = self._ends_at - time.monotonic()
        if left_s <= 0:
            raise SkyMapUnreachable(f"sky map: {address} was not here in time")
        if address.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(
                address.host, address.port, timeout=left_s, context=context
            )
        return http.client.HTTPConnection(address.host, address.port, timeout=left_s)

    def _ask(
        self, address: Address, connection: http.client.HTTPConnection
    ) -> http.client.HTTPResponse:
        headers = {
            "User-Agent": f"toros/{toros.__version__}",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        target = address.path + (f"?{address.query}" if address.query else "")
        try:
            connection.request("GET", target, headers=headers)
            return connection.getresponse()
        except ssl.SSLCertVerificationError as error:
            raise SkyMapRefused(
                f"sky map: the certificate of {address} is not trusted: {error.verify_message}"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            _unreachable(address, error)

    def _body(self, address: Address, answer: http.client.HTTPResponse) -> bytes:
        if answer.status >= 500 or answer.status in _PASSING:
            raise SkyMapUnreachable(f"sky map: {address}: HTTP {answer.status}")
        if answer.status != 200:
            raise SkyMapRefused(f"sky map: {address}: HTTP {answer.status}")
        limit = self._limits.bytes
        if answer.length is not None and answer.length > limit:
            raise SkyMapRefused(
                f"sky map: {address} has {answer.length} bytes, where at most {limit} are allowed"
            )
        promised, content = answer.length, bytearray()
        try:
            while block := answer.read1(_BLOCK_BYTES):
                content += block
                if len(content) > limit:
                    raise SkyMapRefused(f"sky map: {address} has over {limit} bytes, the limit")
                if time.monotonic() > self._ends_at:
                    raise SkyMapUnreachable(f"sky map: {address} was not here in time")
        except (OSError, http.client.HTTPException, ValueError) as error:
            _unreachable(address, error)
        if promised is not None and len(content) != promised:
            raise SkyMapUnreachable(
                f"sky map: {address} broke off after {len(content)} of {promised} bytes"
            )
        return bytes(content)


def _unreachable(address: Address, error: Exception) -> NoReturn:
    reason = "no answer in time" if isinstance(error, TimeoutError) else str(error)
    raise SkyMapUnreachable(f"sky map: {address}: {reason or type(error).__name__}") from error


def _read_file(address: Address, allowed: tuple[str, ...], limits: MapLimits) -> bytes:
    try:
        path = Path(unquote(address.path)).resolve(strict=True)
        # A link may lead out of the folder.
        Address("file", "", 0, path.as_posix()).check(
            tuple(
                f"file://{Path(unquote(Address.of(one).path)).resolve().as_posix()}"
                for one in allowed
                if one.startswith("file:")
            )
        )
        if not path.is_file():
            raise SkyMapRefused(f"sky map: {path} is no file")
        if path.stat().st_size > limits.bytes:
            raise SkyMapRefused(f"sky map: {path} has over {limits.bytes} bytes, the limit")
        with path.open("rb") as file:
            return file.read(limits.bytes)
    except OSError as error:
        raise SkyMapUnreachable(f"sky map: {address}: {error.strerror or error}") from error
