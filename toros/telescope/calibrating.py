"""Takes biases, darks and flats; flats with the exposure controlled to a level."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from toros.clock import Clock
from toros.config import Settings
from toros.errors import CalibrationFailed, DeviceError, ExposureFailed, InvalidField
from toros.sky.almanac import sun_altitude
from toros.telescope.camera_work import CameraWork, Purpose, Shot
from toros.telescope.flats import Advice, FlatControl, Light, Sample, Verdict
from toros.telescope.hardware import Hardware
from toros.telescope.observing import Observer

log = logging.getLogger(__name__)

_TRIES = 3
_FLAT_FRAMES = 3
"""Frames for each flat that is wanted, before it is given up."""
_LOOKS = 30
"""Frames that only look how bright it is: every few minutes for as long as is waited."""
_LONGEST_WAIT_S = 3600.0
_SATURATED = 0.95


@dataclass
class Taken:
    """What has been taken, for the result of an order and the balance of a night."""

    files: list[str] = field(default_factory=list)
    rejected: int = 0
    reason: str = ""

    def told(self) -> dict[str, Any]:
        """Return it ready for the wire."""
        told: dict[str, Any] = {
            "exposures": len(self.files),
            "files": self.files,
            "rejected": self.rejected,
        }
        return {**told, "message": self.reason} if self.reason else told


class Calibrator:
    """Calibration frames.

    Parameters
    ----------
    settings, hardware, camera, observer, clock
        The night's own.
    """

    def __init__(
        self,
        settings: Settings,
        hardware: Hardware,
        camera: CameraWork,
        observer: Observer,
        clock: Clock,
    ) -> None:
        self._settings = settings.telescope.calibration
        self._hardware = hardware
        self._camera = camera
        self._observer = observer
        self._clock = clock
        self.bias_level_adu: float | None = None

    def biases(self, count: int, order_id: str | None = None) -> Taken:
        """Take biases.

        Raises
        ------
        CalibrationFailed, DiskFull, Signal
        """
        taken = Taken()
        for _ in range(count):
            self.bias_level_adu = self._one(Purpose("bias", 0.0, order_id=order_id), taken)
        return taken

    def darks(self, exposure_time_s: float, count: int, order_id: str | None = None) -> Taken:
        """Take darks.

        Raises
        ------
        CalibrationFailed, DiskFull, Signal
        """
        taken = Taken()
        for _ in range(count):
            self._one(Purpose("dark", exposure_time_s, order_id=order_id), taken)
        return taken

    def flats(
        self,
        name: str | None,
        count: int,
        *,
        light: str,
        level_adu: float | None = None,
        order_id: str | None = None,
    ) -> Taken:
        """Take flats through a filter, each with its median near a level.

        Those of the twilight are taken near the zenith, on the side away from the sun, with
        small moves in between that put the stars elsewhere; call it under the sky. Those of
        the lamp are taken with the cover closed. A frame off the level is stored as a test,
        which the preprocessor leaves alone.

        Parameters
        ----------
        name : str or None
            The filter; None for the one that is in.
        count : int
        light : {"sky", "lamp"}
        level_adu : float, optional
            Median that is wanted, with the bias [ADU]; the setting by default.
        order_id : str, optional

        Returns
        -------
        Taken
            With fewer than `count`, `Taken.reason` tells why.

        Raises
        ------
        CalibrationFailed
            There is not a single one.
        InvalidField, NoDevice, DeviceError, BeyondLimit, DiskFull, Signal
        """
        if light not in ("sky", "lamp"):
            raise InvalidField(
                f"light: got {light!r}, the setting Flat Light; expected sky or lamp"
            )
        control = self._control(light, level_adu)
        if light == "lamp":
            self._hardware.close_cover()
            self._hardware.light_lamp(self._settings.lamp_brightness)
        else:
            self._hardware.open_cover()
        try:
            chosen = self._hardware.set_filter(name)
            taken = self._flats_to_level(control, chosen, count, order_id)
        finally:
            if light == "lamp":
                self._hardware.lamp_off()
        log.info(
            "filter %s: %d of %d flats, %d off the level; %s",
            chosen, len(taken.files), count, taken.rejected, taken.reason or "as wanted",
        )  # fmt: skip
        if not taken.files and count:
            raise CalibrationFailed(f"no flat through filter {chosen}: {taken.reason}")
        return taken

    def twilight(self) -> Light:
        """Tell whether the sun goes down or comes up."""
        site, now = self._observer.site, self._clock.now()
        later = sun_altitude(site, now + self._observer.LATER)
        return "evening" if later < sun_altitude(site, now) else "morning"

    def _control(self, light: str, level_adu: float | None) -> FlatControl:
        if self.bias_level_adu is None:
            self.biases(1)
        assert self.bias_level_adu is not None
        settings, most = self._settings, self._hardware.facts.max_adu
        try:
            return FlatControl(
                light="lamp" if light == "lamp" else self.twilight(),
                target_adu=level_adu if level_adu is not None else settings.flat_level_adu,
                tolerance=settings.flat_tolerance,
                bias_adu=self.bias_level_adu,
                shortest_s=settings.flat_exposure_min_s,
                longest_s=settings.flat_exposure_max_s,
                saturation_adu=_SATURATED * most if most else float("inf"),
            )
        except ValueError as error:
            raise InvalidField(f"level: {error}") from error

    def _flats_to_level(
        self, control: FlatControl, chosen: str | None, count: int, order_id: str | None
    ) -> Taken:
        taken, samples = Taken(), list[Sample]()
        waited_s = lead_s = 0.0
        pointed, looks = -1, 0
        while len(taken.files) < count:
            tries = len(samples) - looks
            if tries >= _FLAT_FRAMES * count + _FLAT_FRAMES or looks >= _LOOKS:
                taken.reason = f"{len(samples)} frames were tried; {taken.reason}"
                break
            if control.light != "lamp" and pointed != len(samples):
                pointed = len(samples)
                self._observer.point_for_flats(pointed)
            asked_s = self._clock.monotonic()
            advice = control.advise(asked_s + lead_s, samples)
            taken.reason = advice.reason
            if advice.verdict is Verdict.END or waited_s > _LONGEST_WAIT_S:
                break
            if advice.verdict is Verdict.WAIT:
                waited_s += advice.wait_s
                self._hardware.wait(advice.wait_s)
                continue
            sample = self._flat(control, advice, Purpose(
                "flat", advice.exposure_s, filter=chosen, order_id=order_id), taken)  # fmt: skip
            # What goes by before the shutter opens counts, in an accelerated time above all.
            lead_s = max(0.0, sample.start_s - asked_s)
            samples.append(sample)
            looks += advice.look
        else:
            taken.reason = ""
        return taken

    def _flat(self, control: FlatControl, advice: Advice, purpose: Purpose, taken: Taken) -> Sample:
        shot = self._expose(purpose, under_sky=control.light != "lamp")
        level = float(np.median(shot.frame.data))
        good = control.accepts(level)
        stored = self._camera.keep(shot if good else shot.of_type("test"))
        if good:
            taken.files.append(str(stored.path))
        else:
            taken.rejected += 1
        log.debug("flat of %.2f s: %.0f ADU (%s)", advice.exposure_s, level, advice.reason)
        return Sample(shot.start_s, shot.exposure_time_s, level)

    def _one(self, purpose: Purpose, taken: Taken) -> float:
        """Take one exposure; return its median [ADU]."""
        shot = self._expose(purpose)
        taken.files.append(str(self._camera.keep(shot).path))
        return float(np.median(shot.frame.data))

    def _expose(self, purpose: Purpose, *, under_sky: bool = False) -> Shot:
        for left in reversed(range(_TRIES)):
            try:
                ready = self._observer.wait_for_dome if under_sky else None
                return self._camera.expose(purpose, ready)
            except (DeviceError, ExposureFailed) as error:
                if not left:
                    raise CalibrationFailed(f"{purpose.exposure_type}: {error.message}") from error
                log.warning("%s: %s; exposing again", purpose.exposure_type, error.message)
        raise AssertionError("unreachable")
