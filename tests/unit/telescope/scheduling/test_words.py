"""Priorities with their reasons, explanations, exports, and who may interrupt whom."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from toros.sky.site import Site
from toros.telescope.scheduling import (
    URGENT,
    Constraints,
    Target,
    appraise,
    duration_of,
    explain,
    interrupts,
    observable_until,
    plan,
    plan_csv,
    plan_dict,
    plan_text,
)

SITE = Site(-67.33, -24.63, 4637.0)
START = datetime(2026, 6, 10, 23, 30, tzinfo=UTC)
END = datetime(2026, 6, 11, 9, 30, tzinfo=UTC)


def some(**fields: object) -> Target:
    return Target(**{"id": 7, "ra_deg": 240.0, "dec_deg": -20.0, "duration_s": 600.0,
                     "priority": 5.0, **fields})  # fmt: skip


CLASSES = ("alert", "time_critical", "science", "survey", "filler")


def test_classes_rank_in_their_order():
    values = [appraise(some(observing_class=c)).value for c in CLASSES]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == len(CLASSES)


@pytest.mark.parametrize("observing_class", CLASSES)
@pytest.mark.parametrize("urgency", [0.0, 5.0, 10.0])
@pytest.mark.parametrize("rank", [None, 1, 2, 500])
@pytest.mark.parametrize("completion", [0.0, 0.99])
def test_priorities_stay_on_the_scale_and_nine_is_for_alerts(
    observing_class, urgency, rank, completion
):
    value = appraise(
        some(observing_class=observing_class, urgency=urgency, rank=rank, completion=completion),
        START,
        START + timedelta(minutes=5),
    ).value
    assert 0.0 <= value <= 10.0
    assert value < URGENT or observing_class == "alert"


def test_each_cause_raises_the_priority_and_is_told():
    plain = appraise(some(observing_class="alert", urgency=5.0))
    for cause, words in (
        ({"urgency": 7.0}, "urgency 7: +0.60"),
        ({"rank": 2, "event": "S190425z"}, "number 2 of S190425z: +0.65"),
        ({"completion": 0.5}, "50% of its exposures are taken: +0.25"),
    ):
        raised = appraise(some(observing_class="alert", **cause))
        assert raised.value > plain.value
        assert words in raised.reasons
    setting = appraise(some(), START, START + timedelta(hours=1))
    assert setting.value == pytest.approx(appraise(some()).value + 0.25)
    assert "observable for 1.0 h more: +0.25" in setting.reasons


def test_the_best_of_an_urgent_alert_has_ten():
    best = some(observing_class="alert", urgency=9.0, rank=1)
    assert appraise(best).value == 10.0


def test_what_has_set_gets_nothing_for_setting():
    assert appraise(some(), START, START - timedelta(hours=1)) == appraise(some(), START)
    soon = some(not_after=START + timedelta(hours=1))
    assert appraise(soon, START).value == appraise(some()).value + 0.25


@pytest.mark.parametrize("running", CLASSES)
def test_only_an_alert_interrupts_and_never_another_alert(running):
    for new in CLASSES:
        cuts = interrupts(some(observing_class=new), some(observing_class=running))
        assert cuts == (new == "alert" and running != "alert")


def test_explain_tells_when_and_how_it_ranks():
    target = some(name="NGC 5128", filters=("V",))
    found = plan([target, some(id=8, dec_deg=80.0)], SITE, START, END)
    text = "\n".join(
        explain(target, SITE, START, END, plan=found, appraisal=appraise(target, START))
    )
    assert "NGC 5128: RA 240.00000 deg, Dec -20.00000 deg (ICRS), 10.0 min" in text
    assert "class science: 4" in text
    assert "altitude: highest 85.4 deg at 03:1" in text
    assert "observable: it may begin 23:30-" in text
    assert "number 1 of 1" in text


def test_explain_tells_why_not():
    lines = explain(some(dec_deg=80.0), SITE, START, END)
    assert lines[-1].startswith("not observable: never above 30 deg")
    found = plan([some(dec_deg=80.0)], SITE, START, END)
    assert "not planned: never above" in explain(
        some(dec_deg=80.0), SITE, START, END, plan=found
    )[-1]  # fmt: skip
    assert explain(some(id=9), SITE, START, END, plan=found)[-1].endswith("without it")
    day = explain(some(), SITE, START + timedelta(hours=14), START + timedelta(hours=16))
    assert "the sun is never below -15 deg" in day[-1]


@pytest.mark.parametrize("dec_deg", [-20.0, 0.0])
def test_a_reason_never_contradicts_itself(dec_deg):
    sky = plan([some(dec_deg=dec_deg, duration_s=1.0)], SITE, START, END).entries[0]
    told = {"s": 1.0, "min": 60.0}
    for below_deg in (0.02, 0.06):
        highest = 90.0 - abs(dec_deg - SITE.latitude_deg)
        for duration_s in range(30, 2400, 37):
            target = some(
                dec_deg=dec_deg, duration_s=duration_s, min_altitude_deg=highest - below_deg
            )
            found = plan([target], SITE, sky.start, END, iterations=0)
            if found.entries:
                continue
            reason = found.left_out[0].reason
            (takes, one), (lasts, other) = re.findall(r"([0-9.]+) (min|s)\b", reason)
            assert takes != lasts, reason
            is_shorter = float(lasts) * told[other] < float(takes) * told[one]
            assert is_shorter or "too close" in reason, reason


def test_observable_until_is_the_last_beginning():
    until = observable_until(some(), SITE, START, END)
    assert until is not None
    assert START < until <= END - timedelta(minutes=10)
    assert observable_until(some(dec_deg=80.0), SITE, START, END) is None
    low = observable_until(some(), SITE, START, END, Constraints(min_altitude_deg=60.0))
    assert low is not None
    assert low < until


def test_exports_have_every_entry():
    crowd = [some(id=94 + k, name=f"field, {k}", ra_deg=200.0 + 10 * k) for k in range(8)]
    crowd.append(some(id="none", name="pole", dec_deg=85.0))
    found = plan(crowd, SITE, START, END)
    text = plan_text(found)
    lines = text.splitlines()
    for target in crowd:
        (line,) = (line for line in lines if target.label in line and "UTC" not in line)
        assert str(target.id) in line.partition(target.label)[0].split()
    assert "Left out:" in text
    rows = list(csv.DictReader(io.StringIO(plan_csv(found))))
    assert [row["id"] for row in rows] == [str(k) for k in found.order]
    assert rows[0]["name"] == found.entries[0].target.name
    document = json.loads(json.dumps(plan_dict(found), allow_nan=False))
    assert len(document["entries"]) == len(found.entries)
    assert document["left_out"][0]["id"] == "none"
    assert datetime.fromisoformat(document["entries"][0]["start"]) < END.replace(tzinfo=None)


def test_an_empty_plan_is_exported_too():
    found = plan([], SITE, START, END)
    assert "0 targets" in plan_text(found)
    assert len(plan_csv(found).splitlines()) == 1


def test_duration_counts_readouts_and_filters():
    assert duration_of(60.0, 3, 5.0) == 195.0
    assert duration_of(60.0, 3, 5.0, filters=2, filter_change_s=10.0) == 410.0
