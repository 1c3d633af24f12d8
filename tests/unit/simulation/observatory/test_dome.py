"""The dome turns and opens as fast as a dome does."""

from __future__ import annotations

import pytest

from tests.unit.simulation.observatory.conftest import SITE, HandClock
from toros.devices.protocols import ShutterState
from toros.errors import DeviceLacks, DeviceNotConnected, DeviceRefused
from toros.simulation.observatory import World, WorldSettings
from toros.simulation.observatory.dome import SimulatedDome


@pytest.fixture
def dome(world: World) -> SimulatedDome:
    dome = world.dome()
    dome.connect()
    return dome


def test_it_is_found_closed_and_parked(dome: SimulatedDome) -> None:
    assert dome.shutter() is ShutterState.CLOSED
    assert dome.at_park()
    assert not dome.slewing()


def test_it_must_be_connected(world: World) -> None:
    with pytest.raises(DeviceNotConnected, match="connect it first"):
        world.dome().shutter()


def test_the_shutter_takes_its_time(dome: SimulatedDome, clock: HandClock) -> None:
    dome.open_shutter()
    assert dome.shutter() is ShutterState.OPENING
    assert dome.slewing()
    clock.go(29.9)
    assert dome.shutter() is ShutterState.OPENING
    clock.go(0.2)
    assert dome.shutter() is ShutterState.OPEN
    assert not dome.slewing()


def test_a_close_preempts_an_open_from_where_it_is(dome: SimulatedDome, clock: HandClock) -> None:
    dome.open_shutter()
    clock.go(12.0)
    dome.close_shutter()
    assert dome.shutter() is ShutterState.CLOSING
    clock.go(6.0)
    dome.close_shutter()  # again: it goes on as it did
    clock.go(5.9)
    assert dome.shutter() is ShutterState.CLOSING
    clock.go(0.2)
    assert dome.shutter() is ShutterState.CLOSED


def test_a_shutter_stopped_half_way_is_open(dome: SimulatedDome, clock: HandClock) -> None:
    dome.open_shutter()
    clock.go(3.0)
    dome.abort()
    clock.go(100.0)
    assert dome.shutter() is ShutterState.OPEN


def test_it_turns_the_shorter_way(dome: SimulatedDome, clock: HandClock) -> None:
    dome.slew_to_azimuth(330.0)
    clock.go(5.0)
    assert dome.azimuth() == pytest.approx(345.0)
    assert not dome.at_park()
    clock.go(5.1)
    assert dome.azimuth() == pytest.approx(330.0)
    assert not dome.slewing()
    dome.park()
    assert not dome.at_park()
    clock.go(10.1)
    assert dome.at_park()


@pytest.mark.parametrize("azimuth", [-1.0, 360.0, float("nan")])
def test_no_azimuth_is_refused(dome: SimulatedDome, azimuth: float) -> None:
    with pytest.raises(DeviceRefused, match="azimuth"):
        dome.slew_to_azimuth(azimuth)


def test_a_roof_does_not_turn(world: World, clock: HandClock) -> None:
    roof = World(world.folder, clock, SITE, WorldSettings(dome_turns=False)).dome()
    roof.connect()
    assert not roof.can_turn
    assert roof.azimuth() is None
    with pytest.raises(DeviceLacks):
        roof.slew_to_azimuth(10.0)


@pytest.mark.parametrize(
    ("fault", "says"),
    [("shutter_stuck", ShutterState.CLOSING), ("shutter_error", ShutterState.ERROR)],
)
def test_a_stuck_shutter_stays_open(
    world: World, dome: SimulatedDome, clock: HandClock, fault: str, says: ShutterState
) -> None:
    dome.open_shutter()
    clock.go(31.0)
    world.set_fault("dome", fault)
    dome.close_shutter()
    clock.go(1000.0)
    assert dome.shutter() is says
    world.clear_faults()
    dome.close_shutter()
    clock.go(30.1)
    assert dome.shutter() is ShutterState.CLOSED


def test_a_fault_stops_the_shutter_under_way(
    world: World, dome: SimulatedDome, clock: HandClock
) -> None:
    dome.open_shutter()
    clock.go(10.0)
    world.set_fault("dome", "shutter_stuck", times=1)
    clock.go(100.0)
    assert dome.shutter() is ShutterState.OPENING
    dome.close_shutter()  # the one hit is used up
    clock.go(10.1)
    assert dome.shutter() is ShutterState.CLOSED


def test_a_stuck_azimuth_says_that_it_turns(
    world: World, dome: SimulatedDome, clock: HandClock
) -> None:
    dome.slew_to_azimuth(90.0)
    clock.go(10.0)
    world.set_fault("dome", "azimuth_stuck")
    clock.go(100.0)
    assert dome.slewing()
    assert dome.azimuth() == pytest.approx(30.0)
    dome.abort()
    assert not dome.slewing()


def test_a_park_lies(world: World, dome: SimulatedDome, clock: HandClock) -> None:
    dome.slew_to_azimuth(90.0)
    clock.go(31.0)
    world.set_fault("dome", "park_lies")
    dome.park()
    assert dome.at_park()
    assert dome.azimuth() == pytest.approx(90.0)


def test_an_azimuth_may_be_unknown_or_nonsense(world: World, dome: SimulatedDome) -> None:
    world.set_fault("dome", "azimuth_unknown")
    assert dome.azimuth() is None
    world.clear_fault("dome", "azimuth_unknown")
    world.set_fault("dome", "nonsense", value=-17.0)
    assert dome.azimuth() == -17.0
