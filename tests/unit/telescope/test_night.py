"""A night's steps, on simulated devices and a dome of few lines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import select

from tests.unit.telescope.night_parts import DARK, observatory
from toros.database.observing import NightTransition, Target
from toros.telescope.record import past_of
from toros.telescope.states import State
from toros.workorders.telescope import ReceiveTargets


def test_a_target_is_observed_and_its_order_lists_the_frames(tmp_path: Path):
    with observatory(tmp_path) as at:
        _, order = at.order(1)
        at.wait(lambda: order.ended, "waited for the order")
        assert order.error is None
        assert order.result is not None
        assert order.result["exposures"] == 2
        assert [Path(name).exists() for name in order.result["files"]] == [True, True]
        assert order.notes == [0.5, 1.0]


def test_bad_weather_suspends_and_good_weather_goes_on_without_losing_a_target(tmp_path: Path):
    with observatory(tmp_path) as at:
        _, order = at.order(1, exposure_time=120.0, number_of_exposures=3)
        at.wait_for_state("observing")
        at.wait(lambda: at.parts.camera.exposing, "waited for an exposure")
        at.roof.safe = False
        at.wait_for_state("suspended")
        at.wait(at.parked, "waited for the park")
        assert not order.ended
        at.roof.safe = True
        at.wait(lambda: order.ended, "waited for the order", 25.0)
        assert order.result is not None
        assert order.result["exposures"] == len(order.result["files"]) == 3


def test_an_alerts_target_goes_first_and_the_other_one_is_observed_afterwards(tmp_path: Path):
    with observatory(tmp_path) as at:
        row, order = at.order(1, exposure_time=60.0, number_of_exposures=6)
        at.wait(lambda: at.parts.camera.count("light") >= 1, "waited for a light")
        alert = ReceiveTargets.model_validate({
            "request": "receive_targets", "event": "S1", "revision": 1, "number_of_exposures": 1,
            "targets": [{"name": "G", "ra": (row.ra + 5.0) % 360.0, "dec": -30.0}],
        })  # fmt: skip
        at.book.receive(alert, {"G": 9.5})
        at.parts.targets.changed()
        at.wait(lambda: order.ended, "waited for the order", 30.0)
        with at.database.reading() as session:
            done = session.scalars(select(Target).order_by(Target.finished)).all()
            assert [one.name for one in done] == ["G", "field 1"]
            assert [one.state for one in done] == ["done", "done"]
            assert [one.exposures_done for one in done] == [1, 6]


def test_a_withdrawn_target_stays_withdrawn_though_it_was_being_observed(tmp_path: Path):
    with observatory(tmp_path) as at:
        row, order = at.order(1, exposure_time=60.0, number_of_exposures=50)
        at.wait(lambda: at.parts.camera.count("light") >= 1, "waited for a light")
        at.book.withdraw(None, row.id)
        at.parts.targets.changed()
        at.wait(lambda: order.ended, "waited for the order")
        assert order.error is not None
        at.parts.backlog.flush(5.0)
        assert at.book.get(row.id).state == "withdrawn"


def test_an_abort_stops_and_leaves_the_night_to_a_person_over_a_restart(tmp_path: Path):
    with observatory(tmp_path) as at:
        at.order(1, exposure_time=100.0, number_of_exposures=50)
        at.wait_for_state("observing")
        at.engine.suspend("test")
        at.wait_for_state("suspended")
        assert at.engine.night.automatic is False
    with observatory(tmp_path) as at:
        at.wait_for_state(State.SUSPENDED)
        assert at.engine.night.automatic is False
        at.engine.night.set_automatic(on=True)
        at.wait_for_state("observing")


def test_a_defect_latches_until_it_is_acknowledged_even_on_another_day(tmp_path: Path):
    with observatory(tmp_path) as at:
        at.wait_for_state("open", "observing")
        at.engine.night.defect(ValueError("a test"))
        at.wait(at.parked, "waited for the park")
    with observatory(tmp_path, start=DARK + timedelta(days=1)) as at:
        at.wait_for_state("error")
        assert "a test" in at.parts.record.message
        at.engine.night.acknowledged = True
        at.wait(lambda: at.parts.record.state != State.ERROR, "waited for the latch")
        assert at.parts.memory.kept.fault is None


def test_a_person_opens_and_closes_a_night_at_stage_2(tmp_path: Path):
    with observatory(tmp_path, Stage=2) as at:
        _, order = at.order(1, number_of_exposures=1)
        at.wait(lambda: at.parts.record.date, "waited for the recovery")
        wishes = at.engine.night.wishes
        prepared = wishes.ask("prepare")
        assert prepared.done.wait(10.0)
        assert at.parts.record.state == State.PREPARING
        opened = wishes.ask("open")
        assert opened.done.wait(10.0)
        at.wait(lambda: order.ended, "waited for the order")
        closed = wishes.ask("close")
        assert closed.done.wait(20.0)
        assert closed.error is None
        assert at.parts.record.state == State.CLOSED
        assert at.parts.camera.count("bias") == 1
        assert at.parts.camera.count("dark", seconds=20.0) == 1
        at.parts.backlog.flush(5.0)
        past = past_of(at.database, at.parts.record.date)
        assert past is not None
        assert past.handed_over
        assert past.was_closed


def test_a_crash_between_the_last_frame_and_its_record_repeats_nothing(tmp_path: Path):
    with observatory(tmp_path) as at:
        row, order = at.order(1)
        at.wait(lambda: order.ended, "waited for the order")
    with observatory(tmp_path, begin=False) as at:
        with at.database.writing() as session:
            target = session.get_one(Target, row.id)
            target.state, target.exposures_done = "observing", 1
        interrupted, done = at.book.recover()
        assert interrupted == 0
        assert [one.id for one in done] == [row.id]
        assert at.book.get(row.id).exposures_done == 2


def test_an_alerts_target_that_a_crash_left_done_is_told_after_the_start(tmp_path: Path):
    alert = {
        "request": "receive_targets", "event": "S1", "revision": 1, "number_of_exposures": 1,
        "targets": [{"name": "G", "ra": 10.0, "dec": -30.0}],
    }  # fmt: skip
    with observatory(tmp_path, begin=False) as at:
        at.book.receive(ReceiveTargets.model_validate(alert), {"G": 9.5})
        with at.database.writing() as session:  # as a crash leaves it after the last exposure
            session.get_one(Target, 1).exposures_done = 1
    with observatory(tmp_path) as at:
        at.wait(at.messages.heads, "the message to the alert robot")
        told = at.messages.heads()[0].message
        assert told.request == "report_target"
        assert told.content["state"] == "done"


def test_a_night_goes_on_where_an_earlier_process_has_left_it(tmp_path: Path):
    with observatory(tmp_path) as at:
        at.order(1, exposure_time=60.0, number_of_exposures=30)
        at.wait(lambda: at.parts.camera.count("light") >= 2, "waited for lights")
    with observatory(tmp_path) as at:
        at.wait_for_state("observing")
        first = at.parts.camera.count("light")
        assert first >= 2
        at.wait(lambda: at.parts.camera.count("light") > first, "waited for another light")
        at.parts.backlog.flush(5.0)
        with at.database.reading() as session:
            reasons = session.scalars(select(NightTransition.reason)).all()
        assert any("taken up after a restart" in reason for reason in reasons)


def test_a_failing_camera_suspends_the_night_which_then_goes_on_by_itself(tmp_path: Path):
    with observatory(tmp_path) as at:
        _, order = at.order(1, exposure_time=60.0, number_of_exposures=4)
        at.wait(lambda: at.parts.camera.count("light") >= 1, "waited for a light")
        at.world.set_fault("camera", "error")
        at.wait_for_state("suspended")
        at.world.clear_faults()
        at.wait(lambda: order.ended, "waited for the order", 40.0)
        assert order.result is not None
        assert order.result["exposures"] == 4


def test_flats_of_the_twilight_come_near_the_level(tmp_path: Path):
    evening = datetime(2026, 6, 10, 21, 55, tzinfo=UTC)
    calibration = {"Biases": 1, "Darks": 0, "Flats": 2}
    with observatory(tmp_path, start=evening, rate=120.0, Calibration=calibration) as at:
        at.order(1)
        at.wait(lambda: at.parts.camera.count("flat", through="R") == 2, "flats", 30.0)
        assert at.parts.camera.count("light") == 0


@pytest.mark.long
@pytest.mark.parametrize(
    ("start", "first_look"),
    [("2026-06-10T21:42Z", "saturated"), ("2026-06-11T09:56Z", "dark")],
    ids=["dusk", "dawn"],
)
def test_flats_are_waited_for_where_the_twilight_does_not_have_their_light_yet(
    tmp_path: Path, start: str, first_look: str
):
    calibration = {"Biases": 1, "Darks": 0, "Flats": 2, "Flat Longest (s)": 10.0}
    begin = datetime.fromisoformat(start)
    with observatory(tmp_path, start=begin, rate=200.0, Calibration=calibration) as at:
        at.order(1, exposure_time=60.0, number_of_exposures=10)
        at.wait(lambda: at.parts.camera.count("flat", through="R") == 2, "flats", 90.0)
        tests = sorted((tmp_path / "state").rglob("*_test.fits"))
        level = float(np.median(fits.getdata(tests[0])))
        assert level > 60000 if first_look == "saturated" else level < 1200
        assert len(tests) <= 10
