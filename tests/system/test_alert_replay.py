"""Notices repeated and out of order: nothing is lost, nothing twice, the end is that of order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.system.alert_stream import RUBBISH, Sent, deliver, make_stream
from tests.system.alerts import NOON, until
from tests.unit.lvcgcn.robots import make_robot
from toros.database.alert_tables import AlertEvent, AlertNotice, AlertTargets
from toros.database.messages import Message
from toros.errors import NoticeRefused
from toros.frontdesk.outbox import Outbox
from toros.lvcgcn.notices import read_notice
from toros.lvcgcn.requests import Resources

BEGIN = NOON - timedelta(hours=7)
SECTION = {"Tell": {"Mail": ["observer@example.org"]}, "Relay": {"Targets": 5}}


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("packaged")


def identities(stream: list[Sent]) -> set[str]:
    """Return what tells the notices apart that can be read."""
    found = set()
    for sent in stream:
        try:
            found.add(read_notice(sent.raw).identity)
        except NoticeRefused:
            assert sent.raw.startswith(RUBBISH)
    return found


def take_in_order(robot: Resources, stream: list[Sent]) -> None:
    """Handle each notice once, one after another, in the order of their issue."""
    for sent in stream:
        robot.robot.take(sent.raw, "order")


def run(robot: Resources, raws: list[bytes], timeout_s: float) -> float:
    """Let the robot's threads handle notices as a receiver brings them; return the time [s]."""
    begun = time.monotonic()
    archive, room = robot.robot.archive, 200
    robot.robot.start()
    for first in range(0, len(raws), room):
        until(lambda: len(archive.waiting()) < room, "some room", timeout_s)
        for raw in raws[first : first + room]:
            archive.keep(raw, "replay")
            robot.robot.wake()
    until(lambda: not archive.waiting(), "all are handled", timeout_s)
    until(lambda: robot.robot.state()["under_way"] == 0, "the last ones", timeout_s)
    return time.monotonic() - begun


def final_state(robot: Resources) -> dict[str, Any]:
    """Return each event's state, newest notice, and targets' names by observatory."""
    with robot.database.reading() as session:
        newest = {row.id: row.identity for row in session.scalars(select(AlertNotice))}
        state: dict[str, Any] = {
            row.name: [row.state, newest[row.notice_id or 0], {}]
            for row in session.scalars(select(AlertEvent))
        }
        for row in session.scalars(select(AlertTargets)):
            names = [target["name"] for target in row.content["targets"]]
            state[row.event][2][row.observatory] = names
    return state


def assert_nothing_lost(robot: Resources, stream: list[Sent]) -> None:
    with robot.database.reading() as session:
        rows = session.scalars(select(AlertNotice)).all()
        counted = Counter(row.identity for row in rows)
        assert set(counted.values()) == {1}
        read = identities(stream)
        assert {row.identity for row in rows if row.outcome != "refused"} == read
        rubbish = {sent.raw for sent in stream if sent.raw.startswith(RUBBISH)}
        assert len(counted) == len(read) + len(rubbish)
    aside = list((robot.robot.archive.folder / "aside").iterdir())
    assert aside == []


def assert_nothing_told_twice(robot: Resources) -> int:
    """Hold that of an event everybody hears of newer notices only, each once; count messages."""
    with robot.database.reading() as session:
        place = {
            (row.event, row.revision): (row.issued, row.identity)
            for row in session.scalars(select(AlertNotice).where(AlertNotice.revision.is_not(None)))
        }
        messages = session.scalars(select(Message).order_by(Message.id)).all()
        told = Counter((m.channel, m.recipient, m.message_id) for m in messages)
        assert set(told.values()) <= {1}
        last: dict[Any, Any] = {}
        for message in messages:
            if message.channel != "front_desk":
                continue
            event, revision = message.content["event"], message.content["revision"]
            now = (revision, _order(robot, place[event, revision]))
            before = last.setdefault((message.recipient, event), (0, ()))
            assert now[0] > before[0], f"{event}: revision {now[0]} after {before[0]}"
            assert now[1] > before[1], f"{event}: an older notice after a newer one"
            last[message.recipient, event] = now
        return len(messages)


def _order(robot: Resources, notice: tuple[datetime, str]) -> tuple[Any, ...]:
    """Return a notice's place: what lists cannot go by comes first."""
    with robot.database.reading() as session:
        facts = session.scalar(select(AlertNotice.facts).where(AlertNotice.identity == notice[1]))
    assert facts is not None
    has_place = facts["position"] or facts["sky_map"] or facts["is_retraction"]
    guide = (not facts["is_test"], bool(has_place) and facts["is_known"])
    return (guide, notice[0], facts["is_retraction"], facts["serial"], notice[1])


@pytest.fixture
def robots(tmp_path: Path, packaged: Path) -> Iterator[Any]:
    made: list[Resources] = []

    def make(name: str) -> Resources:
        made.append(make_robot(tmp_path / name, packaged, now=NOON, **SECTION))
        return made[-1]

    yield make
    for robot in made:
        robot.robot.stop(20.0)
        robot.database.close()


def replay(robots: Any, seed: int, distinct: int, deliveries: int, timeout_s: float) -> None:
    stream = make_stream(seed, distinct, BEGIN)
    ordered, mixed = robots("ordered"), robots("mixed")
    take_in_order(ordered, stream)
    mixed_s = run(mixed, deliver(stream, seed, deliveries), timeout_s)
    for robot in (ordered, mixed):
        assert_nothing_lost(robot, stream)
        assert assert_nothing_told_twice(robot) > 0
    assert final_state(mixed) == final_state(ordered)
    print(
        f"MEASURED {deliveries} deliveries of {len(stream)} notices: {mixed_s:.1f} s; "
        f"{mixed.alerts.counts()}"
    )


def test_repeated_and_out_of_order_notices_end_as_those_in_order(robots) -> None:
    replay(robots, 11, 50, 300, 60.0)


@pytest.mark.long
def test_ten_thousand_notices(robots) -> None:
    replay(robots, 12, 600, 10_000, 300.0)


def test_what_is_told_travels_in_order_whoever_fails(robots) -> None:
    """With carriers that fail now and then: each message once, of an event in its order."""
    from tests.unit.lvcgcn.robots import notice
    from toros.errors import ServiceUnreachable

    robot = robots("told")
    taken: list[tuple[str, str]] = []
    failures = iter([True, False, False, True, True, False] * 20)

    def carry(message: Any) -> None:
        if next(failures):
            raise ServiceUnreachable("away")
        taken.append((message.recipient, message.message_id))

    outbox = Outbox(
        robot.outbox.messages,
        dict.fromkeys(("front_desk", "mail"), carry),  # type: ignore[arg-type]
        first_delay_s=0.05,
        last_delay_s=0.1,
    )
    outbox.start()
    try:
        for n, kind in enumerate(("PRELIMINARY", "INITIAL", "UPDATE", "RETRACTION")):
            robot.robot.take(notice(kind, 60.0 * n), "test")
            outbox.wake()
        counts = robot.outbox.messages.counts
        until(lambda: counts()["delivered"] == 12, "everything is told", 30.0)
    finally:
        outbox.stop()
    assert len(set(taken)) == len(taken) == 12
    for recipient in ("telescope", "North", "observer@example.org"):
        revisions = [int(known.rpartition("-")[2]) for to, known in taken if to == recipient]
        assert revisions == sorted(revisions)
