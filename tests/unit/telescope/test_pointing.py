"""Limits against an independent reckoning; corrections that bring the telescope there."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_sun
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st

from toros.config.observing import Limits
from toros.devices.protocols import PierSide, Pointing
from toros.errors import BeyondLimit, PointingFailed
from toros.sky.site import Site
from toros.telescope.pointing import check_limits, correct, past_meridian

SITE = Site(-67.33, -24.63, 4637.0)
PLACE = EarthLocation.from_geodetic(-67.33 * u.deg, -24.63 * u.deg, 4637 * u.m)
NIGHT = datetime(2026, 6, 10, 4, 0, tzinfo=UTC)
NO_LIMITS = {"altitude_deg": 0.0, "sun_distance_deg": 0.0}


def limits(**values: object) -> Limits:
    return Limits.model_validate(NO_LIMITS | values, by_name=True, by_alias=False)


def at(altitude: float, azimuth: float, moment: datetime = NIGHT) -> Pointing:
    """Return the ICRS place that astropy sees there, without refraction."""
    frame = AltAz(obstime=Time(moment), location=PLACE)
    place = SkyCoord(alt=altitude * u.deg, az=azimuth * u.deg, frame=frame).icrs
    return Pointing(float(place.ra.deg), float(place.dec.deg))


@pytest.mark.parametrize("azimuth", [0, 100, 200, 300])
def test_the_altitude(azimuth: float) -> None:
    check_limits(at(15.1, azimuth), SITE, NIGHT, limits(altitude_deg=15.0))
    with pytest.raises(BeyondLimit, match=r"altitude 14\.9\d deg; it must be at least 15"):
        check_limits(at(14.95, azimuth), SITE, NIGHT, limits(altitude_deg=15.0))


def test_what_sets_during_the_exposure_is_refused() -> None:
    west = at(17.0, 270.0)
    check_limits(west, SITE, NIGHT, limits(altitude_deg=15.0), for_s=300)
    with pytest.raises(BeyondLimit, match="2026-06-10 04:") as refused:
        check_limits(west, SITE, NIGHT, limits(altitude_deg=15.0), for_s=1200)
    # It sinks by 15 deg/h times the cosine of the latitude: two degrees in 528 s.
    minute = int(re.search(r"04:(\d\d):", str(refused.value))[1])
    assert 8 <= minute <= 10
    check_limits(at(17.0, 90.0), SITE, NIGHT, limits(altitude_deg=15.0), for_s=3600)


def test_what_dips_below_the_limit_in_between_is_refused() -> None:
    # Before its lowest point near the pole, and after it: above the limit at both ends.
    low = at(10.0, 180.0)
    begin = NIGHT - timedelta(hours=2)
    check_limits(low, SITE, begin, limits(altitude_deg=10.5))
    check_limits(low, SITE, begin + timedelta(hours=4), limits(altitude_deg=10.5))
    with pytest.raises(BeyondLimit):
        check_limits(low, SITE, begin, limits(altitude_deg=10.5), for_s=4 * 3600)


def test_the_horizon_mask() -> None:
    site = Site(-67.33, -24.63, 4637.0, ((80.0, 20.0), (100.0, 40.0), (120.0, 20.0)))
    check_limits(at(41.0, 100.0), site, NIGHT, limits())
    check_limits(at(31.0, 90.0), site, NIGHT, limits())
    check_limits(at(21.0, 300.0), site, NIGHT, limits())
    with pytest.raises(BeyondLimit, match="above the horizon's mask"):
        check_limits(at(29.0, 90.0), site, NIGHT, limits())


def test_the_hour_angle() -> None:
    east, west = at(40.0, 90.0), at(40.0, 270.0)
    for place in (east, west):
        check_limits(place, SITE, NIGHT, limits())
        check_limits(place, SITE, NIGHT, limits(hour_angle_h=4.5))
        with pytest.raises(BeyondLimit, match="hour angle"):
            check_limits(place, SITE, NIGHT, limits(hour_angle_h=2.5))


def sun(moment: datetime) -> SkyCoord:
    seen = get_sun(Time(moment))
    return SkyCoord(seen.ra, seen.dec)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_the_sun(turn: float) -> None:
    noon = datetime(2026, 6, 10, 16, 30, tzinfo=UTC)
    near = sun(noon).directional_offset_by(turn * u.deg, 29.5 * u.deg)
    far = sun(noon).directional_offset_by(turn * u.deg, 30.5 * u.deg)
    check_limits(Pointing(far.ra.deg, far.dec.deg), SITE, noon, limits(sun_distance_deg=30.0))
    with pytest.raises(BeyondLimit, match=r"distance from the sun 29\.\d\d deg"):
        check_limits(Pointing(near.ra.deg, near.dec.deg), SITE, noon, limits(sun_distance_deg=30.0))


def test_the_sun_that_is_down_is_no_danger() -> None:
    for moment, refused in (
        (datetime(2026, 6, 10, 22, 5, tzinfo=UTC), True),  # at -5 degrees
        (datetime(2026, 6, 10, 22, 25, tzinfo=UTC), False),
    ):
        place = at(12.0, 295.0, moment)
        if refused:
            with pytest.raises(BeyondLimit, match="sun"):
                check_limits(place, SITE, moment, limits(sun_distance_deg=30.0))
        else:
            check_limits(place, SITE, moment, limits(sun_distance_deg=30.0))


def test_a_place_that_is_no_number_is_refused() -> None:
    for place in (Pointing(float("nan"), 0.0), Pointing(10.0, float("nan"))):
        with pytest.raises(BeyondLimit):
            check_limits(place, SITE, NIGHT, limits())


def test_a_german_mount_stops_past_the_meridian() -> None:
    rules = limits(pier_past_h=0.5)
    before = at(70.0, 0.0, NIGHT + timedelta(minutes=10))
    # Ten minutes before the meridian, 25 min are within half an hour past it; 45 are not.
    check_limits(before, SITE, NIGHT, rules, for_s=25 * 60)
    with pytest.raises(BeyondLimit, match="past the meridian by"):
        check_limits(before, SITE, NIGHT, rules, for_s=45 * 60)
    later = NIGHT + timedelta(hours=1)
    # Slewed to, it is on the right side by then; tracked to, it is not.
    check_limits(before, SITE, later, rules)
    check_limits(before, SITE, later, rules, pier_side=PierSide.EAST)
    check_limits(before, SITE, later, rules, pier_side=PierSide.UNKNOWN)
    with pytest.raises(BeyondLimit, match=r"past the meridian by 0\.8"):
        check_limits(before, SITE, later, rules, pier_side=PierSide.WEST)


@pytest.mark.parametrize(
    ("hours", "side", "past"),
    [
        ([-1.0, 0.0, 1.0], None, [-1, 0, 1]),
        ([1.0, 2.0], None, [-1, -2]),
        ([-1.0], PierSide.EAST, [1]),
        ([11.0, -12.0, -11.0], None, [-1, 0, 1]),  # below the pole
        ([-11.0, -6.0], PierSide.WEST, [-1, -6]),
    ],
)
def test_how_far_past_the_meridian(
    hours: list[float], side: PierSide | None, past: list[float]
) -> None:
    assert past_meridian(np.array(hours), side) == pytest.approx(past)


PLACES = st.tuples(st.floats(0, 359.999), st.floats(-89, 89))


@settings(max_examples=100, deadline=None)
@given(place=PLACES, turn=st.floats(0, 360), far=st.floats(0.001, 5))
def test_the_offset_is_that_on_the_sky(place: tuple[float, float], turn: float, far: float) -> None:
    wanted = SkyCoord(*place, unit="deg")
    found = wanted.directional_offset_by(turn * u.deg, far * u.deg)
    made = correct(Pointing(found.ra.deg, found.dec.deg), Pointing(*place), tolerance_arcsec=30.0)
    assert made.separation_arcsec == pytest.approx(far * 3600, abs=0.01)
    assert made.good == (far * 3600 <= 30)
    east, north = np.sin(np.radians(turn)), np.cos(np.radians(turn))
    if far < 0.1:
        assert made.east_arcsec == pytest.approx(far * 3600 * east, abs=0.3)
        assert made.north_arcsec == pytest.approx(far * 3600 * north, abs=0.3)


@settings(max_examples=100, deadline=None)
@given(place=PLACES, axis=PLACES, degrees=st.floats(0.01, 3))
def test_a_mount_that_is_turned_is_corrected_in_one_or_two_slews(
    place: tuple[float, float], axis: tuple[float, float], degrees: float
) -> None:
    """A mount whose alignment is a turn of the sphere, as after a wrong sync."""
    spin = _matrix(axis, degrees)

    def shows(told: Pointing) -> Pointing:
        return _place(spin @ _vector(told))

    wanted, told = Pointing(*place), Pointing(*place)
    for _ in range(3):
        step = correct(shows(told), wanted, told=told, tolerance_arcsec=5.0)
        assert step.sync_to == shows(told)
        told = step.slew_to
    assert correct(shows(told), wanted, told=told, tolerance_arcsec=5.0).good


def test_what_is_far_off_is_left_to_a_person() -> None:
    with pytest.raises(PointingFailed, match=r"40\.0 deg from where it should"):
        correct(Pointing(10.0, 0.0), Pointing(50.0, 0.0), tolerance_arcsec=30.0)
    with pytest.raises(PointingFailed):
        correct(Pointing(float("nan"), 0.0), Pointing(50.0, 0.0), tolerance_arcsec=30.0)


def _vector(place: Pointing) -> np.ndarray:
    ra, dec = np.radians(place)
    return np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])


def _place(vector: np.ndarray) -> Pointing:
    return Pointing(
        float(np.degrees(np.arctan2(vector[1], vector[0])) % 360),
        float(np.degrees(np.arcsin(np.clip(vector[2], -1, 1)))),
    )


def _matrix(axis: tuple[float, float], degrees: float) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(np.radians(degrees) * _vector(Pointing(*axis))).as_matrix()
