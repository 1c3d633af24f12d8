"""From the book to the scheduler."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.telescope.night_parts import Observatory, observatory
from toros.config import load
from toros.errors import ConfigurationError
from toros.telescope.planner import Planner


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Observatory]:
    with observatory(tmp_path, begin=False, rate=1.0) as made:
        yield made


def test_what_can_begin_now_comes_by_priority_the_rest_not_at_all(at: Observatory):
    planner = at.parts.planner
    high, _ = at.order(1)
    low = replace(high, id=2, ra=(high.ra + 180.0) % 360.0)
    alert = replace(high, id=3, observing_class="alert", event="S1", rank=2)
    first = replace(alert, id=4, rank=1)
    found = planner.startable([high, low, alert, first])
    assert [row.id for row in found] == [4, 3, 1]
    assert planner.startable([]) == []


def test_the_next_target_is_none_where_there_is_nothing_to_begin(at: Observatory):
    planner = at.parts.planner
    high, _ = at.order(1)
    chosen, _ = planner.next([high], None, None)
    assert chosen == high
    low = replace(high, ra=(high.ra + 180.0) % 360.0)
    chosen, until = planner.next([low], None, None)
    assert chosen is None
    assert until > at.parts.clock.now()


def test_a_target_that_has_risen_high_enough_is_not_kept_waiting_for_its_best_hour(
    at: Observatory,
):
    high, _ = at.order(1)
    rising = replace(high, ra=(high.ra + 35.0) % 360.0)  # two hours before the meridian
    chosen, _ = at.parts.planner.next([rising], None, None)
    assert chosen == rising
    low = replace(high, ra=(high.ra + 70.0) % 360.0)  # four hours and a third: just risen
    chosen, _ = at.parts.planner.next([low], None, None)
    assert chosen is None


def test_a_target_that_lacks_one_exposure_is_short_and_a_little_more_urgent(at: Observatory):
    planner = at.parts.planner
    row, _ = at.order(1, number_of_exposures=10)
    fresh, almost = planner.target(row), planner.target(replace(row, exposures_done=9))
    assert almost.duration_s < fresh.duration_s / 5
    assert almost.priority > fresh.priority


def test_an_explanation_tells_the_priority_and_the_windows(at: Observatory):
    row, _ = at.order(1)
    lines = "\n".join(at.parts.planner.explain(row, None))
    assert "class science" in lines
    assert "observable: it may begin" in lines


def test_a_telescope_without_a_place_does_not_start(at: Observatory, tmp_path: Path):
    path = tmp_path / "toros.conf.yaml"
    path.write_text(path.read_text().replace('"Longitude (deg)"', '"Longitude (deg)": null, "X"'))
    with pytest.raises(ConfigurationError):
        Planner(load(path, "telescope"), at.parts.clock)
