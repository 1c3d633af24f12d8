"""The contract of the device Protocols, held against every implementation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from tests.contract.rigs import KINDS, Rig, eventually
from toros.devices.protocols import (
    QUANTITIES,
    CameraState,
    CoverState,
    LampState,
    PierSide,
    Pointing,
    ShutterState,
)
from toros.errors import DeviceError, DeviceRefused

Opened = Callable[[str], Any]


@pytest.mark.parametrize("kind", KINDS)
def test_connecting_twice_does_no_harm(rig: Rig, kind: str) -> None:
    device = rig.open(kind)
    assert device.name
    device.connect()
    device.connect()
    assert device.connected() is True
    device.disconnect()
    assert device.connected() is False
    device.connect()
    assert device.connected() is True


# ---- dome ------------------------------------------------------------------------------------


def test_the_shutter_opens_and_closes(rig: Rig, opened: Opened) -> None:
    dome = opened("dome")
    dome.open_shutter()
    eventually(lambda: dome.shutter() is ShutterState.OPEN)
    assert rig.shutter() is ShutterState.OPEN
    dome.close_shutter()
    eventually(lambda: dome.shutter() is ShutterState.CLOSED)
    assert rig.shutter() is ShutterState.CLOSED
    dome.close_shutter()  # again does no harm
    eventually(lambda: dome.shutter() is ShutterState.CLOSED and not dome.slewing())


def test_the_dome_turns_and_parks(opened: Opened) -> None:
    dome = opened("dome")
    assert dome.can_turn is True
    assert dome.can_park is True
    dome.slew_to_azimuth(100.0)
    eventually(lambda: not dome.slewing())
    assert dome.azimuth() == pytest.approx(100.0, abs=0.5)
    assert dome.at_park() is False
    dome.park()
    eventually(lambda: dome.at_park() and not dome.slewing())


def test_a_turning_dome_is_stopped(opened: Opened) -> None:
    dome = opened("dome")
    dome.slew_to_azimuth((dome.azimuth() + 170.0) % 360.0)
    assert dome.slewing() is True
    dome.abort()
    eventually(lambda: not dome.slewing(), 3.0)
    dome.abort()  # of nothing, it does no harm


@pytest.mark.parametrize("azimuth", [-1.0, 360.0, math.nan])
def test_an_azimuth_that_is_none_is_refused(opened: Opened, azimuth: float) -> None:
    dome = opened("dome")
    before = dome.azimuth()
    with pytest.raises(DeviceRefused):
        dome.slew_to_azimuth(azimuth)
    assert (dome.slewing(), dome.azimuth()) == (False, before)


# ---- mount -----------------------------------------------------------------------------------


def apart_deg(one: Pointing, other: Pointing) -> float:
    """Return the angle between two directions."""
    (a, d), (b, e) = (tuple(map(math.radians, p)) for p in (one, other))
    cosine = math.sin(d) * math.sin(e) + math.cos(d) * math.cos(e) * math.cos(a - b)
    return math.degrees(math.acos(min(1.0, cosine)))


def test_the_mount_slews_tracks_and_parks(rig: Rig, opened: Opened) -> None:
    mount = opened("mount")
    mount.unpark()
    eventually(lambda: not mount.at_park())
    mount.slew_to(rig.target)
    assert mount.slewing() is True
    eventually(lambda: not mount.slewing())
    assert mount.tracking() is True
    assert apart_deg(mount.pointing(), rig.target) < 0.02
    altitude, azimuth = mount.horizontal()
    assert 0 < altitude <= 90
    assert 0 <= azimuth < 360
    assert mount.pier_side() in PierSide
    mount.set_tracking(on=False)
    assert mount.tracking() is False
    mount.park()
    eventually(lambda: mount.at_park() and not mount.slewing())
    assert mount.tracking() is False
    mount.park()  # again does no harm
    assert mount.at_park() is True


def test_a_parked_mount_does_not_slew(rig: Rig, opened: Opened) -> None:
    mount = opened("mount")
    mount.park()
    eventually(mount.at_park)
    with pytest.raises(DeviceRefused):
        mount.slew_to(rig.target)
    assert mount.at_park() is True
    assert mount.tracking() is False


def test_a_slew_is_stopped(rig: Rig, opened: Opened) -> None:
    mount = opened("mount")
    mount.unpark()
    mount.slew_to(Pointing((rig.target.ra_deg + 150) % 360, -rig.target.dec_deg))
    mount.abort()
    eventually(lambda: not mount.slewing(), 3.0)
    mount.abort()  # of nothing, it does no harm
    mount.park()
    eventually(mount.at_park)
    mount.abort()


def test_the_mount_is_told_where_it_points(rig: Rig, opened: Opened) -> None:
    mount = opened("mount")
    mount.unpark()
    mount.slew_to(rig.target)
    eventually(lambda: not mount.slewing())
    there = Pointing(rig.target.ra_deg, rig.target.dec_deg + 0.05)
    mount.sync_to(there)
    assert apart_deg(mount.pointing(), there) < 0.01
    mount.sync_to(rig.target)
    mount.park()


@pytest.mark.parametrize("target", [Pointing(-1, 0), Pointing(360, 0), Pointing(0, 91)])
def test_a_direction_that_is_none_is_refused(opened: Opened, target: Pointing) -> None:
    mount = opened("mount")
    mount.unpark()
    with pytest.raises(DeviceRefused):
        mount.slew_to(target)
    assert mount.slewing() is False
    mount.park()


# ---- camera ----------------------------------------------------------------------------------


def take(camera: Any, exposure_time_s: float, *, light: bool = True) -> Any:
    camera.start_exposure(exposure_time_s, light=light)
    eventually(camera.image_ready, 30.0)
    pulses: list[float] = []
    return camera.download(lambda: pulses.append(time.monotonic()))


def test_a_frame_is_taken(rig: Rig, opened: Opened) -> None:
    camera = opened("camera")
    facts = camera.facts()
    ny, nx = facts.shape
    assert facts.name
    assert ny > 0
    assert nx > 0
    camera.set_binning(1)
    eventually(lambda: camera.state() is CameraState.IDLE)
    frame = take(camera, 0.2, light=False)
    assert frame.data.shape == (ny, nx)
    assert frame.data.dtype in (np.uint16, np.int32, np.float32)
    assert frame.data.flags.c_contiguous
    assert frame.exposure_time_s == pytest.approx(0.2, abs=0.01)
    assert frame.start is not None
    assert frame.start.tzinfo is UTC
    assert isinstance(frame.start, datetime)
    assert camera.state() is CameraState.IDLE


def test_binned_frames_are_smaller(opened: Opened) -> None:
    camera = opened("camera")
    ny, nx = camera.facts().shape
    camera.set_binning(2)
    try:
        assert take(camera, 0.0, light=False).data.shape == (ny // 2, nx // 2)
    finally:
        camera.set_binning(1)
    assert take(camera, 0.0, light=False).data.shape == (ny, nx)


def test_an_exposure_is_ended(opened: Opened) -> None:
    camera = opened("camera")
    assert camera.facts().can_abort is True
    camera.start_exposure(1000.0, light=False)
    eventually(lambda: camera.state() is CameraState.EXPOSING, 5.0)
    assert camera.image_ready() is False
    camera.abort_exposure()
    eventually(lambda: camera.state() is CameraState.IDLE, 5.0)
    assert camera.image_ready() is False


@pytest.mark.parametrize("exposure_time_s", [-1.0, 1e9])
def test_an_exposure_time_that_is_none_is_refused(opened: Opened, exposure_time_s: float) -> None:
    camera = opened("camera")
    with pytest.raises(DeviceRefused):
        camera.start_exposure(exposure_time_s, light=False)
    assert camera.state() is CameraState.IDLE


def test_the_sensor_is_cooled(opened: Opened) -> None:
    camera = opened("camera")
    if not camera.facts().can_cool:
        pytest.skip("this camera has no cooler")
    camera.set_temperature(-15.0)
    temperature = camera.temperature()
    assert temperature is not None
    assert -100 < temperature < 60
    camera.set_temperature(None)


def test_the_gain_is_set_where_there_is_one(opened: Opened) -> None:
    camera = opened("camera")
    gain = camera.gain_setting()
    if gain is not None:
        camera.set_gain(3)
        assert isinstance(camera.gain_setting(), int)


# ---- filter wheel, focuser, cover ------------------------------------------------------------


def test_the_wheel_turns(opened: Opened) -> None:
    wheel = opened("filter_wheel")
    names = wheel.filters()
    assert len(names) > 1
    assert all(isinstance(name, str) and name for name in names)
    for position in (len(names) - 1, 0):
        wheel.move_to(position)
        eventually(lambda p=position: wheel.position() == p)


@pytest.mark.parametrize("position", [-1, 900])
def test_a_position_that_is_none_is_refused(opened: Opened, position: int) -> None:
    wheel = opened("filter_wheel")
    eventually(lambda: wheel.position() is not None)
    before = wheel.position()
    with pytest.raises(DeviceRefused):
        wheel.move_to(position)
    assert wheel.position() == before


def test_the_focuser_moves_and_halts(opened: Opened) -> None:
    focuser = opened("focuser")
    outermost = focuser.max_position
    assert outermost > 0
    for position in (outermost // 2 + 50, outermost // 2):
        focuser.move_to(position)
        eventually(lambda: not focuser.moving())
        assert focuser.position() == position
    focuser.halt()
    assert focuser.moving() is False
    temperature = focuser.temperature()
    assert temperature is None or -60 < temperature < 60


@pytest.mark.parametrize("beyond", [-1, 1])
def test_a_focus_that_is_none_is_refused(opened: Opened, beyond: int) -> None:
    focuser = opened("focuser")
    before = focuser.position()
    with pytest.raises(DeviceRefused):
        focuser.move_to(-1 if beyond < 0 else focuser.max_position + 1)
    assert focuser.position() == before


def test_the_cover_opens_and_closes(opened: Opened) -> None:
    cover = opened("cover")
    cover.open_cover()
    eventually(lambda: cover.cover() is CoverState.OPEN)
    cover.close_cover()
    eventually(lambda: cover.cover() is CoverState.CLOSED)


def test_the_lamp_is_lit_and_put_out(opened: Opened) -> None:
    cover = opened("cover")
    cover.lamp_on(0.5)
    eventually(lambda: cover.lamp() is LampState.READY)
    cover.lamp_off()
    eventually(lambda: cover.lamp() is LampState.OFF)
    with pytest.raises(DeviceRefused):
        cover.lamp_on(1.5)
    assert cover.lamp() is LampState.OFF


# ---- weather ---------------------------------------------------------------------------------


def test_the_safety_monitor_tells(rig: Rig, opened: Opened) -> None:
    monitor = opened("safety_monitor")
    for safe in (False, True, False):
        rig.set_safe(safe)
        assert monitor.is_safe() is safe


def test_a_monitor_that_is_not_connected_is_never_safe(rig: Rig) -> None:
    rig.set_safe(True)
    monitor = rig.open("safety_monitor")
    monitor.connect()
    monitor.disconnect()
    with pytest.raises(DeviceError):
        monitor.is_safe()


def test_the_station_measures(rig: Rig, opened: Opened) -> None:
    station = opened("observing_conditions")
    rig.set_weather(humidity=71.0, wind_speed=6.5)
    readings = station.read()
    assert set(readings) <= set(QUANTITIES)
    assert readings["humidity"].value == pytest.approx(71.0, abs=5.0)
    assert readings["wind_speed"].value == pytest.approx(6.5, abs=3.0)
    assert all(math.isfinite(reading.value) for reading in readings.values())
    assert all(0 <= reading.age_s < 3600 for reading in readings.values())


def test_a_station_that_is_not_connected_tells_nothing(rig: Rig) -> None:
    station = rig.open("observing_conditions")
    station.connect()
    station.disconnect()
    with pytest.raises(DeviceError):
        station.read()
