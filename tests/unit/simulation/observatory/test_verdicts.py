"""The judge finds what is wrong, and nothing where all is well."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.simulation.observatory.conftest import HandClock
from toros.devices.protocols import Horizontal
from toros.simulation.observatory import World, verdicts
from toros.simulation.observatory.direction import on_sky
from toros.simulation.observatory.dome import SimulatedDome
from toros.simulation.observatory.verdicts import Interval


def connected(world: World) -> SimulatedDome:
    dome = world.dome()
    dome.connect()
    return dome


def end_of(world: World) -> float:
    return world.clock.monotonic()


def test_bad_weather_is_found(world: World, clock: HandClock) -> None:
    world.set_script([(100.0, {"rain_rate": 1.0}), (200.0, {"rain_rate": 0.0}), (900.0, {})])
    clock.go(150.0)
    world.set_weather(safe=True)
    clock.go(450.0)
    world.set_weather(safe=False)
    clock.go(50.0)
    world.set_script([(50.0, {"safe": True})])
    clock.go(400.0)
    unsafe = verdicts.unsafe_intervals(world.truth(), end_of(world))
    assert unsafe == [Interval(1100.0, 1150.0), Interval(1600.0, 1700.0)]
    late = verdicts.unsafe_intervals(world.truth(), end_of(world), bad_delay_s=60.0)
    assert late == [Interval(1660.0, 1700.0)]
    wet = verdicts.unsafe_intervals(
        world.truth(), end_of(world), bad=lambda weather: weather.values["rain_rate"] > 0
    )
    assert wet == [Interval(1100.0, 1200.0)]


def test_a_silent_source_is_bad_weather(world: World, clock: HandClock) -> None:
    world.set_fault("observing_conditions", "hangs")
    clock.go(300.0)
    world.clear_faults()
    clock.go(100.0)
    world.set_fault("safety_monitor", "fails", one_in=50)
    clock.go(300.0)
    unsafe = verdicts.unsafe_intervals(world.truth(), end_of(world), age_limit_s=60.0)
    assert unsafe == [Interval(1060.0, 1300.0)]


def test_a_dome_that_closes_in_time_is_well(world: World, clock: HandClock) -> None:
    dome = connected(world)
    dome.open_shutter()
    clock.go(100.0)
    world.set_weather(safe=False)
    clock.go(4.0)
    dome.close_shutter()
    clock.go(500.0)
    events, end_s = world.truth(), end_of(world)
    unsafe = verdicts.unsafe_intervals(events, end_s)
    assert verdicts.open_intervals(events, end_s) == [Interval(1000.0, 1134.0)]
    assert verdicts.open_while_unsafe(events, unsafe, 35.0, end_s) == []
    assert verdicts.openings_while_unsafe(events, unsafe) == []
    assert verdicts.overlapping_motions(events) == []


def test_a_dome_that_stays_open_is_found(world: World, clock: HandClock) -> None:
    dome = connected(world)
    dome.open_shutter()
    clock.go(100.0)
    world.set_weather(safe=False)
    clock.go(60.0)
    dome.close_shutter()
    clock.go(500.0)
    events, end_s = world.truth(), end_of(world)
    unsafe = verdicts.unsafe_intervals(events, end_s)
    found = verdicts.open_while_unsafe(events, unsafe, 35.0, end_s)
    assert [violation.at_s for violation in found] == [1135.0]
    assert "55.0 s beyond" in found[0].detail


def test_a_hindered_dome_is_excused_for_the_hindrance(world: World, clock: HandClock) -> None:
    dome = connected(world)
    dome.open_shutter()
    clock.go(100.0)
    world.set_fault("dome", "shutter_stuck")
    world.set_weather(safe=False)
    clock.go(100.0)
    world.clear_faults()
    clock.go(200.0)
    events, end_s = world.truth(), end_of(world)
    unsafe = verdicts.unsafe_intervals(events, end_s)
    found = verdicts.open_while_unsafe(events, unsafe, 35.0, end_s)
    assert [violation.at_s for violation in found] == [1235.0]
    strict = verdicts.open_while_unsafe(events, unsafe, 35.0, end_s, excuse_faults=False)
    assert [violation.at_s for violation in strict] == [1135.0]


@pytest.mark.parametrize(
    ("fault", "parameters"),
    [
        ("fails", {"one_in": 50}),
        ("drops", {"calls": ["azimuth"]}),
        ("shutter_stuck", {"times": 1}),
        ("azimuth_stuck", {}),
    ],
)
def test_a_fault_that_does_not_hinder_closing_is_no_excuse(
    world: World, clock: HandClock, fault: str, parameters: dict[str, Any]
) -> None:
    dome = connected(world)
    dome.open_shutter()
    clock.go(100.0)
    world.set_fault("dome", fault, **parameters)
    world.set_weather(safe=False)
    dome.close_shutter() if fault == "shutter_stuck" else None  # its one hit
    clock.go(500.0)
    events, end_s = world.truth(), end_of(world)
    unsafe = verdicts.unsafe_intervals(events, end_s)
    found = verdicts.open_while_unsafe(events, unsafe, 35.0, end_s)
    assert [violation.at_s for violation in found] == [1135.0]


def test_closing_late_in_real_time_is_found(world: World, clock: HandClock) -> None:
    dome = connected(world)
    dome.open_shutter()
    clock.go(100.0)
    world.set_weather(safe=False)
    begun = world.truth()[-1]
    clock.go(20.0)
    events, end_s = world.truth(), end_of(world)
    unsafe = verdicts.unsafe_intervals(events, end_s)
    assert len(verdicts.late_closings(events, unsafe, end_s)) == 1
    dome.close_shutter()  # real time has hardly passed: the hand clock is no real one
    events = world.truth()
    assert verdicts.late_closings(events, unsafe, end_s) == []
    assert begun.real_s_of(begun.simulated_s + 2.0) == begun.real_s + 2.0


def test_a_closed_dome_has_no_duty(world: World, clock: HandClock) -> None:
    world.set_weather(safe=False)
    clock.go(100.0)
    events, end_s = world.truth(), end_of(world)
    unsafe = verdicts.unsafe_intervals(events, end_s)
    assert unsafe
    assert verdicts.late_closings(events, unsafe, end_s) == []


def test_opening_in_bad_weather_is_found(world: World, clock: HandClock) -> None:
    dome = connected(world)
    world.set_weather(rain_rate=3.0)
    clock.go(1.0)
    dome.open_shutter()
    clock.go(1.0)
    events = world.truth()
    unsafe = verdicts.unsafe_intervals(events, end_of(world))
    assert len(verdicts.openings_while_unsafe(events, unsafe)) == 1
    assert verdicts.openings_while_unsafe(events, unsafe, grace_s=2.0) == []


def test_two_motions_at_once_are_found(world: World, clock: HandClock) -> None:
    dome = connected(world)
    dome.slew_to_azimuth(100.0)
    dome.open_shutter()  # another axis
    clock.go(5.0)
    dome.close_shutter()  # closing and parking may preempt
    dome.park()
    assert verdicts.overlapping_motions(world.truth()) == []
    clock.go(1.0)
    dome.slew_to_azimuth(50.0)
    found = verdicts.overlapping_motions(world.truth())
    assert [violation.detail.split(":")[0] for violation in found] == ["dome slew_to_azimuth"]
    dome.abort()
    dome.slew_to_azimuth(70.0)
    assert len(verdicts.overlapping_motions(world.truth())) == 1


def test_blind_exposures_and_slews_are_found(world: World, clock: HandClock) -> None:
    dome, mount, camera, cover = connected(world), world.mount(), world.camera(), world.cover()
    for device in (mount, camera, cover):
        device.connect()
    cover.lamp_on(0.5)
    clock.go(5.0)
    camera.start_exposure(1.0, light=True)  # a flat by the lamp
    clock.go(5.0)
    cover.lamp_off()
    assert verdicts.blind_exposures(world.truth()) == []
    camera.start_exposure(1.0, light=True)  # behind the closed cover, in the dark
    clock.go(5.0)
    cover.open_cover()
    dome.open_shutter()
    clock.go(40.0)
    mount.unpark()
    mount.slew_to(on_sky(world.site, Horizontal(60.0, 90.0), clock.now()))
    camera.start_exposure(1.0, light=False)
    clock.go(5.0)
    camera.start_exposure(1.0, light=True)
    clock.go(60.0)
    camera.start_exposure(1.0, light=True)
    clock.go(5.0)
    dome.slew_to_azimuth(90.0)
    clock.go(60.0)
    camera.start_exposure(1.0, light=True)
    clock.go(5.0)
    found = verdicts.blind_exposures(world.truth())
    assert [violation.detail.split(":")[0] for violation in found] == [
        "exposure 2", "exposure 4", "exposure 5",
    ]  # fmt: skip
    assert "cover" in found[0].detail
    assert "the mount moved" in found[1].detail
    assert "slit" in found[2].detail
    assert verdicts.moves_under_closed_dome(world.truth()) == []
    dome.close_shutter()
    clock.go(40.0)
    mount.slew_to(mount.pointing())
    assert len(verdicts.moves_under_closed_dome(world.truth())) == 1
