"""Telling a web address: a POST of JSON.

References
----------
RFC 9110, sections 9.3.3 (POST) and 15 (status codes); RFC 8259 (JSON);
draft-ietf-httpapi-idempotency-key-header (Idempotency-Key).
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import toros
from toros.errors import InvalidField, ServiceUnreachable, TransportRefused

_TIMEOUT_S = 10.0
# What may be otherwise the next time; any other 3xx or 4xx is the address's last word.
_PASSING = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)


def post_json(
    address: str,
    content: Mapping[str, Any],
    key: str,
    timeout_s: float = _TIMEOUT_S,
    name: str | None = None,
) -> int:
    """Send a message; return the status of the answer, whose body is not read.

    Parameters
    ----------
    address : str
        http or https; a user and password in it are sent as HTTP Basic.
    content : mapping
        Fit for JSON.
    key : str
        Names the message (Idempotency-Key): the same for the same message.
    timeout_s : float
        Of each step of the exchange [s].
    name : str, optional
        What messages call the address, where its path or query is a secret.

    Raises
    ------
    ServiceUnreachable
        It did not arrive, as far as is known; send it again later.
    TransportRefused
        The address answers that it does not take it. Redirections are not followed.
    InvalidField
        The content is not fit for JSON, or the address is none.
    """
    parts = urlsplit(address)
    shown = name or parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidField(f"{shown!r} is no web address such as http://HOST:PORT/path")
    try:
        body = json.dumps(dict(content), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise InvalidField(f"what is to be told to {shown} is not fit for JSON: {error}") from error
    connection = _connection(parts, timeout_s)
    try:
        target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
        connection.request("POST", target, body, _headers(parts, key))
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        reason = "no answer in time" if isinstance(error, TimeoutError) else str(error)
        raise ServiceUnreachable(f"{shown}: {reason or type(error).__name__}") from error
    finally:
        connection.close()
    if 200 <= status < 300:
        return status
    if status >= 500 or status in _PASSING:
        raise ServiceUnreachable(f"{shown}: HTTP {status}")
    raise TransportRefused(f"{shown}: HTTP {status}")


def _connection(parts: SplitResult, timeout_s: float) -> http.client.HTTPConnection:
    assert parts.hostname is not None
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=timeout_s, context=context
        )
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)


def _headers(parts: SplitResult, key: str) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"toros/{toros.__version__}",
        "Idempotency-Key": json.dumps(key),
        "Connection": "close",
    }
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode('ascii')}"
    return headers
