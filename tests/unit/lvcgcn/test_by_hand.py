"""What a person gives: a notice that was known already may lead to more than it did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.unit.lvcgcn.robots import DETECTED, EVENT, make_robot, messages_of, notice, sky_map
from toros.database.messages import Message
from toros.lvcgcn.requests import Resources
from toros.lvcgcn.robot import BY_HAND

ME = f"{BY_HAND}-me"
MOCK = "MS260611a"


@pytest.fixture
def robot(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Resources:
    return make_robot(tmp_path / "robot", tmp_path_factory.getbasetemp() / "packaged-catalogue")


def set_to(robot: Resources, **changes: Any) -> None:
    section = robot.settings.lvcgcn.model_copy(update=changes)
    robot.robot.settings = robot.settings.model_copy(update={"lvcgcn": section})


def retract(robot: Resources, event: str) -> int:
    add = robot.relay.of_retraction(event, "a glitch", {}, robot.clock.now())
    return robot.alerts.retract(event, "a glitch", ["Macon", "North"], add)


def message_count(robot: Resources) -> int:
    with robot.database.reading() as session:
        return len(session.scalars(select(Message)).all())


@pytest.mark.parametrize("mode", ["record", "ignore"])
def test_what_was_only_recorded_is_answered_once_the_settings_say_so(
    robot: Resources, mode: str
) -> None:
    set_to(robot, mock_alerts=mode)
    raw = notice(event=MOCK)
    first = robot.robot.take(raw, "kafka-igwn.gwalert")
    assert first.outcome == f"{mode.rstrip('e')}ed"
    set_to(robot, mock_alerts="answer")
    assert robot.robot.take(raw, "kafka-igwn.gwalert").outcome == "repeated"
    assert message_count(robot) == 0
    again = robot.robot.take(raw, ME)
    assert again.outcome == "answered"
    assert (again.revision or 0) > (first.revision or 0)
    assert len(messages_of(robot, MOCK, again.revision or 0)) == 2
    (told,) = robot.alerts.tell(MOCK)["notices"]
    assert (told["outcome"], told["revision"], told["message"]) == ("answered", again.revision, "")
    assert robot.robot.take(raw, ME).outcome == "repeated"
    assert message_count(robot) == 2


def test_what_is_recorded_today_too_tells_nobody(robot: Resources) -> None:
    raw = notice(event=MOCK)
    first = robot.robot.take(raw, "test")
    again = robot.robot.take(raw, ME)
    assert again.outcome == "recorded"
    assert (again.revision or 0) > (first.revision or 0)
    assert message_count(robot) == 0
    assert len(robot.alerts.tell(MOCK)["notices"]) == 1


def test_a_recorded_notice_that_is_not_the_newest_stays_as_it_is(robot: Resources) -> None:
    old, new = notice(event=MOCK), notice("UPDATE", 900.0, sky_map(30.0), event=MOCK)
    robot.robot.take(old, "test")
    newest = robot.robot.take(new, "test")
    set_to(robot, mock_alerts="answer")
    assert robot.robot.take(old, ME).outcome == "repeated"
    told = robot.alerts.tell(MOCK)
    assert told["revision"] == newest.revision
    assert [each["outcome"] for each in told["notices"]] == ["recorded", "recorded"]


def test_what_cannot_be_used_any_more_leaves_what_was_recorded(robot: Resources) -> None:
    raw = notice(event=MOCK)
    robot.robot.take(raw, "test")
    maps = robot.robot.maps
    limits = robot.settings.lvcgcn.sky_maps.model_copy(update={"size_limit_mb": 0.01})
    robot.robot.maps = type(maps)(limits)
    assert robot.robot.take(raw, ME).outcome == "refused"
    (told,) = robot.alerts.tell(MOCK)["notices"]
    assert told["outcome"] == "recorded"
    robot.robot.maps = maps
    set_to(robot, mock_alerts="answer")
    assert robot.robot.take(raw, ME).outcome == "answered"


def test_after_a_withdrawal_by_hand_the_newest_notice_by_hand_brings_it_back(
    robot: Resources,
) -> None:
    raw, old = notice("UPDATE", 900.0, sky_map(30.0)), notice()
    robot.robot.take(old, "test")
    robot.robot.take(raw, "test")
    withdrawn = retract(robot, EVENT)
    assert robot.robot.take(raw, "kafka-igwn.gwalert").outcome == "repeated"
    assert robot.robot.take(old, ME).outcome == "repeated"
    assert robot.alerts.tell(EVENT)["state"] == "retracted"
    back = robot.robot.take(raw, ME)
    assert back.outcome == "answered"
    assert (back.revision or 0) > withdrawn
    told = robot.alerts.tell(EVENT)
    assert told["state"] == "active"
    assert "retracted_by_hand" not in told["summary"]
    assert len(messages_of(robot, EVENT, back.revision or 0)) == 2
    assert robot.robot.take(raw, ME).outcome == "repeated"


def test_a_notice_s_retraction_given_again_changes_nothing(robot: Resources) -> None:
    robot.robot.take(notice(), "test")
    raw = notice("RETRACTION", 1800.0)
    robot.robot.take(raw, "test")
    assert robot.robot.take(raw, ME).outcome == "repeated"


def test_the_summary_of_what_a_person_withdrew_lists_nothing(robot: Resources) -> None:
    robot.robot.take(notice(), "test")
    assert robot.alerts.tell(EVENT)["summary"]["lists"]["Macon"]["targets"] > 0
    retract(robot, EVENT)
    summary = robot.alerts.tell(EVENT)["summary"]
    assert summary["retracted_by_hand"] == "a glitch"
    for name in ("Macon", "North"):
        told = summary["lists"][name]
        assert (told["targets"], told["listed_probability"]) == (0, 0.0)
        assert told["reason"] == "withdrawn by hand: a glitch"


def test_any_json_from_a_watched_folder_is_recorded_and_steers_nobody(robot: Resources) -> None:
    handled = robot.robot.take(b'{"a": 1}', "folder-hand")
    assert handled.outcome == "recorded"
    assert "kind is not known" in handled.message
    assert message_count(robot) == 0


def test_own_telescope_false_keeps_the_own_lists_and_sends_them_nowhere(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    packaged = tmp_path_factory.getbasetemp() / "packaged-catalogue"
    robot = make_robot(tmp_path / "quiet", packaged, Relay={"Own Telescope": False})
    handled = robot.robot.take(notice(), "test")
    assert handled.outcome == "answered"
    assert robot.alerts.lists(EVENT)[1]["Macon"]["targets"]
    told = messages_of(robot, EVENT, handled.revision or 0)
    assert [each["recipient"] for each in told] == ["North"]
    revision = retract(robot, EVENT)
    assert [each["recipient"] for each in messages_of(robot, EVENT, revision)] == ["North"]
    assert robot.alerts.lists(EVENT)[1]["Macon"]["targets"] == []


def test_an_error_circle_in_the_place_of_a_map_is_told_of(robot: Resources) -> None:
    raw = (
        b'{"$schema": "https://gcn.nasa.gov/schema/main/gcn/notices/icecube/gold_bronze.json",'
        b'"id": ["150001_1"], "alert_datetime": "%s", "ra": 197.4, "dec": -23.4,'
        b'"ra_dec_error": 0.5, "healpix_url": "https://elsewhere.example.org/map.fits"}'
        % f"{DETECTED:%Y-%m-%dT%H:%M:%SZ}".encode()
    )
    handled = robot.robot.take(raw, "test")
    assert handled.outcome == "answered"
    (told,) = robot.alerts.tell(handled.event or "")["notices"]
    assert "error circle" in told["message"]
    assert "Lvcgcn / Sky Maps / Addresses" in told["message"]
