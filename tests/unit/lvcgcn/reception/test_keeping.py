"""The keeper and the vital signs: what is tried again, and what the admins are told."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from tests.system.brokers import wait_until
from toros import clock
from toros.errors import DiskFull
from toros.lvcgcn.reception.keeping import Keeper
from toros.lvcgcn.reception.vital_signs import VitalSigns


@pytest.fixture
def signs() -> VitalSigns:
    return VitalSigns("source", 0.3, clock.REAL, logging.getLogger("toros.test"))


class Disk:
    """Keeps what it is given, or raises what it is told to."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def keep(self, raw: bytes, _source: str) -> None:
        assert self.gate.wait(20)
        if self.error is not None:
            raise self.error
        self.kept.append(raw)


def errors(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def test_order_is_kept_and_each_sender_told_after(signs):
    disk, told = Disk(), []
    keeper = Keeper(signs, disk.keep)
    keeper.start()
    for n in range(50):
        keeper.put(b"%d" % n, "s", lambda n=n: told.append((n, len(disk.kept))))
    assert keeper.stop(10) == 0
    assert disk.kept == [b"%d" % n for n in range(50)]
    assert told == [(n, n + 1) for n in range(50)]


@pytest.mark.parametrize("error", [DiskFull("/archive: full"), OSError("a defect")])
def test_a_failure_is_tried_again_in_order_and_told_once(signs, caplog, error):
    caplog.set_level(logging.INFO)
    disk, told = Disk(), []
    disk.error = error
    keeper = Keeper(signs, disk.keep, first_delay_s=0.02, last_delay_s=0.05)
    keeper.start()
    keeper.put(b"first", "s", lambda: told.append(1))
    keeper.put(b"second", "s", lambda: told.append(2))
    time.sleep(0.4)
    assert (told, keeper.waiting) == ([], 2)
    assert len(errors(caplog)) == 1
    assert str(error) in errors(caplog)[0]
    assert str(error) in signs.trouble
    disk.error = None
    wait_until(lambda: told == [1, 2], "both are told")
    assert disk.kept == [b"first", b"second"]
    assert signs.trouble == ""
    assert "archiving works again" in caplog.text
    assert keeper.stop(5) == 0


def test_beyond_a_limit_there_is_no_room(signs):
    disk = Disk()
    disk.gate.clear()
    keeper = Keeper(signs, disk.keep, limit_bytes=100, limit_count=3)
    keeper.start()
    keeper.put(b"x" * 99, "s", lambda: None)
    assert keeper.has_room
    keeper.put(b"x", "s", lambda: None)
    assert not keeper.has_room
    disk.gate.set()
    wait_until(lambda: keeper.has_room and not keeper.waiting, "all is archived")
    disk.gate.clear()
    for _ in range(3):
        keeper.put(b"", "s", lambda: None)
    assert not keeper.has_room
    disk.gate.set()
    assert keeper.stop(5) == 0


def test_stop_does_not_wait_for_a_disk_that_hangs(signs):
    disk = Disk()
    disk.gate.clear()
    keeper = Keeper(signs, disk.keep)
    keeper.start()
    keeper.put(b"x", "s", lambda: None)
    begun = time.monotonic()
    assert keeper.stop(0.2) == 1
    assert time.monotonic() - begun < 5
    disk.gate.set()


def test_a_sender_that_cannot_be_told_ends_nothing(signs, caplog):
    disk = Disk()
    keeper = Keeper(signs, disk.keep)
    keeper.start()
    keeper.put(b"x", "s", lambda: 1 / 0)
    keeper.put(b"y", "s", lambda: None)
    assert keeper.stop(5) == 0
    assert disk.kept == [b"x", b"y"]
    assert "could not be told" in caplog.text


def test_silence_is_told_once_and_its_end_too(signs, caplog):
    caplog.set_level(logging.INFO)
    signs.check()
    assert not caplog.records
    signs.worry("connection", "host:1: refused")
    wait_until(lambda: signs.silent_s > 0.3, "silence")
    signs.check()
    signs.check()
    [error] = errors(caplog)
    assert "source is silent" in error
    assert "limit 0.3 s" in error
    assert "host:1: refused" in error
    signs.heartbeat()
    signs.message()
    backs = [record for record in caplog.records if "is back after" in record.getMessage()]
    assert [record.levelname for record in backs] == ["INFO"]
    wait_until(lambda: signs.silent_s > 0.3, "silence")
    signs.check()
    assert len(errors(caplog)) == 2, "a second silence is told again"


def test_a_trouble_is_told_once_until_it_is_over(signs, caplog):
    signs.worry("a", "one after 3 ms")
    signs.worry("a", "one after 4 ms")
    signs.worry("b", "two")
    assert [r.getMessage() for r in caplog.records] == ["source: one after 3 ms", "source: two"]
    assert signs.trouble == "one after 4 ms; two"
    signs.over("a", "b", "c")
    assert signs.state()["trouble"] == ""
    signs.worry("a", "again")
    assert len(caplog.records) == 3


def test_the_state_travels(signs):
    signs.message()
    state = signs.state()
    assert state["received"] == 1
    assert state["last_heartbeat"] is None
    assert isinstance(state["last_message"], str)
    assert set(state) == {
        "name", "connected", "received", "last_message", "last_heartbeat", "silent_s", "trouble",
    }  # fmt: skip
