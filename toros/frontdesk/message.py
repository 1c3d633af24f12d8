"""HTTP/1.1 messages: the head of a request as text, and a response as bytes.

Pure functions. The syntax is taken strictly: what two programs could read in
two ways (folded lines, repeated lengths, bare line feeds) is refused.

References
----------
RFC 9110, HTTP Semantics. RFC 9112, HTTP/1.1.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

from toros.errors import TooLarge, TransportRefused

HEAD_END = b"\r\n\r\n"

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([!-~]{1,4096}) HTTP/1\.([0-9])")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
_LENGTH = re.compile(r"[0-9]{1,18}")
_FIELDS_LIMIT = 100
_CHARSETS = frozenset({"utf-8", "us-ascii", "iso-8859-1"})
_LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})


@dataclass(frozen=True)
class Head:
    """The head of a request.

    Parameters
    ----------
    method : str
        As sent: GET, POST, …
    target : str
        As sent: a path, mostly.
    minor : int
        The version: 0 for HTTP/1.0, 1 for HTTP/1.1.
    fields : mapping of str to tuple of str
        The values of each header field, by its name in lower case.
    """

    method: str
    target: str
    minor: int
    fields: Mapping[str, tuple[str, ...]]

    def one(self, name: str) -> str | None:
        """Return the value of a field that may occur once; None if it does not.

        Raises
        ------
        TransportRefused
            The field occurs twice.
        """
        values = self.fields.get(name, ())
        if len(values) > 1:
            raise TransportRefused(f"the header {name} occurs {len(values)} times")
        return values[0] if values else None

    def tokens(self, name: str) -> frozenset[str]:
        """Return the elements of a field that is a list, in lower case."""
        items = ",".join(self.fields.get(name, ())).lower().split(",")
        return frozenset(item.strip(" \t") for item in items) - {""}

    @property
    def has_body(self) -> bool:
        """Whether a body follows."""
        length = self.fields.get("content-length", ("0",))
        return length != ("0",) or "transfer-encoding" in self.fields

    @property
    def keeps_alive(self) -> bool:
        """Whether the client wants the connection to stay (RFC 9112, section 9.3)."""
        options = self.tokens("connection")
        return "close" not in options and (self.minor > 0 or "keep-alive" in options)


def parse_head(raw: bytes) -> Head:
    """Parse the head of a request.

    Parameters
    ----------
    raw : bytes
        The request line and the header fields, without the empty line.

    Raises
    ------
    TransportRefused
        It is no head of an HTTP/1 request.
    """
    first, *lines = raw.split(b"\r\n")
    request = _REQUEST_LINE.fullmatch(first)
    if request is None:
        raise TransportRefused(f"no request line of HTTP/1: {first[:60].decode('latin-1')!a}")
    if len(lines) > _FIELDS_LIMIT:
        raise TooLarge(f"the head has {len(lines)} header lines; the limit is {_FIELDS_LIMIT}")
    fields: dict[str, tuple[str, ...]] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise TransportRefused(f"no header line: {line[:60].decode('latin-1')!a}")
        name = match[1].decode("ascii").lower()
        value = match[2].decode("latin-1").rstrip(" \t")
        fields[name] = (*fields.get(name, ()), value)
    return Head(request[1].decode("ascii"), request[2].decode("ascii"), int(request[3]), fields)


def check_origin(head: Head, allowed_hosts: frozenset[str] | None) -> None:
    """Refuse what a web page in somebody's browser may have sent.

    Parameters
    ----------
    head : Head
        The head of the request.
    allowed_hosts : frozenset of str or None
        The hosts that the request may be for besides the loopback names and
        addresses; None: any. It stops pages whose name was rebound to this
        machine's address.

    Raises
    ------
    TransportRefused
        There is an Origin header, or the Host is another one.
    """
    if "origin" in head.fields:
        raise TransportRefused("requests with an Origin header (from web pages) are not taken")
    host = head.one("host")
    if host is None:
        if head.minor > 0:
            raise TransportRefused("the Host header is missing (HTTP/1.1 needs one)")
        return
    if allowed_hosts is None:
        return
    name = _host_name(host)
    if name not in {allowed.lower() for allowed in allowed_hosts} and not is_loopback(name):
        raise TransportRefused(
            f"the Host {host[:80]!a} is not this front desk's; "
            "use localhost or the host of the configured HTTP address"
        )


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address means this machine itself."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host.lower() in _LOOPBACK_NAMES


def _host_name(host: str) -> str:
    """Return the host of ``host:port`` in lower case; IPv6 addresses without brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].rstrip(".").lower()


def body_length(head: Head, limit_bytes: int) -> int:
    """Check what the head of a call says about its body.

    Parameters
    ----------
    head : Head
        The head of a POST.
    limit_bytes : int
        How large the body may be [bytes].

    Returns
    -------
    int
        The length of the body [bytes].

    Raises
    ------
    TransportRefused
        The body is not plain ``text/xml`` of a stated length.
    TooLarge
        It is over the limit.
    """
    for name in ("transfer-encoding", "content-encoding"):
        if name in head.fields:
            raise TransportRefused(f"the header {name} is not taken; send the plain body")
    _check_content_type(head.one("content-type"))
    stated = head.one("content-length")
    if stated is None:
        raise TransportRefused("the header content-length is missing")
    if not _LENGTH.fullmatch(stated):
        raise TransportRefused(f"the content-length {stated[:40]!a} is no length (up to 18 digits)")
    length = int(stated)
    if length > limit_bytes:
        raise TooLarge(f"the body has {length} bytes; the limit is {limit_bytes}")
    return length


def _check_content_type(content_type: str | None) -> None:
    if content_type is None:
        raise TransportRefused("the header content-type is missing; it should be text/xml")
    kind, *parameters = (part.strip(" \t").lower() for part in content_type.split(";"))
    if kind != "text/xml":
        raise TransportRefused(f"the content-type is {content_type[:60]!a}; it should be text/xml")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "charset" and value.strip("'\"") not in _CHARSETS:
            raise TransportRefused(f"the charset is {value[:40]!a}; it should be utf-8")


def response(
    status: HTTPStatus,
    content_type: str,
    body: bytes,
    *,
    close: bool,
    extra: Mapping[str, str] | None = None,
    with_body: bool = True,
) -> bytes:
    """Write a response.

    Parameters
    ----------
    status : HTTPStatus
        Its status.
    content_type : str
        What the body is.
    body : bytes
        The body.
    close : bool
        Whether the connection ends after it.
    extra : mapping of str to str, optional
        More header fields.
    with_body : bool
        False for the answer to HEAD: the lengths without the body.
    """
    fields = {
        "Date": formatdate(usegmt=True),
        "Content-Type": content_type,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Connection": "close" if close else "keep-alive",
        **(extra or {}),
    }
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    head = "\r\n".join(lines).encode("ascii") + HEAD_END
    return head + body if with_body else head
