"""The robot where two notices of an event are handled at a time, and where one is only a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.unit.lvcgcn.notices.samples import classic, param
from tests.unit.lvcgcn.robots import DETECTED, EVENT, make_robot, notice, sky_map
from toros.clock import Clock
from toros.database.alerts import Alerts
from toros.database.messages import Message
from toros.database.session import Database
from toros.lvcgcn.requests import Resources

SWIFT = "Swift-BAT-1234567"


@pytest.fixture
def robot(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Resources:
    return make_robot(tmp_path / "robot", tmp_path_factory.getbasetemp() / "packaged-catalogue")


def relayed(robot: Resources) -> list[tuple[int, int]]:
    """Return revision and number of targets of what the first telescope is told, in order."""
    with robot.database.reading() as session:
        rows = session.scalars(select(Message).order_by(Message.id))
        contents = [row.content for row in rows if row.recipient == "Macon"]
    return [(each["revision"], len(each["targets"])) for each in contents]


class Overtaken(Alerts):
    """Records a notice only after something else has happened."""

    def __init__(self, database: Database, clock: Clock, meanwhile: Callable[[], None]) -> None:
        super().__init__(database, clock)
        self._meanwhile = meanwhile

    def advance(self, *details: Any) -> Any:
        """Let it happen, and record the notice."""
        self._meanwhile()
        return super().advance(*details)


def take_overtaken(robot: Resources, raw: bytes, by: bytes) -> str:
    """Handle a notice while another thread handles one from its beginning to its end."""

    def meanwhile() -> None:
        robot.robot.alerts = robot.alerts
        assert robot.robot.take(by, "test").outcome == "answered"

    robot.robot.alerts = Overtaken(robot.database, robot.clock, meanwhile)
    return robot.robot.take(raw, "test").outcome


def test_a_retraction_withdraws_what_was_relayed_while_it_was_handled(robot: Resources) -> None:
    outcome = take_overtaken(robot, notice("RETRACTION", 1800.0), by=notice())
    assert outcome == "answered"
    (first, many), (second, none) = relayed(robot)
    assert second > first
    assert many > 0
    assert none == 0


def test_who_was_told_meanwhile_hears_of_what_alone_nobody_hears(robot: Resources) -> None:
    quiet = notice("UPDATE", 900.0, sky_map(30.0), significant=False)
    assert take_overtaken(robot, quiet, by=notice()) == "answered"
    (first, _), (second, _) = relayed(robot)
    assert second > first
    assert robot.alerts.tell(EVENT)["revision"] == second


def swift(second: int, *more: str, serial: int, **rest: Any) -> bytes:
    date = f"{DETECTED:%Y-%m-%dT%H:%M}:{second:02d}"
    raw = classic("SWIFT", 61, *more, date=date, **rest)
    return raw.replace(b"1234567-001", b"1234567-%03d" % serial)


def test_a_test_of_a_real_event_changes_nothing(robot: Resources) -> None:
    real = robot.robot.take(swift(50, serial=1), "test")
    gone = swift(55, param("Def_NOT_a_GRB", "true"), serial=2, role="test")
    assert robot.robot.take(gone, "test").outcome == "superseded"
    told = robot.alerts.tell(SWIFT)
    assert (told["state"], told["revision"]) == ("active", real.revision)
    assert not told["is_test"], "else its files are removed after some days"
    assert "test" in told["notices"][-1]["message"]
    assert len(relayed(robot)) == 1


def test_a_real_notice_is_newer_than_any_test_of_its_event(robot: Resources) -> None:
    assert robot.robot.take(swift(55, serial=2, role="test"), "test").outcome == "recorded"
    assert robot.robot.take(swift(50, serial=1), "test").outcome == "answered"
    assert not robot.alerts.tell(SWIFT)["is_test"]


def test_who_was_told_hears_also_what_is_ignored_otherwise(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    packaged = tmp_path_factory.getbasetemp() / "packaged-catalogue"
    robot = make_robot(tmp_path / "robot", packaged, **{"Insignificant Alerts": "ignore"})
    alone = notice("UPDATE", 900.0, event="S260611b", significant=False)
    assert robot.robot.take(alone, "test").outcome == "ignored"
    robot.robot.take(notice(), "test")
    later = robot.robot.take(notice("UPDATE", 900.0, significant=False), "test")
    assert later.outcome == "answered"
    assert len(relayed(robot)) == 2
