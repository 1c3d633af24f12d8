"""What is known about an exposure when it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, TypeAlias

import toros

ExposureType: TypeAlias = Literal["bias", "dark", "flat", "light", "focus", "pointing", "test"]


@dataclass(frozen=True)
class Circumstances:
    """Everything that is known about an exposure beside its pixels; None where it is not.

    Attributes
    ----------
    exposure_type : {"bias", "dark", "flat", "light", "focus", "pointing", "test"}
        A test is an exposure that was tried and is of no use, such as a flat off its level.
    start_utc : datetime
        Start of the exposure, aware.
    exposure_time_s : float
        How long it was [s].
    night : date
        The night's local evening.
    sequence : int
        Number of the exposure within its night, from 1; 0 until it is given one.
    pointing, pointing_asked : tuple of float
        (right ascension, declination) [deg, ICRS] as the mount tells it, and as it was told.
    altitude_deg, azimuth_deg : float
        Of the pointing at the start; azimuth from north over east [deg].
    airmass : float
    dome_azimuth_deg : float
        Where the slit looks, from north over east [deg].
    pier_side : str
        "east", "west" or "unknown".
    filter : str
    focus_position : int
        Of the focuser [steps].
    temperature_c, temperature_set_c : float
        Of the detector, measured and asked for [deg C].
    focus_temperature_c, ambient_temperature_c : float
        At the focuser and of the air [deg C].
    gain_e_adu, read_noise_e : float
        [electron/ADU], [electron].
    gain_setting : int or str
        The camera's own gain number.
    saturation_adu : float
        Level from which pixels are saturated [ADU].
    binning : int
        The same along both axes.
    pixel_um : tuple of float
        (x, y) size of an unbinned pixel [um].
    bayer : str
        Colour pattern from the first pixel, such as RGGB.
    focal_length_mm, aperture_mm : float
        [mm].
    order_id, target_id, target_name, alert : str, int, str, str
        Why it was taken.
    observer, telescope, instrument, observatory : str
        Who and what took it.
    longitude_deg, latitude_deg, height_m : float
        The site: geodetic, WGS 84, east and north positive [deg, deg, m].
    software : str
    notes : sequence of str
        Remarks for a person; they become COMMENT cards.
    """

    exposure_type: ExposureType
    start_utc: datetime
    exposure_time_s: float
    night: date
    sequence: int = 0
    pointing: tuple[float, float] | None = None
    pointing_asked: tuple[float, float] | None = None
    altitude_deg: float | None = None
    azimuth_deg: float | None = None
    airmass: float | None = None
    dome_azimuth_deg: float | None = None
    pier_side: str | None = None
    filter: str | None = None
    focus_position: int | None = None
    temperature_c: float | None = None
    temperature_set_c: float | None = None
    focus_temperature_c: float | None = None
    ambient_temperature_c: float | None = None
    gain_e_adu: float | None = None
    gain_setting: int | str | None = None
    read_noise_e: float | None = None
    saturation_adu: float | None = None
    binning: int = 1
    pixel_um: tuple[float, float] | None = None
    bayer: str | None = None
    focal_length_mm: float | None = None
    aperture_mm: float | None = None
    order_id: str | None = None
    target_id: int | None = None
    target_name: str | None = None
    alert: str | None = None
    observer: str | None = None
    telescope: str | None = None
    instrument: str | None = None
    observatory: str | None = None
    longitude_deg: float | None = None
    latitude_deg: float | None = None
    height_m: float | None = None
    software: str = f"TOROS {toros.__version__}"
    notes: Sequence[str] = ()
