"""At stage 1 the telescope only plans: what it tells is what holds now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from tests.unit.telescope.night_parts import DARK, settings_in
from tests.unit.telescope.observing import prepared
from toros.clock import REAL, SimulatedClock
from toros.database.orders import Orders
from toros.errors import InvalidField, TargetNotFound
from toros.frontdesk import common
from toros.frontdesk.access import Access
from toros.frontdesk.desk import FrontDesk
from toros.frontdesk.server import Caller
from toros.frontdesk.worker import Worker
from toros.telescope.daemon import terms
from toros.telescope.requests import Resources, registry

ME = Caller(None, "127.0.0.1")
AFTERNOON = DARK - timedelta(hours=6)
HIGH = {"ra": 250.0, "dec": -30.0, "exposure_time": 60.0}


class Desk:
    """A front desk of a telescope that only plans, and its worker."""

    def __init__(self, desk: FrontDesk, own: Resources, clock: SimulatedClock) -> None:
        self.desk = desk
        self.own = own
        self.clock = clock

    def send(self, request: str, **fields: Any) -> dict[str, Any]:
        return self.desk.front_desk({"request": request, **fields}, ME)

    def done(self, request: str, **fields: Any) -> dict[str, Any]:
        """Send an order, wait for its end and return its result."""
        order = self.send(request, **fields)["id"]
        told: dict[str, Any] = {}

        def ended() -> bool:
            told.update(self.send("status", order=order))
            return told["status"] not in ("queued", "running")

        wait(ended, request)
        assert told["status"] == "done", told
        result: dict[str, Any] = told["result"]
        return result

    def observe(self, name: str, **changes: Any) -> int:
        return int(self.done("observation", target=name, **{**HIGH, **changes})["target"])

    def planned(self) -> list[str]:
        """Return whom the plan has, be it among those left out."""
        told = self.send("get_plan", format="data")
        return sorted(one["name"] for one in [*told["entries"], *told["left_out"]])

    def kept(self) -> list[str]:
        """Return whom the plan has that was made without being asked for."""
        plan = self.own.parts.targets.plan
        if plan is None:
            return []
        every = [entry.target.name for entry in plan.entries]
        return sorted([*every, *(left.target.name for left in plan.left_out)])


def wait(is_so: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 20.0
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    clock = SimulatedClock(datetime.now(UTC), AFTERNOON, 10.0)
    settings = settings_in(tmp_path, clock, Stage=1)
    database = prepared(f"sqlite:///{tmp_path / 'toros.db'}")
    chosen = terms(settings)
    with chosen.resources(cast(Any, None), database) as own:
        assert isinstance(own, Resources)
        own.database_is_ready()
        orders = Orders(database, "telescope", "test", REAL)
        worker = Worker(registry, settings, orders, own, 2)
        front = FrontDesk(
            registry, common.registry, settings, orders, Access(()), REAL, worker.wake, 0
        )
        front.resources = own
        worker.start()
        try:
            # The daemon's clock is read from the settings: setting it is setting that one.
            yield Desk(front, own, cast(SimulatedClock, own.parts.clock))
        finally:
            assert worker.stop(10.0)
    database.close()


def test_the_plan_has_no_withdrawn_target_and_has_each_new_one(desk: Desk) -> None:
    first, second = desk.observe("first"), desk.observe("second", ra=255.0)
    assert [e["name"] for e in desk.done("schedule_night")["entries"]] == ["first", "second"]
    desk.done("withdraw_targets", target=first)
    assert desk.planned() == ["second"]
    listed = {"name": "G", "ra": 252.0, "dec": -30.0, "rank": 1}
    desk.done("receive_targets", event="S1", revision=1, targets=[listed])
    assert desk.planned() == ["G", "second"]
    desk.done("receive_targets", event="S1", revision=2, targets=[{**listed, "ra": 253.0}])
    places = {e["name"]: e["ra_deg"] for e in desk.send("get_plan", format="data")["entries"]}
    assert places == {"G": 253.0, "second": 255.0}
    desk.done("withdraw_targets", event="S1")
    desk.done("withdraw_targets", target=second)
    assert desk.planned() == []


def test_it_plans_by_itself_when_targets_change(desk: Desk) -> None:
    first = desk.observe("first")
    desk.observe("second", ra=255.0)
    wait(lambda: desk.kept() == ["first", "second"], "a plan of both")
    desk.done("withdraw_targets", target=first)
    wait(lambda: desk.kept() == ["second"], "a plan of the other one")


def test_the_plan_is_kept_as_long_as_it_holds(desk: Desk) -> None:
    desk.observe("first")
    desk.done("schedule_night")
    assert desk.send("get_plan", format="data") == desk.send("get_plan", format="data")
    tomorrow = (desk.own.planner.night().date + timedelta(days=1)).isoformat()
    told = desk.send("get_plan", format="data")
    assert desk.done("schedule_night", night=tomorrow)["start"] >= told["end"]
    assert desk.send("get_plan", format="data") == told
    desk.clock.start += timedelta(days=1)
    assert desk.send("get_plan", format="data")["start"] >= told["end"]


def test_what_is_withdrawn_is_not_explained_as_planned(desk: Desk) -> None:
    number = desk.observe("M 83")
    desk.done("schedule_night")
    assert any(
        line.startswith("planned: ") for line in desk.send("explain", target=number)["lines"]
    )
    desk.done("withdraw_targets", target=number)
    told = desk.send("explain", target=number)
    assert told["state"] == "withdrawn"
    assert not any(line.startswith("planned: ") for line in told["lines"])
    assert told["lines"][-1] == "not planned: it is withdrawn"


def test_a_target_is_explained_by_its_name_the_newest_of_several(desk: Desk) -> None:
    desk.observe("M 83")
    newest = desk.observe("M 83", ra=255.0)
    assert desk.send("explain", name="M 83")["target"] == newest
    with pytest.raises(TargetNotFound, match="'M 84'.*toros plan"):
        desk.send("explain", name="M 84")
    with pytest.raises(InvalidField, match="either target or name"):
        desk.send("explain")


def test_frames_by_hand_are_not_said_to_be_told_before_they_are(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "incoming" / "frames"
    folder.mkdir(parents=True)
    (folder / "light.fits").write_bytes(b"a frame")
    told = desk.done("accept_frames", folder=str(folder))
    assert told["message"].startswith("recorded; ")
    assert "as soon as it answers" in told["message"]
