"""What falls on the sensor during an exposure: stars, night, twilight, lamp, or nothing.

References
----------
.. [1] Patat, F., Ugolnikov, O. S., Postylyakov, O. V., 2006, A&A 455, 385: parabolas through
   the twilight sky measured at the zenith of Paranal, against the sun's zenith distance z, from
   95 to 105 degrees: m = a0 + a1 (z - 95) + a2 (z - 95)^2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from toros.devices.protocols import Pointing
from toros.simulation.bandpasses import bandpass
from toros.simulation.observatory.stars import stars_near
from toros.simulation.patterns import Image
from toros.simulation.sky import Optics, StarField, draw_scene
from toros.sky.almanac import sun_altitude
from toros.sky.observability import airmass

if TYPE_CHECKING:
    from toros.simulation.observatory.world import World

_TWILIGHT = {
    "B": (11.84, 1.411, -0.041),
    "V": (11.84, 1.518, -0.057),
    "R": (11.40, 1.567, -0.064),
    "I": (10.93, 1.470, -0.062),
}
_FIRST_DEG, _LAST_DEG = 95.0, 105.0
_BRIGHTEST = 3.0  # mag/arcsec2, a blue sky by day
_LAMP = {"B": 0.6, "V": 1.0, "R": 1.2, "I": 1.1}
_SEEING_POWER = 0.6  # Kolmogorov: seeing grows with airmass to this power
_WORST_AIRMASS = 40.0


def sky_brightness(filter_name: str, sun_altitude_deg: float) -> float:
    """Return the brightness of the sky at the zenith, without a moon [mag/arcsec2].

    Parameters
    ----------
    filter_name : str
    sun_altitude_deg : float [deg]
        Beyond the range of [1]_ the straight line at its end goes on, down to the dark sky or up
        to a blue one by day.
    """
    zenith_distance = 90 - sun_altitude_deg
    a0, a1, a2 = _TWILIGHT[filter_name]
    inside = min(max(zenith_distance, _FIRST_DEG), _LAST_DEG) - _FIRST_DEG
    twilight = a0 + a1 * inside + a2 * inside**2
    twilight += (a1 + 2 * a2 * inside) * (zenith_distance - _FIRST_DEG - inside)
    # What was measured is twilight and night together, so neither is added to the other.
    return min(max(twilight, _BRIGHTEST), bandpass(filter_name).sky_mag_arcsec2)


class Light(NamedTuple):
    """What reaches the telescope: the sky, the lamp, or nothing, and why."""

    source: Literal["sky", "lamp", "none"]
    reason: str


@dataclass(frozen=True)
class Setting:
    """The observatory in mid-exposure.

    Attributes
    ----------
    light : Light
    looks_at : Pointing
        Where the telescope really points, ICRS.
    altitude_deg : float
    filter_name : str
    fwhm_arcsec : float
        At the zenith.
    transparency : float
        Share of starlight that clouds let through.
    lamp : float
        Of the lamp's full brightness.
    """

    light: Light
    looks_at: Pointing
    altitude_deg: float
    filter_name: str
    fwhm_arcsec: float
    transparency: float
    lamp: float


def light_at(world: World, now_s: float, moment: datetime) -> Light:
    """Return what reaches the telescope at a time that has passed."""
    cover, dome = world.cover_file.at(now_s), world.dome_file.at(now_s)
    if cover.closed(now_s):
        if cover.light(now_s, world.hardware.lamp_warm_s) and not world.faults.active(
            "cover", "lamp_dead"
        ):
            return Light("lamp", "the lamp in the closed cover")
        return Light("none", "the mirror cover is closed")
    if not cover.open(now_s):
        return Light("none", "the mirror cover is half open")
    if dome.shutter.at(now_s) < 1:
        return Light("none", "the dome's shutter is not open")
    azimuth = world.mount_file.at(now_s).horizontal(world.site, now_s, moment).azimuth_deg
    if not dome.sees(azimuth, now_s, world.hardware):
        return Light(
            "none",
            f"the slit is at {dome.azimuth_deg(now_s):.1f} deg, the telescope at {azimuth:.1f} deg",
        )
    return Light("sky", "the slit is where the telescope looks")


def setting_at(world: World, now_s: float, moment: datetime) -> Setting:
    """Return the observatory as it was at a time.

    Parameters
    ----------
    world : World
    now_s : float
        By the clock's monotonic time [s].
    moment : datetime
        The same, by the simulated wall clock, aware.
    """
    mount, hardware = world.mount_file.at(now_s), world.hardware
    weather = world.weather_file.read().at(now_s).values
    wheel = world.wheel_file.at(now_s).wheel.at(now_s)
    seeing = max(0.3, weather["star_fwhm"])
    cover = world.cover_file.at(now_s)
    return Setting(
        light=light_at(world, now_s, moment),
        looks_at=mount.looks_at(world.site, hardware, now_s, moment),
        altitude_deg=mount.horizontal(world.site, now_s, moment).altitude_deg,
        filter_name=hardware.filters[round(wheel) % len(hardware.filters)],
        fwhm_arcsec=world.focuser_file.at(now_s).fwhm_arcsec(seeing, now_s, hardware),
        transparency=max(0.0, 1 - weather["cloud_cover"] / 100),
        lamp=cover.light(now_s, hardware.lamp_warm_s),
    )


def optics(world: World, fwhm_arcsec: float = 2.4) -> Optics:
    """Return the telescope's optics, with stars of a width [arcsec]."""
    hardware = world.hardware
    return Optics(
        pixel_scale_arcsec=hardware.pixel_scale_arcsec,
        rotation_deg=hardware.rotation_deg,
        fwhm_arcsec=fwhm_arcsec,
    )


