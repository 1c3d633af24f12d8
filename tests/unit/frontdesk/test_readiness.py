"""What systemd hears, at a real datagram socket."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from toros.frontdesk.readiness import (
    Watchdog,
    notify_ready,
    notify_status,
    notify_stopping,
)


@pytest.fixture(params=["path", "abstract"])
def systemd(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """Listen as systemd does, on both kinds of sockets."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@toros-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        monkeypatch.delenv("WATCHDOG_USEC", raising=False)
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield listener


def heard(systemd: socket.socket) -> list[bytes]:
    """Return what has already arrived."""
    messages = []
    while True:
        try:
            messages.append(systemd.recv(4096))
        except BlockingIOError:
            return messages


def test_messages(systemd: socket.socket) -> None:
    assert notify_ready()
    assert notify_status("3 orders queued")
    assert notify_stopping()
    assert heard(systemd) == [b"READY=1", b"STATUS=3 orders queued", b"STOPPING=1"]


def test_a_status_says_nothing_else(systemd: socket.socket) -> None:
    notify_status("order x\nMAINPID=1\r\nREADY=1\udc80" + "y" * 5000)
    (message,) = heard(systemd)
    assert message.startswith(b"STATUS=order x MAINPID=1 READY=1\\udc80y")
    assert b"\n" not in message
    assert len(message) < 300


@pytest.mark.parametrize("name", [None, "", "vsock:2:1234", "relative/path"])
def test_without_systemd_nothing_is_sent(
    name: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if name is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", name)
    assert not notify_ready()
    assert caplog.records == []


def test_a_socket_that_has_gone_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert not notify_ready()
    assert "READY=1" in caplog.text


@contextmanager
def watching(alive: Callable[[], bool]) -> Iterator[None]:
    watchdog = Watchdog(alive)
    watchdog.start()
    try:
        yield
    finally:
        watchdog.stop()


def fed(systemd: socket.socket) -> bool:
    """Wait for the next message."""
    assert select.select([systemd], [], [], 30)[0], "nothing came"
    return systemd.recv(4096) == b"WATCHDOG=1"


def test_the_watchdog_is_fed_while_alive_and_only_then(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    hangs = threading.Event()
    asked_while_hanging = threading.Semaphore(0)

    def alive() -> bool:
        if hangs.is_set():
            asked_while_hanging.release()
            return False
        return True

    def wait_for_questions() -> None:
        for _ in range(4):
            assert asked_while_hanging.acquire(timeout=30)

    with watching(alive):
        assert all(fed(systemd) for _ in range(3))
        hangs.set()
        wait_for_questions()
        heard(systemd)  # what was fed before
        wait_for_questions()
        assert heard(systemd) == []
        hangs.clear()
        assert fed(systemd)
    assert [r.message for r in caplog.records] == [
        "no progress; systemd restarts this daemon unless there is some within 0.03 s"
    ]
    assert "watchdog" not in [thread.name for thread in threading.enumerate()]


def test_a_question_that_fails_means_no_and_is_asked_again(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000")
    answers = iter([False, False, True])

    def alive() -> bool:
        if next(answers, True):
            return True
        raise ZeroDivisionError

    with watching(alive):
        assert fed(systemd)
    assert caplog.text.count("Traceback") == 1


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "30000", "WATCHDOG_PID": "1"},
    ],
)
def test_no_watchdog_where_none_is_asked_for(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with watching(lambda: True):
        assert "watchdog" not in [thread.name for thread in threading.enumerate()]
