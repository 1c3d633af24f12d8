"""One limit: fast to bad, slow to good."""

import pytest

from toros.config.enclosure import WeatherLimit
from toros.dome.weather.limits import LimitState, advanced, beyond, told


def limit(bad: float = 90, good: float = 600, **edges: float) -> WeatherLimit:
    return WeatherLimit(
        quantity="wind_speed",
        bad_delay_s=bad,
        good_delay_s=good,
        **(edges or {"above": 12.0}),
    )


def run(rule: WeatherLimit, values: dict[float, float], now: float) -> LimitState:
    state = None
    for moment, value in values.items():
        state = told(state, rule, moment, value, unbroken=True)
    assert state is not None
    return advanced(state, rule, now)


@pytest.mark.parametrize(
    ("edges", "value", "bad"),
    [
        ({"above": 12.0}, 12.0, False),
        ({"above": 12.0}, 12.1, True),
        ({"below": -5.0}, -5.0, False),
        ({"below": -5.0}, -5.1, True),
        ({"above": 30.0, "below": -5.0}, 10.0, False),
        ({"above": 30.0, "below": -5.0}, 31.0, True),
        ({"above": 30.0, "below": -5.0}, -6.0, True),
    ],
)
def test_a_value_on_the_limit_is_not_beyond_it(
    edges: dict[str, float], value: float, bad: bool
) -> None:
    assert beyond(limit(**edges), value) is bad


def test_it_turns_bad_when_the_bad_delay_is_over_and_not_before() -> None:
    rule = limit(bad=90)
    assert not run(rule, {0: 5, 10: 15}, 99.9).bad
    state = run(rule, {0: 5, 10: 15}, 100)
    assert state.bad
    assert state.since_s == 100


def test_without_a_delay_it_is_bad_at_once() -> None:
    assert run(limit(bad=0), {0: 5, 10: 15}, 10).bad


def test_a_good_value_within_the_bad_delay_starts_it_anew() -> None:
    values = {0: 5, 10: 15, 60: 5, 61: 15}
    assert not run(limit(bad=90), values, 150.9).bad
    assert run(limit(bad=90), values, 151).bad


def test_a_good_value_after_the_bad_delay_does_not_undo_it_though_nobody_looked() -> None:
    assert run(limit(bad=90), {0: 5, 10: 15, 101: 5}, 102).bad


def test_it_is_good_again_only_after_the_good_delay() -> None:
    rule = limit(bad=0, good=600)
    values = {0: 15, 10: 5}
    assert run(rule, values, 609.9).bad
    state = run(rule, values, 610)
    assert not state.bad
    assert state.since_s == 610


def test_a_bad_value_within_the_good_delay_starts_it_anew() -> None:
    assert run(limit(bad=90, good=600), {0: 15, 95: 5, 600: 15, 601: 5}, 1200).bad
    assert not run(limit(bad=90, good=600), {0: 15, 95: 5, 600: 15, 601: 5}, 1201).bad


def test_after_a_start_it_is_not_settled_before_the_good_delay() -> None:
    rule = limit(good=600)
    assert not run(rule, {0: 5}, 599).settled
    assert not run(rule, {0: 5}, 599).bad
    state = run(rule, {0: 5}, 600)
    assert state.settled
    assert state.since_s == 0


def test_a_short_passing_of_a_settled_limit_leaves_it_settled() -> None:
    assert run(limit(), {0: 5, 600: 5, 700: 15, 710: 5}, 711).settled


def test_waiting_for_good_does_not_count_a_gap_in_the_data() -> None:
    rule = limit(bad=0, good=600)
    state = told(None, rule, 0, 15, unbroken=True)
    state = told(state, rule, 10, 5, unbroken=True)
    state = told(state, rule, 900, 5, unbroken=False)
    assert advanced(state, rule, 1499).bad
    assert not advanced(state, rule, 1500).bad


def test_what_is_bad_before_and_after_a_gap_was_bad_in_it() -> None:
    rule = limit(bad=90)
    state = told(None, rule, 0, 15, unbroken=True)
    state = told(state, rule, 200, 15, unbroken=False)
    assert state.bad
    assert state.since_s == 90


def test_what_is_beyond_before_a_gap_counts_on_in_it() -> None:
    rule = limit(bad=90)
    state = told(None, rule, 0, 15, unbroken=True)
    assert told(state, rule, 200, 5, unbroken=False).bad
