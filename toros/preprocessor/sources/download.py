"""Downloading one file by http(s), complete or not at all."""

from __future__ import annotations

import base64
import http.client
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from toros import __version__
from toros.errors import SourceForbidden, SourceIncomplete, SourceUnreachable
from toros.preprocessor.sources.addresses import (
    Endpoint,
    Resolver,
    check_endpoints,
    check_host,
    resolve,
)
from toros.preprocessor.sources.archive import HEAD_BYTES, kind_of_head
from toros.preprocessor.sources.connection import Connection, TransientError
from toros.preprocessor.sources.names import quoted
from toros.preprocessor.sources.places import HttpUrl
from toros.preprocessor.sources.staging import BLOCK_BYTES, Staging

REDIRECTS = 5
#: The most bytes of what is neither an archive nor a FITS file: a listing.
LISTING_BYTES = 16_000_000
_REDIRECT = (301, 302, 303, 307, 308)
_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_REFUSED = (401, 403, 407, 451)
_LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True)
class _Answer:
    """An answer whose body is still to be read."""

    url: HttpUrl
    response: http.client.HTTPResponse
    connection: Connection
    length: int | None  # None: in chunks, which have an end mark of their own

    def blocks(self) -> Iterator[bytes]:
        """Read the body.

        Raises
        ------
        TransientError
            It breaks off.
        """
        size = 0
        try:
            # Never past the stated length: a server may leave the connection open.
            while self.length is None or size < self.length:
                left = BLOCK_BYTES if self.length is None else self.length - size
                block = self.response.read1(min(left, BLOCK_BYTES))
                if not block:
                    break
                size += len(block)
                self.connection.pace.credit(len(block))
                yield block
        except (http.client.HTTPException, ValueError) as error:
            raise _broken_off(f"{self.url.shown} broke off after {size} bytes") from error
        if self.length is not None and size != self.length:
            raise _broken_off(f"{self.url.shown} broke off after {size} of {self.length} bytes")


class Downloader:
    """Downloads into the staging folder.

    Parameters
    ----------
    staging : Staging
    resolver : callable
        Finds all addresses of a host.
    """

    def __init__(self, staging: Staging, resolver: Resolver = resolve) -> None:
        self._staging, self._rules, self._watch = staging, staging.rules, staging.watch
        self._resolve = resolver
        self._context = ssl.create_default_context()
        self._left = staging.rules.download_limit_bytes

    def download(self, url: HttpUrl, name: str, *, listed: bool = False) -> HttpUrl:
        """Download `url` into the new file `name` of the staging folder.

        Attempts that fail for a passing cause are repeated, as often as there are pauses.

        Parameters
        ----------
        url : HttpUrl
        name : str
        listed : bool
            It is a file that a listing names, hence of any content; otherwise what
            is neither an archive nor a FITS file may only be as long as a listing.

        Returns
        -------
        HttpUrl
            Where it was found in the end, after redirects.

        Raises
        ------
        SourceForbidden
            An address, a redirect or the size is not allowed.
        SourceUnreachable, SourceIncomplete
            It cannot be had, or not wholly.
        DiskFull, StorageFailed, Stopping
        """
        pauses = iter(self._rules.pauses_s)
        while True:
            try:
                return self._attempt(url, name, listed)
            except TransientError as error:
                self._staging.remove(name)
                pause_s = next(pauses, None)
                if pause_s is None:
                    raise error.final from error
                self._watch.progress(0.0, f"trying again in {pause_s:g} s: {error}")
                self._watch.pause(min(pause_s, _LONGEST_PAUSE_S))

    def _attempt(self, url: HttpUrl, name: str, listed: bool) -> HttpUrl:
        with self._follow(url) as answer, self._staging.create(name, answer.length or 0) as writer:
            head = b""
            limit = self._left if listed else min(LISTING_BYTES, self._left)
            for block in answer.blocks():
                if len(head) < HEAD_BYTES:
                    head += block[:HEAD_BYTES]
                    kind = kind_of_head(head[:HEAD_BYTES])
                    if kind.name != "other" or kind.packing:
                        limit = self._left
                if writer.size + len(block) > limit:
                    raise self._too_large(answer.url, limit)
                writer.write(block)
            size = writer.size
        self._left -= size
        return answer.url

    def _too_large(self, url: HttpUrl, limit: int) -> SourceForbidden:
        if limit == LISTING_BYTES:
            return SourceForbidden(
                f"{url.shown} is neither an archive nor a FITS file, and over "
                f"{LISTING_BYTES / 1e6:g} MB long: no listing"
            )
        return SourceForbidden(
            f"{url.shown} brings the download to more than "
            f"{self._rules.download_limit_bytes / 1e6:g} MB "
            "(Preprocessor / Sources / Download Limit (MB))"
        )

    @contextmanager
    def _follow(self, url: HttpUrl) -> Iterator[_Answer]:
        """Open a url, following redirects, each checked like the first."""
        for _ in range(REDIRECTS + 1):
            connection = Connection(
                url, self._endpoints(url), self._context, self._watch, self._rules.timeout_s
            )
            try:
                response = self._ask(url, connection)
                if response.status not in _REDIRECT:
                    length = self._check_answer(url, response)
                    yield _Answer(url, response, connection, length)
                    return
                location = response.getheader("Location")
            finally:
                connection.shut()
            if not location:
                raise SourceUnreachable(f"{url.shown} redirects to nowhere")
            # http.client reads headers as Latin-1; servers send UTF-8.
            url = url.follow(location.encode("latin-1", "replace").decode("utf-8", "replace"))
        raise SourceForbidden(f"{url.shown}: more than {REDIRECTS} redirects are refused")

    def _endpoints(self, url: HttpUrl) -> list[Endpoint]:
        check_host(url.host, self._rules)
        try:
            endpoints = self._watch.call(
                lambda: self._resolve(url.host, url.port), self._rules.timeout_s
            )
        except OSError as error:  # TimeoutError among them
            message = f"{url.shown}: host {url.host} is not found: {error.strerror or error}"
            raise TransientError(SourceUnreachable(message)) from error
        check_endpoints(url.host, endpoints, self._rules)
        return endpoints

    def _ask(self, url: HttpUrl, connection: Connection) -> http.client.HTTPResponse:
        headers = {
            "User-Agent": f"toros/{__version__}",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        if url.user is not None:
            secret = f"{url.user}:{url.password or ''}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(secret).decode()
        try:
            connection.request("GET", url.target, headers=headers)
            return connection.getresponse()
        except (http.client.HTTPException, ValueError) as error:
            message = f"{url.shown}: no HTTP answer: {quoted(str(error))}"
            raise TransientError(SourceUnreachable(message)) from error

    def _check_answer(self, url: HttpUrl, response: http.client.HTTPResponse) -> int | None:
        status = response.status
        if status in _TRY_AGAIN:
            message = f"{url.shown} answers HTTP {status} {quoted(response.reason)}"
            raise TransientError(SourceUnreachable(message))
        if status in _REFUSED:
            raise SourceForbidden(f"{url.shown} answers HTTP {status}: it does not let us in")
        if status != 200:
            raise SourceUnreachable(f"{url.shown} answers HTTP {status} {quoted(response.reason)}")
        if response.chunked:
            return None
        if response.length is None:
            # The end of the connection would be the end of the file, and a
            # broken connection could not be told from it.
            raise SourceIncomplete(
                f"{url.shown} states no length, so that it cannot be known to be complete"
            )
        if response.length > self._left:
            raise self._too_large(url, self._left)
        return response.length


def _broken_off(message: str) -> TransientError:
    return TransientError(SourceIncomplete(message))
