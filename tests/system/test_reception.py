"""Reception with real parts: Kafka's mock broker, comet, pygcn; and a receiver that is killed."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.conftest import PROJECT, free_port
from tests.system.brokers import CometBroker, KafkaBroker, wait_until
from toros import clock
from toros.cli.alert import alert_group
from toros.config.alerts import Kafka, Vtp
from toros.errors import DiskFull
from toros.lvcgcn.reception import Archive
from toros.lvcgcn.reception.kafka import KafkaReceiver
from toros.lvcgcn.reception.vtp import VtpReceiver

HEARTBEAT = "gcn.heartbeat"
# Brokers take members that are gone for present until then; 6 s is the least they allow.
FAST = {"session.timeout.ms": 6_000, "topic.metadata.refresh.interval.ms": 500}


class Disk:
    """An archive whose disk can hang or be full."""

    def __init__(self, folder: Path) -> None:
        self.archive = Archive(folder, clock.REAL)
        self.gate = threading.Event()
        self.gate.set()
        self.full = False
        self.tried = 0

    def keep(self, raw: bytes, source: str) -> None:
        self.tried += 1
        assert self.gate.wait(60)
        if self.full:
            raise DiskFull(f"{self.archive.folder}: no space left")
        self.archive.keep(raw, source)

    @property
    def kept(self) -> list[bytes]:
        return [kept.read() for kept in self.archive.waiting()]


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaBroker]:
    with KafkaBroker() as broker:
        broker.create(HEARTBEAT)
        broker.beat(HEARTBEAT, 0.2)
        yield broker


@pytest.fixture
def topic(kafka: KafkaBroker) -> str:
    """Return a topic of the test's own."""
    name = f"igwn.test-{uuid.uuid4().hex[:8]}"
    kafka.create(name)
    return name


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "alerts")


@pytest.fixture
def receive(kafka: KafkaBroker) -> Iterator[Callable[..., KafkaReceiver]]:
    """Make receivers that end with the test."""
    made: list[KafkaReceiver] = []

    def make(
        keep: Any,
        *topics: str,
        silence_s: float = 60.0,
        heartbeat: str = HEARTBEAT,
        **keeper: Any,
    ) -> KafkaReceiver:
        settings = Kafka.model_validate(
            {
                "Servers": [kafka.address],
                "Topics": list(topics),
                "Group": topics[0].strip("^"),
                "Heartbeat": heartbeat,
                "Silence (s)": silence_s,
            }
        )
        made.append(KafkaReceiver(settings, keep, clock.REAL, options=FAST, keeper_options=keeper))
        made[-1].start()
        return made[-1]

    yield make
    for receiver in made:
        receiver.stop(2.0)


def heartbeat_of(receiver: Any) -> str:
    return str(receiver.state()["last_heartbeat"])


def test_what_is_produced_is_archived_byte_by_byte_and_then_committed(kafka, topic, disk, receive):
    sent = [os.urandom(2000), b'{"superevent_id": "S1"}', b"\x00", os.urandom(3_500_000), b"<a/>"]
    kafka.produce(topic, sent)
    # A regular expression, and a topic that is not there: the others are read all the same.
    receiver = receive(disk.keep, f"^{topic}$", "igwn.not-there")
    wait_until(lambda: len(disk.archive.waiting()) == 5, "all are archived")
    assert disk.kept == sent, "in their order"
    assert {kept.source for kept in disk.archive.waiting()} == {f"kafka-{topic}"}
    wait_until(lambda: kafka.committed(f"{topic}$", topic) == 5, "they are committed")
    wait_until(lambda: receiver.state()["last_heartbeat"], "the heartbeat is read, not archived")
    state = receiver.state()
    assert state["connected"] is True
    assert state["received"] == 5
    assert state["topics"] == [HEARTBEAT, topic]
    wait_until(lambda: "igwn.not-there" in receiver.state()["trouble"], "what is not there is told")