def draw(world: World, setting: Setting, moment: datetime) -> Image:
    """Draw the light on the sensor.

    Parameters
    ----------
    world : World
    setting : Setting
    moment : datetime
        Of mid-exposure, aware.

    Returns
    -------
    ndarray, shape (ny, nx) [electron/s]
        For pixels of response 1; zero without light.
    """
    hardware, band = world.hardware, setting.filter_name
    if setting.light.source == "none":
        return np.zeros(hardware.shape, dtype=np.float32)
    if setting.light.source == "lamp":
        level = hardware.lamp_e_s * setting.lamp * _LAMP[band]
        return np.full(hardware.shape, level, dtype=np.float32)
    mass = _airmass(setting.altitude_deg)
    telescope = optics(world, setting.fwhm_arcsec * mass**_SEEING_POWER)
    scale = hardware.pixel_scale_arcsec
    field = _field(world, setting)
    scene = draw_scene(
        field, telescope, hardware.shape, band, pointing_deg=setting.looks_at, airmass=mass
    )
    night = np.float32(telescope.sky_e_s(band))
    brightness = sky_brightness(band, sun_altitude(world.site, moment))
    sky = float(telescope.flux_e_s(brightness, band)) * scale**2
    return np.asarray((scene - night) * np.float32(setting.transparency) + np.float32(sky))


def _field(world: World, setting: Setting) -> StarField:
    if setting.transparency == 0 or setting.altitude_deg <= 0:
        return StarField("sky", *setting.looks_at, ())
    hardware = world.hardware
    diagonal = math.hypot(*hardware.shape) * hardware.pixel_scale_arcsec / 2
    wings = 6 * setting.fwhm_arcsec
    return stars_near(
        *setting.looks_at,
        (diagonal + wings) / 3600,
        seed=hardware.seed,
        faintest_v_mag=hardware.faintest_v_mag,
    )


def _airmass(altitude_deg: float) -> float:
    mass = float(np.ravel(airmass(max(altitude_deg, 0.0)))[0])
    return min(mass, _WORST_AIRMASS) if math.isfinite(mass) else _WORST_AIRMASS
