"""The clock set an hour forward and an hour back under real daemons in mid-night.

What docs/explanation/the-night.md says of it: the lease and the ages of the weather go by time
that no one sets, so the dome neither closes for it nor stays open for it; the running exposure is
kept; what is left of the night is planned anew by the time that the clock tells now.
"""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.system.clocks import SetClock
from tests.system.domes import CLOSED_S, DomeDaemon, SimulatedSite, wait_for
from tests.system.night import FEW_FRAMES, LEASE_S, MID_NIGHT, Observatory, observatory
from tests.system.test_dome import Station
from tests.system.test_night_camera import QUICK
from toros.clock import from_iso

HOUR_S = 3600
AGE_S = 5.0

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]


def test_a_night_goes_on_by_a_clock_that_was_set(tmp_path: Path) -> None:
    source = {"Name": "station", "Kind": "simulated", "Age Limit (s)": AGE_S}
    changes: dict[str, Any] = {**FEW_FRAMES, "Telescope": {**FEW_FRAMES["Telescope"]}}
    changes["Telescope"]["Temperature (C)"] = None
    changes["Dome"] = {**FEW_FRAMES["Dome"], "Weather": {
        **FEW_FRAMES["Dome"]["Weather"], "Sources": [source]}}  # fmt: skip
    wall = SetClock(tmp_path / "clock")
    # In real time, so that an hour of the machine's clock is an hour of the night.
    with observatory(tmp_path, MID_NIGHT, 1.0, changes=changes, hardware=QUICK) as site:
        site.environment = wall.environment
        site.start("dome", "preprocessor", "telescope")
        site.order(2, exposure_time=3.0, number_of_exposures=3)
        for ahead_s in (HOUR_S, 0):
            site.until(site.exposing, "an exposure")
            since = time.monotonic()
            wall.set(ahead_s)
            planned_anew(site, ahead_s)
            frames_go_on(site, since)
            assert site.told_after("camera", "abort_exposure", since) == []
        began = site.events("dome", "open_shutter")[0].real_s
        time.sleep(max(0.0, since + LEASE_S + 1.0 - time.monotonic()))
        assert site.told_after("dome", "close_shutter", began) == [], "the lease held throughout"

        # The weather falls silent; setting the clock back makes its last word no younger.
        silent = time.monotonic()
        site.world.set_fault("observing_conditions", "drops")
        wall.set(-HOUR_S)
        (closed, *_) = site.until(
            lambda: site.told_after("dome", "close_shutter", silent), "a close", 20.0
        )
        took_s = closed.real_s - silent - AGE_S
        print(f"MEASURED silent weather, clock set back: {took_s:.2f} s past the age limit")
        assert -2.0 < took_s <= CLOSED_S
        site.until(site.is_closed, "the shutter to close")
        site.world.clear_faults()
        wall.set(0)
        site.until_done(2)
        site.none_twice_none_lost()
        site.desk("telescope").submit("close_night")
        site.until_state("closed")
        site.until(
            lambda: site.orders("preprocessor") == [("telescope", "done")], "the night's order"
        )
        assert site.made.broken_promises() == []


def planned_anew(site: Observatory, ahead_s: int) -> None:
    """Wait for a plan of what is left of the night by the clock as it was set."""
    now = site.clock.now() + timedelta(seconds=ahead_s)

    def is_new() -> bool:
        start: datetime = from_iso(site.desk("telescope").submit("get_plan")["start"])
        return abs((start - now).total_seconds()) < 60.0

    site.until(is_new, "a plan by the clock as it is now", 10.0)


def frames_go_on(site: Observatory, since: float) -> None:
    """Wait for the frame that was being exposed, and for one that was begun since."""

    def has_both() -> bool:
        frames = {one.values["number"] for one in site.told_after("camera", "download", since)}
        begun = site.told_after("camera", "start_exposure", since)
        return any(one.values["number"] in frames for one in begun)

    site.until(has_both, "a frame of an exposure that was begun since", 40.0)


def test_a_station_with_a_clock_of_its_own_is_believed_while_they_agree(tmp_path: Path) -> None:
    """Data stamped by another clock are an hour old, or of an hour to come: unsafe either way."""
    wall, station = SetClock(tmp_path / "clock"), Station()
    site = SimulatedSite(tmp_path)
    sources = [{"Name": "station", "Kind": "url", "URL": station.url, "Age Limit (s)": AGE_S}]
    dome = DomeDaemon(tmp_path, {"Dome": {"Weather": {"Sources": sources}}})
    dome.environment = wall.environment
    try:
        dome.start()
        for ahead_s in (HOUR_S, -HOUR_S):
            dome.open()
            since = time.monotonic()
            wall.set(ahead_s)
            (took_s, *_) = wait_for(lambda after=since: site.closes(after), "a close", 20.0)
            print(f"MEASURED stamps {ahead_s:+d} s off: {took_s:.2f} s to close commanded")
            assert took_s <= CLOSED_S
            assert re.search("(3599|360[0-5]) s", str(dome.renew()["reasons"]))
            site.until_closed()
            wall.set(0)  # no restart is needed once they agree again
    finally:
        dome.close()
        station.close()
