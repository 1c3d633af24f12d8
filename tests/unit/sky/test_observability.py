"""Altitudes, azimuths, sun and moon, against astropy's AltAz without refraction."""

from __future__ import annotations

import logging
import socket
import warnings
from datetime import UTC, datetime, timedelta

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, EarthLocation, HADec, SkyCoord, get_body
from astropy.time import Time
from astropy.utils import iers

from toros.sky import earth
from toros.sky.observability import LocalSky, airmass, separation
from toros.sky.site import Site

MACON = Site(-67.33, -24.63, 4637.0)
SITES = [MACON, Site(20.0, 69.9, 5.0), Site(204.5, 19.8, 4200.0), Site(0.0, -90.0, 2800.0)]
NIGHT = datetime(2026, 6, 11, tzinfo=UTC)
LIMIT_DEG = 0.02


@pytest.fixture(autouse=True)
def _no_download():
    with iers.conf.set_temp("auto_download", False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _stars(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    return rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))


def _frames(site: Site, times: Time) -> tuple[AltAz, EarthLocation]:
    place = EarthLocation.from_geodetic(
        site.longitude_deg * u.deg, site.latitude_deg * u.deg, site.height_m * u.m
    )
    return AltAz(obstime=times, location=place), place


@pytest.mark.parametrize("site", SITES, ids=str)
def test_stars_stand_where_astropy_has_them(site: Site):
    ra, dec = _stars()
    moments = [NIGHT + timedelta(hours=h) for h in (-6, 0, 6)]
    sky = LocalSky(site, moments)
    places = sky.place(ra, dec)
    altitude, azimuth, hours = sky.altitude(places), sky.azimuth(places), sky.hour_angle(places)
    for k, moment in enumerate(moments):
        frame, place = _frames(site, Time(moment))
        expected = SkyCoord(ra, dec, unit="deg").transform_to(frame)
        assert np.abs(altitude[:, k] - expected.alt.deg).max() < LIMIT_DEG
        turn = (azimuth[:, k] - expected.az.deg + 180.0) % 360.0 - 180.0
        assert np.abs(turn * np.cos(expected.alt.rad)).max() < LIMIT_DEG
        hadec = SkyCoord(ra, dec, unit="deg").transform_to(
            HADec(obstime=Time(moment), location=place)
        )
        off = (hours[:, k] - hadec.ha.hour + 12.0) % 24.0 - 12.0
        assert np.abs(15.0 * off * np.cos(hadec.dec.rad)).max() < LIMIT_DEG


@pytest.mark.parametrize("site", SITES, ids=str)
def test_sun_and_moon_stand_where_astropy_has_them(site: Site):
    moments = [NIGHT + timedelta(days=9 * k, hours=5 * k) for k in range(8)]
    ra, dec = _stars(20)
    for moment in moments:
        sky = LocalSky(site, moment)
        frame, place = _frames(site, Time(moment))
        moon, sun = (get_body(b, Time(moment), place).transform_to(frame) for b in ("moon", "sun"))
        assert abs(sky.moon_altitude[0] - moon.alt.deg) < LIMIT_DEG
        assert abs(sky.sun_altitude[0] - sun.alt.deg) < LIMIT_DEG
        stars = SkyCoord(ra, dec, unit="deg").transform_to(frame)
        places = sky.place(ra, dec)
        assert np.abs(sky.moon_distance(places)[:, 0] - moon.separation(stars).deg).max() < 0.02
        assert np.abs(sky.sun_distance(places)[:, 0] - sun.separation(stars).deg).max() < 0.02


def test_moon_is_lit_as_known():
    # Full moon of 2026-06-29 23:57 UTC, new moon of 2026-06-15 02:54 UTC (USNO).
    full = LocalSky(MACON, datetime(2026, 6, 29, 23, 57, tzinfo=UTC)).moon_illumination[0]
    new = LocalSky(MACON, datetime(2026, 6, 15, 2, 54, tzinfo=UTC)).moon_illumination[0]
    assert full > 0.995
    assert new < 0.005


