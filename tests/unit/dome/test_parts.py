"""The dome's small parts: lease, journal, ledger, memory, alarm, heartbeat, last good."""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import time
from pathlib import Path

import pytest
import yaml

from tests.unit.dome.conftest import until
from toros import config
from toros.config import Settings
from toros.config.enclosure import Dome
from toros.config.hardware import Device
from toros.database import schema
from toros.database.orders import Orders
from toros.database.session import Database
from toros.dome import lastgood
from toros.dome.alarm import Alarm
from toros.dome.daemon import Configuration, running
from toros.dome.heartbeat import Heartbeat
from toros.dome.journal import Journal, Scribe, append_line
from toros.dome.lease import Lease
from toros.dome.ledger import Ledger
from toros.dome.memory import Memory, Remembered
from toros.dome.motion import off_by
from toros.dome.rules import Mode
from toros.errors import ConfigurationError, LeaseHeld, OrderCancelled, StorageFailed
from toros.workorders import parse
from toros.workorders.dome import CloseDome


@pytest.fixture
def scribe():
    return Scribe()


# Lease


def test_a_lease_lapses_and_is_bounded_by_the_setting():
    lease = Lease(20.0)
    assert lease.renew("a", 100.0, 300.0).until_s == 120.0
    assert lease.renew("a", 101.0, 5.0).until_s == 106.0
    with pytest.raises(LeaseHeld, match="'a' holds the lease for 5 s"):
        lease.renew("b", 101.0)
    assert lease.held(105.9).holder == "a"
    assert lease.held(106.0) is None
    assert lease.renew("b", 106.0).until_s == 126.0
    lease.renew("b", 107.0, 0.0)
    assert lease.held(107.0) is None


# Journal and ledger


def test_a_half_written_line_spoils_no_other(tmp_path, scribe):
    path = tmp_path / "j.jsonl"
    path.write_text('{"order": {"id": "1"')
    append_line(path, json.dumps({"n": 2}))
    assert Journal(path, scribe).tail() == [{"n": 2}]


def test_a_full_disk_is_told_and_the_journal_goes_on_later(small_disk, scribe):
    journal = Journal(small_disk / "j.jsonl", scribe)
    assert journal.write({"n": 1}).wait(5.0) is None
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    results = [journal.write({"n": 2, "text": "x" * 5000}).wait(5.0) for _ in range(3)]
    assert any(result and "No space" in result for result in results)
    ballast.unlink()
    assert journal.write({"n": 3}).wait(5.0) is None
    assert journal.tail()[0] == {"n": 1}
    assert journal.tail()[-1] == {"n": 3}


def test_a_disk_that_hangs_stops_nobody(scribe):
    hangs = threading.Event()
    scribe.begin(lambda: hangs.wait(20.0) and None)
    began = time.monotonic()
    later = [scribe.begin(lambda: None) for _ in range(1500)]
    assert time.monotonic() - began < 1.0
    assert "not answered" in later[0].wait(0.05)
    assert "wait for the disk" in later[-1].wait(0.05)
    hangs.set()
    assert later[0].wait(5.0) is None


def ledger_at(folder: Path, scribe) -> Ledger:
    return Ledger(Journal(folder / "journal.jsonl", scribe))


def test_a_restart_knows_the_last_orders_and_ends_what_was_under_way(tmp_path, scribe):
    first = ledger_at(tmp_path, scribe)
    done = first.open(CloseDome(id="1"), "eve")
    first.write(done)
    first.end(done)
    first.write(first.open(CloseDome(id="2"), "eve")).wait(5.0)
    again = ledger_at(tmp_path, scribe)
    again.recall()
    assert again.tell("1", "eve")["status"] == "done"
    assert again.tell("2", None)["status"] == "running"
    assert again.tell("2", "another") is None
    again.settle()
    assert again.tell("2", None)["result"] == {"value": True}