def test_a_disk_that_hangs_or_is_full_delays_no_heartbeat_and_nothing_is_committed(
    kafka, topic, disk, receive, caplog
):
    disk.gate.clear()
    receiver = receive(disk.keep, topic, first_delay_s=0.1, last_delay_s=0.2, limit_count=15)
    kafka.produce(topic, [b"%d" % n for n in range(40)])
    wait_until(lambda: disk.tried, "the first is being archived")
    for _ in range(3):
        before = heartbeat_of(receiver)
        wait_until(lambda b=before: heartbeat_of(receiver) > b, "the next heartbeat", 3.0)
    assert receiver.state()["to_archive"] <= 16, "no more is fetched than there is room for"
    disk.full = True
    disk.gate.set()
    wait_until(lambda: disk.tried > 3, "it is tried again")
    wait_until(lambda: "no space left" in receiver.state()["trouble"], "it is told")
    assert kafka.committed(topic, topic) < 0
    disk.full = False
    wait_until(lambda: len(disk.archive.waiting()) == 40, "all are archived")
    assert disk.kept == [b"%d" % n for n in range(40)], "in their order, each once"
    receiver.stop(5.0)
    assert kafka.committed(topic, topic) == 40, "the stop waits for the commit"
    assert len([r for r in caplog.records if r.levelno >= logging.ERROR]) == 1


