"""From observations to the verdict, without threads."""

import pytest

from tests.unit.dome.weather.parts import HandClock, observe
from toros.config.enclosure import WeatherLimit
from toros.devices.protocols import Reading
from toros.dome.weather.observation import Instant, Observation
from toros.dome.weather.record import SourceRecord
from toros.dome.weather.verdict import Assessment, assess, report, unmeasured

WIND = WeatherLimit(quantity="wind_speed", above=12.0, bad_delay_s=90.0, good_delay_s=600.0)
RAIN = WeatherLimit(quantity="rain_rate", above=0.0, bad_delay_s=0.0, good_delay_s=300.0)


class Memory:
    """A record or several, and a clock."""

    def __init__(self, *limits: WeatherLimit, names: tuple[str, ...] = ("station",)) -> None:
        self.clock = HandClock()
        self.records = [SourceRecord(name, 60.0, limits) for name in names]

    @property
    def at(self) -> Instant:
        return Instant(self.clock.real_s, self.clock.clock_s)

    def tell(self, number: int = 0, took_s: float = 0.0, **values: float) -> None:
        self.records[number].tell(self.at, self.clock.real_s - took_s, observe(**values))

    def tell_all(self, seconds: float, **values: float) -> None:
        """Tell the same every second for a time."""
        for _ in range(round(seconds)):
            self.clock.pass_s(1)
            for number in range(len(self.records)):
                self.tell(number, **values)

    def assess(self, before_s: float = 600.0) -> Assessment:
        found = [finding for record in self.records for finding in record.findings(self.at)]
        return assess(found, self.clock.clock_s, before_s)


def test_no_source_at_all_is_unsafe() -> None:
    conclusion = assess([], 0.0, 0.0)
    assert not conclusion.safe
    assert not conclusion.known
    assert "no source is configured" in conclusion.reasons[0]


def test_a_source_that_was_not_read_yet_is_unsafe() -> None:
    conclusion = Memory().assess()
    assert not conclusion.safe
    assert conclusion.reasons == ("station: unknown: it was not read yet",)


def test_safe_for_the_whole_time_it_may_open() -> None:
    memory = Memory(WIND)
    memory.tell(wind_speed=5)
    memory.tell_all(599, wind_speed=5)
    now = memory.assess()
    assert now.safe
    assert not now.may_open
    assert "the weather has been safe for 599 s of the 600 s before an opening" in now.reasons
    memory.tell_all(1, wind_speed=5)
    assert memory.assess() == Assessment(True, True, (), (), 600.0, True)


def test_one_unsafe_source_of_two_is_enough() -> None:
    memory = Memory(names=("monitor", "station"))
    memory.tell(0, safe=1)
    memory.tell(1, safe=0)
    memory.clock.pass_s(12)
    now = memory.assess()
    assert not now.safe
    assert now.known
    assert now.reasons == ("station: it says unsafe, for 12 s",)


def test_a_word_is_believed_at_once_both_ways_but_opening_waits() -> None:
    memory = Memory()
    memory.tell_all(700, safe=1)
    assert memory.assess().may_open
    memory.tell_all(1, safe=0)
    assert not memory.assess().safe
    memory.tell_all(1, safe=1)
    now = memory.assess()
    assert now.safe
    assert not now.may_open
    memory.tell_all(600, safe=1)
    assert memory.assess().may_open


def test_an_unsafe_second_that_nobody_asked_about_starts_the_waiting_anew() -> None:
    memory = Memory()
    memory.tell_all(700, safe=1)
    memory.tell_all(1, safe=0)
    memory.tell_all(100, safe=1)
    assert memory.assess().safe_for_s == 99


def test_data_are_unsafe_from_their_age_limit_on() -> None:
    memory = Memory()
    memory.tell_all(700, safe=1)
    memory.clock.pass_s(60)
    assert memory.assess().safe
    memory.clock.pass_s(0.1)
    now = memory.assess()
    assert not now.safe
    assert not now.known
    assert "60 s old, the age limit is 60 s" in now.reasons[0]


def test_the_age_counts_from_the_beginning_of_the_reading_and_its_own_age() -> None:
    memory = Memory()
    memory.records[0].tell(
        memory.at, memory.clock.real_s - 3.0, Observation({"safe": Reading(1.0, 50.0)})
    )
    memory.clock.pass_s(6.9)
    assert memory.assess().safe
    memory.clock.pass_s(0.2)
    assert not memory.assess().safe


def test_data_that_arrive_too_old_are_unsafe() -> None:
    memory = Memory()
    memory.tell_all(700, safe=1)
    memory.records[0].tell(
        memory.at, memory.clock.real_s, Observation({"safe": Reading(1.0, 61.0)})
    )
    assert not memory.assess().safe


def test_a_gap_that_nobody_asked_about_starts_the_waiting_anew() -> None:
    memory = Memory()
    memory.tell_all(700, safe=1)
    memory.clock.pass_s(61)
    memory.tell_all(10, safe=1)
    now = memory.assess()
    assert now.safe
    assert now.safe_for_s == 9


def test_a_failed_reading_leaves_the_last_one_to_age() -> None:
    memory = Memory()
    memory.tell_all(700, safe=1)
    memory.records[0].fail("no answer within 3 s")
    assert memory.assess().may_open
    memory.clock.pass_s(61)
    assert "no answer within 3 s" in memory.assess().reasons[0]


