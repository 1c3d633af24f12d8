"""The telescope's devices, and what the night does with them, each step to its end.

Every wait calls the pulse, at least four times in a real second: it renews the dome's lease
and raises what ends the work. A single question that goes unanswered ends nothing; a
device that stays silent does.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from toros.clock import Clock
from toros.devices import protocols
from toros.devices.protocols import CameraState, CoverState, LampState, Pointing, RawFrame
from toros.errors import (
    DeviceError,
    DeviceTimeout,
    ExposureFailed,
    InvalidField,
    NoDevice,
    PointingFailed,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

_POLL_S = 0.2
_PATIENCE_S = 15.0
_SLEW_LIMIT_S = 300.0
_WHEEL_LIMIT_S = 60.0
_FOCUS_LIMIT_S = 180.0
_COVER_LIMIT_S = 120.0
_READOUT_LIMIT_S = 120.0
_TRIES = 3


@dataclass(frozen=True)
class Devices:
    """What the observatory has; None for what it has not."""

    mount: protocols.Mount | None = None
    camera: protocols.Camera | None = None
    wheel: protocols.FilterWheel | None = None
    focuser: protocols.Focuser | None = None
    cover: protocols.Cover | None = None

    def all(self) -> list[protocols.Device]:
        """Return those that there are."""
        found = (self.mount, self.camera, self.wheel, self.focuser, self.cover)
        return [device for device in found if device is not None]


class Hardware:
    """The devices in the hands of the one thread that moves them.

    Parameters
    ----------
    devices : Devices
    filters : tuple of str
        Names of the filters by position; empty for the wheel's own.
    clock : Clock
    pulse : callable
        Called while waiting; may raise what ends the work.
    beat : callable, optional
        Called while a frame is downloaded, which is worth finishing; `pulse` by default.
    """

    def __init__(
        self,
        devices: Devices,
        filters: tuple[str, ...],
        clock: Clock,
        pulse: Callable[[], None],
        beat: Callable[[], object] | None = None,
    ) -> None:
        self.devices = devices
        self._beat = beat or pulse
        self.filter_names: tuple[str, ...] = filters
        """Names of the filters by position, as far as they are known."""
        self._clock = clock
        self._pulse = pulse
        self._never = threading.Event()
        self._camera_silent_until = -1e9
        self._facts: protocols.CameraFacts | None = None

    @property
    def mount(self) -> protocols.Mount:
        """The mount; raises NoDevice if there is none."""
        return _there(self.devices.mount, "Mount")

    @property
    def camera(self) -> protocols.Camera:
        """The camera; raises NoDevice if there is none."""
        return _there(self.devices.camera, "Camera")

    def connect(self) -> None:
        """Connect all devices.

        Raises
        ------
        DeviceError
        """
        for device in self.devices.all():
            self.attempt(f"connecting {device.name}", device.connect)
        self._facts = self.attempt("reading the camera", self.camera.facts)
        self.filters()

    @property
    def facts(self) -> protocols.CameraFacts:
        """What the camera told when it was connected."""
        if self._facts is None:
            self._facts = self.attempt("reading the camera", self.camera.facts)
        return self._facts

    def attempt(self, what: str, call: Callable[[], T]) -> T:
        """Call up to three times, connecting the devices anew in between.

        Only for calls that may be repeated.

        Raises
        ------
        DeviceError
        """
        for left in reversed(range(_TRIES)):
            try:
                return call()
            except DeviceError as error:
                if not left:
                    raise
                log.warning("%s: %s; trying again", what, error.message)
                self._pulse()
                self._reconnect()
        raise AssertionError("unreachable")

    def _reconnect(self) -> None:
        for device in self.devices.all():
            try:
                if not device.connected():
                    device.connect()
            except DeviceError as error:
                log.debug("%s: %s", device.name, error.message)

    def until(self, what: str, is_so: Callable[[], bool], limit_s: float) -> None:
        """Ask until it is so.

        Parameters
        ----------
        what : str
            For the message.
        is_so : callable
        limit_s : float
            How long it may take [s], real.

        Raises
        ------
        DeviceTimeout
            It was not so in time.
        DeviceError
            The device has not answered for some time.
        """
        deadline = time.monotonic() + limit_s
        silent_since: float | None = None
        while True:
            try:
                if is_so():
                    return
                silent_since = None
            except DeviceError as error:
                silent_since = silent_since or time.monotonic()
                if time.monotonic() - silent_since > _PATIENCE_S:
                    raise
                log.debug("%s: %s", what, error.message)
            self._pulse()
            if time.monotonic() > deadline:
                raise DeviceTimeout(f"{what}: not done after {limit_s:g} s")
            self.pause()

    def pause(self) -> None:
        """Wait a little: a fifth of a second, and less in accelerated time."""
        self._never.wait(max(0.004, _POLL_S / self._clock.rate))

    def wait(self, seconds: float) -> None:
        """Let time pass by the clock [s], with the pulse.

        Raises
        ------
        Signal, TorosError
            What the pulse raises.
        """
        end_s = self._clock.monotonic() + seconds
        while self._clock.monotonic() < end_s:
            self._pulse()
            self.pause()

    def slew(self, target: Pointing, meanwhile: Callable[[], None] | None = None) -> None:
        """Point the telescope and track; the pulse stands for limits and the open dome.

        Parameters
        ----------
        target : Pointing
        meanwhile : callable, optional
            Called once the mount is on its way.

        Raises
        ------
        DeviceError, PointingFailed
        """
        mount = self.mount
        if self.attempt("asking whether it is parked", mount.at_park):
            self.attempt("unparking", mount.unpark)
        self.attempt("starting a slew", lambda: mount.slew_to(target))
        if meanwhile is not None:
            meanwhile()
        self.until("slew", lambda: not mount.slewing(), _SLEW_LIMIT_S)
        if not self.attempt("asking whether it tracks", mount.tracking):
            self.attempt("tracking", lambda: mount.set_tracking(True))
        if self.attempt("asking whether it is parked", mount.at_park):
            raise PointingFailed("the mount says that it is parked after a slew")

    def park(self) -> None:
        """Park the telescope, whatever it does.

        Raises
        ------
        DeviceError
        """
        mount = self.mount
        if self.attempt("asking whether it is parked", mount.at_park):
            return
        self.attempt("stopping a slew", lambda: mount.abort() if mount.slewing() else None)
        self.attempt("parking", mount.park)
        self.until("parking", mount.at_park, _SLEW_LIMIT_S)

    def filters(self) -> tuple[str, ...]:
        """Return the names of the filters by position; none without a wheel."""
        if self.devices.wheel is None:
            return ()
        if not self.filter_names:
            wheel = self.devices.wheel
            self.filter_names = tuple(self.attempt("reading the filter wheel", wheel.filters))
        return self.filter_names

    def set_filter(self, name: str | None) -> str | None:
        """Turn the wheel; return the name of the filter that is in.

        Raises
        ------
        InvalidField
            There is no such filter.
        DeviceError
        """
        wheel = self.devices.wheel
        if wheel is None:
            return name
        names = self.filters()
        if name is not None and name not in names:
            raise InvalidField(f"filter: got {name!r}; the wheel has {', '.join(names)}")
        position = self.attempt("reading the filter wheel", wheel.position)
        if name is None:
            return names[position] if position is not None and position < len(names) else None
        wanted = names.index(name)
        if position != wanted:
            self.attempt("turning the filter wheel", lambda: wheel.move_to(wanted))
            self.until("filter wheel", lambda: wheel.position() == wanted, _WHEEL_LIMIT_S)
        return name

    def focus(self, position: int) -> None:
        """Move the focuser.

        Raises
        ------
        NoDevice, DeviceError
        """
        focuser = _there(self.devices.focuser, "Focuser")
        self.attempt("moving the focuser", lambda: focuser.move_to(position))
        self.until("focuser", lambda: not focuser.moving(), _FOCUS_LIMIT_S)

    def expose(self, exposure_time_s: float, *, light: bool) -> RawFrame:
        """Take one exposure and read it out.

        Raises
        ------
        ExposureFailed, DeviceError
        """
        camera = self.camera
        if self.attempt("asking the camera", camera.state) is not CameraState.IDLE:
            self.attempt("clearing the camera", camera.abort_exposure)
        camera.start_exposure(exposure_time_s, light=light)
        try:
            limit_s = exposure_time_s / self._clock.rate + _READOUT_LIMIT_S
            self.until("exposure", lambda: _ready(camera), limit_s)
            return self.attempt("downloading", lambda: camera.download(self._download_beat))
        except BaseException:
            self.stop_exposure()
            raise

    def _download_beat(self) -> None:
        self._beat()

    def stop_exposure(self) -> None:
        """End a running exposure; what cannot be ended is left to the next one.

        A camera that has just been silent is not waited for again: there is a mount to park.
        """
        if time.monotonic() >= self._camera_silent_until:
            self._end_exposure()

    def _end_exposure(self) -> None:
        try:
            if self.camera.state() is not CameraState.IDLE:
                self.camera.abort_exposure()
        except DeviceError as error:
            log.warning("the exposure could not be ended: %s", error.message)
            if isinstance(error, DeviceTimeout):
                self._camera_silent_until = time.monotonic() + _PATIENCE_S

    def open_cover(self) -> None:
        """Open the mirror cover, if there is one, and put the lamp out."""
        cover = self.devices.cover
        if cover is None:
            return
        if self.attempt("asking the lamp", cover.lamp) in (LampState.READY, LampState.WARMING):
            self.attempt("putting the lamp out", cover.lamp_off)
        if self.attempt("asking the cover", cover.cover) in (CoverState.ABSENT, CoverState.OPEN):
            return
        self.attempt("opening the cover", cover.open_cover)
        self.until("cover", lambda: cover.cover() is CoverState.OPEN, _COVER_LIMIT_S)

    def close_cover(self) -> None:
        """Close the mirror cover, if there is one, and put the lamp out."""
        cover = self.devices.cover
        if cover is None:
            return
        if self.attempt("asking the lamp", cover.lamp) in (LampState.READY, LampState.WARMING):
            self.attempt("putting the lamp out", cover.lamp_off)
        if self.attempt("asking the cover", cover.cover) in (CoverState.ABSENT, CoverState.CLOSED):
            return
        self.attempt("closing the cover", cover.close_cover)
        self.until("cover", lambda: cover.cover() is CoverState.CLOSED, _COVER_LIMIT_S)

    def light_lamp(self, brightness: float) -> None:
        """Light the flat field lamp.

        Raises
        ------
        NoDevice, DeviceError
        """
        cover = _there(self.devices.cover, "Cover")
        if self.attempt("asking the lamp", cover.lamp) is LampState.ABSENT:
            raise NoDevice("Telescope / Cover: it has no flat field lamp")
        self.attempt("lighting the lamp", lambda: cover.lamp_on(brightness))
        self.until("lamp", lambda: cover.lamp() is LampState.READY, _COVER_LIMIT_S)

    def lamp_off(self) -> None:
        """Put the flat field lamp out; what cannot be is logged."""
        cover = self.devices.cover
        if cover is None:
            return
        try:
            cover.lamp_off()
        except DeviceError as error:
            log.warning("the lamp could not be put out: %s", error.message)

    def stop_tracking(self) -> None:
        """Let the mount stand still.

        Raises
        ------
        DeviceError
        """
        mount = self.mount
        if self.attempt("asking whether it tracks", mount.tracking):
            self.attempt("ending the tracking", lambda: mount.set_tracking(False))

    def abort(self) -> None:
        """Stop slew and exposure at once; from any thread."""
        if self.devices.camera is not None:
            self._end_exposure()
        mount = self.devices.mount
        if mount is not None:
            try:
                mount.abort()
            except DeviceError as error:
                log.warning("%s could not be stopped: %s", mount.name, error.message)


def _ready(camera: protocols.Camera) -> bool:
    if camera.image_ready():
        return True
    if camera.state() is CameraState.ERROR:
        raise ExposureFailed(f"{camera.name} reports an error")
    return False


def _there(device: T | None, key: str) -> T:
    if device is None:
        raise NoDevice(f"Telescope / {key} / Driver: none; the request needs this device")
    return device
