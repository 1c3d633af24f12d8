"""A robot that is killed with -9 again and again: nothing is lost, nothing is told twice."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.system.alert_stream import RUBBISH, Sent, deliver, make_stream
from tests.system.alerts import NOON, AlertRobot, RecordingDesk, closing, drawing, until
from tests.system.brokers import KafkaBroker
from tests.system.robot_forks import Starter
from tests.system.test_alert_replay import (
    assert_nothing_told_twice,
    final_state,
    identities,
    take_in_order,
)
from tests.unit.lvcgcn.robots import make_robot
from toros.database.alert_tables import AlertNotice
from toros.database.messages import Message

TOPIC = "igwn.gwalert"
BEGIN = NOON - timedelta(hours=7)
LIVES_APART = 12


class Feed:
    """Brings notices, every other one by Kafka while its broker is up, the rest by the folder."""

    def __init__(self, robot: AlertRobot, kafka: KafkaBroker, raws: list[bytes], lives: int):
        self._robot, self._kafka = robot, kafka
        self._parts = [raws[n::lives] for n in range(lives)]
        self._held_back: list[bytes] = []
        self._sent = 0

    def bring(self, number: int, *, is_up: bool) -> None:
        """Bring the part of one life."""
        part = self._parts[number]
        for n, raw in enumerate(part[1::2]):
            self._robot.drop(f"{number:04d}-{n:03d}", raw)
        self._held_back += part[::2]
        if is_up:
            self._kafka.come_up()
            self.all_is_taken()
        else:
            self._kafka.go_down()

    def all_is_taken(self) -> bool:
        """Whether nothing is left; if all so far is taken by Kafka's reader, send it more."""
        # The broker forgets the oldest messages beyond 5 MB.
        if max(0, self._kafka.committed("toros", TOPIC)) < self._sent:
            return False
        size, batch = 0, []
        while self._held_back and size < 3_000_000:
            batch.append(self._held_back.pop(0))
            size += len(batch[-1])
        self._kafka.produce(TOPIC, batch)
        self._sent += len(batch)
        return not batch


@contextlib.contextmanager
def killed_robot(
    folder: Path, stream: list[Sent], deliveries: int, kills: int
) -> Iterator[tuple[AlertRobot, RecordingDesk, RecordingDesk]]:
    """Kill a robot while notices arrive, then let it finish.

    After a kill its place in Kafka's group is free only some ten seconds later. So the broker is
    up in one life of a dozen, which is longer; in the others it is away.
    """
    dice = random.Random(kills)
    macon, north = RecordingDesk(), RecordingDesk()
    with closing(macon, north), KafkaBroker() as kafka:
        kafka.create(TOPIC)
        robot = AlertRobot(
            folder,
            {"Kafka": {"Servers": [kafka.address], "Heartbeat": "none"}, "Relay": {"Targets": 5}},
            north=north.address,
        )
        robot.answer_as_telescope(macon.address)
        feed = Feed(robot, kafka, deliver(stream, 3, deliveries), kills + 1)
        starter = Starter(robot)
        with closing(starter):
            for number in range(kills):
                is_up = number % LIVES_APART == 0
                feed.bring(number, is_up=is_up)
                pid = starter.start()
                life_s = dice.uniform(0.0, 0.8)
                if is_up or dice.random() < 0.7:
                    until(robot.answers, "the robot begins to handle what has come")
                    life_s = dice.uniform(1.0, 3.0) if is_up else dice.uniform(0.0, 1.6)
                time.sleep(life_s)
                starter.kill(pid)
            feed.bring(kills, is_up=True)
            starter.start()
            until(robot.answers, "the robot answers")
            _until_all_is_done(robot, feed)
            yield robot, macon, north


def _until_all_is_done(robot: AlertRobot, feed: Feed) -> None:
    archive, database = robot.archive(), robot.database()

    def waiting() -> int:
        with database.reading() as session:
            rows = select(func.count()).where(Message.state == "waiting")
            return int(session.scalar(rows) or 0)

    until(lambda: not list(robot.incoming.iterdir()), "the folder is taken", 60.0)
    until(feed.all_is_taken, "Kafka is taken", 90.0)
    until(lambda: not archive.waiting(), "all are handled", 120.0)
    until(lambda: waiting() == 0, "all is told", 120.0)
    database.close()


class _Opened:
    """A killed robot's database and archive, to look into as into a robot in this process."""

    def __init__(self, robot: AlertRobot) -> None:
        self.database = robot.database()
        self.archive = robot.archive()


def kill_and_compare(tmp_path: Path, seed: int, distinct: int, deliveries: int, kills: int) -> None:
    stream = make_stream(seed, distinct, BEGIN)
    begun = time.monotonic()
    with killed_robot(tmp_path / "killed", stream, deliveries, kills) as told:
        robot, macon, north = told
        opened: Any = _Opened(robot)
        with opened.database.reading() as session:
            rows = session.scalars(select(AlertNotice)).all()
        read = {row.identity for row in rows if row.outcome != "refused"}
        assert read == identities(stream), "lost, or made up"
        rubbish = {sent.raw for sent in stream if sent.raw.startswith(RUBBISH)}
        assert len(rows) == len(read) + len(rubbish)
        assert list(opened.archive.aside.iterdir()) == []
        for desk in (macon, north):
            desk.assert_nothing_twice()
        messages = assert_nothing_told_twice(opened)
        assert len({d["id"] for d in (*macon.deliveries, *north.deliveries)}) * 2 == messages
        repeated = len(macon.deliveries) + len(north.deliveries) - messages
        undisturbed = make_robot(tmp_path / "whole", tmp_path / "packaged", now=NOON,
                                 Relay={"Targets": 5})  # fmt: skip
        take_in_order(undisturbed, stream)
        expected = final_state(undisturbed)
        assert final_state(opened) == expected
        for desk, site in ((macon, "Macon"), (north, "North")):
            for event, names in desk.names().items():
                assert names == expected[event][2][site], event
        undisturbed.database.close()
        opened.database.close()
    until(lambda: not drawing(tmp_path), "nothing draws for a robot that is gone", 20.0)
    print(
        f"MEASURED {kills} kills, {deliveries} deliveries of {len(stream)} notices, "
        f"{repeated} repeated to a front desk: {time.monotonic() - begun:.0f} s"
    )


def test_a_robot_that_is_killed_some_times(tmp_path: Path) -> None:
    kill_and_compare(tmp_path, 21, 30, 45, kills=3)


@pytest.mark.long
def test_a_robot_that_is_killed_a_hundred_times(tmp_path: Path) -> None:
    kill_and_compare(tmp_path, 22, 300, 500, kills=100)
