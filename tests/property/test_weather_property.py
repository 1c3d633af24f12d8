"""Whatever the sources tell, and whenever: the verdict is never too good.

The oracles look at the whole history anew at each moment, and know nothing of how the
package remembers it.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from toros.config.enclosure import WeatherLimit
from toros.devices.protocols import Reading
from toros.dome.weather.observation import SAFE, Instant, Observation
from toros.dome.weather.record import SourceRecord
from toros.dome.weather.sources.station import parse
from toros.dome.weather.verdict import Assessment, assess
from toros.errors import DeviceNonsense

AGE_LIMIT_S = 60.0
SOURCES = 2
_EPS = 1e-6


class Event(NamedTuple):
    """Something that happens after some time."""

    passed_s: float
    asleep_s: float
    source: int
    kind: str
    wind: float
    word: bool
    age_s: float


class Told(NamedTuple):
    """One entry of the history that the oracles look at."""

    at: Instant
    source: int
    kind: str
    wind: float
    word: bool
    born_s: float


EVENTS = st.builds(
    Event,
    passed_s=st.sampled_from([0.0, 0.5, 1.0, 5.0, 20.0, 45.0, 70.0]),
    asleep_s=st.sampled_from([0.0] * 9 + [100.0]),
    source=st.integers(0, SOURCES - 1),
    kind=st.sampled_from(["tell"] * 8 + ["fail", "lose", "nothing", "no wind"]),
    wind=st.sampled_from([5.0, 12.0, 12.5, 30.0]),
    word=st.sampled_from([True] * 9 + [False]),
    age_s=st.sampled_from([0.0] * 6 + [1.0, 30.0, 61.0]),
)
LIMITS = st.tuples(
    st.sampled_from([12.0, 20.0]),  # above
    st.sampled_from([0.0, 10.0, 90.0]),  # bad delay
    st.sampled_from([0.0, 30.0, 120.0]),  # good delay
).map(
    lambda numbers: WeatherLimit(
        quantity="wind_speed", above=numbers[0], bad_delay_s=numbers[1], good_delay_s=numbers[2]
    )
)


class World:
    """The records under test, and the history beside them."""

    def __init__(self, limits: list[WeatherLimit], before_s: float, rate: float) -> None:
        self.limits, self.before_s, self.rate = limits, before_s, rate
        self.records = [SourceRecord(f"s{n}", AGE_LIMIT_S, limits) for n in range(SOURCES)]
        self.history: list[Told] = []
        self.at = Instant(1000.0, 0.0)
        self.unsafe_at_s = 0.0
        self.bad_at_s: dict[tuple[int, int], float] = {}

    def live(self, passed_s: float, asleep_s: float = 0.0) -> None:
        """Let time pass in small steps; check the promises at each."""
        self.at = Instant(self.at.real_s + asleep_s, self.at.clock_s)
        self.check()
        steps = max(1, min(8, round(passed_s)))
        for _ in range(steps):
            step_s = passed_s / steps
            self.at = Instant(self.at.real_s + step_s / self.rate, self.at.clock_s + step_s)
            self.check()

    def happen(self, event: Event) -> None:
        """Do what an event says."""
        record, born_s = self.records[event.source], self.at.real_s - event.age_s
        if event.kind == "fail":
            record.fail("no answer")
            return
        told = Told(self.at, event.source, event.kind, event.wind, event.word, born_s)
        self.history.append(told)
        if event.kind == "lose":
            record.lose("not connected")
        elif event.kind == "nothing":
            record.tell(self.at, self.at.real_s, Observation({}))
        else:
            values = {SAFE: Reading(float(event.word), event.age_s)}
            if event.kind == "tell":
                values["wind_speed"] = Reading(event.wind, event.age_s)
            record.tell(self.at, self.at.real_s, Observation(values))
        self.check()

    def assess(self) -> Assessment:
        found = [finding for record in self.records for finding in record.findings(self.at)]
        return assess(found, self.at.clock_s, self.before_s)

    def check(self) -> None:
        now = self.assess()
        assert now == self.assess()
        unknown = any(self.is_unknown(source) for source in range(SOURCES))
        beyond = False
        for source in range(SOURCES):
            for number, limit in enumerate(self.limits):
                if self.is_beyond_too_long(source, limit):
                    beyond = True
                    self.bad_at_s[source, number] = self.at.clock_s
        if unknown or beyond:
            assert not now.safe
            self.unsafe_at_s = self.at.clock_s
        if not now.safe:
            assert now.reasons
            assert not now.may_open
            self.unsafe_at_s = self.at.clock_s
        else:
            for (_, number), bad_s in self.bad_at_s.items():
                good_s = self.limits[number].good_delay_s
                assert self.at.clock_s - bad_s >= good_s - _EPS, "it flutters"
        if now.may_open:
            assert self.at.clock_s - self.unsafe_at_s >= self.before_s - _EPS
            assert now.known

    def is_unknown(self, source: int) -> bool:
        """Whether its last word is stale, unsafe or not there, or its wind has gone."""
        mine = [told for told in self.history if told.source == source]
        if not mine or mine[-1].kind in ("lose", "nothing"):
            return True
        last = mine[-1]
        had_wind = any(told.kind == "tell" for told in mine)
        return (
            not last.word
            or self.at.real_s - last.born_s > AGE_LIMIT_S + _EPS
            or (bool(self.limits) and had_wind and last.kind == "no wind")
        )

    def is_beyond_too_long(self, source: int, limit: WeatherLimit) -> bool:
        """Whether all fresh values of the last bad delay, and longer, are beyond the limit."""
        assert limit.above is not None
        since_s = None
        for told in reversed(self.history):
            fresh = told.at.real_s - told.born_s <= AGE_LIMIT_S
            if told.source != source or told.kind != "tell" or not fresh:
                continue
            if told.wind <= limit.above:
                break
            since_s = told.at.clock_s
        return since_s is not None and self.at.clock_s - since_s >= limit.bad_delay_s + _EPS


@settings(max_examples=150, deadline=None)
@given(
    events=st.lists(EVENTS, max_size=40),
    limits=st.lists(LIMITS, max_size=2),
    before_s=st.sampled_from([0.0, 10.0, 300.0]),
    rate=st.sampled_from([1.0, 0.5, 100.0]),
)
def test_the_verdict_is_never_too_good(
    events: list[Event], limits: list[WeatherLimit], before_s: float, rate: float
) -> None:
    world = World(limits, before_s, rate)
    for event in events:
        world.live(event.passed_s, event.asleep_s)
        world.happen(event)
    for _ in range(25):  # closing is no way to pass: after good weather it may open
        world.live(20.0)
        for source in range(SOURCES):
            world.happen(Event(0.0, 0.0, source, "tell", 5.0, True, 0.0))
    assert world.assess() == Assessment(True, True, (), (), world.assess().safe_for_s, True)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["wind_speed", "safe", "time", "humidity", "a.b", "a", ""]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(
    content=st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()),
    fields=st.dictionaries(
        st.sampled_from(["wind_speed", "safe", "time"]), st.sampled_from(["a", "a.b", "a.0", "."])
    ),
)
def test_a_station_is_read_or_is_nonsense(content: bytes, fields: dict[str, str]) -> None:
    try:
        report = parse(content, fields)
    except DeviceNonsense:
        return
    for name in fields:
        if name != "time":
            assert name in report.values or name in report.problems
    assert all(isinstance(value, float) for value in report.values.values())