def test_ended_orders_reach_the_database_once_and_are_told_alike(tmp_path, scribe, database_url):
    from toros import clock

    database = Database(database_url)
    ledger = ledger_at(tmp_path, scribe)
    record = ledger.open(CloseDome(id="1", user="eve"), "eve")
    ledger.end(record)
    stopped = ledger.open(CloseDome(id="2"), "")
    ledger.end(stopped, OrderCancelled("all motion was stopped"))
    ledger.open(CloseDome(id="3"), "")
    assert ledger.copy_to(database) == 0  # it has no schema yet
    schema.prepare(database)
    assert ledger.copy_to(database) == 2
    assert ledger.copy_to(database) == 0
    orders = Orders(database, "dome", "host:a", clock.REAL)
    told = orders.tell("1", "eve")
    for key in ("status", "request", "result", "code", "message", "finished", "priority"):
        assert told[key] == record[key], key
    assert orders.tell("2", "")["status"] == "cancelled"
    again = ledger.open(CloseDome(id="1"), "eve")  # the same id acts again
    ledger.end(again)
    assert ledger.copy_to(database) == 1
    assert orders.page(None, 1, 10)["total"] == 2
    database.close()


# Memory


def test_what_is_remembered_is_read_back(tmp_path, scribe):
    memory = Memory(tmp_path / "state" / "mode.json", scribe)
    assert memory.load() == Remembered()
    kept = Remembered(Mode.MANUAL, "it fell")
    assert memory.save(kept).wait(5.0) is None
    assert memory.load() == kept


# Alarm


def test_an_alarm_is_told_at_once_and_after_each_interval(caplog):
    alarm = Alarm(100.0)
    for now_s in (0.0, 1.0, 99.0, 100.0, 150.0, 200.0):
        alarm.sound("k", "it burns", now_s)
        alarm.repeat(now_s)
    errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert errors == ["it burns", "it burns (for 100 s now)", "it burns (for 200 s now)"]
    alarm.end("k")
    assert alarm.texts == []


# Heartbeat


def test_the_heart_beats_only_while_all_is_well(tmp_path):
    path, well = tmp_path / "beat", threading.Event()
    heartbeat = Heartbeat(path, well.is_set)
    heartbeat.start()
    time.sleep(1.3)
    assert not path.exists()
    well.set()
    until(lambda: path.exists() and int(path.read_text()) >= 2)
    well.clear()
    time.sleep(1.2)
    count = path.read_text()
    time.sleep(1.5)
    assert path.read_text() == count
    heartbeat.stop()


def test_the_heart_beats_into_a_device_without_disarming_it(tmp_path):
    path = tmp_path / "watchdog"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    heartbeat = Heartbeat(path, lambda: True)
    heartbeat.start()

    def beats() -> bytes:
        try:
            return os.read(reader, 10)
        except BlockingIOError:
            return b""

    assert set(until(beats)) == {10}
    heartbeat.stop()
    os.close(reader)


# Motion


@pytest.mark.parametrize(
    ("one", "other", "apart"), [(0, 0, 0), (359, 1, 2), (1, 359, 2), (90, 270, 180), (10, 350, 20)]
)
def test_azimuths_are_compared_around_the_circle(one, other, apart):
    assert off_by(one, other) == apart


# Requests


@pytest.mark.parametrize(
    "envelope", [{"id": {}}, {"datetime": "soon"}, {"priority": "high"}, {"user": 7}, {"id": ""}]
)
@pytest.mark.parametrize("request_name", ["CloseDome", "close_dome", "stop"])
def test_no_mistake_in_the_envelope_keeps_it_from_closing(request_name, envelope):
    assert type(parse({"request": request_name, **envelope}, "dome")).everybody


# The last good configuration


def write(path: Path, **changes) -> None:
    content = {
        "State Folder": str(path.parent / "state"),
        "Dome": {"Device": {"Driver": "alpaca", "Address": "127.0.0.1:11111"}, "Lease (s)": 15},
    }
    path.write_text(yaml.safe_dump({**content, **changes}, sort_keys=False))


