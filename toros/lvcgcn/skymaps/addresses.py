"""Which addresses a sky map may be fetched from.

References
----------
.. [1] RFC 3986 (URI), sections 3 and 5.2.4 (dot segments).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from toros.errors import SkyMapRefused

_PORTS = {"http": 80, "https": 443, "file": 0}
_PRINTABLE = re.compile(r"[\x21-\x7e]{1,4096}")


@dataclass(frozen=True)
class Address:
    """An address, taken apart.

    Attributes
    ----------
    scheme : str
        http, https or file.
    host : str
        In small letters; empty for file.
    port : int
    path : str
        As it stands in the address.
    query : str
    """

    scheme: str
    host: str
    port: int
    path: str
    query: str = ""

    @classmethod
    def of(cls, url: str) -> Address:
        """Take an address apart.

        Raises
        ------
        SkyMapRefused
            It is none that a sky map can have: of another scheme, with a user in
            it, with dot segments, with characters that are not printable ASCII.
        """
        shown = repr(url[:200])
        if not _PRINTABLE.fullmatch(url) or "\\" in url:
            raise SkyMapRefused(f"sky map: {shown} is no web address of printable characters")
        try:
            parts = urlsplit(url)
            scheme, host = parts.scheme, parts.hostname or ""
            port = parts.port or _PORTS.get(scheme, 0)
        except ValueError as error:
            raise SkyMapRefused(f"sky map: {shown} is no web address ({error})") from error
        if scheme not in _PORTS or (scheme != "file" and not host) or (scheme == "file" and host):
            raise SkyMapRefused(
                f"sky map: {shown} is none of https://HOST/…, http://HOST/…, file:///…"
            )
        if "@" in parts.netloc:
            raise SkyMapRefused(f"sky map: the address at {host} has a user or password in it")
        path = parts.path or "/"
        if any(unquote(segment) in (".", "..") for segment in path.split("/")) or re.search(
            "%2f|%5c|%00", path, re.IGNORECASE
        ):
            raise SkyMapRefused(f"sky map: {shown} has dot segments or escaped slashes")
        return cls(scheme, host, port, path, parts.query)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        query = f"?{self.query}" if self.query else ""
        return f"{self.scheme}://{host}{port}{self.path}{query}"

    def check(self, allowed: tuple[str, ...]) -> None:
        """Check that the address begins like one that is allowed.

        Scheme, host and port are compared whole, so that an allowed
        ``https://one.org`` allows no ``https://one.org.another.org``; the path up to
        a slash.

        Raises
        ------
        SkyMapRefused
            It is not allowed.
        """
        for prefix in map(Address.of, allowed):
            same = (self.scheme, self.host, self.port) == (prefix.scheme, prefix.host, prefix.port)
            folder = prefix.path.rstrip("/") + "/"
            if same and (self.path == prefix.path or self.path.startswith(folder)):
                return
        named = ", ".join(allowed) or "none"
        raise SkyMapRefused(
            f"sky map: {self} is at none of the allowed addresses "
            f"(Lvcgcn / Sky Maps / Addresses): {named}"
        )
