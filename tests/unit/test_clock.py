"""Time on the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toros import clock


def test_a_naive_time_is_utc():
    assert clock.from_iso("2019-03-05T14:34:54.234") == datetime(
        2019, 3, 5, 14, 34, 54, 234000, tzinfo=UTC
    )
    assert clock.to_iso(datetime(2019, 3, 5, 14, 34, 54, 234000)) == "2019-03-05T14:34:54.234"  # noqa: DTZ001


def test_an_offset_is_honoured():
    assert clock.to_iso(clock.from_iso("2019-03-05T14:34:54-07:00")) == "2019-03-05T21:34:54.000"


@given(
    st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)),  # noqa: DTZ001
    st.integers(-14 * 60, 14 * 60),
)
def test_round_trip(moment, offset_min):
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset_min)))
    assert abs(clock.from_iso(clock.to_iso(aware)) - aware) < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2019-13-01",
        "2019-03-05T25:00",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
    ],
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match="."):
        clock.from_iso(text)


def test_the_real_clock_is_aware_and_monotonic():
    assert clock.REAL.now().tzinfo is UTC
    first = clock.REAL.monotonic()
    assert clock.REAL.monotonic() >= first
