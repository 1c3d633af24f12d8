"""What is slow, away or full delays nothing else, and is gone on with when it is back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.conftest import PostgresServer
from tests.system.alerts import NOON, AlertRobot, RecordingDesk, WebSink, closing, until
from tests.system.brokers import CometBroker, KafkaBroker
from tests.system.faults import Disk
from tests.unit.lvcgcn.notices.samples import classic, param
from toros import store
from toros.database.alert_tables import AlertNotice
from toros.simulation.notices import make_notice
from toros.simulation.sky_maps import make_sky_map

TOPIC = "igwn.gwalert"
AT_A_TIME = 4
"""So many maps are fetched at a time."""


def sky_map(seed: int = 1) -> bytes:
    return make_sky_map(197.4487, -23.3838, 41.0, 60.0, seed=seed, tiles=3072)


def superevent(name: str, after_s: float = 0.0) -> bytes:
    issued = NOON + timedelta(seconds=after_s)
    return make_notice(name, "INITIAL", issued, issued, sky_map())


def swift(trigger: int, *what: str, **rest: Any) -> bytes:
    return classic("SWIFT", 61, *what, trigger=trigger, date=f"{NOON:%Y-%m-%dT%H:%M:%S}", **rest)


@dataclass
class Scene:
    """A robot with sources of both kinds, and those that it tells."""

    robot: AlertRobot
    kafka: KafkaBroker
    north: RecordingDesk
    web: WebSink

    def heartbeats(self) -> dict[str, str]:
        """Return when each source last gave a sign of life."""
        sources = self.robot.desk.status()["sources"]
        return {each["name"]: str(each["last_heartbeat"]) for each in sources}

    def committed(self) -> int:
        """Return how many messages Kafka knows as taken."""
        return max(0, self.kafka.committed("toros", TOPIC))

    def state_of(self, event: str, recipient: str) -> str:
        """Return the state of what a recipient is told of an event's newest revision."""
        told = (self.robot.event(event) or {"told": []})["told"]
        return next((each["state"] for each in told if each["recipient"] == recipient), "")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[tuple[Scene, CometBroker]]:
    north, web = RecordingDesk(), WebSink()
    with (
        closing(north, web),
        KafkaBroker() as kafka,
        CometBroker(tmp_path / "comet", alive_s=1.0) as comet,
    ):
        for topic in (TOPIC, "gcn.heartbeat"):
            kafka.create(topic)
        kafka.beat("gcn.heartbeat", 0.3)
        section = {
            "Kafka": {"Servers": [kafka.address]},
            "VTP": [{"Name": "comet", "Address": comet.address}],
            "Sky Maps": {"Addresses": [f"http://{web.address}/"], "Timeout (s)": 120},
            "Tell": {"Webhooks": [{"Name": "hangs", "Address": f"http://{web.address}/hangs"}]},
        }
        robot = AlertRobot(tmp_path / "robot", section, north=north.address)
        with closing(robot):
            robot.start()
            robot.until_connected()
            yield Scene(robot, kafka, north, web), comet


def be_slow(scene: Scene, comet: CometBroker, folder: Path, slow_s: float) -> None:
    """Send notices whose maps and webhook take so long; hold that nothing else waits for them."""
    scene.web.answers["/hangs"] = slow_s
    link = [param("skymap_fits", f"http://{scene.web.address}/{n}.fits") for n in range(AT_A_TIME)]
    scene.web.files = {f"/{n}.fits": (sky_map(n), slow_s) for n in range(AT_A_TIME)}
    scene.kafka.produce(TOPIC, [swift(n, link[n], place=None) for n in range(AT_A_TIME)])
    until(lambda: len(scene.web.asked) == AT_A_TIME, "maps drip", 10.0)
    begun = time.monotonic()
    until(lambda: scene.committed() == AT_A_TIME, "they are committed", 5.0)
    for n in range(2):
        before = scene.heartbeats()
        until(
            lambda b=before: all(
                scene.heartbeats()[name] > b[name] for name in ("Kafka", "VTP comet")
            ),
            "the next heartbeats",
            3.0,
        )
        sent = time.monotonic()
        event = f"S26061{n}q"
        scene.kafka.produce(TOPIC, [superevent(event)])
        until(lambda e=event: scene.north.of(e), f"{event} in the north", 5.0)
        print(f"MEASURED while maps drip: a notice's list in {time.monotonic() - sent:.2f} s")
    notice = folder / "swift.xml"
    notice.write_bytes(swift(99))
    comet.send(notice)
    until(lambda: scene.north.of("Swift-BAT-99"), "the VOEvent in the north", 10.0)
    assert scene.robot.event("Swift-BAT-0") is None
    assert scene.robot.desk.status()["notices"]["under_way"] >= AT_A_TIME
    assert scene.state_of("S260610q", "hangs") == "waiting"
    assert time.monotonic() - begun < slow_s, "all that while the maps were dripping"
    assert all(not each["trouble"] for each in scene.robot.desk.status()["sources"])
    scene.web.answers["/hangs"] = 200
    for n in range(AT_A_TIME):
        told = scene.robot.until_notice(f"Swift-BAT-{n}", "BAT_GRB_Pos", 2 * slow_s + 30)
        assert told["summary"]["area_90_deg2"] == pytest.approx(60.0, rel=0.02), "by its map"
    until(lambda: scene.state_of("S260611q", "hangs") == "delivered", "it hangs no more")