@pytest.mark.long
def test_a_broker_that_goes_and_comes_back(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    with KafkaBroker() as kafka:
        kafka.create(HEARTBEAT)
        kafka.create("igwn.gwalert")
        kafka.beat(HEARTBEAT, 0.2)
        kafka.produce("igwn.gwalert", [b"before"])
        disk = Disk(tmp_path)
        settings = Kafka.model_validate({"Servers": [kafka.address], "Silence (s)": 3.0})
        receiver = KafkaReceiver(settings, disk.keep, clock.REAL, options=FAST)
        receiver.start()
        try:
            wait_until(lambda: disk.kept == [b"before"], "the first is archived")
            wait_until(lambda: receiver.state()["last_heartbeat"], "a heartbeat")
            kafka.go_down()
            wait_until(lambda: "is silent" in caplog.text, "silence is told")
            assert receiver.state()["connected"] is False
            assert kafka.address in receiver.state()["trouble"]
            kafka.come_up()
            kafka.produce("igwn.gwalert", [b"after"])
            wait_until(lambda: disk.kept == [b"before", b"after"], "it is read again")
            wait_until(lambda: "is back after" in caplog.text, "its end is told")
            wait_until(lambda: receiver.state()["trouble"] == "", "no trouble is left")
        finally:
            receiver.stop(5.0)
        told = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
        assert len(told) == 1, told


@pytest.mark.long
def test_a_rebalance_repeats_and_loses_nothing(kafka, tmp_path, receive, caplog):
    topic = f"igwn.test-{uuid.uuid4().hex[:8]}"
    kafka.create(topic, 4)
    disks = [Disk(tmp_path / str(n)) for n in range(2)]

    def together() -> set[bytes]:
        return {*disks[0].kept, *disks[1].kept}

    sent = set()

    def send(count: int) -> None:
        for _ in range(count):
            sent.add(b"%d" % len(sent))
            kafka.produce(topic, [b"%d" % (len(sent) - 1)])

    # Without a heartbeat's topic the connection is the sign of life.
    first = receive(disks[0].keep, topic, heartbeat="none", silence_s=2.0)
    send(5)
    wait_until(lambda: first.state()["topics"], "the first has joined")
    second = receive(disks[1].keep, topic)
    send(5)
    wait_until(lambda: second.state()["topics"], "the second has joined")
    send(5)
    wait_until(lambda: together() == sent, "all are archived")
    state = first.state
    wait_until(lambda: state()["last_heartbeat"] > state()["last_message"], "a sign of life")
    assert "is silent" not in caplog.text
    first.stop(5.0)
    send(5)
    wait_until(lambda: together() == sent, "the other one takes over")


@contextlib.contextmanager
def receiver_process(folder: Path, settings: dict[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.system.receiver", str(folder), json.dumps(settings)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()
            process.wait(20)


@pytest.mark.long
def test_a_receiver_that_is_killed_repeats_and_loses_nothing(tmp_path):
    rng = random.Random(3)
    with KafkaBroker() as kafka:
        kafka.create("igwn.gwalert")
        kafka.create(HEARTBEAT)
        settings = {"Kafka": {"Servers": [kafka.address]}}
        archive = Archive(tmp_path, clock.REAL)
        sent: list[bytes] = []
        for round_ in range(2):
            with receiver_process(tmp_path, settings):
                batch = [b"%d %d " % (round_, n) + bytes(40_000) for n in range(40)]
                kafka.produce("igwn.gwalert", batch)
                sent += batch
                count = len(archive.waiting())
                wait_until(lambda c=count: len(archive.waiting()) > c, "some are archived")
                time.sleep(rng.uniform(0, 0.1))
        with receiver_process(tmp_path, settings):
            wait_until(
                lambda: {kept.sha256 for kept in archive.waiting()} >= _sums(sent), "all are there"
            )
            wait_until(lambda: kafka.committed("toros", "igwn.gwalert") == len(sent), "committed")
        assert {kept.read() for kept in archive.waiting()} == set(sent), "and nothing is half"


def _sums(contents: list[bytes]) -> set[str]:
    import hashlib

    return {hashlib.sha256(content).hexdigest()[:16] for content in contents}


@pytest.fixture
def notice(shared_data: Path) -> Path:
    return shared_data / "alerts" / "MS181101ab-3-Initial.xml"


@pytest.fixture
def listen(disk: Disk) -> Iterator[Callable[..., VtpReceiver]]:
    """Make receivers that end with the test."""
    made: list[VtpReceiver] = []

    def make(address: str, silence_s: float = 60.0) -> VtpReceiver:
        settings = Vtp.model_validate(
            {"Name": "test", "Address": address, "Silence (s)": silence_s}
        )
        made.append(VtpReceiver(settings, disk.keep, clock.REAL, first_delay_s=0.1))
        made[-1].start()
        return made[-1]

    yield make
    disk.gate.set()
    for receiver in made:
        receiver.stop(2.0)


def test_comet_keeps_a_subscriber_whose_disk_hangs(tmp_path, disk, listen, notice, shared_data):
    """Comet drops who has not answered an iamalive by the next one, half a second later."""
    with CometBroker(tmp_path / "events", alive_s=0.5) as comet:
        receiver = listen(comet.address)
        wait_until(lambda: receiver.state()["last_heartbeat"], "it is subscribed")
        disk.gate.clear()
        comet.send(notice)
        wait_until(lambda: disk.tried, "it has come")
        for _ in range(2):
            before = heartbeat_of(receiver)
            wait_until(lambda b=before: heartbeat_of(receiver) > b, "the next iamalive", 3.0)
        second = shared_data / "alerts" / "MS181101ab-4-Update.xml"
        comet.send(second)
        wait_until(lambda: receiver.state()["to_archive"] == 2, "the next notice is not delayed")
        disk.gate.set()
        wait_until(lambda: len(disk.archive.waiting()) == 2, "both are archived")
        assert disk.kept == [notice.read_bytes(), second.read_bytes()]
        assert receiver.state()["trouble"] == "", "one connection for all"


@pytest.mark.long
def test_a_comet_that_goes_and_comes_back(tmp_path, disk, listen, notice, shared_data, caplog):
    caplog.set_level(logging.INFO)
    first = CometBroker(tmp_path / "first")
    with first as comet:
        receiver = listen(comet.address, silence_s=2.0)
        wait_until(lambda: receiver.state()["connected"], "it is connected")
        comet.send(notice)
        wait_until(lambda: disk.kept == [notice.read_bytes()], "it is archived")
    wait_until(lambda: "is silent" in caplog.text, "silence is told")
    with CometBroker(tmp_path / "second", ports=first.ports) as comet:
        wait_until(lambda: receiver.state()["connected"], "it is connected again")
        comet.send(shared_data / "alerts" / "MS181101ab-4-Update.xml")
        wait_until(lambda: len(disk.kept) == 2, "the next is archived")
    assert len([r for r in caplog.records if r.levelno >= logging.ERROR]) == 1


def test_notices_that_pygcn_serves(disk, listen, notice):
    port = free_port()
    program = str(Path(sys.executable).parent / "pygcn-serve")
    command = [program, "--host", f"127.0.0.1:{port}", "-t", "1", str(notice)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            listen(f"127.0.0.1:{port}")
            wait_until(disk.archive.waiting, "it is archived")
        finally:
            server.kill()
    assert disk.kept[0] == notice.read_bytes()


def test_replay_by_kafka(kafka, topic, disk, receive, shared_data):
    files = sorted((shared_data / "alerts").glob("MS181101ab-*.json"))
    receive(disk.keep, topic)
    arguments = ["replay", "--kafka", kafka.address, "--topic", topic, "--pace", "0", "--json"]
    done = CliRunner().invoke(alert_group, [*arguments, *map(str, files)])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["sent"] == len(files)
    wait_until(lambda: len(disk.archive.waiting()) == len(files), "all are archived")
    assert disk.kept == [path.read_bytes() for path in files]
