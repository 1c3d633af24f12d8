"""Old files of mock events go, those of real events stay."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.lvcgcn.robots import EVENT, make_robot, notice
from toros.clock import REAL, SimulatedClock
from toros.lvcgcn.tidying import Tidying


@pytest.mark.parametrize(("days_later", "stays"), [(6.0, True), (8.0, False)])
def test_files_of_mock_events_are_removed_after_some_days(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, days_later: float, stays: bool
) -> None:
    robot = make_robot(tmp_path, tmp_path_factory.getbasetemp() / "packaged-catalogue")
    mock = robot.robot.take(notice(event="MS260611a"), "test")
    robot.robot.take(notice(event="MS260611a"), "again")
    real = robot.robot.take(notice(), "test")
    alerts = robot.robot.archive.folder
    assert len(list((alerts / "archive").rglob("*.json"))) == 3
    later = SimulatedClock(REAL.now(), robot.clock.now() + timedelta(days=days_later), 1.0)
    Tidying(alerts, robot.alerts, 7.0, later).tidy()
    assert mock.folder is not None
    assert real.folder is not None
    assert mock.folder.is_dir() == stays
    assert real.folder.is_dir()
    assert len(list((alerts / "archive").rglob("*.json"))) == (3 if stays else 1)
    assert bool(robot.alerts.tell("MS260611a")["folder"]) == stays
    assert robot.alerts.tell(EVENT)["folder"]
