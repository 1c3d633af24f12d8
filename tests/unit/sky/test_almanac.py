"""Nights: their names, their darkness, and places without one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from toros.sky.almanac import SUNSET_DEG, Night, coming_darkness, moon, night_of, sun_altitude
from toros.sky.site import Site

MACON = Site(-67.33, -24.63, 4637.0)
TROMSO = Site(18.96, 69.65, 0.0)


@pytest.mark.parametrize(
    ("site", "moment", "evening"),
    [
        (
            MACON,
            datetime(2026, 6, 11, 3, tzinfo=UTC),
            date(2026, 6, 10),
        ),  # local 22:30 the day before
        (MACON, datetime(2026, 6, 11, 16, tzinfo=UTC), date(2026, 6, 10)),  # before local noon
        (MACON, datetime(2026, 6, 11, 17, tzinfo=UTC), date(2026, 6, 11)),  # after local noon
        (
            Site(179.9, 0.0),
            datetime(2026, 6, 11, 12, tzinfo=UTC),
            date(2026, 6, 11),
        ),  # local midnight
        (Site(-179.9, 0.0), datetime(2026, 6, 11, 12, tzinfo=UTC), date(2026, 6, 10)),
        (Site(292.67, -24.63), datetime(2026, 6, 11, 3, tzinfo=UTC), date(2026, 6, 10)),  # = -67.33
        (Site(0.0, 51.5), datetime(2026, 1, 1, 1, tzinfo=UTC), date(2025, 12, 31)),
    ],
)
def test_a_night_bears_the_date_of_its_local_evening(site, moment, evening):
    night = night_of(site, moment)
    assert night.date == evening
    assert night.start <= moment < night.end


def test_a_naive_moment_is_utc():
    moment = datetime(2026, 6, 11, 3, tzinfo=UTC)
    assert night_of(MACON, moment.replace(tzinfo=None)) == night_of(MACON, moment)
    assert sun_altitude(MACON, moment.replace(tzinfo=None)) == sun_altitude(MACON, moment)


def test_consecutive_nights_leave_no_gap():
    night = night_of(MACON, datetime(2026, 12, 31, 23, tzinfo=UTC))
    assert Night(MACON, night.date + timedelta(days=1)).start == night.end
    assert night_of(MACON, night.end).date == night.date + timedelta(days=1)
    assert night_of(MACON, night.end - timedelta(microseconds=1)).date == night.date


@pytest.mark.parametrize("altitude", [SUNSET_DEG, -6.0, -12.0, -15.0, -18.0])
def test_dusk_and_dawn_are_where_the_sun_says(altitude: float):
    dark = Night(MACON, date(2026, 6, 10)).dark(altitude)
    assert dark is not None
    for moment in dark:
        assert sun_altitude(MACON, moment) == pytest.approx(altitude, abs=0.02)  # 5 s
    assert sun_altitude(MACON, dark[0] + (dark[1] - dark[0]) / 2) < altitude


def test_sunset_is_as_published():
    # London, 2026-06-21: sunset 20:21 UTC, sunrise 03:43 UTC (HM Nautical Almanac Office).
    night = Night(Site(-0.1278, 51.5074, 0.0), date(2026, 6, 21))
    assert night.sunset is not None
    assert night.sunrise is not None
    assert abs(night.sunset - datetime(2026, 6, 21, 20, 21, 30, tzinfo=UTC)) < timedelta(minutes=1)
    assert abs(night.sunrise - datetime(2026, 6, 22, 3, 43, tzinfo=UTC)) < timedelta(minutes=1)


def test_a_polar_day_has_no_darkness_and_says_so():
    night = Night(TROMSO, date(2026, 6, 21))
    assert night.dark() is None
    assert night.dark(SUNSET_DEG) is None
    assert night.sunset is None
    assert "no darkness" in night.describe()


def test_a_polar_night_is_dark_from_noon_to_noon():
    night = Night(Site(15.6, 85.0), date(2026, 12, 21))
    assert night.dark(-12.0) == (night.start, night.end)
    assert night.sunset is None
    assert "dark all the day" in night.describe(-12.0)


def test_a_white_night_has_twilight_only():
    night = Night(Site(10.0, 58.0), date(2026, 6, 21))
    assert night.dark(-18.0) is None
    assert night.dark(SUNSET_DEG) is not None


def test_describe_tells_times_and_moon():
    text = Night(MACON, date(2026, 6, 10)).describe()
    assert "2026-06-10 23:08 to 2026-06-11 09:48 UTC (10.7 h), moon 2" in text


def test_moon_at_several_moments():
    moments = [datetime(2026, 6, 29, h, tzinfo=UTC) for h in (0, 12)]
    track = moon(MACON, moments)
    assert track.ra_deg.shape == track.altitude_deg.shape == (2,)
    assert (track.illumination > 0.98).all()
    assert ((track.dec_deg > -30) & (track.dec_deg < -20)).all()


def test_coming_darkness_is_what_is_left_of_the_running_night():
    night = Night(MACON, date(2026, 6, 10))
    dusk, dawn = night.dark(-15.0)
    hour = timedelta(hours=1)
    assert coming_darkness(MACON, dusk - hour, -15.0) == (night, (dusk, dawn))
    assert coming_darkness(MACON, dawn - hour, -15.0) == (night, (dawn - hour, dawn))


def test_coming_darkness_after_dawn_is_the_next_night_s():
    dark = Night(MACON, date(2026, 6, 10)).dark(-15.0)
    night, left = coming_darkness(MACON, dark[1], -15.0)
    assert night.date == date(2026, 6, 11)
    assert left == night.dark(-15.0)


def test_coming_darkness_is_none_in_the_polar_day():
    for hour in (1, 14):
        night, left = coming_darkness(TROMSO, datetime(2026, 6, 21, hour, tzinfo=UTC))
        assert left is None
        assert night.start + timedelta(hours=12) > datetime(2026, 6, 21, hour, tzinfo=UTC)


def test_coming_darkness_of_the_polar_night_goes_on_past_noon_for_a_day():
    site = Site(15.6, 85.0)
    moment = Night(site, date(2026, 12, 21)).end - timedelta(minutes=5)
    night, left = coming_darkness(site, moment, -12.0)
    assert night.date == date(2026, 12, 21)
    assert left == (moment, moment + timedelta(days=1))
    assert coming_darkness(site, moment.replace(tzinfo=None), -12.0)[1] == left
