"""The simulated camera: a cooled sensor behind a shutter, whose frames are drawn when fetched.

What is kept of an exposure is when and how it was taken. Its pixels follow from that and from the
states of the other devices in mid-exposure, so that they are the same however often, and by
whichever process, it is fetched.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from toros.devices import protocols
from toros.devices.protocols import CameraFacts, RawFrame
from toros.errors import DeviceFault, DeviceLacks, DeviceRefused, DeviceUnreachable
from toros.simulation.camera import Camera, Counts
from toros.simulation.observatory.device import SimulatedDevice
from toros.simulation.observatory.truth import Motion

if TYPE_CHECKING:
    from toros.simulation.observatory.world import World

_MAX_BINNING = 4
_LONGEST_S = 86400.0
_PULSE_S = 0.2


@dataclass(frozen=True)
class Exposure:
    """An exposure that was begun.

    Attributes
    ----------
    number : int
        Counted from 1; the noise is drawn with it.
    start_s, start : float, datetime
        When, by the clock's monotonic time [s] and by its wall clock.
    exposure_time_s : float
    light : bool
        Whether the camera's shutter opened.
    binning : int
    temperature_c : float
        Of the sensor, at the start.
    stuck : bool
        Whether it never ends.
    """

    number: int
    start_s: float
    start: datetime
    exposure_time_s: float
    light: bool
    binning: int
    temperature_c: float
    stuck: bool = False


@dataclass(frozen=True)
class CameraState:
    """The camera.

    Attributes
    ----------
    since_s : float
        By the clock's monotonic time [s].
    exposures : int
        How many were begun.
    exposure : Exposure or None
        The last one; None after it was aborted.
    binning : int
    setpoint_c : float or None
        None while the cooler is off.
    from_c, cooling_s : float
        The sensor's temperature when the setpoint was changed, and when that was; None for that
        of the air.
    """

    since_s: float = 0.0
    exposures: int = 0
    exposure: Exposure | None = None
    binning: int = 1
    setpoint_c: float | None = None
    from_c: float | None = None
    cooling_s: float = 0.0

    def doing(self, now_s: float, readout_s: float) -> protocols.CameraState:
        """Return what the camera does."""
        exposure = self.exposure
        if exposure is None:
            return protocols.CameraState.IDLE
        if exposure.stuck:
            return protocols.CameraState.EXPOSING
        elapsed_s = now_s - exposure.start_s
        # A start to come is one of another boot of the machine: that exposure is long over.
        if 0 <= elapsed_s < exposure.exposure_time_s:
            return protocols.CameraState.EXPOSING
        if 0 <= elapsed_s < exposure.exposure_time_s + readout_s:
            return protocols.CameraState.READING
        return protocols.CameraState.IDLE


class SimulatedCamera(SimulatedDevice):
    """The camera, as one process holds it; satisfies `toros.devices.protocols.Camera`."""

    kind = "camera"

    def facts(self) -> CameraFacts:
        """Return what does not change."""
        with self._call("facts"):
            sensor = detector(self.world)
            return CameraFacts(
                name="TOROS simulated CCD",
                shape=sensor.shape,
                pixel_um=(sensor.pixel_um, sensor.pixel_um),
                gain_e_adu=sensor.gain_e_adu,
                full_well_e=sensor.full_well_e,
                max_adu=sensor.saturation_adu,
                has_shutter=True,
                can_cool=True,
                can_abort=True,
                max_binning=_MAX_BINNING,
            )

    def start_exposure(self, exposure_time: float, *, light: bool) -> None:
        """Start an exposure [s]; with `light` False the camera's shutter stays closed.

        Raises
        ------
        DeviceRefused
            It is exposing or reading out, or the time cannot be.
        """

        def change(state: CameraState) -> CameraState:
            now_s = self._now_s
            doing = state.doing(now_s, self.world.hardware.readout_s)
            if doing is not protocols.CameraState.IDLE:
                raise DeviceRefused(f"{self.name}: start_exposure: it is {doing.value}")
            exposure = Exposure(
                state.exposures + 1, now_s, self.world.clock.now(), float(exposure_time), light,
                state.binning, temperature_of(self.world, state, now_s), stuck,
            )  # fmt: skip
            return replace(state, since_s=now_s, exposures=exposure.number, exposure=exposure)

        with self._command("start_exposure", exposure_time=exposure_time, light=light):
            if not 0 <= exposure_time <= _LONGEST_S:
                raise DeviceRefused(
                    f"{self.name}: exposure time {exposure_time} s is not in 0 ... {_LONGEST_S:g}"
                )
            self._need_no_error()
            stuck = self.world.faults.hit(self.kind, "stuck") is not None
            state = self.world.camera_file.change(change)
            assert state.exposure is not None
            self._record_start(state.exposure)

    def state(self) -> protocols.CameraState:
        """Ask what it does."""
        with self._call("state"):
            if self.world.faults.active(self.kind, "error"):
                return protocols.CameraState.ERROR
            return self._state().doing(self._now_s, self.world.hardware.readout_s)

    def image_ready(self) -> bool:
        """Tell whether a frame can be downloaded."""
        with self._call("image_ready"):
            return self._ready() is not None

    def download(self, pulse: Callable[[], None]) -> RawFrame:
        """Fetch the frame of the last exposure; it may be fetched again until the next one.

        Raises
        ------
        DeviceRefused
            There is none.
        """
        with self._command("download"):
            self._need_no_error()
            exposure = self._ready()
            if exposure is None:
                raise DeviceRefused(f"{self.name}: download: there is no frame")
            self._wait(self.world.hardware.download_s / 2, pulse)
            if self.world.faults.hit(self.kind, "download_fails", "download"):
                raise DeviceUnreachable(f"{self.name}: download: it broke off half way")
            pixels = draw_frame(self.world, exposure)
            self._wait(self.world.hardware.download_s / 2, pulse)
            self._record("download", number=exposure.number)
            return RawFrame(pixels, exposure.start.astimezone(UTC), exposure.exposure_time_s)

    def abort_exposure(self) -> None:
        """End an exposure; nothing is read out. A frame that was read out stays."""

        def change(state: CameraState) -> CameraState:
            now_s = self._now_s
            if state.doing(now_s, self.world.hardware.readout_s) is protocols.CameraState.IDLE:
                return state
            return replace(state, since_s=now_s, exposure=None)

        with self._command("abort_exposure"):
            before = self._state()
            after = self.world.camera_file.change(change)
            now_s = self._now_s
            ended = after.exposure is None and before.exposure is not None
            motion = Motion("exposure", 0.0, 0.0, now_s, now_s) if ended else None
            self._record("abort_exposure", motion)

    def temperature(self) -> float | None:
        """Return the sensor's temperature [deg C]."""
        with self._call("temperature"):
            if nonsense := self.world.faults.active(self.kind, "nonsense"):
                return nonsense.number("value")
            return round(temperature_of(self.world, self._state(), self._now_s), 2)

    def set_temperature(self, setpoint: float | None) -> None:
        """Cool to `setpoint` [deg C]; None turns the cooler off."""

        def change(state: CameraState) -> CameraState:
            now_s = self._now_s
            warm = temperature_of(self.world, state, now_s)
            return replace(state, since_s=now_s, setpoint_c=setpoint, from_c=warm, cooling_s=now_s)

        with self._command("set_temperature", setpoint=setpoint):
            if setpoint is not None and not -120 <= setpoint <= 60:
                raise DeviceRefused(f"{self.name}: {setpoint} deg C is not in -120 ... 60")
            self.world.camera_file.change(change)
            self._record("set_temperature", setpoint=setpoint)

    def set_binning(self, binning: int) -> None:
        """Bin by the same number along both axes, from the next exposure on."""
        with self._command("set_binning", binning=binning):
            if not 1 <= binning <= _MAX_BINNING:
                raise DeviceRefused(
                    f"{self.name}: binning {binning} is not in 1 ... {_MAX_BINNING}"
                )
            self.world.camera_file.change(
                lambda state: replace(state, since_s=self._now_s, binning=binning)
            )

    def set_gain(self, gain: int) -> None:
        """Refuse: this camera has no gain number."""
        with self._command("set_gain", gain=gain):
            raise DeviceLacks(f"{self.name}: it has no gain number to set to {gain}")

    def gain_setting(self) -> int | None:
        """Return None: this camera has no gain number."""
        with self._call("gain_setting"):
            return None

    def _state(self) -> CameraState:
        return self.world.camera_file.read()

    def _ready(self) -> Exposure | None:
        state = self._state()
        doing = state.doing(self._now_s, self.world.hardware.readout_s)
        return state.exposure if doing is protocols.CameraState.IDLE else None

    def _need_no_error(self) -> None:
        if self.world.faults.active(self.kind, "error"):
            raise DeviceFault(f"{self.name}: it says error")

    def _wait(self, seconds: float, pulse: Callable[[], None]) -> None:
        """Let simulated time pass, with a pulse at least every 0.2 s of the real one."""
        clock, never = self.world.clock, threading.Event()
        end_s = clock.monotonic() + seconds
        pulse()
        while (left_s := end_s - clock.monotonic()) > 0:
            clock.wait(never, min(left_s, _PULSE_S * clock.rate))
            pulse()

    def _record_start(self, exposure: Exposure) -> None:
        from toros.simulation.observatory.scene import light_at

        world, now_s = self.world, exposure.start_s
        dome, mount = world.dome_file.at(now_s), world.mount_file.at(now_s)
        where = mount.horizontal(world.site, now_s, exposure.start)
        source, reason = light_at(world, now_s, exposure.start)
        lasts_s = exposure.exposure_time_s + world.hardware.readout_s
        motion = Motion("exposure", 0.0, exposure.exposure_time_s, now_s, now_s + lasts_s)
        self._record(
            "start_exposure",
            motion,
            number=exposure.number,
            exposure_time=exposure.exposure_time_s,
            light=exposure.light,
            source=source,
            reason=reason,
            shutter=dome.shutter.at(now_s),
            dome_azimuth=dome.azimuth_deg(now_s),
            dome_turns=dome.turning(now_s) or dome.shutter.moving(now_s),
            mount_azimuth=where.azimuth_deg,
            mount_altitude=where.altitude_deg,
            mount_slews=mount.slewing(now_s),
            cover=world.cover_file.at(now_s).cover.at(now_s),
        )


