"""Plans: every rule kept, urgent targets first, idle time put to use, reasons told."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tests.schedule_rules import violations
from toros.sky.almanac import Night, moon
from toros.sky.site import Site
from toros.telescope.scheduling import Constraints, SlewModel, Target, next_target, plan
from toros.telescope.scheduling.opportunities import Opportunities

SITE = Site(-67.33, -24.63, 4637.0)
START = datetime(2026, 6, 10, 23, 30, tzinfo=UTC)
END = datetime(2026, 6, 11, 9, 30, tzinfo=UTC)
LIMITS = Constraints()
SLEW = SlewModel()


def targets(count: int, seed: int = 1, **fields: object) -> list[Target]:
    rng = np.random.default_rng(seed)
    dec = np.degrees(np.arcsin(rng.uniform(-0.98, 0.5, count)))
    return [
        Target(
            i,
            float(rng.uniform(150, 360)),
            float(dec[i]),
            60.0 * float(rng.choice([3, 5, 8, 12])),
            float(rng.integers(0, 11)),
            **fields,
        )
        for i in range(count)
    ]


def some(ra: float, dec: float, **fields: object) -> Target:
    return Target(**{"id": "x", "ra_deg": ra, "dec_deg": dec, "duration_s": 600.0,
                     "priority": 5.0, **fields})  # fmt: skip


@pytest.mark.parametrize("iterations", [0, 300])
@pytest.mark.parametrize("count", [1, 12, 60, 180])
def test_a_plan_keeps_every_rule(count: int, iterations: int):
    found = plan(targets(count), SITE, START, END, iterations=iterations, pointing=(200.0, -20.0))
    assert found.entries
    assert violations(found, SITE, LIMITS, SLEW, pointing=(200.0, -20.0)) == []
    assert len(found.entries) + len(found.left_out) == count


def test_closures_are_left_free():
    closed = [(START + timedelta(hours=h), START + timedelta(hours=h + 1)) for h in (0, 3, 3.5)]
    found = plan(targets(100), SITE, START, END, closed=closed, iterations=200)
    assert found.entries
    assert violations(found, SITE, LIMITS, SLEW, closed) == []


def test_a_night_that_is_closed_has_no_plan():
    found = plan(targets(3), SITE, START, END, closed=[(START, END)])
    assert found.entries == ()
    assert "closed" in found.left_out[0].reason


def test_nothing_to_do_and_no_time_are_no_errors():
    assert plan([], SITE, START, END).entries == ()
    assert plan(targets(3), SITE, END, START).entries == ()
    assert next_target([], SITE, START, END) is None


def test_the_same_arguments_give_the_same_plan():
    first, again = (plan(targets(80), SITE, START, END, iterations=300, seed=5) for _ in range(2))
    assert first == again


def test_the_search_never_makes_a_plan_worse():
    crowd = targets(150)
    worths = [plan(crowd, SITE, START, END, iterations=i).worth for i in (0, 50, 1000)]
    assert worths[0] <= worths[1] * 1.001
    assert worths[1] < worths[2]


def test_no_urgent_target_is_given_up_for_any_number_of_others():
    # Each urgent target takes an hour for the worth of five minutes' others.
    urgent = [
        dataclasses.replace(t, id=f"u{t.id}", duration_s=3600.0, priority=9.0)
        for t in targets(4, seed=2)
    ]
    others = [dataclasses.replace(t, priority=8.9) for t in targets(150)]
    alone = plan(urgent, SITE, START, END, iterations=0)
    for iterations in (0, 500):
        assert plan([*others, *urgent], SITE, START, END, iterations=iterations).urgent == (
            alone.urgent
        )


FEW = [some(240.0 + 15 * k, -24.0, id=k) for k in range(5)]
"""Five targets for ten hours; the night finds the first two up, the others rise."""


def test_with_patience_for_ever_each_is_observed_where_it_stands_highest():
    found = plan(FEW, SITE, START, END, patience=None)
    assert len(found.entries) == 5
    assert max(entry.airmass for entry in found.entries) < 1.001
    assert found.order == (0, 1, 2, 3, 4)


def test_idle_time_goes_to_what_can_be_had_now():
    found = plan(FEW, SITE, START, END)
    assert found.order == (0, 1, 2, 3, 4)
    for entry in found.entries:
        until_highest = plan([entry.target], SITE, START, END, patience=None).entries[0].start
        assert until_highest - entry.start > timedelta(hours=2)
        # It waited while it was low, when an hour brought more than a quarter.
        assert 1.3 < entry.airmass < 1.6


def test_a_target_that_is_high_or_sinks_does_not_wait():
    for ra in (225.0, 165.0):
        target = some(ra, -24.0)
        assert plan([target], SITE, START, END).entries[0].start == START
        entry = next_target([target], SITE, START, END)
        assert entry is not None
        assert entry.start == START


def test_contested_time_goes_to_what_is_worth_most_and_not_to_what_is_first():
    early = plan(targets(200), SITE, START, END, iterations=300)
    patient = plan(targets(200), SITE, START, END, iterations=300, patience=None)
    assert early.order == patient.order
    assert early.worth > 0.999 * patient.worth


LONGEST_WAIT = timedelta(minutes=70)
"""At an airmass of 2 at most: then any target has risen so far that an hour brings less."""


@pytest.mark.parametrize(
    ("seed", "pause_min"),
    [(1, 10), (2, 10), *(pytest.param(s, 2, marks=pytest.mark.long) for s in (3, 4))],
)
def test_the_telescope_never_idles_for_long_while_a_target_can_be_had(seed: int, pause_min: int):
    """A night as it is lived: `next_target` again and again, from the order of the plan."""
    left = {target.id: target for target in targets(10, seed)}
    order = plan(list(left.values()), SITE, START, END, iterations=50).order
    now, waits, pause = START, dict.fromkeys(left, timedelta()), timedelta(minutes=pause_min)
    while left and now < END:
        crowd = list(left.values())
        entry = next_target(crowd, SITE, now, END, order=order)
        if entry is not None and entry.start - timedelta(seconds=entry.slew_s) <= now + pause:
            del left[entry.target.id]
            now = entry.end
            continue
        sky = Opportunities(crowd, SITE, now, END, LIMITS)
        for i, target in enumerate(crowd):
            if any(first <= 0.0 for first, _ in sky.windows(i)):
                waits[target.id] += pause
        now += pause
    assert max(waits.values()) <= LONGEST_WAIT


def test_a_crowded_night_is_full():
    found = plan(targets(200), SITE, START, END, iterations=300)
    busy = sum(e.target.duration_s + e.slew_s for e in found.entries)
    assert busy > 0.98 * (END - START).total_seconds()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dec_deg": 80.0}, "never above 30 deg while it could be observed (highest -"),
        ({"min_altitude_deg": 89.9}, "never above 89.9 deg"),
        ({"max_airmass": 1.0}, "never below airmass 1 "),
        ({"moon_distance_deg": 175.0}, "too near the moon"),
        ({"not_before": END}, "outside the night"),
        ({"not_after": START}, "outside the night"),
        ({"windows": ((START, START + timedelta(minutes=9)),)}, "takes 10 min, and no free time"),
        ({"ra_deg": 150.0, "duration_s": 7200.0}, "takes 120 min and is observable for"),
    ],
)
def test_what_cannot_be_observed_is_left_out_with_its_reason(changes, reason: str):
    constraints = Constraints(moon_altitude_deg=-90.0)
    target = dataclasses.replace(some(240.0, -10.0), **changes)
    found = plan([target], SITE, START, END, constraints)
    assert found.entries == ()
    assert reason in found.left_out[0].reason


def test_a_target_that_is_crowded_out_is_left_out_with_its_reason():
    crowd = [dataclasses.replace(t, priority=8.0) for t in targets(150)]
    low = some(240.0, -24.0, priority=0.0)
    found = plan([*crowd, low], SITE, START, END, iterations=50)
    assert {left.target.id: left.reason for left in found.left_out}["x"].startswith("observable")


def test_where_the_sun_does_not_set_the_reason_is_the_sun():
    night = Night(Site(20.0, 70.0), datetime(2026, 6, 21, tzinfo=UTC).date())
    found = plan([some(240.0, 60.0)], night.site, night.start, night.end)
    assert "the sun is never below -15 deg" in found.left_out[0].reason


def test_twilight_ends_the_plan():
    found = plan(targets(150), SITE, START - timedelta(hours=4), END + timedelta(hours=4))
    assert violations(found, SITE, LIMITS, SLEW) == []
    dark = Night(SITE, START.date()).dark(-15.0)
    assert dark is not None
    assert found.entries[0].start - dark[0] < timedelta(minutes=1)
    assert dark[1] - found.entries[-1].end < timedelta(minutes=4)


def test_windows_not_before_and_not_after_hold():
    asked = [
        dataclasses.replace(t, not_before=START + timedelta(hours=2), id=f"b{t.id}")
        for t in targets(20, 3)
    ]
    asked += [
        dataclasses.replace(t, not_after=START + timedelta(hours=2), id=f"a{t.id}")
        for t in targets(20, 4)
    ]
    spans = tuple(
        (START + timedelta(hours=h), START + timedelta(hours=h, minutes=40)) for h in (5, 1)
    )
    asked += [dataclasses.replace(t, windows=spans, id=f"w{t.id}") for t in targets(20, 5)]
    found = plan(asked, SITE, START, END, iterations=300)
    assert {str(e.target.id)[0] for e in found.entries} == {"a", "b", "w"}
    assert violations(found, SITE, LIMITS, SLEW) == []


def test_horizon_mask_and_hour_angle_hold():
    walled = dataclasses.replace(SITE, horizon=((0.0, 20.0), (90.0, 60.0), (180.0, 20.0)))
    limits = Constraints(max_hour_angle_h=3.0)
    found = plan(targets(80), walled, START, END, limits, iterations=200)
    assert found.entries
    assert violations(found, walled, limits, SLEW) == []
    from toros.sky.observability import LocalSky

    for entry in found.entries:
        sky = LocalSky(SITE, [entry.start, entry.end])
        place = sky.place(entry.target.ra_deg, entry.target.dec_deg)
        assert np.abs(sky.hour_angle(place)).max() <= 3.01


def test_the_moon_matters_less_away_from_full_moon():
    crescent = moon(SITE, END)  # waning, 22 % lit
    target = some(float(crescent.ra_deg[0] - 40.0) % 360.0, float(crescent.dec_deg[0]))
    strict, weighted = Constraints(moon_distance_deg=60.0), Constraints(
        moon_distance_deg=60.0, moon_width_days=7.0
    )  # fmt: skip
    begin = END - timedelta(hours=2)
    assert "moon" in plan([target], SITE, begin, END, strict).left_out[0].reason
    assert plan([target], SITE, begin, END, weighted).entries != ()


def test_azimuth_slews_leave_time_for_the_turn():
    slew = SlewModel(rate_deg_s=0.5, settle_s=7.0, path="azimuth")
    found = plan(targets(100), SITE, START, END, slew=slew, iterations=300, pointing=(200.0, 0.0))
    assert violations(found, SITE, LIMITS, slew) == []
    from toros.sky.observability import LocalSky

    for before, after in zip(found.entries, found.entries[1:], strict=False):
        sky = LocalSky(SITE, [before.end])
        places = sky.place(
            [e.target.ra_deg for e in (before, after)], [e.target.dec_deg for e in (before, after)]
        )
        azimuth, altitude = sky.azimuth(places)[:, 0], sky.altitude(places)[:, 0]
        turn = abs((azimuth[1] - azimuth[0] + 180.0) % 360.0 - 180.0)
        angle = max(turn, abs(altitude[1] - altitude[0]))
        gap = (after.start - before.end).total_seconds()
        # Azimuths are those of the nearest half minute, which moves them by a degree near zenith.
        assert gap >= angle / 0.5 + 7.0 - (6.0 if altitude.max() > 75.0 else 1.0)


def test_two_targets_with_one_id_are_refused():
    with pytest.raises(ValueError, match="same id"):
        plan([some(240.0, -20.0), some(250.0, -20.0)], SITE, START, END)


def test_an_earlier_order_is_a_beginning():
    crowd = targets(120)
    before = plan(crowd, SITE, START, END, iterations=500)
    again = plan(crowd, SITE, START, END, iterations=0, order=["gone", *before.order])
    assert again.worth >= 0.999 * before.worth


def test_the_next_target_is_the_plans():
    crowd = targets(120)
    before = plan(crowd, SITE, START, END, iterations=500)
    entry = next_target(crowd, SITE, START, END, order=before.order)
    assert entry is not None
    assert entry.target.id == before.order[0]
    assert entry.start == START


def test_the_next_target_is_none_when_all_have_set():
    assert next_target([some(150.0, -20.0)], SITE, END - timedelta(hours=1), END) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("priority", 10.1), ("priority", -1.0), ("dec_deg", 91.0), ("duration_s", 0.0),
     ("completion", 1.5), ("urgency", float("nan"))],
)  # fmt: skip
def test_a_target_out_of_range_is_refused(field: str, value: float):
    with pytest.raises(ValueError, match=f"target x: {field}"):
        some(240.0, -20.0, **{field: value})


def test_a_slew_that_never_ends_is_refused():
    with pytest.raises(ValueError, match="rate_deg_s"):
        SlewModel(rate_deg_s=0.0)
    with pytest.raises(ValueError, match="settle_s"):
        SlewModel(settle_s=-1.0)
