"""What a rehearsed night is made of, and how it is judged."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from toros.cli.night_judged import Record, judge, open_share, plan_done
from toros.cli.rehearsal import SITE, merge
from toros.cli.sample_night import SampleNight
from toros.clock import to_iso
from toros.sky.almanac import night_of
from toros.sky.observability import LocalSky
from toros.telescope.picture import Deed, Shot, draw

MIDNIGHT = datetime(2026, 6, 11, 4, 30, tzinfo=UTC)
NIGHT = SampleNight.of(night_of(SITE, MIDNIGHT))


def at(hours: float) -> datetime:
    return MIDNIGHT + timedelta(hours=hours)


def planned(*hours: float) -> dict[str, Any]:
    return {
        "entries": [
            {"id": n, "name": f"field {n}", "slew_s": 60.0,
             "start": to_iso(at(hour)), "end": to_iso(at(hour + 0.5))}
            for n, hour in enumerate(hours, start=1)
        ]
    }  # fmt: skip


def highest_deg(order: dict[str, Any]) -> float:
    hours = (NIGHT.dawn - NIGHT.dark) / timedelta(hours=1)
    times = [NIGHT.dark + timedelta(hours=n / 4) for n in range(int(hours * 4))]
    return max(
        float(sky.altitude(sky.place([order["ra"]], [order["dec"]]))[0, 0])
        for sky in (LocalSky(SITE, moment) for moment in times)
    )


def test_the_night_has_its_moments_in_order() -> None:
    moments = (NIGHT.begin, NIGHT.dark, NIGHT.cloud, NIGHT.clear, NIGHT.alert, NIGHT.dawn)
    assert list(moments) == sorted(moments)
    assert [moment for moment, _ in NIGHT.weather()] == [NIGHT.begin, NIGHT.cloud, NIGHT.clear]


def test_a_seed_gives_the_same_targets_and_another_one_others() -> None:
    assert list(NIGHT.targets(5, 1)) == list(NIGHT.targets(5, 1))
    assert list(NIGHT.targets(5, 1)) != list(NIGHT.targets(5, 2))


@pytest.mark.parametrize("count", [1, 30])
def test_targets_are_high_at_some_time_of_the_night(count: int) -> None:
    orders = list(NIGHT.targets(count, 1))
    assert len({order["id"] for order in orders}) == count
    for order in orders:
        assert highest_deg(order) > 40.0


def test_the_alerts_targets_are_high_when_it_comes() -> None:
    sky = LocalSky(SITE, NIGHT.alert)
    for target in NIGHT.alert_targets()["targets"]:
        assert float(sky.altitude(sky.place([target["ra"]], [target["dec"]]))[0, 0]) > 50.0


def test_what_was_planned_in_lost_time_does_not_count() -> None:
    plan = planned(0, 1, 2, 3)
    assert plan_done(plan, {1, 2, 4}, []) == (3, 4)
    assert plan_done(plan, {1, 2, 4}, [(at(2.4), at(2.6))]) == (3, 3)
    assert plan_done(plan, {1, 2, 3}, [(at(2.99), at(2.995))]) == (3, 3), "its slew, too"
    assert plan_done(plan, {1, 99}, []) == (1, 4), "what the plan did not have is no help"


def test_the_share_of_the_permitted_time() -> None:
    night, cloud = (at(0), at(10)), [(at(4), at(6))]
    assert open_share(night, [(at(-1), at(4)), (at(6), at(11))], cloud) == pytest.approx(1.0)
    assert open_share(night, [(at(0), at(4.5)), (at(6), at(10))], cloud) == pytest.approx(1.0)
    assert open_share(night, [(at(0), at(4))], cloud) == pytest.approx(0.5)
    assert open_share(night, [], cloud) == 0.0


def judged(**changes: Any) -> Iterator[str]:
    """Yield the figures that are not good, of a night that is, but for the changes."""
    shots = [Shot(at(n), 60.0, "light", n + 1, f"field {n + 1}", None) for n in range(2)]
    shots.append(Shot(at(2), 60.0, "light", 3, "galaxy", "S1"))
    shots += [Shot(at(3), 1.0, kind, None, "", None) for kind in ("bias", "dark", "flat")]
    ways = ["closed", "preparing", "open", "observing", "suspended", "open", "closing", "closed"]
    states = [(at(n), before, after, "") for n, (before, after) in enumerate(pairwise(ways))]
    values: dict[str, Any] = {
        "deed": Deed("2026-06-10", None, shots, states),
        "record": Record(frozenset({1, 2, 3}), {3: True}, 3, 0),
        "plan": planned(0, 1),
        "window": (at(0), at(4)),
        "opened": [(at(0), at(4))],
        "lost": [],
        "broken": [],
        "dark_lights": 0,
    }
    for figure in judge(**{**values, **changes}):
        if not figure.good:
            yield figure.name


def test_a_good_night_is_good() -> None:
    assert list(judged()) == []


@pytest.mark.parametrize(
    ("changes", "figure"),
    [
        ({"broken": ["x"]}, "broken promises"),
        ({"dark_lights": 1}, "lights that did not see the sky"),
        ({"opened": [(at(0), at(3))]}, "dome open, of the permitted time"),
        ({"record": Record(frozenset({1, 2, 3}), {3: True}, 2, 1)}, "lights calibrated"),
        ({"record": Record(frozenset({1, 2}), {3: False}, 3, 0)}, "alert's targets done"),
        ({"record": Record(frozenset({1, 3}), {3: True}, 3, 0)}, "of the plan"),
        ({"plan": {}}, "of the plan"),
    ],
)
def test_a_night_that_is_not_good_is_told_so(changes: dict[str, Any], figure: str) -> None:
    wrong = list(judged(**changes))
    assert len(wrong) == 1
    assert wrong[0].startswith(figure)


def test_a_night_without_anything_is_not_good() -> None:
    deed = Deed("2026-06-10", None, [], [])
    wrong = list(judged(deed=deed, record=Record(frozenset(), {}, 0, 0)))
    assert {"night ended", "lights", "alert's targets done"} <= set(wrong)


def test_the_picture_is_drawn_even_of_nothing() -> None:
    for deed in (
        Deed("2026-06-10", None, [], []),
        Deed("2026-06-10", planned(0), [Shot(at(0), 60.0, "light", 1, "a", "S1")], []),
    ):
        assert draw(deed).startswith(b"\x89PNG")


def test_changes_go_into_sections() -> None:
    shared = {"Driver": "simulated"}
    settings: dict[str, Any] = {"A": {"X": 1, "Y": [1, 2]}, "B": shared, "C": shared}
    merge(settings, {"A": {"Y": [3]}, "B": {"Timeout": 1}, "D": 4})
    assert settings == {
        "A": {"X": 1, "Y": [3]}, "B": {"Driver": "simulated", "Timeout": 1}, "C": shared, "D": 4,
    }  # fmt: skip
    assert shared == {"Driver": "simulated"}
