"""From the sky's directions to the site's, and back, at one moment."""

from __future__ import annotations

import math
from datetime import datetime

import numpy as np

from toros.devices.protocols import Horizontal, Pointing
from toros.sky.earth import Turning, unit, unix_seconds
from toros.sky.site import Array, Site


def horizontal(site: Site, where: Pointing, moment: datetime) -> Horizontal:
    """Return altitude and azimuth, without refraction, of an ICRS direction.

    Parameters
    ----------
    site : Site
    where : Pointing
        ICRS [deg].
    moment : datetime
        Aware.
    """
    earth = Turning(site, unix_seconds(moment))
    seen = earth.apparent(where.ra_deg, where.dec_deg)[0]
    altitude = math.degrees(math.asin(float(np.clip(seen @ earth.up[0], -1, 1))))
    azimuth = math.degrees(math.atan2(seen @ earth.east[0], seen @ earth.north[0]))
    return Horizontal(altitude, azimuth % 360)


def on_sky(site: Site, where: Horizontal, moment: datetime) -> Pointing:
    """Return the ICRS direction of an altitude and azimuth, without refraction.

    Parameters
    ----------
    site : Site
    where : Horizontal [deg]
    moment : datetime
        Aware.
    """
    earth = Turning(site, unix_seconds(moment))
    altitude, azimuth = math.radians(where.altitude_deg), math.radians(where.azimuth_deg)
    flat = math.cos(altitude) * (
        math.cos(azimuth) * earth.north[0] + math.sin(azimuth) * earth.east[0]
    )
    seen = flat + math.sin(altitude) * earth.up[0]
    # The apparent place is the ICRS one but for a small turn (half a degree in this century):
    # each round leaves less than a hundredth of what was wrong.
    place = seen
    for _ in range(5):
        place = place + seen - earth.apparent(*_angles(place))[0]
        place = place / np.linalg.norm(place)
    return Pointing(*_angles(place))


def hour_angle_deg(site: Site, where: Pointing, moment: datetime) -> float:
    """Return the hour angle of an ICRS direction [deg], -180 <= angle < 180, west positive."""
    earth = Turning(site, unix_seconds(moment))
    right_ascension, _ = _angles(earth.apparent(where.ra_deg, where.dec_deg)[0])
    sidereal = math.degrees(float(earth.rotation[0]))
    return (sidereal - right_ascension + 180) % 360 - 180


def shifted(where: Pointing, east_deg: float, north_deg: float) -> Pointing:
    """Return a direction moved by small angles on the sky [deg]."""
    dec = max(-90.0, min(90.0, where.dec_deg + north_deg))
    # At the pole itself east is nowhere; short of it a small angle is a large one in RA.
    ra = where.ra_deg + east_deg / max(math.cos(math.radians(where.dec_deg)), 1e-6)
    return Pointing(ra % 360, dec)


def shift_between(origin: Pointing, to: Pointing) -> tuple[float, float]:
    """Return what `shifted` needs to get from one direction to another, east and north [deg]."""
    east = (to.ra_deg - origin.ra_deg + 180) % 360 - 180
    return east * math.cos(math.radians(origin.dec_deg)), to.dec_deg - origin.dec_deg


def separation_deg(one: Pointing, other: Pointing) -> float:
    """Return the angle between two directions [deg]."""
    first, second = unit(one.ra_deg, one.dec_deg)[0], unit(other.ra_deg, other.dec_deg)[0]
    return math.degrees(2 * math.asin(min(1.0, float(np.linalg.norm(first - second)) / 2)))


def _angles(vector: Array) -> tuple[float, float]:
    ra = math.degrees(math.atan2(vector[1], vector[0])) % 360
    return ra, math.degrees(math.asin(float(np.clip(vector[2], -1, 1))))
