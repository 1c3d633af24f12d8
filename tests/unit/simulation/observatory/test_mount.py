"""The mount slews, tracks, parks, and points almost where it says."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from astropy import units as u
from astropy.coordinates import AltAz, EarthLocation, SkyCoord
from astropy.time import Time

from tests.unit.simulation.observatory.conftest import SITE, HandClock
from toros.devices.protocols import Horizontal, PierSide, Pointing
from toros.errors import DeviceRefused
from toros.simulation.observatory import World
from toros.simulation.observatory.direction import (
    horizontal,
    on_sky,
    separation_deg,
    shift_between,
    shifted,
)
from toros.simulation.observatory.mount import SimulatedMount
from toros.sky.site import Site


@pytest.fixture
def mount(world: World) -> SimulatedMount:
    mount = world.mount()
    mount.connect()
    return mount


def at(world: World, altitude: float, azimuth: float) -> Pointing:
    return on_sky(world.site, Horizontal(altitude, azimuth), world.clock.now())


def test_directions_agree_with_astropy() -> None:
    moment = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
    place = EarthLocation(SITE[0] * u.deg, SITE[1] * u.deg, SITE[2] * u.m)
    frame = AltAz(obstime=Time(moment), location=place)
    for pointing in (Pointing(146.4, -31.2), Pointing(0.1, 10.0), Pointing(300.0, -85.0)):
        theirs = SkyCoord(pointing.ra_deg * u.deg, pointing.dec_deg * u.deg).transform_to(frame)
        ours = horizontal(Site(*SITE), pointing, moment)
        assert ours.altitude_deg == pytest.approx(theirs.alt.deg, abs=0.005)
        assert ours.azimuth_deg == pytest.approx(theirs.az.deg, abs=0.01)
        assert separation_deg(on_sky(Site(*SITE), ours, moment), pointing) < 1e-6


def test_shifts_are_undone() -> None:
    start = Pointing(359.99, -60.0)
    assert shift_between(start, shifted(start, 0.05, -0.02)) == pytest.approx((0.05, -0.02))


def test_a_parked_mount_refuses_to_slew(mount: SimulatedMount) -> None:
    assert mount.at_park()
    with pytest.raises(DeviceRefused, match="parked"):
        mount.slew_to(Pointing(10.0, -20.0))
    with pytest.raises(DeviceRefused, match="parked"):
        mount.set_tracking(True)


def test_unparking_does_not_move(mount: SimulatedMount, clock: HandClock) -> None:
    before = mount.horizontal()
    mount.unpark()
    clock.go(600.0)
    assert not mount.tracking()
    assert mount.horizontal() == before


def test_a_slew_takes_its_time_and_tracks(
    world: World, mount: SimulatedMount, clock: HandClock
) -> None:
    mount.unpark()
    start = mount.pointing()
    target = shifted(start, 0.0, -20.0)
    mount.slew_to(target)
    clock.go(2.5)
    assert separation_deg(mount.pointing(), start) == pytest.approx(10.0, abs=0.01)
    clock.go(5.0)
    assert mount.slewing()  # it settles
    clock.go(0.6)
    assert not mount.slewing()
    clock.go(3600.0)
    assert mount.tracking()
    assert separation_deg(mount.pointing(), target) < 1e-9
    assert mount.horizontal() == pytest.approx(
        horizontal(world.site, target, clock.now()), abs=1e-6
    )


def test_it_parks_from_a_target(mount: SimulatedMount, world: World, clock: HandClock) -> None:
    mount.unpark()
    mount.slew_to(at(world, 60.0, 120.0))
    clock.go(100.0)
    mount.park()
    assert not mount.at_park()
    assert not mount.tracking()
    clock.go(60.0)
    assert mount.at_park()
    assert mount.horizontal() == pytest.approx(Horizontal(20.0, 0.0))


def test_an_aborted_park_is_no_park(mount: SimulatedMount, world: World, clock: HandClock) -> None:
    mount.unpark()
    mount.slew_to(at(world, 60.0, 120.0))
    clock.go(100.0)
    mount.park()
    clock.go(2.0)
    mount.abort()
    assert not mount.slewing()
    clock.go(100.0)
    assert not mount.at_park()


def test_it_goes_below_the_horizon_if_told(mount: SimulatedMount, world: World) -> None:
    mount.unpark()
    mount.slew_to(at(world, -20.0, 120.0))
    world.clock.go(100.0)  # type: ignore[attr-defined]
    assert mount.horizontal().altitude_deg == pytest.approx(-20.0, abs=0.6)


@pytest.mark.parametrize(("azimuth", "side"), [(90.0, PierSide.WEST), (270.0, PierSide.EAST)])
def test_the_pier_side(mount: SimulatedMount, world: World, azimuth: float, side: PierSide) -> None:
    mount.unpark()
    mount.slew_to(at(world, 50.0, azimuth))
    assert mount.pier_side() is side


def test_a_sync_takes_the_offset_out(mount: SimulatedMount, world: World, clock: HandClock) -> None:
    def really() -> Pointing:
        state = world.mount_file.read()
        return state.looks_at(world.site, world.hardware, clock.monotonic(), clock.now())

    mount.unpark()
    target = at(world, 60.0, 120.0)
    mount.slew_to(target)
    clock.go(100.0)
    assert 15 < separation_deg(really(), target) * 3600 < 35
    mount.sync_to(really())
    mount.slew_to(target)
    clock.go(100.0)
    assert separation_deg(really(), target) * 3600 < 12
    assert separation_deg(mount.pointing(), target) * 3600 < 0.01


def test_its_faults(mount: SimulatedMount, world: World, clock: HandClock) -> None:
    mount.unpark()
    where = mount.horizontal()
    world.set_fault("mount", "stuck", times=1)
    mount.slew_to(at(world, 60.0, 120.0))
    clock.go(1000.0)
    assert mount.slewing()
    mount.abort()
    assert mount.horizontal().altitude_deg != pytest.approx(60.0, abs=5)
    world.set_fault("mount", "park_lies")
    mount.park()
    assert mount.at_park()
    world.clear_faults()
    mount.park()
    clock.go(100.0)
    assert mount.at_park()
    assert mount.horizontal() == where
