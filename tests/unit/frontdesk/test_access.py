"""Users, passwords, and what guessing costs."""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import argon2
import pytest

from tests.unit.frontdesk.serving import User
from toros.errors import AuthenticationFailed, ConfigurationError, TooManyAttempts
from toros.frontdesk.access import Access, Attempts

HASHER = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def user(name: str, password: str, requests: Any = "all") -> User:
    return User(name, HASHER.hash(password), requests)


USERS = [user("observer", "möon:light"), user("guard", "dog", ["close_dome", "status"])]


def basic(name: str, password: str, encoding: str = "utf-8") -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode(encoding)).decode()


GOOD = basic("observer", "möon:light")


class Counting(argon2.PasswordHasher):
    """A real hasher that keeps what it was asked, and how many asked at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.most = 0
        self._running = 0
        self._lock = threading.Lock()

    def verify(self, hash: str | bytes, password: str | bytes) -> Any:  # noqa: A002
        with self._lock:
            self.asked.append(str(hash))
            self._running += 1
            self.most = max(self.most, self._running)
        try:
            return super().verify(hash, password)
        finally:
            with self._lock:
                self._running -= 1


def counted(clock: Callable[[], float] = time.monotonic) -> tuple[Access, Counting]:
    hasher = Counting()
    return Access(USERS, clock, hasher), hasher


def fail(access: Access, times: int, header: str, address: str = "10.0.0.1") -> None:
    for _ in range(times):
        with pytest.raises(AuthenticationFailed):
            access.authenticate(header, address)


def test_without_users_everybody_may_do_everything() -> None:
    access = Access(())
    assert access.authenticate(None, "127.0.0.1") is None
    assert access.authenticate("Basic nonsense", "127.0.0.1") is None
    assert access.permits(None, "open_dome")


def test_right_passwords() -> None:
    access, hasher = counted()
    for _ in range(3):
        assert access.authenticate(GOOD, "10.0.0.1") == "observer"
    assert len(hasher.asked) == 1
    assert access.authenticate(GOOD.replace("Basic", "bAsIc"), "10.0.0.2") == "observer"
    assert len(hasher.asked) == 2
    assert access.authenticate(basic("guard", "dog"), "10.0.0.1") == "guard"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"nocolon").decode(),
        "Basic " + base64.b64encode(b"\xff:\xff").decode(),
        "Bearer abc",
        "Basic " + "A" * 100_000,
    ],
)
def test_what_is_no_attempt_costs_no_verification(header: str | None) -> None:
    access, hasher = counted()
    fail(access, 20, header)  # type: ignore[arg-type]
    assert hasher.asked == []
    assert access.authenticate(GOOD, "10.0.0.1") == "observer"


@pytest.mark.parametrize(
    "header",
    [
        basic("observer", "wrong"),
        basic("observer", ""),
        basic("Observer", "möon:light"),
        basic("observer", "möon:light", "latin-1").replace("=", "") + "==",
        basic("", ""),
        basic("nobody", "möon:light"),
    ],
)
def test_wrong_passwords(header: str) -> None:
    with pytest.raises(AuthenticationFailed):
        Access(USERS).authenticate(header, "10.0.0.1")


def test_an_unknown_user_costs_what_a_known_one_costs() -> None:
    access, hasher = counted()
    fail(access, 1, basic("nobody", "x"))
    fail(access, 1, basic("observer", "x"))
    decoy, real = (argon2.extract_parameters(text) for text in hasher.asked)
    assert decoy == real


def test_the_fifth_failure_makes_wait_longer_and_longer() -> None:
    clock = Hand()
    access, hasher = counted(clock)
    bad = basic("observer", "bad")
    fail(access, 5, bad)
    waits = []
    for _ in range(9):
        with pytest.raises(TooManyAttempts, match=r"again in \d+ s"):
            access.authenticate(GOOD, "10.0.0.1")
        begin_s = clock.now_s
        while True:
            clock.now_s += 1
            try:
                access.authenticate(bad, "10.0.0.1")
            except TooManyAttempts:
                continue
            except AuthenticationFailed:
                break
        waits.append(clock.now_s - begin_s)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert len(hasher.asked) == 5 + 9
    clock.now_s += 60
    assert access.authenticate(GOOD, "10.0.0.1") == "observer"


def test_failures_are_forgotten() -> None:
    clock = Hand()
    access = Access(USERS, clock)
    fail(access, 4, basic("observer", "bad"))
    clock.now_s += 1000
    fail(access, 4, basic("observer", "bad"))
    assert access.authenticate(GOOD, "10.0.0.1") == "observer"


def test_a_guesser_of_many_names_is_stopped_by_his_address() -> None:
    access = Access(USERS, Hand())
    for n in range(5):
        fail(access, 1, basic(f"user{n}", "x"))
    with pytest.raises(TooManyAttempts):
        access.authenticate(basic("user9", "x"), "10.0.0.1")
    assert access.authenticate(GOOD, "10.0.0.2") == "observer"


def test_ipv6_guessers_count_by_their_network() -> None:
    access = Access(USERS, Hand())
    for n in range(5):
        fail(access, 1, basic(f"user{n}", "x"), f"2001:db8::{n}")
    with pytest.raises(TooManyAttempts):
        access.authenticate(basic("user9", "x"), "2001:db8::99")
    assert access.authenticate(GOOD, "2001:db8:1::1") == "observer"


def test_a_guesser_from_many_addresses_is_stopped_by_the_name() -> None:
    access = Access(USERS, Hand())
    assert access.authenticate(GOOD, "10.0.0.1") == "observer"
    for n in range(5):
        fail(access, 1, basic("observer", "x"), f"10.1.0.{n}")
    with pytest.raises(TooManyAttempts):
        access.authenticate(GOOD, "10.1.0.9")
    # And cannot lock out who is already in.
    assert access.authenticate(GOOD, "10.0.0.1") == "observer"


def test_a_remembered_password_is_no_way_to_guess_it_fast() -> None:
    access = Access(USERS, Hand())
    assert access.authenticate(GOOD, "10.0.0.1") == "observer"
    fail(access, 5, basic("observer", "guess"))
    with pytest.raises(TooManyAttempts):
        access.authenticate(GOOD, "10.0.0.1")


def test_another_client_of_the_same_machine_goes_on() -> None:
    access = Access(USERS, Hand())
    assert access.authenticate(basic("guard", "dog"), "127.0.0.1") == "guard"
    fail(access, 5, basic("observer", "old password"), "127.0.0.1")
    assert access.authenticate(basic("guard", "dog"), "127.0.0.1") == "guard"


def test_memory_of_attempts_is_bounded() -> None:
    attempts = Attempts(Hand(), size=100)
    for n in range(1000):
        attempts.failed([str(n).encode()])
    assert len(attempts) == 100


def test_memory_of_passwords_is_bounded() -> None:
    access, hasher = counted(Hand())
    for n in range(257):
        access.authenticate(GOOD, f"10.0.{n // 250}.{n % 250}")
    access.authenticate(GOOD, "10.0.1.6")
    assert len(hasher.asked) == 257
    access.authenticate(GOOD, "10.0.0.0")  # the first one was forgotten
    assert len(hasher.asked) == 258


def test_few_verifications_run_at_a_time() -> None:
    access, hasher = counted()

    def attempt(n: int) -> str:
        try:
            return access.authenticate(GOOD, f"10.0.0.{n}") or ""
        except TooManyAttempts:
            return "busy"

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(attempt, range(60))) <= {"observer", "busy"}
    assert hasher.most <= 2


@pytest.mark.parametrize(
    ("name", "request_name", "permitted"),
    [
        ("observer", "anything", True),
        ("guard", "close_dome", True),
        ("guard", "open_dome", False),
        ("nobody", "status", False),
        (None, "status", False),
    ],
)
def test_permissions(name: str | None, request_name: str, permitted: bool) -> None:
    assert Access(USERS).permits(name, request_name) is permitted


@pytest.mark.parametrize("text", ["", "secret", "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$v=19"])
def test_a_hash_that_is_none_is_refused(text: str) -> None:
    users: Sequence[User] = [User("observer", text)]
    with pytest.raises(ConfigurationError, match="observer") as caught:
        Access(users)
    assert "secret" not in caught.value.message


def test_the_log_names_the_guesser_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    access = Access(USERS)
    with caplog.at_level(logging.DEBUG):
        fail(access, 1, basic("observer\nERROR forged\x1b[2J", "hunter2"))
    (record,) = caplog.records
    line = record.getMessage()
    assert "10.0.0.1" in line
    assert line.isprintable()
    assert "hunter2" not in line
