"""The frames of the simulated camera show what its telescope looks at."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.unit.simulation.observatory.conftest import SITE, HandClock
from toros.devices.protocols import CameraState, Horizontal, Pointing, RawFrame
from toros.errors import DeviceFault, DeviceLacks, DeviceRefused, DeviceUnreachable
from toros.simulation.observatory import World, WorldSettings, stars_near
from toros.simulation.observatory.camera import SimulatedCamera
from toros.simulation.observatory.direction import on_sky
from toros.simulation.observatory.scene import optics, sky_brightness
from toros.sky.almanac import sun_altitude

BIAS = 1000.0


def no_pulse() -> None:
    pass


def open_up(world: World, clock: HandClock, altitude: float = 60.0) -> Pointing:
    """Open everything and point the telescope, the slit with it."""
    dome, mount, cover = world.dome(), world.mount(), world.cover()
    for device in (dome, mount, cover):
        device.connect()
    dome.open_shutter()
    cover.open_cover()
    mount.unpark()
    dome.slew_to_azimuth(90.0)
    mount.slew_to(on_sky(world.site, Horizontal(altitude, 90.0), clock.now()))
    clock.go(100.0)
    return mount.pointing()


def take(world: World, clock: HandClock, seconds: float, *, light: bool = True) -> RawFrame:
    camera = world.camera()
    camera.connect()
    camera.start_exposure(seconds, light=light)
    clock.go(seconds + 2.1)
    return camera.download(no_pulse)


def test_an_exposure_goes_through_its_states(world: World, clock: HandClock) -> None:
    camera = world.camera()
    camera.connect()
    assert camera.facts().shape == (256, 256)
    assert not camera.image_ready()
    with pytest.raises(DeviceRefused, match="no frame"):
        camera.download(no_pulse)
    camera.start_exposure(10.0, light=False)
    assert camera.state() is CameraState.EXPOSING
    with pytest.raises(DeviceRefused, match="exposing"):
        camera.start_exposure(1.0, light=False)
    clock.go(10.5)
    assert camera.state() is CameraState.READING
    clock.go(2.0)
    assert camera.state() is CameraState.IDLE
    assert camera.image_ready()
    pulses: list[int] = []
    frame = camera.download(lambda: pulses.append(1))
    assert frame.exposure_time_s == 10.0
    assert frame.data.dtype == np.uint16
    assert len(pulses) >= 4
    camera.start_exposure(10.0, light=False)
    camera.abort_exposure()
    assert camera.state() is CameraState.IDLE
    assert not camera.image_ready()
    with pytest.raises(DeviceLacks):
        camera.set_gain(3)


def test_stars_are_where_the_wcs_says(world: World, clock: HandClock) -> None:
    open_up(world, clock)
    frame = take(world, clock, 200.0)
    looks_at = world.mount_file.read().looks_at(
        world.site, world.hardware, clock.monotonic(), clock.now()
    )
    field = stars_near(*looks_at, 0.08)
    wcs = optics(world).wcs(*looks_at, world.hardware.shape)
    x, y = field.pixels(wcs)
    data = frame.data.astype(float)
    sky = np.median(data)
    noise = 1.48 * np.median(np.abs(data - sky))
    off = []
    for star, cx, cy in zip(field.stars, x, y, strict=True):
        if star.v_mag > 17.5 or not (8 < cx < 247 and 8 < cy < 247):
            continue
        box = data[round(cy) - 4 : round(cy) + 5, round(cx) - 4 : round(cx) + 5] - sky
        box = np.clip(box - 3 * noise, 0, None)
        rows, columns = np.indices(box.shape)
        dy = (rows * box).sum() / box.sum() + round(cy) - 4 - cy
        dx = (columns * box).sum() / box.sum() + round(cx) - 4 - cx
        off.append((dx, dy))
    # A hot pixel or a neighbour may draw one star aside, but not most of them.
    assert len(off) >= 4
    assert np.median(np.abs(off)) < 0.15


def test_the_sky_is_the_same_from_everywhere() -> None:
    wide = stars_near(359.9, -89.0, 1.2, faintest_v_mag=14.0)
    assert len(wide.stars) == pytest.approx(7200 * 10 ** (0.3 * -5.5) * np.pi * 1.2**2, rel=0.3)
    for star in wide.stars[:20]:
        near = stars_near(star.ra_deg, star.dec_deg, 0.01, faintest_v_mag=14.0)
        assert star in near.stars
    deeper = stars_near(359.9, -89.0, 1.2, faintest_v_mag=15.0)
    assert set(wide.stars) < set(deeper.stars)


def test_another_process_fetches_the_same_frame(world: World, clock: HandClock) -> None:
    open_up(world, clock)
    first = take(world, clock, 30.0)
    mount = world.mount()
    mount.connect()
    mount.park()
    clock.go(100.0)
    again = World(world.folder, clock, SITE).camera()
    again.connect()
    assert again.image_ready()
    second = again.download(no_pulse)
    assert np.array_equal(first.data, second.data)
    assert first.start == second.start


def is_dark(frame: RawFrame) -> bool:
    return bool(np.median(frame.data) < BIAS + 40)


def test_without_a_view_of_the_sky_a_light_is_dark(world: World, clock: HandClock) -> None:
    open_up(world, clock)
    assert not is_dark(take(world, clock, 60.0))
    dome, cover = world.dome(), world.cover()
    dome.connect()
    cover.connect()
    dome.slew_to_azimuth(81.0)
    clock.go(10.0)
    assert is_dark(take(world, clock, 60.0))
    assert "slit" in world.truth()[-3].values["reason"]
    dome.slew_to_azimuth(90.0)
    clock.go(10.0)
    dome.close_shutter()
    clock.go(3.0)
    assert is_dark(take(world, clock, 60.0))
    dome.open_shutter()
    clock.go(40.0)
    assert not is_dark(take(world, clock, 60.0))
    cover.close_cover()
    clock.go(10.0)
    assert is_dark(take(world, clock, 60.0))


def test_darks_and_biases(world: World, clock: HandClock) -> None:
    open_up(world, clock)
    bias, dark = take(world, clock, 0.0, light=False), take(world, clock, 600.0, light=False)
    assert np.median(bias.data) == pytest.approx(BIAS, abs=3)
    assert np.median(dark.data) > np.median(bias.data) + 20
    assert is_dark(take(world, clock, 60.0, light=False))


def test_flats_follow_the_sun(tmp_path: Path) -> None:
    """Twilight is as bright as measured, and of use for a while."""
    moment, levels = datetime(2026, 6, 10, 22, 0, tzinfo=UTC), {}
    while (altitude := sun_altitude(World(tmp_path, HandClock(), SITE).site, moment)) > -20:
        if altitude < -3:
            clock = HandClock(moment)
            world = World(tmp_path / f"{moment:%H%M}", clock, SITE)
            open_up(world, clock, 80.0)
            levels[altitude] = float(np.median(take(world, clock, 4.0).data)) - BIAS
        moment += timedelta(minutes=10)
    values = list(levels.values())
    assert all(later <= earlier + 5 for earlier, later in itertools.pairwise(values))
    assert values[0] > 60_000
    assert values[-1] < 40
    assert any(1000 < value < 50_000 for value in values)
    for altitude, magnitude in ((-5.0, 11.84), (-10.0, 18.0), (-15.0, 21.3)):
        assert sky_brightness("V", altitude) == pytest.approx(magnitude, abs=0.4)
    assert sky_brightness("V", -30.0) == pytest.approx(21.6, abs=0.01)


def test_lamp_flats(world: World, clock: HandClock) -> None:
    cover = world.cover()
    cover.connect()
    cover.lamp_on(0.5)
    clock.go(5.0)
    half = np.median(take(world, clock, 3.0).data) - BIAS
    assert half == pytest.approx(0.5 * 20_000 * 0.6 * 3.0 / 1.4, rel=0.02)
    cover.lamp_on(0.25)
    assert np.median(take(world, clock, 3.0).data) - BIAS == pytest.approx(half / 2, rel=0.02)
    world.set_fault("cover", "lamp_dead")
    assert is_dark(take(world, clock, 3.0))


def test_stars_are_widest_out_of_focus(world: World, clock: HandClock) -> None:
    open_up(world, clock)
    focuser = world.focuser()
    focuser.connect()
    peaks = []
    for position in (4600, 4800, 5000, 5200, 5400):
        focuser.move_to(position)
        clock.go(10.0)
        peaks.append(int(take(world, clock, 10.0).data.max()))
    # Hot pixels do not lose focus: the brightest star must stand above them.
    assert peaks[2] == max(peaks)
    assert peaks[1] > peaks[0] or peaks[0] < peaks[2]


def test_the_sensor_is_cooled(world: World, clock: HandClock) -> None:
    camera = world.camera()
    camera.connect()
    assert camera.temperature() == pytest.approx(8.0)
    camera.set_temperature(-20.0)
    clock.go(60.0)
    assert camera.temperature() == pytest.approx(-20 + 28 / np.e, abs=0.02)
    clock.go(600.0)
    assert camera.temperature() == pytest.approx(-20.0, abs=0.01)
    camera.set_temperature(-100.0)
    clock.go(900.0)
    assert camera.temperature() == pytest.approx(8.0 - 45.0, abs=0.01)
    world.set_fault("camera", "cooler_fails")
    clock.go(900.0)
    assert camera.temperature() == pytest.approx(8.0, abs=0.01)


def test_binning_adds_up_charge(world: World, clock: HandClock) -> None:
    cover = world.cover()
    cover.connect()
    cover.lamp_on(0.1)
    clock.go(5.0)
    single = np.median(take(world, clock, 1.0).data) - BIAS
    camera = world.camera()
    camera.connect()
    camera.set_binning(2)
    double = take(world, clock, 1.0)
    assert double.data.shape == (128, 128)
    assert np.median(double.data) - BIAS == pytest.approx(4 * single, rel=0.03)
    with pytest.raises(DeviceRefused):
        camera.set_binning(9)


def test_clouds_hide_stars(world: World, clock: HandClock) -> None:
    open_up(world, clock)
    clear = take(world, clock, 30.0).data.astype(float).std()
    world.set_weather(cloud_cover=100.0)
    assert take(world, clock, 30.0).data.astype(float).std() < clear


@pytest.fixture
def camera(world: World) -> SimulatedCamera:
    camera = world.camera()
    camera.connect()
    return camera


def test_camera_faults(world: World, camera: SimulatedCamera, clock: HandClock) -> None:
    world.set_fault("camera", "stuck", times=1)
    camera.start_exposure(1.0, light=False)
    clock.go(1000.0)
    assert camera.state() is CameraState.EXPOSING
    assert not camera.image_ready()
    camera.abort_exposure()
    camera.start_exposure(1.0, light=False)
    clock.go(5.0)
    world.set_fault("camera", "download_fails", times=1)
    with pytest.raises(DeviceUnreachable, match="half way"):
        camera.download(no_pulse)
    assert camera.download(no_pulse).data.shape == (256, 256)
    world.set_fault("camera", "error")
    assert camera.state() is CameraState.ERROR
    with pytest.raises(DeviceFault):
        camera.start_exposure(1.0, light=False)
    world.set_fault("camera", "nonsense")
    assert camera.temperature() == -400.0


def test_the_hardware_is_what_the_folder_says(tmp_path: Path, clock: HandClock) -> None:
    World(tmp_path, clock, SITE, WorldSettings(shape=(64, 96), filters=("V",)))
    other = World(tmp_path, clock, SITE)
    assert take(other, clock, 1.0, light=False).data.shape == (64, 96)
