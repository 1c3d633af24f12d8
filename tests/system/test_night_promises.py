"""The promises that keep dome and telescope safe, each by a fault or an attempt on real processes.

Below are the tests of promises 6, 7, 8, 14 and 16; this is where those of all are. What they
hold the daemons to is what the hardware was told and did, by the simulators' own record.

======= =========================================================================================
Promise Tests
======= =========================================================================================
1       test_dome_promises: test_it_opens_in_weather_known_safe_and_settled_within_the_window_only
2       test_dome: test_a_cloud_closes_it_and_parks_beside,
        test_a_stuck_shutter_raises_the_alarm_and_is_told_without_end,
        test_it_closes_with_postgresql_hanging_or_gone;
        test_dome_alpaca: test_faults_between_delay_no_closing;
        test_night_network: test_a_network_cut_stopped_or_slow_between_the_daemons,
        test_a_database_that_hangs_or_is_killed;
        test_night_camera: test_the_camera_s_server_stopped_and_killed_in_mid_download
3       test_dome: test_a_hung_call_of_another_kind_delays_no_closing,
        test_it_starts_and_closes_without_a_database,
        test_it_closes_with_a_full_disk_and_starts_on_one,
        test_any_user_may_close_and_only_some_may_open;
        test_dome_alpaca: test_a_network_that_swallows_all_closes_when_it_is_back
4       test_dome: test_the_end_of_the_night_s_process_closes_it,
        test_kill_9_with_an_open_shutter_then_a_start_closes,
        test_a_weather_source_that_hangs_closes_it_at_its_age_limit;
        test_night_faults: test_the_dome_closes_over_a_telescope_that_hangs;
        test_night_network: test_a_network_cut_stopped_or_slow_between_the_daemons;
        test_night_clock: test_a_night_goes_on_by_a_clock_that_was_set
5       test_dome_promises: test_a_roof_waits_for_the_park_and_not_for_ever
6       test_nothing_is_unparked_or_slewed_but_under_an_open_shutter
7       test_no_slew_goes_beyond_a_limit_and_tracking_ends_at_one
8       test_no_light_before_all_stands_and_none_in_bad_weather
9       test_dome_promises: test_one_motion_at_a_time_and_closing_preempts
10      test_dome: test_by_hand_it_opens_without_a_lease_and_weather_closes_it;
        test_front_desk: test_an_id_is_used_once_also_after_a_restart;
        test_night_network: test_a_network_cut_stopped_or_slow_between_the_daemons
11      test_night_faults: test_a_night_goes_on_after_its_telescope_was_killed;
        test_outbox: test_a_telescope_that_is_killed_leaves_whole_files_and_every_one_gets_its_row
12      test_dome: test_a_stuck_shutter_raises_the_alarm_and_is_told_without_end,
        test_by_hand_it_opens_without_a_lease_and_weather_closes_it,
        test_the_mode_outlasts_a_restart
13      test_night: test_a_short_night_from_closed_to_closed;
        test_no_light_before_all_stands_and_none_in_bad_weather (which begins with no target)
14      test_an_alert_interrupts_a_lower_class_and_never_another_alert;
        test_night_faults: test_an_alert_is_followed_within_two_seconds
15      test_night_faults: test_the_preprocessor_is_told_when_it_is_there_again;
        test_night_network: test_a_network_cut_stopped_or_slow_between_the_daemons;
        test_outbox: test_a_sender_that_is_killed_again_and_again_tells_everything_once
16      test_a_wrong_configuration_refuses_the_start_of_the_telescope;
        test_dome: test_a_wrong_configuration_without_a_good_copy_ends_with_2
======= =========================================================================================
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from astropy import units
from astropy.coordinates import AltAz, EarthLocation, HADec, SkyCoord, get_sun
from astropy.time import Time
from astropy.utils import iers

from tests.system.night import FEW_FRAMES, MID_NIGHT, SAMPLE, Observatory, observatory
from toros.cli.rehearsal import SITE, make_rehearsal
from toros.errors import BeyondLimit, NotInThisState, TelescopeBusy
from toros.simulation.observatory import WorldSettings
from toros.simulation.observatory.truth import TruthEvent

RATE = 30.0
QUICK = WorldSettings(
    shape=(64, 64), faintest_v_mag=14.0, cooling_s=5.0, dome_speed_deg_s=12.0,
    mount_speed_deg_s=12.0,
)  # fmt: skip
PLACE = EarthLocation.from_geodetic(SITE.longitude_deg, SITE.latitude_deg, SITE.height_m)

pytestmark = [pytest.mark.timeout(240)]


def test_the_table_names_tests_that_are_there() -> None:
    here = Path(__file__)
    assert __doc__ is not None
    module, found = here, 0
    for word in re.findall(r"test_\w+:?", __doc__):
        if word.endswith(":"):
            module = here.with_name(f"{word[:-1]}.py")
            continue
        sources = (module.read_text("utf-8"), here.read_text("utf-8"))
        assert any(f"def {word}(" in source for source in sources), word
        found += 1
    assert found > 30


@pytest.mark.long
def test_a_wrong_configuration_refuses_the_start_of_the_telescope(tmp_path: Path) -> None:
    """Promise 16: an unknown key, a value out of range, a port that two daemons want."""
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"Telescope": {"Fillters": ["V"]}}, "Fillters"),
        ({"Telescope": {"Limits": {"Altitude (deg)": 120.0}}}, "Altitude (deg)"),
        ({"Dome Service Address": {"Port": 5}, "Telescope Service Address": {"Port": 5}}, "Port"),
    ]
    started = []
    for number, (changes, said) in enumerate(wrong):
        made = make_rehearsal(tmp_path / str(number), MID_NIGHT, RATE, changes=changes)
        command = [sys.executable, "-m", "toros.telescope.daemon", "--config"]
        command += [str(made.configuration)]
        started.append((subprocess.Popen(command, stderr=subprocess.PIPE, text=True), said))
    for process, said in started:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 2, errors
        assert said in errors


def moves(site: Observatory, after: float = 0.0) -> list[TruthEvent]:
    """Return what was unparked or slewed after a moment of the real monotonic time."""
    return [one for one in site.events("mount", "unpark", "slew_to") if one.real_s > after]


def lights(site: Observatory, after: float = 0.0) -> list[TruthEvent]:
    """Return the lights that were begun after a moment of the real monotonic time."""
    begun = site.told_after("camera", "start_exposure", after)
    return [one for one in begun if one.values["light"]]


@pytest.mark.long
def test_nothing_is_unparked_or_slewed_but_under_an_open_shutter(tmp_path: Path) -> None:
    """Promise 6: with a shutter that sticks half open, and while calibration frames are taken."""
    dome = {**FEW_FRAMES["Dome"], "Shutter Timeout (s)": 4}
    slow = replace(QUICK, shutter_s=60.0)
    changes = {**FEW_FRAMES, "Dome": dome}
    with observatory(tmp_path, MID_NIGHT, RATE, changes=changes, hardware=slow) as site:
        site.start("dome", "telescope")
        site.alert("S1", count=1)
        site.until(lambda: site.events("dome", "open_shutter"), "the dome to open")
        site.world.set_fault("dome", "shutter_stuck")
        assert 0.0 < site.world.dome_file.read().shutter.at(site.clock.monotonic()) < 1.0
        time.sleep(2.0)
        with pytest.raises((NotInThisState, TelescopeBusy)):
            site.desk("telescope").submit("point", ra=overhead(site), dec=-30.0)
        site.world.clear_faults()
        site.until(lambda: site.desk("dome").status()["dome"]["error"], "the dome's error")
        assert moves(site) == []

        site.until(lambda: site.desk("dome").status()["dome"]["shutter"] == "closed", "a roof")
        site.desk("dome").submit("acknowledge")
        site.until_done(1)
        assert {one.event for one in moves(site)} == {"unpark", "slew_to"}
        site.desk("telescope").submit("close_night")
        site.until_state("closed")

        closed = time.monotonic()
        site.desk("telescope").submit(
            "take_calibration_frames", id="darks", type="dark", exposure_time=60.0,
            number_of_exposures=2,
        )  # fmt: skip
        site.until(lambda: site.told_after("camera", "start_exposure", closed), "a dark")
        with pytest.raises(TelescopeBusy):
            site.desk("telescope").submit("point", ra=overhead(site), dec=-30.0)
        assert site.desk("telescope").wait("darks", 60.0)["result"]["exposures"] == 2
        assert moves(site, closed) == []
        assert site.made.broken_promises() == []


def overhead(site: Observatory) -> float:
    """Return the right ascension on the meridian now [deg]."""
    return SAMPLE.meridian_deg(site.clock.now())


@pytest.mark.long
def test_no_slew_goes_beyond_a_limit_and_tracking_ends_at_one(tmp_path: Path) -> None:
    """Promise 7: by day, so that the sun is a limit, too."""
    limits = {"Altitude (deg)": 20.0, "Hour Angle (h)": 6.0, "Past Meridian (h)": 0.1}
    changes: dict[str, Any] = {
        "Dome": {**FEW_FRAMES["Dome"], "Open Sun Altitude (deg)": 90},
        "Telescope": {**FEW_FRAMES["Telescope"], "Stage": 2, "Limits": limits},
    }
    # The sun is high, and the mount's pier at stake on both sides of the meridian.
    noon = SAMPLE.begin - timedelta(hours=3)
    with observatory(tmp_path, noon, 60.0, changes=changes) as site:
        site.start("dome", "telescope")
        desk = site.desk("telescope")
        desk.submit("open_dome")
        site.until_state("open")
        now = site.clock.now()
        meridian = SAMPLE.meridian_deg(now)
        sun = sun_at(now)
        for what, ra, dec in (
            ("altitude", meridian, 75.0 - 20.0),
            ("hour angle", (meridian - 97.0) % 360.0, -75.0),
            ("hour angle", (meridian + 97.0) % 360.0, -75.0),
            ("distance from the sun", (sun[0] + 6.0) % 360.0, sun[1] - 10.0),
        ):
            with pytest.raises(BeyondLimit, match=what):
                pointed(site, ra, dec)
        assert site.events("mount", "slew_to") == []

        # On the pier's eastern side until 0.1 h past the meridian, which is 0.07 h away.
        place = (meridian + 1.0) % 360.0, -40.0
        pointed(site, *place)
        with pytest.raises(BeyondLimit, match="past the meridian"):
            desk.wait(desk.submit("take_images", exposure_time=3600.0)["id"], 30.0)
        assert lights(site) == []
        stopped = tracking_ended(site)
        hours = hour_angle_h(*place, stopped.simulated)
        assert 0.08 < hours < 0.2, "it is looked at once a real second, which is 0.017 h"

        # And down to the lowest altitude, in the west, where it sets.
        low = place_at(site.clock.now(), altitude=20.8, azimuth=250.0)
        pointed(site, *low)
        stopped = tracking_ended(site)
        assert 19.5 < altitude_deg(*low, stopped.simulated) < 20.1
        assert site.made.broken_promises() == []


def pointed(site: Observatory, ra: float, dec: float) -> None:
    """Point the telescope and wait for it; raises why it was not."""
    desk = site.desk("telescope")
    desk.wait(desk.submit("point", ra=ra, dec=dec)["id"], 60.0)


def tracking_ended(site: Observatory) -> TruthEvent:
    """Wait until the mount, pointed just now, is told to stand still."""
    since = site.events("mount", "slew_to")[-1].real_s

    def ended() -> list[TruthEvent]:
        told = site.told_after("mount", "set_tracking", since)
        return [one for one in told if one.values["on"] is False]

    return site.until(ended, "the mount to stand still", 90.0)[0]  # type: ignore[no-any-return]


@contextmanager
def packaged_tables() -> Iterator[None]:
    """Let astropy look for nothing on the network."""
    with iers.conf.set_temp("auto_download", False):
        yield


def sun_at(moment: datetime) -> tuple[float, float]:
    with packaged_tables():
        sun = get_sun(Time(moment))  # as seen from the Earth, not from the barycentre
        return float(sun.ra.deg), float(sun.dec.deg)


def hour_angle_h(ra: float, dec: float, moment: datetime) -> float:
    with packaged_tables():
        frame = HADec(obstime=Time(moment), location=PLACE)
        return float(SkyCoord(ra, dec, unit="deg").transform_to(frame).ha.hour)


def altitude_deg(ra: float, dec: float, moment: datetime) -> float:
    with packaged_tables():
        frame = AltAz(obstime=Time(moment), location=PLACE)
        return float(SkyCoord(ra, dec, unit="deg").transform_to(frame).alt.deg)


def place_at(moment: datetime, *, altitude: float, azimuth: float) -> tuple[float, float]:
    with packaged_tables():
        frame = AltAz(obstime=Time(moment), location=PLACE)
        there = SkyCoord(alt=altitude * units.deg, az=azimuth * units.deg, frame=frame)
        return float(there.icrs.ra.deg), float(there.icrs.dec.deg)


def test_no_light_before_all_stands_and_none_in_bad_weather(tmp_path: Path) -> None:
    """Promise 8: a dome that sticks or has lost its azimuth, a mount that never arrives, rain."""
    changes = {**FEW_FRAMES, "Dome": {**FEW_FRAMES["Dome"], "Turn Timeout (s)": 4}}
    with observatory(tmp_path, MID_NIGHT, RATE, changes=changes, hardware=QUICK) as site:
        site.start("dome", "telescope")
        site.until_state("open")  # an empty queue is no error
        site.order(1, exposure_time=30.0, number_of_exposures=1)
        site.until_done(1)
        usual_s = lights(site)[0].real_s - site.events("mount", "slew_to")[0].real_s
        for number, fault in enumerate(("azimuth_stuck", "azimuth_unknown"), 1):
            began = time.monotonic()
            site.world.set_fault("dome", fault)
            site.order(1, first=3 * number, exposure_time=30.0, number_of_exposures=1)
            no_light_comes(site, began, 3.0 * usual_s)
            site.world.clear_faults()
            site.until_done(number + 1)

        began = time.monotonic()
        site.world.set_fault("mount", "stuck", times=1)
        site.order(1, first=9, exposure_time=600.0, number_of_exposures=1)
        no_light_comes(site, began, 3.0 * usual_s)
        # A mount that never arrives does not keep the dome from closing; parked, it is well.
        site.close_in_rain("a mount that never arrives")
        site.until(lambda: site.world.mount_file.read().parked, "the mount's park")
        assert lights(site, began) == []

        site.dry()
        site.until(site.exposing, "the light", 60.0)
        (light,) = lights(site, began)
        rain = time.monotonic()
        site.close_in_rain("a light")
        site.until(lambda: site.told_after("camera", "abort_exposure", rain), "its end", 5.0)
        site.until_state("suspended")
        frames = [one.values["number"] for one in site.events("camera", "download")]
        assert light.values["number"] not in frames

        site.desk("telescope").submit("withdraw_targets", target=site.targets()[-1].id)
        site.dry()
        site.until_state("open")
        a_dark_is_finished_in_the_rain(site)
        assert site.made.broken_promises() == []
        assert site.made.dark_lights() == 0


def no_light_comes(site: Observatory, began: float, within_s: float) -> None:
    """Hold that nothing is exposed so long after a slew, longer than it usually takes."""
    slew = site.until(lambda: site.told_after("mount", "slew_to", began), "a slew")[0]
    time.sleep(max(0.0, slew.real_s + within_s - time.monotonic()))
    assert lights(site, began) == []


def a_dark_is_finished_in_the_rain(site: Observatory) -> None:
    began = time.monotonic()
    desk = site.desk("telescope")
    desk.submit(
        "take_calibration_frames", id="dark", type="dark", exposure_time=120.0,
        number_of_exposures=1,
    )  # fmt: skip
    dark = site.until(lambda: site.told_after("camera", "start_exposure", began), "a dark")[0]
    assert site.world.dome_file.read().shutter.at(site.clock.monotonic()) == 1.0
    site.close_in_rain("a dark")
    assert desk.wait("dark", 30.0)["result"]["exposures"] == 1
    (frame,) = site.told_after("camera", "download", began)
    assert frame.values["number"] == dark.values["number"]
    assert site.told_after("camera", "abort_exposure", began) == []


@pytest.mark.long
def test_an_alert_interrupts_a_lower_class_and_never_another_alert(tmp_path: Path) -> None:
    """Promise 14, with the setting that cuts exposures: where it could do the most harm."""
    changes = {**FEW_FRAMES, "Telescope": {**FEW_FRAMES["Telescope"]}}
    changes["Telescope"]["Planning"] = {"On Alert": "cut"}
    with observatory(tmp_path, MID_NIGHT, RATE, changes=changes, hardware=QUICK) as site:
        site.start("dome", "telescope")
        site.until_state("open")
        (first,) = site.alert("S1", count=1, urgency=1.0, number_of_exposures=2)
        site.until(site.exposing, "the first alert's exposure")
        (second,) = site.alert("S2", count=1, urgency=10.0)
        site.until_done(2)
        assert slews(site) == pytest.approx([first, second], abs=0.01)
        assert site.events("camera", "abort_exposure") == []
        assert len(lights(site)) == 3

        site.order(1, exposure_time=180.0, number_of_exposures=1)
        site.until(site.exposing, "an exposure of the lower class")
        (third,) = site.alert("S3", count=1, urgency=1.0)
        site.until_done(4)
        field = slews(site)[2]
        assert slews(site)[2:] == pytest.approx([field, third, field], abs=0.01)
        assert len(site.events("camera", "abort_exposure")) >= 1
        site.none_twice_none_lost()
        assert site.made.broken_promises() == []


def slews(site: Observatory) -> list[float]:
    """Return the right ascensions that the mount was sent to [deg]."""
    return [one.values["ra_deg"] for one in site.events("mount", "slew_to")]