def test_what_is_lost_is_unsafe_at_once() -> None:
    memory = Memory()
    memory.tell_all(700, safe=1)
    memory.records[0].lose("it is not connected")
    assert memory.assess().reasons == ("station: unknown: it is not connected",)


def test_suspended_time_makes_data_old() -> None:
    memory = Memory()
    memory.tell_all(700, safe=1)
    memory.clock.suspend_s(3600)
    assert not memory.assess().safe


def test_a_limit_says_who_what_how_much_and_how_long() -> None:
    memory = Memory(WIND)
    memory.tell_all(700, wind_speed=5)
    memory.tell_all(95, wind_speed=15.25)
    now = memory.assess()
    assert not now.safe
    assert now.known
    assert now.reasons == ("station: wind_speed 15.25 m/s is above 12 m/s, for 94 s",)


def test_within_the_bad_delay_it_is_safe_but_does_not_open() -> None:
    memory = Memory(WIND)
    memory.tell_all(1300, wind_speed=5)
    assert memory.assess().may_open
    memory.tell_all(50, wind_speed=15)
    now = memory.assess()
    assert now.safe
    assert not now.may_open
    assert now.notes == (
        "station: wind_speed 15 m/s is above 12 m/s, for 49 s; it is bad after 90 s",
    )


def test_a_start_does_not_spare_the_good_delay() -> None:
    memory = Memory(RAIN)
    memory.tell(rain_rate=0)
    memory.tell_all(299, rain_rate=0)
    now = memory.assess(before_s=0)
    assert now.safe
    assert not now.may_open
    assert now.reasons == (
        "station: rain_rate 0 mm/h is within its limit for 299 s "
        "of the 300 s to be waited after a start",
    )
    memory.tell_all(1, rain_rate=0)
    assert memory.assess(before_s=0).may_open


def test_a_limited_quantity_that_is_not_told_any_more_is_unsafe() -> None:
    memory = Memory(WIND)
    memory.tell_all(1300, wind_speed=5, humidity=40)
    memory.tell_all(1, humidity=40)
    assert memory.assess().reasons == ("station: wind_speed is unknown: it is not told any more",)
    memory.tell_all(1, wind_speed=5)
    now = memory.assess()
    assert now.safe  # humidity has no limit here
    assert now.safe_for_s == 0


def test_a_limited_quantity_that_ages_within_a_fresh_answer_is_unsafe() -> None:
    memory = Memory(WIND)
    memory.tell_all(1300, wind_speed=5)
    values = {"wind_speed": Reading(5.0, 61.0), "humidity": Reading(40.0, 0.0)}
    memory.records[0].tell(memory.at, memory.clock.real_s, Observation(values))
    now = memory.assess()
    assert not now.safe
    assert "wind_speed is unknown: it is 61 s old" in now.reasons[0]


def test_waiting_for_good_begins_anew_when_the_source_was_unknown_meanwhile() -> None:
    memory = Memory(RAIN)
    memory.tell_all(10, rain_rate=2)
    memory.tell_all(200, rain_rate=0)
    memory.records[0].lose("not connected")
    memory.tell_all(299, rain_rate=0)
    assert not memory.assess().safe
    memory.tell_all(2, rain_rate=0)
    assert memory.assess().safe


def test_a_limit_applies_to_each_source_by_itself() -> None:
    memory = Memory(WIND, names=("mast", "roof"))
    for _ in range(1300):
        memory.clock.pass_s(1)
        memory.tell(0, wind_speed=5)
        memory.tell(1, wind_speed=15)
    now = memory.assess()
    assert len(now.reasons) == 1
    assert now.reasons[0].startswith("roof: wind_speed 15")


def test_a_source_that_tells_nothing_is_unsafe() -> None:
    memory = Memory(WIND)
    memory.tell()
    assert "it tells nothing that is known" in memory.assess().reasons[0]


def test_a_limit_that_nobody_measures_is_told_and_does_not_close() -> None:
    memory = Memory(RAIN)
    memory.tell_all(700, humidity=40)
    assert memory.assess().may_open
    assert unmeasured(memory.records, [RAIN, RAIN]) == (
        "the limit on rain_rate has no effect: no source measures it",
    )


def test_a_report_shows_only_what_is_fresh() -> None:
    memory = Memory()
    memory.tell(safe=1, humidity=40)
    memory.clock.pass_s(10)
    told = report(memory.records[0], memory.at)
    assert (told.known, told.age_s, told.safe) == (True, 10.0, True)
    assert told.values == {"humidity": Reading(40.0, 10.0)}
    memory.clock.pass_s(51)
    old = report(memory.records[0], memory.at)
    assert (old.known, old.age_s, old.safe, old.values) == (False, None, None, {})


@pytest.mark.parametrize("good", [0.0, 300.0])
def test_two_limits_on_one_quantity_are_both_kept(good: float) -> None:
    low = WeatherLimit(quantity="humidity", above=80.0, bad_delay_s=600, good_delay_s=good)
    high = WeatherLimit(quantity="humidity", above=95.0, bad_delay_s=0, good_delay_s=good)
    memory = Memory(low, high)
    memory.tell_all(700, humidity=50)
    memory.tell_all(1, humidity=96)
    assert memory.assess().reasons == ("station: humidity 96 % is above 95 %, for 0 s",)
