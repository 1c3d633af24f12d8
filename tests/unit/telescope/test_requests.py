"""The telescope's requests, at a real front desk in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.unit.telescope.night_parts import Observatory, observatory
from toros.clock import REAL
from toros.database.orders import Orders
from toros.errors import (
    InvalidField,
    NeverObservable,
    NightFaultLatched,
    NotInThisState,
    TelescopeBusy,
    TorosError,
)
from toros.frontdesk import common
from toros.frontdesk.access import Access
from toros.frontdesk.desk import FrontDesk
from toros.frontdesk.server import Caller
from toros.frontdesk.worker import Worker
from toros.simulation.observatory import verdicts
from toros.telescope.requests import Resources, registry

ME = Caller(None, "127.0.0.1")


class Desk:
    """A front desk and its worker."""

    def __init__(self, at: Observatory, desk: FrontDesk) -> None:
        self.at = at
        self.desk = desk

    def send(self, request: str, **fields: Any) -> dict[str, Any]:
        return self.desk.front_desk({"request": request, **fields}, ME)

    def done(self, request: str, limit_s: float = 20.0, **fields: Any) -> dict[str, Any]:
        """Send an order, wait for its end and return its status."""
        order = self.send(request, **fields)["id"]
        told: dict[str, Any] = {}

        def ended() -> bool:
            told.update(self.send("status", order=order))
            return told["status"] not in ("queued", "running")

        self.at.wait(ended, request, limit_s)
        return told


@contextmanager
def telescope(folder: Path, **settings: Any) -> Iterator[Desk]:
    with observatory(folder, **settings) as at:
        own = Resources(at.parts, at.engine, at.book, at.parts.planner, at.outbox)
        orders = Orders(at.database, "telescope", "test", REAL)
        worker = Worker(registry, at.parts.settings, orders, own, 4)
        desk = FrontDesk(
            registry, common.registry, at.parts.settings, orders, Access(()), REAL, worker.wake, 0
        )
        desk.resources = own
        at.wait(lambda: at.parts.record.date, "the recovery")
        worker.start()
        try:
            yield Desk(at, desk)
        finally:
            assert worker.stop(10.0)


def test_a_night_by_request_at_each_step(tmp_path: Path):
    with telescope(tmp_path, Stage=2) as desk:
        with pytest.raises(NotInThisState, match="must be open"):
            desk.send("point", ra=10.0, dec=-30.0)
        assert desk.done("prepare_night")["result"]["state"] == "preparing"
        biases = desk.done("take_calibration_frames", type="bias", number_of_exposures=2)
        assert biases["result"]["exposures"] == 2
        assert desk.done("open_dome")["result"]["state"] == "open"
        with pytest.raises(NotInThisState, match="points nowhere"):
            raise_error(desk.done("take_images", exposure_time=1.0))
        ra = desk.at.high_ra()
        assert desk.done("point", ra=ra, dec=-30.0)["result"]["dec"] == pytest.approx(
            -30.0, abs=0.1
        )
        with pytest.raises(NotInThisState, match="altitude|402"):
            raise_error(desk.done("point", ra=(ra + 180.0) % 360.0, dec=-30.0))
        images = desk.done("take_images", exposure_time=1.0, number_of_exposures=2, filter="R")
        assert images["result"]["exposures"] == 2
        flats = desk.done("take_calibration_frames", type="flat", light="lamp", filter="R",
                          number_of_exposures=1, level=20000.0)  # fmt: skip
        assert flats["result"]["exposures"] == 1
        assert desk.done("close_night")["result"]["state"] == "closed"
        waiting = [head.message.request for head in desk.at.messages.heads()]
        assert waiting == ["calibrate_file_batch"]


def test_images_after_flats_by_the_lamp_are_not_taken_behind_the_cover(tmp_path: Path):
    with telescope(tmp_path, Stage=2) as desk:
        assert desk.done("open_dome")["status"] == "done"
        assert desk.done("point", ra=desk.at.high_ra(), dec=-30.0)["status"] == "done"
        assert desk.done("take_calibration_frames", type="flat", light="lamp", filter="R",
                         number_of_exposures=1, level=20000.0)["status"] == "done"  # fmt: skip
        assert desk.done("take_images", exposure_time=1.0)["status"] == "done"
        assert verdicts.blind_exposures(desk.at.world.truth()) == []


def raise_error(status: dict[str, Any]) -> None:
    assert status["status"] == "failed", status
    raise NotInThisState(status["message"])


def test_an_observation_tells_its_priority_and_ends_with_its_last_frame(tmp_path: Path):
    with telescope(tmp_path) as desk:
        order = {"ra": desk.at.high_ra(), "dec": -30.0, "exposure_time": 10.0, "id": "mine"}
        receipt = desk.send("observation", **order)
        assert 0 < receipt["priority"] <= 10
        assert receipt["reasons"]
        assert desk.send("observation", **order) == receipt
        told = desk.done("observation", **order)
        assert told["result"]["exposures"] == 1
        assert Path(told["result"]["files"][0]).exists()
        assert desk.send("explain", target=told["result"]["target"])["state"] == "done"
        assert desk.send("get_plan", format="csv")["text"]


@pytest.mark.parametrize(
    ("order", "error", "message"),
    [
        ({"ra": 1.0, "dec": 80.0}, NeverObservable, "culminates"),
        ({"ra": 1.0, "dec": 0.0, "not_after": "2001-01-01T00:00:00"}, InvalidField, "over"),
        ({"ra": 1.0, "dec": 0.0, "filter": "ZZ"}, InvalidField, "the wheel has B, V, R, I"),
    ],
)
def test_what_cannot_be_observed_is_refused_at_once(
    tmp_path: Path, order: dict[str, Any], error: type[TorosError], message: str
):
    with telescope(tmp_path) as desk, pytest.raises(error, match=message):
        desk.send("observation", **order)


def test_one_motion_at_a_time_and_none_while_the_night_observes(tmp_path: Path):
    with telescope(tmp_path) as desk:
        desk.at.order(1001, exposure_time=300.0, number_of_exposures=5)
        desk.at.wait_for_state("observing")
        with pytest.raises(TelescopeBusy, match="observing"):
            desk.send("point", ra=10.0, dec=-30.0)
        desk.send("abort")
        desk.at.wait_for_state("suspended")
        assert desk.send("status")["mode"] == "manual"
        desk.send("take_calibration_frames", type="dark", exposure_time=600.0)
        desk.at.wait_for_state("calibrating")
        with pytest.raises(TelescopeBusy):
            desk.send("take_calibration_frames", type="bias")


def test_a_latched_error_refuses_a_night_until_it_is_acknowledged(tmp_path: Path):
    with telescope(tmp_path, Stage=2) as desk:
        desk.done("prepare_night")
        desk.at.engine.night.defect(ValueError("a test"))
        failed = desk.done("open_night")
        assert failed["code"] == NightFaultLatched.code or "in error" in failed["message"]
        desk.send("acknowledge")
        desk.at.wait_for_state("closed")
        assert "nothing to acknowledge" in desk.send("acknowledge")["message"]


def test_close_night_ends_an_order_that_waits_to_open(tmp_path: Path):
    with telescope(tmp_path, Stage=2) as desk:
        desk.at.roof.safe = False
        waiting = desk.send("open_night")["id"]
        desk.at.wait_for_state("preparing")
        assert desk.done("close_night")["status"] == "done"
        assert desk.send("status", order=waiting)["status"] == "failed"
