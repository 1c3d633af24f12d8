"""What the robot's requests tell, and what it makes up for after it was killed."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.lvcgcn.notices.samples import classic
from tests.unit.lvcgcn.robots import DETECTED, EVENT, make_robot, notice
from toros.lvcgcn.files import PICTURE_PNG
from toros.lvcgcn.maps import Maps
from toros.lvcgcn.requests import Resources, get_targets
from toros.lvcgcn.robot import BY_HAND
from toros.workorders.lvcgcn import GetTargets

SWIFT = "Swift-BAT-1234567"


@pytest.fixture
def robot(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Resources:
    return make_robot(tmp_path / "robot", tmp_path_factory.getbasetemp() / "packaged-catalogue")


def targets_of(robot: Resources, event: str, form: str) -> dict[str, Any]:
    order = GetTargets.model_validate({"event": event, "form": form})
    asked: Any = SimpleNamespace(desk=SimpleNamespace(resources=robot))
    lists: dict[str, Any] = get_targets(order, asked)["lists"]
    return lists


def retract(robot: Resources, event: str) -> None:
    add = robot.relay.of_retraction(event, "a glitch", {}, robot.clock.now())
    robot.alerts.retract(event, "a glitch", ["Macon", "North"], add)


def test_what_a_person_withdrew_is_withdrawn_in_our_voevent_too(robot: Resources) -> None:
    pytest.importorskip("voeventparse", reason="voevent-parse is there on Python 3.11 only")
    date = f"{DETECTED:%Y-%m-%dT%H:%M:%S}"
    robot.robot.take(classic("SWIFT", 61, date=date), "test")
    assert 'cite="followup"' in targets_of(robot, SWIFT, "voevent")["voevent"]
    retract(robot, SWIFT)
    assert 'cite="retraction"' in targets_of(robot, SWIFT, "voevent")["voevent"]


def test_of_what_was_tidied_up_no_other_file_is_read(
    robot: Resources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    robot.robot.take(notice(), "test")
    robot.alerts.forget_files([EVENT], [])
    (tmp_path / "assignments.json").write_text('{"alert": "of somebody else"}')
    monkeypatch.chdir(tmp_path)
    assert set(targets_of(robot, EVENT, "assignments")) == {"assignments"}


def test_what_was_refused_can_be_given_by_hand_once_it_can_be_used(robot: Resources) -> None:
    limits = robot.settings.lvcgcn.sky_maps.model_copy(update={"size_limit_mb": 0.01})
    robot.robot.maps = Maps(limits)
    raw = notice()
    refused = robot.robot.take(raw, "kafka-igwn.gwalert")
    assert refused.outcome == "refused"
    assert robot.robot.take(raw, f"{BY_HAND}-me").outcome == "refused"
    robot.robot.maps = Maps(robot.settings.lvcgcn.sky_maps)
    assert robot.robot.take(raw, "kafka-igwn.gwalert").outcome == "repeated"
    again = robot.robot.take(raw, f"{BY_HAND}-me")
    assert again.outcome == "answered"
    (told,) = robot.alerts.tell(EVENT)["notices"]
    assert (told["outcome"], told["revision"]) == ("answered", again.revision)
    assert robot.robot.take(raw, f"{BY_HAND}-me").outcome == "repeated"


def test_a_picture_that_a_kill_prevented_is_drawn_after_the_next_start(robot: Resources) -> None:
    folder = robot.robot.take(notice(), "test").folder
    assert folder is not None
    after = Resources(**{**vars(robot), "pictures": type(robot.pictures)()})
    after.want_pictures()
    after.pictures.start()
    try:
        deadline = time.monotonic() + 90.0
        while not (folder / PICTURE_PNG).exists():
            assert time.monotonic() < deadline, "no picture"
            time.sleep(0.1)
    finally:
        after.pictures.stop(30.0)