@pytest.fixture
def configuration(tmp_path) -> Path:
    path = tmp_path / "toros.conf.yaml"
    write(path)
    lastgood.keep(config.load(path, "dome"))
    return path


def fallen_back(path: Path) -> tuple[Settings, bool]:
    with pytest.raises(ConfigurationError) as wrong:
        config.load(path, "dome")
    return lastgood.last_good(path, wrong.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"Dome": {"Device": {"Driver": "alpaca", "Adress": "x"}}},
        {"Dome": {"Lease (s)": 3000}},
        {"Dome": "open"},
        {"Domme": {}},
        {"Observatory": {"Longitude (deg)": 720}},
    ],
)
def test_a_wrong_dome_section_takes_the_last_good_one_and_does_not_open(configuration, changes):
    write(configuration, **changes)
    settings, may_open = fallen_back(configuration)
    assert settings.dome.lease_s == 15
    assert settings.dome.device.address == "127.0.0.1:11111"
    assert not may_open


@pytest.mark.parametrize("content", ["\t: {", "", "[1]", "State Folder: [", "\x00"])
def test_a_file_that_is_no_configuration_takes_the_last_good_one(configuration, content):
    folder = configuration.parent / "state"
    configuration.write_text(f"State Folder: {folder}\n{content}")
    try:
        config.load(configuration, "dome")
    except ConfigurationError as error:
        settings, may_open = lastgood.last_good(configuration, error)
        assert settings.dome.lease_s == 15
        assert not may_open


@pytest.mark.parametrize(
    "changes",
    [
        {"Database": {"URL": "oracle://x"}},
        {"Admin Emails": ["nobody"]},
        {"Logging": {"Log Level": "LOUD"}},
        {"Email Configuration": {"Port": 0}},
    ],
)
def test_a_mistake_that_the_dome_can_do_without_does_not_keep_it_closed(configuration, changes):
    write(configuration, **changes, Dome={
        "Device": {"Driver": "alpaca", "Address": "127.0.0.1:11111"}, "Lease (s)": 25,
    })  # fmt: skip
    settings, may_open = fallen_back(configuration)
    assert settings.dome.lease_s == 25
    assert may_open


def test_without_a_good_copy_the_mistake_is_told(tmp_path):
    path = tmp_path / "toros.conf.yaml"
    write(path, Dome={"Lease (s)": 3000})
    with pytest.raises(ConfigurationError) as wrong:
        config.load(path, "dome")
    with pytest.raises(ConfigurationError) as told:
        lastgood.last_good(path, wrong.value)
    assert told.value is wrong.value


def test_the_copy_is_nobody_elses(configuration):
    copy = configuration.parent / "state" / "dome" / "last-good.conf.yaml"
    assert copy.stat().st_mode & 0o777 == 0o600


def test_a_state_folder_that_cannot_be_written_is_told(configuration):
    settings = config.load(configuration, "dome")
    copy = configuration.parent / "state" / "dome"
    shutil.rmtree(copy)
    copy.write_text("a file")
    with pytest.raises(StorageFailed):
        lastgood.keep(settings)


def test_nothing_wrong_in_an_order_to_close_refuses_it():
    order = parse({"request": "CloseDome", "holder": 5, "priority": "high"}, "dome")
    assert order.holder is None


def test_a_watchdog_of_the_computer_is_no_heartbeat():
    """The beats cease in unknown weather, and it would start the computer again and again."""
    dome = Dome(device=Device(driver="simulated"), heartbeat_path=Path("/dev/watchdog0"))
    with pytest.raises(ConfigurationError, match="relay or PLC"):
        Configuration().terms(Settings(dome=dome))


def test_a_roll_off_roof_without_a_mount_is_warned_of(tmp_path, caplog, database_url):
    dome = Dome(device=Device(driver="simulated"), enclosure="roll-off")
    settings = Settings(dome=dome, state_folder=tmp_path)
    with running(settings, Database(database_url)):
        assert "the roof closes at once, wherever the telescope stands" in caplog.text
