"""Who sends: users, passwords, and what guessing costs.

Passwords are kept as argon2 hashes. A correct one is verified once per address
and then remembered (as a keyed digest, never itself), since one verification
takes tens of milliseconds and 64 MiB. Wrong ones are counted: per user at one
address, per address, and per user everywhere; from the fifth on, the next
attempt is refused unseen for 1, 2, 4 … 60 s. What was verified before at an
address is only subject to the first of the three counts, so that a guesser
elsewhere cannot lock a user out.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import ipaddress
import logging
import math
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import argon2

from toros.errors import AuthenticationFailed, ConfigurationError, TooManyAttempts

log = logging.getLogger(__name__)

_HEADER_CHARS = 2048
_FREE_FAILURES = 5
_LONGEST_WAIT_S = 60.0
# Failures older than this are forgotten; longer than the longest wait.
_MEMORY_S = 900.0
_COUNTED = 4096
_REMEMBERED = 256
# Each verification takes the memory of its hash, 64 MiB by default.
_VERIFICATIONS_AT_A_TIME = 2
_QUEUE_FOR_VERIFICATION_S = 5.0


class User(Protocol):
    """Somebody who may send orders."""

    @property
    def name(self) -> str:
        """Name to log in with; it holds no colon (RFC 7617, section 2)."""

    @property
    def password_hash(self) -> str:
        """The password's argon2 hash in PHC format."""

    @property
    def requests(self) -> Literal["all"] | Sequence[str]:
        """Requests that the user may send."""


@dataclass
class _Count:
    failures: int
    last_s: float

    def free_at_s(self) -> float:
        """Return the moment from which the next attempt is looked at."""
        if self.failures < _FREE_FAILURES:
            return self.last_s
        # The exponent is bounded since a float cannot hold 2**1024.
        return self.last_s + min(_LONGEST_WAIT_S, 2.0 ** min(self.failures - _FREE_FAILURES, 10))


class Attempts:
    """Counts of failures by key, in bounded memory.

    Parameters
    ----------
    monotonic : callable
        Tells a time that never goes back [s].
    size : int
        How many keys are counted at most; the one that failed the longest
        time ago is forgotten first.
    """

    def __init__(self, monotonic: Callable[[], float], size: int = _COUNTED) -> None:
        self._monotonic = monotonic
        self._size = size
        self._counts: OrderedDict[bytes, _Count] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, keys: Sequence[bytes]) -> float:
        """Return how long the next attempt of any of `keys` has to wait [s]; 0 for not at all."""
        now = self._monotonic()
        with self._lock:
            counts = [self._counts[key] for key in keys if key in self._counts]
        return max([0.0, *(count.free_at_s() - now for count in counts)])

    def failed(self, keys: Sequence[bytes]) -> None:
        """Count one failure for each of `keys`."""
        now = self._monotonic()
        with self._lock:
            for key in keys:
                count = self._counts.pop(key, None)
                if count is None or now - count.last_s > _MEMORY_S:
                    count = _Count(0, now)
                self._counts[key] = _Count(count.failures + 1, now)
            while len(self._counts) > self._size:
                self._counts.popitem(last=False)

    def forget(self, key: bytes) -> None:
        """Start to count anew for `key`."""
        with self._lock:
            self._counts.pop(key, None)

    def __len__(self) -> int:
        return len(self._counts)


