"""What all connections of one front desk share: the callers, the limits, the desk itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from toros.frontdesk.access import Access
from toros.frontdesk.wire import Value, WireLimits

# How many large bodies are in memory at a time.
_LARGE_AT_A_TIME = 4


class Caller(NamedTuple):
    """Who sent a work order.

    Parameters
    ----------
    user : str or None
        The authenticated user; None when no users are configured.
    address : str
        The IP address of the sender.
    """

    user: str | None
    address: str


@dataclass(frozen=True)
class ServerLimits:
    """How much a client may ask of the server.

    Parameters
    ----------
    body_bytes : int
        How large the body of a call may be [bytes].
    connections : int
        How many connections there may be at a time.
    read_timeout_s : float
        By when a head, a body, a TLS handshake must have arrived as a whole,
        and an answer must have been read [s].
    idle_timeout_s : float
        How long a connection may wait for its next request [s].
    head_bytes : int
        How long the head of a request may be [bytes].
    allowed_hosts : frozenset of str or None
        Hosts that a request may be for, besides the loopback ones, when the
        server listens on a loopback address; None: any.
    wire : WireLimits
        What a call may hold.
    """

    body_bytes: int = 4_000_000
    connections: int = 64
    read_timeout_s: float = 10.0
    idle_timeout_s: float = 60.0
    head_bytes: int = 16_384
    allowed_hosts: frozenset[str] | None = frozenset()
    wire: WireLimits = field(default_factory=WireLimits)


@dataclass(frozen=True)
class Service:
    """What all connections of one server share.

    Parameters
    ----------
    front_desk : callable
        Takes the work order and the `Caller`, returns what can travel.
    page : callable
        Returns the page that a GET answers with, as HTML.
    access : Access
        The users.
    limits : ServerLimits
        The limits; `allowed_hosts` is None where it does not apply.
    stopping : threading.Event
        Set once the server stops: no call is begun any more.
    large : threading.BoundedSemaphore
        Held while a large body is read and decoded.
    """

    front_desk: Callable[[Value, Caller], object]
    page: Callable[[], str]
    access: Access
    limits: ServerLimits
    stopping: threading.Event = field(default_factory=threading.Event)
    large: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(_LARGE_AT_A_TIME)
    )
