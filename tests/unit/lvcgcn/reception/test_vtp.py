"""The VTP receiver before a broker that does everything wrong. Real brokers: tests/system."""

from __future__ import annotations

import logging
import resource
import threading

import pytest

from tests.system.brokers import RawBroker, wait_until
from toros import clock
from toros.config.alerts import Vtp
from toros.errors import DiskFull
from toros.lvcgcn.reception.transport import read_packet
from toros.lvcgcn.reception.vtp import VtpReceiver

NOTICE = b'<VOEvent ivorn="ivo://test#%d" role="test"/>'
ALIVE = b'<Transport role="iamalive"><Origin>ivo://broker</Origin></Transport>'


class Shelf:
    """Keeps what comes; waits at its gate, or raises."""

    def __init__(self) -> None:
        self.kept: list[tuple[bytes, str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception | None = None

    def keep(self, raw: bytes, source: str) -> None:
        assert self.gate.wait(30)
        if self.error is not None:
            raise self.error
        self.kept.append((raw, source))


@pytest.fixture
def broker():
    with RawBroker() as made:
        yield made


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def receiver(broker, shelf):
    settings = Vtp.model_validate({"Name": "test", "Address": broker.address, "Silence (s)": 1.0})
    made = VtpReceiver(settings, shelf.keep, clock.REAL, first_delay_s=0.05, last_delay_s=0.1)
    made.start()
    broker.accept()
    yield made
    shelf.gate.set()
    made.stop(2.0)


def answer(broker) -> tuple[str, str]:
    packet = read_packet(broker.receive())
    return packet.kind, packet.identity


def test_a_notice_is_archived_and_then_acknowledged(broker, shelf, receiver):
    shelf.gate.clear()
    broker.send(NOTICE % 1)
    broker.send(ALIVE)
    assert answer(broker) == ("iamalive", "ivo://broker"), "at once, although the disk hangs"
    assert broker.receive(0.3) is None, "not acknowledged while it is not archived"
    assert receiver.state()["to_archive"] == 1
    shelf.gate.set()
    assert answer(broker) == ("ack", "ivo://test#1")
    assert shelf.kept == [(NOTICE % 1, "vtp-test")]


def test_the_disk_is_full_and_then_is_not(broker, shelf, receiver, caplog):
    shelf.error = DiskFull("/archive: no space left")
    for n in range(3):
        broker.send(NOTICE % n)
    wait_until(lambda: "no space left" in receiver.state()["trouble"], "trouble is told")
    broker.send(ALIVE)
    assert answer(broker)[0] == "iamalive"
    shelf.error = None
    assert [answer(broker) for _ in range(3)] == [("ack", f"ivo://test#{n}") for n in range(3)]
    assert [raw for raw, _ in shelf.kept] == [NOTICE % n for n in range(3)]
    assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == 1


def test_authenticate_is_answered(broker, receiver):
    broker.send(ALIVE.replace(b"iamalive", b"authenticate"))
    assert answer(broker) == ("authenticate", "ivo://broker")
    wait_until(lambda: receiver.state()["last_heartbeat"], "it is a sign of life")


def test_rubbish_is_archived_and_ends_no_service(broker, shelf, receiver):
    rubbish = [b"\x00\xff", b"<html/>", b"<VOEvent", b'<VOEvent role="test"/>', b"{}"]
    for raw in (*rubbish, b"", NOTICE % 7, ALIVE.replace(b"iamalive", b"nak")):
        broker.send(raw)
    assert answer(broker) == ("ack", "ivo://test#7"), "the same connection goes on"
    assert [raw for raw, _ in shelf.kept] == [*rubbish, NOTICE % 7]


def test_a_packet_of_two_gigabytes_costs_nothing(broker, shelf, receiver, caplog):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    broker.send(b"<VOEvent", length=2**31)
    assert broker.receive() == b"", "the connection ends"
    broker.accept()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # [kB]
    broker.send(NOTICE % 2)
    assert answer(broker) == ("ack", "ivo://test#2")
    assert "2147483648 bytes; at most 4000000" in caplog.text
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


def test_a_large_packet_that_is_only_announced_costs_nothing(broker, receiver):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    broker.send(b"<VOEvent", length=4_000_000)
    assert broker.receive(0.3) is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2_000  # [kB]


def test_a_packet_in_pieces(broker, shelf, receiver):
    raw = NOTICE % 1 + b" " * 300_000
    broker.send(raw[:10], length=len(raw))
    assert broker.receive(0.2) is None
    broker._peer.sendall(raw[10:])
    assert answer(broker)[0] == "ack"
    assert shelf.kept[0][0] == raw


def test_silence_is_told_once_and_the_connection_made_anew(broker, receiver, caplog):
    caplog.set_level(logging.INFO)
    wait_until(lambda: "is silent" in caplog.text, "silence is told")
    broker.accept()
    broker.send(ALIVE)
    assert answer(broker)[0] == "iamalive"
    wait_until(lambda: "is back after" in caplog.text, "its end is told")
    assert len([r for r in caplog.records if r.levelno >= logging.ERROR]) == 1


def test_a_notice_that_comes_before_the_end_is_acknowledged_at_the_stop(broker, shelf, receiver):
    shelf.gate.clear()
    broker.send(NOTICE % 1)
    wait_until(lambda: receiver.state()["to_archive"] == 1, "it has come")
    threading.Timer(0.2, shelf.gate.set).start()
    receiver.stop(5.0)
    assert answer(broker) == ("ack", "ivo://test#1")


def test_what_cannot_be_archived_until_the_end_is_told(broker, shelf, receiver, caplog):
    shelf.gate.clear()
    broker.send(NOTICE % 1)
    wait_until(lambda: receiver.state()["to_archive"] == 1, "it has come")
    receiver.stop(0.2)
    assert "1 notices were neither archived nor acknowledged" in caplog.text
    assert broker.receive() == b"", "never acknowledged"


def test_a_broker_that_is_not_there_yet(shelf, caplog):
    with RawBroker() as broker:
        address = broker.address
    settings = Vtp.model_validate({"Name": "late", "Address": address})
    receiver = VtpReceiver(settings, shelf.keep, clock.REAL, first_delay_s=0.05, last_delay_s=0.1)
    receiver.start()
    wait_until(lambda: "refused" in receiver.state()["trouble"], "trouble is told")
    assert receiver.state()["connected"] is False
    receiver.stop(2.0)
    assert len([r for r in caplog.records if "refused" in r.getMessage()]) == 1
