"""Whatever is asked for, a plan keeps every rule, repeats, and gives up nothing urgent."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.schedule_rules import violations
from toros.sky.observability import LocalSky, airmass
from toros.sky.site import Site
from toros.telescope.scheduling import Constraints, Plan, SlewModel, Target, next_target, plan
from toros.telescope.scheduling.opportunities import Opportunities

START = datetime(2026, 6, 10, 20, tzinfo=UTC)
HOURS = st.floats(-2.0, 14.0)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


@st.composite
def spans(draw) -> tuple[datetime, datetime]:
    first = draw(HOURS)
    return at(first), at(first + draw(st.floats(0.0, 6.0)))


TARGETS = st.builds(
    Target,
    id=st.just(0),
    ra_deg=st.floats(0.0, 359.99),
    dec_deg=st.floats(-90.0, 90.0),
    duration_s=st.floats(10.0, 9000.0),
    priority=st.floats(0.0, 10.0),
    not_before=st.none() | st.builds(at, HOURS),
    not_after=st.none() | st.builds(at, HOURS),
    windows=st.lists(spans(), max_size=2).map(tuple),
    min_altitude_deg=st.none() | st.floats(0.0, 80.0),
)


@st.composite
def problems(draw) -> dict:
    import dataclasses

    targets = draw(st.lists(TARGETS, max_size=14))
    return {
        "targets": [dataclasses.replace(t, id=k) for k, t in enumerate(targets)],
        "site": Site(
            draw(st.sampled_from([-67.33, 0.0])),
            draw(st.sampled_from([-90.0, -24.63, 48.0, 70.0])),
            0.0,
            draw(st.sampled_from([(), ((0.0, 40.0), (120.0, 5.0))])),
        ),
        "start": START,
        "end": at(draw(st.floats(-1.0, 16.0))),
        "constraints": Constraints(
            sun_altitude_deg=draw(st.sampled_from([-18.0, -12.0, 0.0])),
            moon_altitude_deg=draw(st.sampled_from([-90.0, 0.0])),
        ),
        "slew": SlewModel(draw(st.floats(0.1, 20.0)), draw(st.floats(0.0, 60.0))),
        "closed": draw(st.lists(spans(), max_size=2)),
        "pointing": draw(st.none() | st.tuples(st.floats(0.0, 359.0), st.floats(-90.0, 90.0))),
    }


@given(problem=problems(), seed=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_any_plan_keeps_every_rule_and_repeats(problem: dict, seed: int):
    found = plan(**problem, iterations=40, seed=seed)
    rules = {key: problem[key] for key in ("site", "constraints", "slew", "closed", "pointing")}
    assert violations(found, **rules) == []
    assert len(found.entries) + len(found.left_out) == len(problem["targets"])
    assert found == plan(**problem, iterations=40, seed=seed)


@given(problem=problems())
@settings(max_examples=40, deadline=None)
def test_urgent_targets_are_never_given_up(problem: dict):
    urgent = [t for t in problem["targets"] if t.priority >= 9.0]
    alone = plan(**{**problem, "targets": urgent}, iterations=0).urgent
    assert plan(**problem, iterations=0).urgent >= alone
    assert plan(**problem, iterations=40).urgent >= alone


@given(problem=problems())
@settings(max_examples=40, deadline=None)
def test_no_target_waits_in_idle_time_for_less_than_a_quarter_per_hour(problem: dict):
    found = plan(**problem, iterations=40)
    for place, late in enumerate(found.entries):
        for start in idle_starts(found, place, problem):
            waited_h = (late.start - start).total_seconds() / 3600.0
            gain = airmass_of(late.target, start, problem["site"]) / late.airmass
            # Samples are half a minute apart, and low targets change the fastest.
            assert gain >= 0.98 * math.exp(waited_h / 4.0), (late.target, start)


def idle_starts(found: Plan, place: int, problem: dict) -> list[datetime]:
    """Return where one of a plan's targets could begin earlier, all others as they are."""
    late, slew = found.entries[place], problem["slew"]
    target, here = late.target, (late.target.ra_deg, late.target.dec_deg)
    sky = Opportunities(
        [target], problem["site"], found.start, found.end, problem["constraints"],
        problem["closed"],
    )  # fmt: skip
    others = [entry for k, entry in enumerate(found.entries) if k != place]
    pointed = [found.start, *(entry.end for entry in others)]
    places = [problem["pointing"], *((e.target.ra_deg, e.target.dec_deg) for e in others)]
    starts = []
    for k in range(place + 1):
        free, until = pointed[k] + slew_time(slew, places[k], here), late.end
        if k < place:
            until = others[k].start - slew_time(slew, here, places[k + 1])
        for first, last in sky.windows(0):
            start = max(free, found.start + timedelta(seconds=first)) + timedelta(seconds=1)
            end = start + timedelta(seconds=target.duration_s)
            if start <= found.start + timedelta(seconds=last) and end <= until:
                starts.append(start)
                break
    return starts


def slew_time(slew: SlewModel, a: tuple[float, float] | None, b: tuple[float, float]) -> timedelta:
    if a is None:
        return timedelta()
    angle = SkyCoord(*a, unit="deg").separation(SkyCoord(*b, unit="deg")).deg
    return timedelta(seconds=float(angle) / slew.rate_deg_s + slew.settle_s + 1.0)


def airmass_of(target: Target, start: datetime, site: Site) -> float:
    middle = start.timestamp() + target.duration_s / 2.0
    sky = LocalSky(site, np.array([middle]))
    return float(airmass(sky.altitude(sky.place(target.ra_deg, target.dec_deg)))[0, 0])


@given(problem=problems(), hours=st.floats(0.0, 12.0))
@settings(max_examples=40, deadline=None)
def test_the_next_target_keeps_the_rules(problem: dict, hours: float):
    now = at(hours)
    asked = {**problem, "now": now}
    del asked["start"]
    entry = next_target(**asked)
    if entry is None:
        return
    assert entry.start >= now
    assert entry.end <= max(problem["end"], now) + timedelta(milliseconds=1)
    assert not any(a < entry.end and entry.start < b for a, b in problem["closed"] if a < b)
