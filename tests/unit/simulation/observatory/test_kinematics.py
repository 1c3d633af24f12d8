"""Motion as a function of time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toros.simulation.observatory.kinematics import Travel, at_rest, shortest_way, turn

angles = st.floats(-720, 720)


def test_a_travel_goes_evenly_and_stays() -> None:
    travel = Travel(10.0, 4.0, since_s=100.0, speed=2.0)
    assert [travel.at(t) for t in (100, 101, 102.5, 103, 999)] == [10, 8, 5, 4, 4]
    assert travel.moving(100)
    assert travel.moving(102.9)
    assert not travel.moving(103)
    assert travel.arrival_s == 103


def test_a_time_before_the_start_is_after_another_boot() -> None:
    travel = Travel(0.0, 1.0, since_s=1e6, speed=0.01)
    assert not travel.moving(5.0)
    assert travel.at(5.0) == 1.0


def test_a_motion_is_turned_round_from_where_it_is() -> None:
    back = Travel(0.0, 1.0, 0.0, 0.1).turned_to(0.0, 4.0)
    assert back.at(4.0) == pytest.approx(0.4)
    assert back.arrival_s == pytest.approx(8.0)
    stopped = back.stopped(6.0)
    assert stopped.at(6.0) == stopped.at(100.0) == pytest.approx(0.2)
    assert not stopped.moving(6.0)


@given(angles, angles)
def test_the_shortest_way_is_short_and_arrives(start: float, end: float) -> None:
    way = shortest_way(start, end)
    assert -180 <= way <= 180
    assert abs(shortest_way(start + way, end)) < 1e-6


def test_a_turn_passes_north() -> None:
    motion = turn(at_rest(350.0), 10.0, 0.0, 5.0)
    assert motion.duration_s == pytest.approx(4.0)
    assert motion.at(3.0) % 360 == pytest.approx(5.0)