def test_slow_maps_and_recipients_delay_nothing_else(scene: Any, tmp_path: Path) -> None:
    """Ten seconds instead of the minute of the long tier."""
    be_slow(*scene, tmp_path, 10.0)


@pytest.mark.long
def test_handlers_of_a_minute_delay_nothing_else(scene: Any, tmp_path: Path) -> None:
    be_slow(*scene, tmp_path, 60.0)


def count_rows(robot: AlertRobot) -> int:
    database = robot.database()
    try:
        with database.reading() as session:
            return int(session.scalar(select(func.count()).select_from(AlertNotice)) or 0)
    finally:
        database.close()


def test_without_the_database_notices_are_kept_and_answered_later(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    north = RecordingDesk()
    with closing(north), KafkaBroker() as kafka:
        kafka.create(TOPIC)
        section = {"Kafka": {"Servers": [kafka.address], "Heartbeat": "none"}}
        robot = AlertRobot(
            tmp_path / "robot", section, north=north.address, database_url=postgres.new_database()
        )
        with closing(robot):
            robot.start()
            robot.until_connected()
            kafka.produce(TOPIC, [superevent("S260611a")])
            until(lambda: north.of("S260611a"), "the first")
            postgres.stop()
            try:
                kafka.produce(TOPIC, [superevent("S260611b"), superevent("S260611a")])
                robot.drop("by-hand", swift(7))
                until(lambda: kafka.committed("toros", TOPIC) == 3, "Kafka's are archived")
                until(lambda: not list(robot.incoming.iterdir()), "the folder's is archived")
                archive = robot.archive()
                assert len(archive.waiting()) == 3
                until(lambda: robot.desk.status()["notices"]["in_trouble"] == 3, "they wait")
                assert robot.desk.status()["database"] != "ok"
            finally:
                postgres.start()
            until(lambda: not archive.waiting(), "all are handled")
            for event in ("S260611b", "Swift-BAT-7"):
                until(lambda e=event: north.of(e), f"{event} in the north")
            assert count_rows(robot) == 3
            assert len(north.of("S260611a")) == 1
            north.assert_nothing_twice()
            assert robot.desk.status()["notices"] == {"under_way": 0, "in_trouble": 0}
            assert not list(archive.aside.iterdir())


@pytest.mark.long
def test_a_full_disk_keeps_notices_with_the_broker_and_leaves_nothing_half(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk", 60_000)
    north = RecordingDesk()
    try:
        with closing(north), KafkaBroker() as kafka:
            kafka.create(TOPIC)
            section = {"Kafka": {"Servers": [kafka.address], "Heartbeat": "none"}}
            robot = AlertRobot(
                tmp_path / "robot", section, north=north.address, state=disk.folder / "state"
            )
            with closing(robot):
                robot.start()
                robot.until_connected()
                kafka.produce(TOPIC, [superevent("S260611a")])
                told = robot.until_notice("S260611a", "Initial")
                until((Path(told["folder"]) / "sky.png").is_file, "the picture")
                _fill_and_make_room(robot, kafka, north, disk)
    finally:
        disk.unmount()


def _fill_and_make_room(
    robot: AlertRobot, kafka: KafkaBroker, north: RecordingDesk, disk: Disk
) -> None:
    archive = robot.archive()
    # No room for the notice: it stays with the broker.
    disk.leave_kb(40)
    kafka.produce(TOPIC, [superevent("S260611b")])
    until(lambda: "space" in robot.desk.status()["sources"][0]["trouble"], "it is told")
    assert kafka.committed("toros", TOPIC) == 1
    assert archive.waiting() == []
    disk.lighten()
    until(lambda: north.of("S260611b"), "the list")
    until(lambda: kafka.committed("toros", TOPIC) == 2, "the commit")
    # Room for the notice, but not for what it leads to: it waits in the archive.
    disk.leave_kb(300)
    kafka.produce(TOPIC, [superevent("S260611c")])
    until(lambda: kafka.committed("toros", TOPIC) == 3, "it is archived")
    until(lambda: robot.desk.status()["notices"]["in_trouble"], "it is tried again")
    assert len(archive.waiting()) == 1
    for path in (disk.folder / "state" / "alerts" / "events").rglob("*.json"):
        if store.PARTIAL_PREFIX not in path.name:
            json.loads(path.read_bytes())
    disk.lighten()
    until(lambda: north.of("S260611c"), "the list")
    until(lambda: not archive.waiting(), "it is dealt with")
    assert not list(archive.aside.iterdir())
    events = disk.folder / "state" / "alerts" / "events"
    assert not list(events.rglob(f"{store.PARTIAL_PREFIX}*"))
    north.assert_nothing_twice()
