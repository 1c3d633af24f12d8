"""Whatever is asked for, a plan keeps every rule, repeats, and gives up nothing urgent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.schedule_rules import violations
from toros.sky.site import Site
from toros.telescope.scheduling import Constraints, SlewModel, Target, next_target, plan

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
