"""The open window: the sun's altitude at the observatory."""

from datetime import UTC, datetime

import pytest

from toros.config.sections import Observatory
from toros.dome.window import OpenWindow

SALTA = Observatory(longitude_deg=-67.33, latitude_deg=-24.63, height_m=4637.0)
NOON = datetime(2026, 6, 10, 16, 29, tzinfo=UTC)
MIDNIGHT = datetime(2026, 6, 11, 4, 29, tzinfo=UTC)


def test_it_is_open_at_night_and_not_by_day() -> None:
    window = OpenWindow(SALTA, 5.0)
    assert window.state(MIDNIGHT).inside
    day = window.state(NOON)
    assert not day.inside
    assert day.sun_altitude_deg == pytest.approx(90 - 24.63 - 23.0, abs=0.1)
    assert "the sun is at 42.3 deg; the dome may be open while it is below 5 deg" in day.reason


def test_it_ends_where_the_sun_passes_the_limit() -> None:
    altitude = OpenWindow(SALTA, 5.0).state(NOON).sun_altitude_deg
    assert altitude is not None
    assert OpenWindow(SALTA, altitude + 0.01).state(NOON).inside
    assert not OpenWindow(SALTA, altitude - 0.01).state(NOON).inside


@pytest.mark.parametrize("place", [Observatory(), Observatory(latitude_deg=3.0)])
def test_without_a_place_no_moment_is_inside_unless_always(place: Observatory) -> None:
    state = OpenWindow(place, 5.0).state(MIDNIGHT)
    assert not state.inside
    assert "the observatory's place is unknown" in state.reason
    assert OpenWindow(place, 90.0).state(NOON).inside


@pytest.mark.parametrize("year", [1, 1971, 2060, 2400, 9999])
def test_a_date_beyond_all_tables_is_survived(year: int) -> None:
    window = OpenWindow(SALTA, 5.0)
    assert window.state(MIDNIGHT.replace(year=year)).inside
    assert not window.state(NOON.replace(year=year)).inside


@pytest.mark.parametrize(("month", "inside"), [(6, False), (12, True)])
def test_a_polar_summer_and_winter(month: int, inside: bool) -> None:
    pole = Observatory(longitude_deg=0.0, latitude_deg=90.0)
    assert OpenWindow(pole, 5.0).state(datetime(2026, month, 21, tzinfo=UTC)).inside is inside