def detector(world: World) -> Camera:
    """Return the sensor's physics."""
    return Camera(shape=world.hardware.shape, seed=world.hardware.seed)


def temperature_of(world: World, state: CameraState, now_s: float) -> float:
    """Return the sensor's temperature: an exponential approach to where it is to be [deg C]."""
    air_c = world.weather_file.read().at(now_s).values["temperature"]
    goal_c, from_c, since_s = air_c, state.from_c, state.cooling_s
    if from_c is None:
        return air_c
    if state.setpoint_c is not None:
        goal_c = max(state.setpoint_c, air_c - world.hardware.cooling_reach_c)
    reached_c = _approach(from_c, goal_c, now_s - since_s, world.hardware.cooling_s)
    broken = world.faults.active("camera", "cooler_fails")
    if broken is None:
        return reached_c
    at_break_c = _approach(from_c, goal_c, broken.since_s - since_s, world.hardware.cooling_s)
    return _approach(at_break_c, air_c, now_s - broken.since_s, world.hardware.cooling_s)


def draw_frame(world: World, exposure: Exposure) -> Counts:
    """Draw the pixels of an exposure, shape (ny / binning, nx / binning) [ADU]."""
    from toros.simulation.observatory.scene import draw, setting_at

    sensor = detector(world)
    half_s = exposure.exposure_time_s / 2
    seconds, temperature, number = (
        exposure.exposure_time_s,
        exposure.temperature_c,
        exposure.number,
    )
    if exposure.light:
        middle = exposure.start + timedelta(seconds=half_s)
        setting = setting_at(world, exposure.start_s + half_s, middle)
        scene = draw(world, setting, middle)
        pixels = sensor.light(scene, seconds, setting.filter_name, temperature, number=number)
    elif seconds == 0:
        pixels = sensor.bias(number)
    else:
        pixels = sensor.dark(seconds, temperature, number=number)
    return _binned(pixels, exposure.binning, sensor)


def _binned(pixels: Counts, binning: int, sensor: Camera) -> Counts:
    """Add up the charge of binning x binning pixels; the bias comes once."""
    if binning == 1:
        return pixels
    ny, nx = (side // binning for side in pixels.shape)
    signal = pixels[: ny * binning, : nx * binning].astype(np.float64) - sensor.bias_adu
    summed = signal.reshape(ny, binning, nx, binning).sum(axis=(1, 3)) + sensor.bias_adu
    binned: Counts = np.clip(np.rint(summed), 0, sensor.saturation_adu).astype(np.uint16)
    return binned


def _approach(from_c: float, goal_c: float, elapsed_s: float, constant_s: float) -> float:
    return goal_c + (from_c - goal_c) * math.exp(-max(elapsed_s, 0.0) / constant_s)