@pytest.mark.parametrize("year", [1965, 2005, 2035, 2080, 2150])
def test_dates_beyond_the_tables_survive_and_are_near(year: int, caplog):
    earth._say_once.cache_clear()
    moment = datetime(year, 3, 1, 5, tzinfo=UTC)
    ra, dec = _stars()
    with caplog.at_level(logging.WARNING, "toros.sky.earth"):
        first, again = LocalSky(MACON, moment), LocalSky(MACON, moment)
    frame, _ = _frames(MACON, Time(moment))
    expected = SkyCoord(ra, dec, unit="deg").transform_to(frame).alt.deg
    for sky in (first, again):
        assert np.abs(sky.altitude(sky.place(ra, dec))[:, 0] - expected).max() < LIMIT_DEG
    outside = year not in (2005,)
    assert len(caplog.records) == outside, "said once, and only outside the table"


def test_a_leap_second_is_no_jump():
    before = datetime(2016, 12, 31, 23, 59, 58, tzinfo=UTC)
    sky = LocalSky(MACON, [before, before + timedelta(seconds=4)])
    height = sky.altitude(sky.place(100.0, -20.0))[0]
    assert abs(height[1] - height[0]) < 0.03  # 5 s of the sky's turn, at most 0.021 deg


def test_nothing_is_asked_of_the_network(monkeypatch):
    monkeypatch.setattr(socket, "socket", None)
    earth._ut1_table.cache_clear()
    assert LocalSky(MACON, NIGHT).sun_altitude.shape == (1,)


def test_airmass_is_one_overhead_and_infinite_below_the_horizon():
    assert airmass(90.0) == pytest.approx(1.0, abs=1e-3)
    assert airmass(30.0) == pytest.approx(2.0, rel=0.004)
    assert airmass(0.0) == pytest.approx(38.75, rel=0.01)  # Pickering (2002), at the horizon
    assert np.isinf(airmass([-0.1, -90.0])).all()
    assert (np.diff(airmass(np.linspace(0.0, 90.0, 500))) <= 0.0).all()


def test_separation_of_near_and_opposite_places():
    one = earth.unit([10.0, 10.0], [0.0, 0.0])
    two = earth.unit([10.0 + 1e-6, 190.0], [0.0, 0.0])
    assert separation(one, two) == pytest.approx([1e-6, 180.0])


def test_horizon_mask_is_joined_by_lines_all_around():
    site = Site(0.0, 50.0, horizon=((350.0, 20.0), (10.0, 40.0), (180.0, 10.0)))
    assert site.horizon_altitude([10.0, 0.0, 350.0, 95.0]) == pytest.approx([40, 30, 20, 25])
    assert site.horizon_altitude(370.0) == pytest.approx(40.0)
    assert (Site(0.0, 50.0).horizon_altitude([0.0, 200.0]) == -90.0).all()


def test_above_horizon_follows_the_mask():
    open_site, walled = Site(0.0, 50.0), Site(0.0, 50.0, horizon=((0.0, 60.0), (180.0, 60.0)))
    ra, dec = _stars()
    for site, lowest in ((open_site, 0.0), (walled, 60.0)):
        sky = LocalSky(site, NIGHT)
        places = sky.place(ra, dec)
        assert (sky.above_horizon(places) == (sky.altitude(places) > lowest)).all()


@pytest.mark.parametrize(("field", "values"), [("longitude_deg", (-181, 0)), ("latitude", (0, 91))])
def test_a_site_off_the_earth_is_refused(field: str, values: tuple[float, float]):
    with pytest.raises(ValueError, match=field):
        Site(*values)


@pytest.mark.parametrize("span_s", [0.0, 600.0, 86400.0, 20 * 86400.0])
def test_many_times_see_the_sun_where_each_alone_does(span_s: float):
    # Beyond a few times the Earth's place is a curve through some of them.
    times = NIGHT.timestamp() + np.linspace(0.0, span_s, 61)
    together = LocalSky(MACON, times)
    for k in (0, 1, 17, 60):
        alone = LocalSky(MACON, times[k : k + 1])
        assert together.sun_altitude[k] == pytest.approx(alone.sun_altitude[0], abs=2e-4)
        assert together.moon_illumination[k] == pytest.approx(alone.moon_illumination[0], abs=1e-5)