class Access:
    """The users of a front desk.

    Parameters
    ----------
    users : sequence of User
        Who may send orders; none: everybody, without a name.
    monotonic : callable, optional
        Tells a time that never goes back [s].
    hasher : argon2.PasswordHasher, optional
        What verifies passwords.

    Raises
    ------
    ConfigurationError
        A user's password hash is no argon2 hash.
    """

    def __init__(
        self,
        users: Sequence[User],
        monotonic: Callable[[], float] = time.monotonic,
        hasher: argon2.PasswordHasher | None = None,
    ) -> None:
        self._users = {user.name: user for user in users}
        self._attempts = Attempts(monotonic)
        self._key = secrets.token_bytes(32)
        self._verified: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()
        self._verifications = threading.BoundedSemaphore(_VERIFICATIONS_AT_A_TIME)
        self._hasher = hasher or argon2.PasswordHasher()
        for user in users:
            try:
                argon2.extract_parameters(user.password_hash)
            except argon2.exceptions.InvalidHashError:
                raise ConfigurationError(
                    f"Front Desk / Users: the password hash of {user.name!r} is no argon2 hash"
                ) from None
        self._decoy = _decoy(users[0].password_hash) if users else ""

    def authenticate(self, header: str | None, address: str) -> str | None:
        """Find out who sends.

        Parameters
        ----------
        header : str or None
            The value of the Authorization header.
        address : str
            The IP address of the sender.

        Returns
        -------
        str or None
            The user's name; None when no users are configured.

        Raises
        ------
        AuthenticationFailed
            There is no such user with this password, or none was sent.
        TooManyAttempts
            Too many attempts failed; the message says when to try again.

        References
        ----------
        RFC 7617, The 'Basic' HTTP Authentication Scheme, with charset UTF-8.
        """
        if not self._users:
            return None
        name, password = _credentials(header)
        address = _network(address)
        pair = self._digest("pair", address, name)
        everywhere = [self._digest("address", address), self._digest("user", name)]
        verified = self._digest("verified", address, name, password)
        self._refuse_if_waiting([pair])
        if not self._remembers(verified):
            self._refuse_if_waiting(everywhere)
            self._verify(name, password, address, [pair, *everywhere])
            self._attempts.forget(pair)
            self._remember(verified)
        return name

    def permits(self, user: str | None, request: str) -> bool:
        """Tell whether a user may send a request.

        Parameters
        ----------
        user : str or None
            What `authenticate` returned.
        request : str
            The name of the request.
        """
        if not self._users:
            return True
        known = self._users.get(user) if user is not None else None
        return known is not None and (known.requests == "all" or request in known.requests)

    def is_unlimited(self, user: str | None) -> bool:
        """Tell whether a user may send every request.

        Parameters
        ----------
        user : str or None
            What `authenticate` returned.
        """
        if not self._users:
            return True
        known = self._users.get(user) if user is not None else None
        return known is not None and known.requests == "all"

    def _digest(self, *parts: str) -> bytes:
        """Return a short key for `parts`: of one size, and of no use outside of this process."""
        digest = hashlib.blake2b(key=self._key, digest_size=16)
        for part in parts:
            encoded = part.encode("utf-8")
            digest.update(len(encoded).to_bytes(4, "big") + encoded)
        return digest.digest()

    def _remembers(self, verified: bytes) -> bool:
        with self._lock:
            known = verified in self._verified
            if known:
                self._verified.move_to_end(verified)
            return known

    def _remember(self, verified: bytes) -> None:
        with self._lock:
            self._verified[verified] = None
            if len(self._verified) > _REMEMBERED:
                self._verified.popitem(last=False)

    def _refuse_if_waiting(self, keys: Sequence[bytes]) -> None:
        wait_s = self._attempts.wait_s(keys)
        if wait_s > 0:
            raise TooManyAttempts(f"too many wrong passwords; try again in {math.ceil(wait_s)} s")

    def _verify(self, name: str, password: str, address: str, keys: Sequence[bytes]) -> None:
        if not self._verifications.acquire(timeout=_QUEUE_FOR_VERIFICATION_S):
            raise TooManyAttempts("too many users log in at once; try again in some seconds")
        try:
            # Those who waited here may have failed meanwhile.
            self._refuse_if_waiting(keys)
            user = self._users.get(name)
            right = False
            with contextlib.suppress(argon2.exceptions.VerificationError):
                right = self._hasher.verify(user.password_hash if user else self._decoy, password)
            if user is None or not right:
                self._attempts.failed(keys)
                log.warning("a wrong user or password from %s: user %a", address, name[:64])
                raise AuthenticationFailed("user or password is wrong")
        finally:
            self._verifications.release()


def _credentials(header: str | None) -> tuple[str, str]:
    """Return the name and the password of an Authorization header."""
    if header is None:
        raise AuthenticationFailed("a user and a password are needed (HTTP Basic)")
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic" or len(header) > _HEADER_CHARS:
        raise AuthenticationFailed("the Authorization header is not HTTP Basic of a usual length")
    try:
        name, colon, password = (
            base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
        )
    except (binascii.Error, UnicodeDecodeError):
        raise AuthenticationFailed("the user and password are not UTF-8 in base64") from None
    if not colon:
        raise AuthenticationFailed("the Authorization header holds no user:password")
    return name, password


def _network(address: str) -> str:
    """Return what counts as one sender: an IPv4 address, or an IPv6 network of 64 bits."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)
    return str(parsed)


def _decoy(password_hash: str) -> str:
    """Return a hash that costs what `password_hash` costs and that no password fits."""
    head, _, tail = password_hash.rpartition("$")
    size = len(base64.b64decode(tail + "=" * (-len(tail) % 4)))
    digest = base64.b64encode(secrets.token_bytes(size)).decode("ascii").rstrip("=")
    return f"{head}${digest}"
