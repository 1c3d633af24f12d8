"""A weather station's JSON, and how old it is."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.dome.weather.parts import START, HandClock
from toros.devices.protocols import Reading
from toros.dome.weather.sources.station import Ages, observe, parse
from toros.errors import DeviceNonsense


def test_the_quantities_own_names_are_the_default() -> None:
    report = parse(b'{"wind_speed": 3.5, "humidity": "62", "safe": true, "other": "x"}', {})
    assert report.values == {"wind_speed": 3.5, "humidity": 62.0, "safe": 1.0}
    assert report.problems == {}
    assert report.time is None


def test_fields_name_what_lies_deep_and_in_lists() -> None:
    content = json.dumps(
        {"now": {"wind": {"avg": 4}, "rain": [0.0, 1.5]}, "at.utc": "2026-06-10T22:00:00Z"}
    ).encode()
    fields = {"wind_speed": "now.wind.avg", "rain_rate": "now.rain.1", "time": "at.utc"}
    report = parse(content, fields)
    assert report.values == {"wind_speed": 4.0, "rain_rate": 1.5}
    assert report.time == START


@pytest.mark.parametrize(
    "text",
    [
        '"2026-06-10T22:00:00"', '"2026-06-10T22:00:00Z"', '"2026-06-11T00:00:00+02:00"',
        '"2026-06-10 22:00:00"', "1781128800", "1781128800.0", '"1781128800"',
        '"2026-06-10T21:59:60Z"',
    ],
)  # fmt: skip
def test_a_time_is_iso_or_unix_and_a_leap_second_is_one(text: str) -> None:
    assert parse(f'{{"time": {text}}}'.encode(), {}).time == START


@pytest.mark.parametrize(
    "text", ['"now"', "true", "null", "[]", "1e300", '"2026-13-01"', '"2026-06-10T24:61:60"', '""']
)
def test_a_time_that_cannot_be_read_makes_all_unknown(text: str) -> None:
    with pytest.raises(DeviceNonsense, match="its time 'time' is"):
        parse(f'{{"time": {text}, "safe": true}}'.encode(), {})


def test_a_time_that_is_named_must_be_there() -> None:
    with pytest.raises(DeviceNonsense, match="its time 'stamp' is missing"):
        parse(b'{"safe": true}', {"time": "stamp"})


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"3", b'"safe"', b'{"wind_speed": NaN}', b"\xff\xfe\xfa",
        b"[" * 100_000, b'{"wind_speed": 1} x', b"<html>", b'{"wind_speed": 1' + b"0" * 5000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_json_object_is_nonsense(content: bytes) -> None:
    with pytest.raises(DeviceNonsense):
        parse(content, {})


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("null", "None; expected a number"),
        ("true", "True; expected a number"),
        ('"12 m/s"', "expected a number"),
        ('"nan"', "expected a number"),
        ("[3]", "expected a number"),
        ("-1", "-1 m/s cannot be; 0 to 150 m/s can"),
        ("151", "cannot be"),
        ("1e999", "inf is no measured value"),
        ("1" + "0" * 400, "inf is no measured value"),
    ],
)
def test_a_value_that_cannot_be_is_unknown_and_the_others_stay(value: str, why: str) -> None:
    content = f'{{"wind_speed": {value}, "humidity": 50}}'.encode()
    observation = observe(parse(content, {}), 1.0)
    assert observation.values == {"humidity": Reading(50.0, 1.0)}
    assert why in observation.problems["wind_speed"]


@pytest.mark.parametrize("value", ["1", "0", '"true"', "null", "[]"])
def test_a_word_is_true_or_false_only(value: str) -> None:
    observation = observe(parse(f'{{"safe": {value}}}'.encode(), {}), 0.0)
    assert "safe" not in observation.values
    assert "expected true or false" in observation.problems["safe"]


def test_a_quantity_that_is_named_must_be_there() -> None:
    assert "missing" in parse(b"{}", {"rain_rate": "rain"}).problems["rain_rate"]


def test_a_long_value_is_shown_cut() -> None:
    (why,) = parse(b'{"humidity": "' + b"x" * 9000 + b'"}', {}).problems.values()
    assert len(why) < 100


class TestAges:
    def ages(self) -> tuple[HandClock, Ages]:
        clock = HandClock()
        return clock, Ages(clock, clock.real)

    def test_an_age_is_what_passed_since_the_stamp(self) -> None:
        clock, ages = self.ages()
        assert ages.age_s(START - timedelta(seconds=20)) == 20
        clock.pass_s(7)
        assert ages.age_s(START - timedelta(seconds=20)) == 27

    def test_a_stamp_a_little_ahead_is_new_and_one_far_ahead_is_nonsense(self) -> None:
        _, ages = self.ages()
        assert ages.age_s(START + timedelta(seconds=4.9)) == 0
        with pytest.raises(DeviceNonsense, match="5400 s in the future"):
            ages.age_s(START + timedelta(seconds=5400))

    def test_old_data_do_not_grow_young_when_the_clock_is_set_back(self) -> None:
        clock, ages = self.ages()
        assert ages.age_s(START) == 0
        clock.pass_s(3000)
        clock.step_s(-3000)
        assert ages.age_s(START) == 3000

    def test_a_clock_that_is_set_ahead_makes_data_old(self) -> None:
        clock, ages = self.ages()
        ages.age_s(START)
        clock.step_s(3600)
        assert ages.age_s(START) == 3600

    def test_a_stamp_from_before_the_clock_was_set_back_is_not_fresh(self) -> None:
        clock, ages = self.ages()
        ages.age_s(START)
        clock.step_s(-3600)
        with pytest.raises(DeviceNonsense):
            ages.age_s(START)
        assert ages.age_s(START - timedelta(seconds=3601)) == 1  # the station was set, too

    def test_a_leap_second_does_not_matter(self) -> None:
        clock, ages = self.ages()
        ages.age_s(START)
        clock.step_s(-1)
        assert ages.age_s(START) == 0

    def test_in_a_rehearsal_ages_are_simulated_seconds(self) -> None:
        clock = HandClock(rate=100.0)
        ages = Ages(clock, clock.real)
        ages.age_s(START)
        clock.pass_s(50)
        assert ages.age_s(START) == pytest.approx(50)


def test_a_time_far_from_all_is_no_error_of_ours() -> None:
    clock = HandClock()
    clock.wall = datetime(1970, 1, 1, tzinfo=UTC)
    with pytest.raises(DeviceNonsense, match="in the future"):
        Ages(clock, clock.real).age_s(START)
