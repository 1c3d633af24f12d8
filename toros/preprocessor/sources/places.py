"""Reading a url: a path on this machine, or a place on the network."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, unquote, urljoin, urlsplit

from toros.errors import SourceForbidden
from toros.preprocessor.sources.names import plain

_URL_CHARACTERS = 8192
_HOST = re.compile(r"[a-z0-9_]([a-z0-9._-]{0,251}[a-z0-9])?")
_CREDENTIALS = re.compile(r"^((?!file:)[a-z][a-z0-9+.-]*:/*)[^/?#]*@", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}
# What RFC 3986 (2.2, 2.3) lets stand in a path or query; "%" for what is already encoded.
_SAFE = "/%:@!$&'()*+,;=~-._?[]"


def shown(url: str) -> str:
    """Write a url for a message: without user, password, query, control characters."""
    bare = _CREDENTIALS.sub(r"\1***@", url)
    head, query, _ = bare.partition("?")
    if query and head.lower().startswith(("http:", "https:")):
        return plain(head) + "?…"  # a query may hold a token
    return plain(bare)


def _unreadable(url: str) -> SourceForbidden:
    # Nothing is said of the parts: a password with a slash or a bracket in it is
    # what makes a url unreadable.
    scheme, _, rest = url.partition(":")
    return SourceForbidden(
        f"url {plain(scheme)}:…{plain(rest.rpartition('@')[2])} cannot be read; percent-encode "
        "what is no letter or digit in its user and password, and give a port from 1 to 65535"
    )


@dataclass(frozen=True)
class HttpUrl:
    """A place that http or https reaches.

    Parameters
    ----------
    scheme : str
        ``http`` or ``https``.
    host : str
        ASCII, lower case (IDNA), or an address; without brackets.
    port : int
    target : str
        Path and query as they are sent, percent-encoded.
    user, password : str or None
        What stood before the ``@``.
    """

    scheme: str
    host: str
    port: int
    target: str
    user: str | None = None
    password: str | None = None

    @property
    def origin(self) -> tuple[str, str, int]:
        """Whom it reaches; credentials are for one origin only."""
        return (self.scheme, self.host, self.port)

    @property
    def path(self) -> str:
        """The path, percent-encoded, without the query."""
        return self.target.partition("?")[0]

    def __str__(self) -> str:
        """Write the url without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.target}"

    @property
    def shown(self) -> str:
        """The url for a message."""
        return shown(str(self))

    def follow(self, reference: str) -> HttpUrl:
        """Find the place that `reference`, found in the answer of this one, speaks of.

        This place's credentials go along to the same origin, nowhere else; the
        reference's own are not used.

        Raises
        ------
        SourceForbidden
            It is no http(s) url, or leads from https to http.
        """
        _check_characters(reference)
        try:
            joined = urljoin(str(self), reference)
        except ValueError:
            raise _unreadable(reference) from None
        there = replace(parse_http(joined), user=None, password=None)
        if (self.scheme, there.scheme) == ("https", "http"):
            raise SourceForbidden(
                f"{self.shown} leads to {there.shown}: from https to http is refused"
            )
        if there.origin == self.origin:
            return replace(there, user=self.user, password=self.password)
        return there


def parse(url: str) -> Path | HttpUrl:
    """Read the `url` of a work order.

    Parameters
    ----------
    url : str
        An absolute path, ``file:`` of this machine, ``http:`` or ``https:``.

    Returns
    -------
    Path or HttpUrl
        The path is absolute; links in it are not yet resolved.

    Raises
    ------
    SourceForbidden
        It is none of these.
    """
    _check_characters(url)
    if url.startswith("/"):
        return Path(url)
    scheme = url.partition(":")[0].lower()
    if scheme in _PORTS:
        return parse_http(url)
    if scheme == "file":
        return _parse_file(url)
    raise SourceForbidden(
        f"url {shown(url)}: give an absolute path (/data/night), or a file:, http: or https: url"
    )


def canonical(url: str) -> str:
    """Write a url in the one form by which a file batch is recognised; it holds no credentials.

    For a path, links are resolved.

    Raises
    ------
    SourceForbidden
    """
    place = parse(url)
    return str(place) if isinstance(place, HttpUrl) else os.path.realpath(place)


def _check_characters(url: str) -> None:
    if len(url) > _URL_CHARACTERS:
        raise SourceForbidden(
            f"url {shown(url[:200])}…: over {_URL_CHARACTERS} characters are refused"
        )
    if any(char < " " or char == "\x7f" or "\ud800" <= char <= "\udfff" for char in url):
        raise SourceForbidden(f"url {shown(url)}: control characters are refused")


def _parse_file(url: str) -> Path:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _unreadable(url) from None
    if parts.netloc.lower() not in ("", "localhost"):
        raise SourceForbidden(f"url {shown(url)}: a file: url may only name this machine")
    if parts.query or parts.fragment:
        raise SourceForbidden(f"url {shown(url)}: write ? as %3F and # as %23 in a file: url")
    path = unquote(parts.path, errors="surrogateescape")
    if not path.startswith("/") or "\0" in path:
        raise SourceForbidden(f"url {shown(url)}: give an absolute path, as file:///data/night")
    return Path(path)


def parse_http(url: str) -> HttpUrl:
    """Read an http(s) url.

    Raises
    ------
    SourceForbidden
    """
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise _unreadable(url) from None
    if "\\" in parts.netloc:  # programs differ on whether the host ends there
        raise _unreadable(url)
    if parts.scheme not in _PORTS:
        raise SourceForbidden(f"url {shown(url)}: only http and https are allowed there")
    target = quote(parts.path or "/", safe=_SAFE.replace("?", ""))
    if parts.query:
        target += "?" + quote(parts.query, safe=_SAFE)
    return HttpUrl(
        scheme=parts.scheme,
        host=_ascii_host(host, url),
        port=_PORTS[parts.scheme] if port is None else port,
        target=target,
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )


def _ascii_host(host: str, url: str) -> str:
    if ":" in host:
        try:
            return str(ipaddress.IPv6Address(host))
        except ValueError:
            raise SourceForbidden(f"url {shown(url)}: its host is no IPv6 address") from None
    try:
        name = host[:300].encode("idna").decode("ascii").lower().rstrip(".")
    except UnicodeError:
        name = ""
    if not _HOST.fullmatch(name):
        raise SourceForbidden(f"url {shown(url)}: its host is no host name or address")
    return name
