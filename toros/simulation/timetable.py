"""The frames of a night, one after the other: when, how long, whereto, how bright."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from toros.simulation.camera import Camera
from toros.simulation.frames import FrameTruth, airmass
from toros.simulation.randomness import Stream, generator
from toros.simulation.sky import Optics, StarField

DUSK = timedelta(hours=1, minutes=45)
NIGHTFALL = timedelta(hours=3)

_READOUT_S = 5.0
_TEMPERATURE_SIGMA_C = 0.03
_DITHER_SIGMA_PX = 8.0
_TARGET = ("NGC 2997", 146.4117, -31.1911)  # passes near the zenith of the site in March
_NUMBERS_PER_NIGHT = 1_000_000
# Of the range between bias and saturation: bright enough for little noise, far from the end.
_FLAT_LEVELS = (0.55, 0.23)


class Timetable:
    """The frames of a night as they follow each other.

    Parameters
    ----------
    seed : int
        What temperatures, dithers and pauses are drawn from.
    camera : Camera
    optics : Optics
    field : StarField
        What the lights point at.
    start : datetime
        When the first frame is taken, aware.

    Attributes
    ----------
    frames : list of FrameTruth
        Those taken so far; none has its sha256 yet.
    stamp : str
        What the files' names begin with: the date of the evening.

    Raises
    ------
    ValueError
        `start` is naive.
    """

    def __init__(
        self, seed: int, camera: Camera, optics: Optics, field: StarField, start: datetime
    ) -> None:
        if start.utcoffset() is None:
            raise ValueError(f"start={start.isoformat()}: it must have a time zone, e.g. UTC")
        self.frames: list[FrameTruth] = []
        self.stamp = f"{start:%Y%m%d}"
        self._rng = generator(seed, Stream.NIGHT)
        self._seed, self._camera, self._optics, self._field = seed, camera, optics, field
        self._start = self._now = start

    def wait_for(self, after_start: timedelta) -> None:
        """Let the time pass until so long after the start; not at all if it is later."""
        self._now = max(self._now, self._start + after_start)

    def add(
        self,
        frame_type: str,
        exposure_s: float,
        filter_name: str | None = None,
        level_adu: float | None = None,
    ) -> None:
        """Take the next frame.

        Parameters
        ----------
        frame_type : str
            "bias", "dark", "flat" or "light".
        exposure_s : float
            Exposure time [s].
        filter_name : str, optional
            The filter of a flat or a light.
        level_adu : float, optional
            The level of a flat [ADU].
        """
        index = len(self.frames) + 1
        label = self._label(frame_type, exposure_s, filter_name)
        wobble_c = float(self._rng.normal(0, _TEMPERATURE_SIGMA_C))
        frame = FrameTruth(
            name=f"{self.stamp}_{index:04d}_{label}.fits",
            number=self._seed * _NUMBERS_PER_NIGHT + index,
            frame_type=frame_type,
            start_utc=self._now,
            exposure_time_s=float(exposure_s),
            filter=filter_name,
            temperature_c=round(self._camera.dark_reference_c + wobble_c, 2),
            level_adu=level_adu,
        )
        self.frames.append(self._point(frame) if frame_type == "light" else frame)
        pause_ms = round(1000 * (exposure_s + _READOUT_S + self._rng.uniform(0, 1)))
        self._now += timedelta(milliseconds=pause_ms)

    def _label(self, frame_type: str, exposure_s: float, filter_name: str | None) -> str:
        if frame_type == "light":
            return f"{self._field.file_name}_{filter_name}_{exposure_s:g}s"
        if frame_type == "flat":
            return f"flat_{filter_name}"
        return f"dark_{exposure_s:g}s" if frame_type == "dark" else "bias"

    def _point(self, frame: FrameTruth) -> FrameTruth:
        """Point a light at the field, but for the dither."""
        sigma_deg = _DITHER_SIGMA_PX * self._optics.pixel_scale_arcsec / 3600
        north_deg, east_deg = self._rng.normal(0, sigma_deg, 2).tolist()
        dec_deg = round(self._field.dec_deg + north_deg, 6)
        ra_deg = round(self._field.ra_deg + east_deg / math.cos(math.radians(dec_deg)), 6) % 360
        middle = frame.start_utc + timedelta(seconds=frame.exposure_time_s / 2)
        mass = round(airmass(middle, ra_deg, dec_deg), 4)
        return replace(frame, ra_deg=ra_deg, dec_deg=dec_deg, airmass=mass)


def default_field(camera: Camera, optics: Optics) -> StarField:
    """Draw a field that fills a camera's frame, dithers included."""
    name, ra_deg, dec_deg = _TARGET
    radius_px = max(camera.shape) / 2 + 6 * _DITHER_SIGMA_PX
    radius_deg = radius_px * optics.pixel_scale_arcsec / 3600
    return StarField.random(ra_deg, dec_deg, radius_deg, name=name)


def flat_levels(camera: Camera, count: int) -> list[float]:
    """Return the levels of a series of flats in falling twilight [ADU]."""
    full_adu = camera.bias_adu + camera.full_well_e / camera.gain_e_adu
    reach_adu = min(camera.saturation_adu, full_adu) - camera.bias_adu
    first, last = (share * reach_adu for share in _FLAT_LEVELS)
    return [round(float(level), 1) for level in np.geomspace(first, last, count)]
