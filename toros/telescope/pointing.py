"""Where the telescope may point, and how a solved exposure corrects where it does.

Pure: places, times and settings in, a verdict or a place out.

References
----------
.. [1] ASCOM Standard, ITelescopeV4.SideOfPier: a telescope east of its pier looks west
   in the mount's normal state, one west of it looks east.
.. [2] Rodrigues' rotation formula: the turn that takes one direction to another.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from toros.config.observing import Limits
from toros.devices.protocols import PierSide, Pointing
from toros.errors import BeyondLimit, PointingFailed
from toros.sky.observability import LocalSky
from toros.sky.site import Site

FARTHEST_DEG = 10.0

_SUN_IS_DOWN_DEG = -6.0
_STEP_S = 60.0
_NONE_H = 12.0  # the setting for no such limit
_SETTINGS = "Telescope / Limits"

Array = npt.NDArray[np.float64]


def check_limits(
    place: Pointing,
    site: Site,
    moment: datetime,
    limits: Limits,
    *,
    for_s: float = 0.0,
    pier_side: PierSide | None = None,
) -> None:
    """Make sure that the telescope may point at a place, and go on doing so.

    Parameters
    ----------
    place : Pointing
        ICRS [deg].
    site : Site
        With its horizon's mask.
    moment : datetime
        When the telescope points there, or begins to.
    limits : Limits
        The settings.
    for_s : float
        How long it then tracks [s].
    pier_side : PierSide, optional
        Where a German mount has its telescope now. Without it, as before a slew, it is
        taken to be where it belongs at `moment`.

    Raises
    ------
    BeyondLimit
        Naming the limit, the value and when it is passed.
    """
    steps = max(1, math.ceil(for_s / _STEP_S))
    times = [moment + timedelta(seconds=for_s * step / steps) for step in range(steps + 1)]
    for rule in _rules(place, LocalSky(site, times), limits, pier_side):
        if not rule.holds.all():
            at = int(np.argmin(rule.holds))
            when = f" at {times[at]:%Y-%m-%d %H:%M:%S} UTC" if at else ""
            raise BeyondLimit(
                f"RA {place.ra_deg:.4f} Dec {place.dec_deg:+.4f} deg: {rule.what} "
                f"{rule.values[at]:.2f} {rule.unit}{when}; it must be {rule.right}"
            )


class _Rule(NamedTuple):
    """A limit along a track; `holds` where all is well, so that a NaN is refused."""

    holds: npt.NDArray[np.bool_]
    what: str
    values: Array
    unit: str
    right: str


def _rules(
    place: Pointing, sky: LocalSky, limits: Limits, pier_side: PierSide | None
) -> Iterator[_Rule]:
    stars = sky.place([place.ra_deg], [place.dec_deg])
    altitude, hours, sun = (of(stars)[0] for of in (sky.altitude, sky.hour_angle, sky.sun_distance))
    lowest = limits.altitude_deg
    right = f"at least {lowest:g} ({_SETTINGS} / Altitude (deg))"
    yield _Rule(altitude >= lowest, "altitude", altitude, "deg", right)
    mask = sky.site.horizon_altitude(sky.azimuth(stars)[0])
    right = f"above the horizon's mask, there up to {mask.max():.1f} ({_SETTINGS} / Horizon)"
    yield _Rule(altitude >= mask, "altitude", altitude, "deg", right)
    nearest = limits.sun_distance_deg
    right = f"at least {nearest:g} ({_SETTINGS} / Sun Distance (deg))"
    away = (sun >= nearest) | (sky.sun_altitude <= _SUN_IS_DOWN_DEG)
    yield _Rule(away, "distance from the sun", sun, "deg", right)
    if limits.hour_angle_h < _NONE_H:
        right = f"within {limits.hour_angle_h:g} ({_SETTINGS} / Hour Angle (h))"
        yield _Rule(abs(hours) <= limits.hour_angle_h, "hour angle", hours, "h", right)
    if limits.pier_past_h < _NONE_H:
        past = past_meridian(hours, pier_side)
        right = f"at most {limits.pier_past_h:g} ({_SETTINGS} / Past Meridian (h))"
        yield _Rule(past <= limits.pier_past_h, "past the meridian by", past, "h", right)


def past_meridian(hours: Array, pier_side: PierSide | None) -> Array:
    """Return how far past the meridian a German mount is along a track.

    Parameters
    ----------
    hours : ndarray, shape (t,) [h]
        Hour angles of the track, -12 to 12, positive to the west.
    pier_side : PierSide or None
        Where the telescope is; where unknown, on the side that suits the first of `hours`.

    Returns
    -------
    ndarray, shape (t,) [h]
        Negative before the meridian; at 0 the counterweight is level with the telescope,
        at the meridian as well as below the pole.
    """
    looks_east = hours[0] < 0
    if pier_side in {PierSide.EAST, PierSide.WEST}:
        looks_east = pier_side is PierSide.WEST
    # On either side the counterweight hangs straight down six hours from the meridian.
    down = -6.0 if looks_east else 6.0
    return np.asarray(abs((hours - down + 12) % 24 - 12) - 6)


@dataclass(frozen=True)
class Correction:
    """What a solved exposure says about the pointing.

    Attributes
    ----------
    east_arcsec, north_arcsec : float [arcsec]
        Where the telescope points, seen from where it should.
    separation_arcsec : float [arcsec]
        How far that is.
    good : bool
        Whether that is within the tolerance.
    slew_to : Pointing
        What to tell the mount next so that it points where it should: its error here is
        taken off. ICRS [deg].
    sync_to : Pointing
        Where it points, for mounts that are told so instead, and then slewed again.
    """

    east_arcsec: float
    north_arcsec: float
    separation_arcsec: float
    good: bool
    slew_to: Pointing
    sync_to: Pointing


def correct(
    found: Pointing,
    wanted: Pointing,
    *,
    told: Pointing | None = None,
    tolerance_arcsec: float,
    farthest_deg: float = FARTHEST_DEG,
) -> Correction:
    """Compare where the telescope points with where it should.

    Parameters
    ----------
    found : Pointing
        The centre of a solved exposure, ICRS [deg].
    wanted : Pointing
        The target, ICRS [deg].
    told : Pointing, optional
        What the mount was told last; `wanted` by default.
    tolerance_arcsec : float
        What is nearer is good enough [arcsec].
    farthest_deg : float
        An error that is larger has another cause than pointing; it is left to a person.

    Raises
    ------
    PointingFailed
        The telescope is farther off than `farthest_deg`.
    """
    at, to = _unit(found), _unit(wanted)
    separation = math.degrees(math.atan2(float(np.linalg.norm(np.cross(at, to))), float(at @ to)))
    if not separation <= farthest_deg:
        raise PointingFailed(
            f"the telescope points at RA {found.ra_deg:.4f} Dec {found.dec_deg:+.4f} deg, "
            f"{separation:.1f} deg from where it should; more than {farthest_deg:g} deg is not "
            "corrected: check the mount's time, site and alignment"
        )
    ra = math.radians(wanted.ra_deg)
    east = np.array([-math.sin(ra), math.cos(ra), 0.0])
    return Correction(
        east_arcsec=3600 * math.degrees(math.atan2(float(at @ east), float(at @ to))),
        north_arcsec=3600 * math.degrees(math.asin(float(at @ np.cross(to, east)))),
        separation_arcsec=3600 * separation,
        good=3600 * separation <= tolerance_arcsec,
        slew_to=_place(_turn(at, to, _unit(told or wanted))),
        sync_to=found,
    )


def _unit(place: Pointing) -> Array:
    ra, dec = math.radians(place.ra_deg), math.radians(place.dec_deg)
    across = math.cos(dec)
    return np.array([across * math.cos(ra), across * math.sin(ra), math.sin(dec)])


def _place(vector: Array) -> Pointing:
    x, y, z = vector.tolist()
    ra, dec = math.atan2(y, x), math.atan2(z, math.hypot(x, y))
    return Pointing(math.degrees(ra) % 360, math.degrees(dec))


def _turn(start: Array, end: Array, vector: Array) -> Array:
    """Apply the turn that takes `start` to `end`, without a twist; unit vectors [2]_."""
    axis = np.cross(start, end)  # its length is the turn's sine
    cosine = float(start @ end)
    along = axis * float(axis @ vector) / (1 + cosine)
    return np.asarray(vector * cosine + np.cross(axis, vector) + along)
