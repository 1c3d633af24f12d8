"""Directions in a mount's own equatorial system, to ICRS and back.

A mount's topocentric place is taken for the geocentric apparent place (true
equator and equinox of date): precession, nutation, aberration and the deflection
of light by the sun are in it. What differs is far below any mount's pointing:
diurnal aberration, 0.3 arcsec, and refraction where the mount counts it in. Nothing
but the date is needed: neither the site nor the earth's orientation, so no table
that ends.

References
----------
IAU 2006/2000A precession and nutation: ERFA's ``atci13`` and ``atic13``
(SOFA Astrometry Tools, section 4), RA from the equinox by the equation of the origins.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from typing import Any

import erfa
import numpy as np

from toros.devices.protocols import Pointing


class EquatorialSystem(Enum):
    """What a mount's right ascension and declination count from; Alpaca's numbers."""

    OTHER = 0
    OF_DATE = 1
    J2000 = 2
    J2050 = 3
    B1950 = 4


_JD_2000 = 2451545.0
_NOON_2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)
# TT - UTC since 2017 [s]; another leap second would shift a place by less than 0.0001 arcsec.
_TT_MINUS_UTC_S = 69.184


def to_icrs(system: EquatorialSystem, ra_deg: float, dec_deg: float, moment: datetime) -> Pointing:
    """Turn a mount's direction into ICRS.

    Parameters
    ----------
    system : EquatorialSystem
        That of `ra_deg` and `dec_deg`; `OTHER`, and J2000 within 0.03 arcsec, are taken for ICRS.
    ra_deg, dec_deg : float
        [deg]
    moment : datetime, aware
        When the mount points there.
    """
    if system is EquatorialSystem.OF_DATE:
        days = _days(moment)
        origins = erfa.eo06a(_JD_2000, days)
        ra, dec, _ = erfa.atic13(np.radians(ra_deg) + origins, np.radians(dec_deg), _JD_2000, days)
        return _pointing(ra, dec)
    if system in (EquatorialSystem.J2050, EquatorialSystem.B1950):
        from astropy.coordinates import SkyCoord

        place = SkyCoord(ra_deg, dec_deg, unit="deg", frame=_frame(system)).icrs
        return _pointing(place.ra.rad, place.dec.rad)
    return Pointing(_turned(ra_deg), dec_deg)


def from_icrs(system: EquatorialSystem, target: Pointing, moment: datetime) -> tuple[float, float]:
    """Turn a direction, ICRS, into a mount's right ascension and declination.

    Returns
    -------
    tuple of float
        Right ascension, 0 <= ra < 360, and declination [deg].
    """
    if system is EquatorialSystem.OF_DATE:
        # No proper motion, no parallax, no radial velocity.
        ra, dec, origins = erfa.atci13(
            np.radians(target.ra_deg), np.radians(target.dec_deg), 0, 0, 0, 0, _JD_2000,
            _days(moment),
        )  # fmt: skip
        return _pointing(ra - origins, dec)
    if system in (EquatorialSystem.J2050, EquatorialSystem.B1950):
        from astropy.coordinates import SkyCoord

        place = SkyCoord(*target, unit="deg").transform_to(_frame(system))
        return _pointing(place.ra.rad, place.dec.rad)
    return Pointing(_turned(target.ra_deg), target.dec_deg)


def _frame(system: EquatorialSystem) -> Any:
    """Return astropy's frame; importing it takes a second that few mounts are worth."""
    from astropy.coordinates import FK4, FK5

    if system is EquatorialSystem.B1950:
        return FK4(equinox="B1950")
    return FK5(equinox="J2050")


def _days(moment: datetime) -> float:
    """Return the days from J2000 on, in TT."""
    return ((moment - _NOON_2000).total_seconds() + _TT_MINUS_UTC_S) / 86400.0


def _pointing(ra: float, dec: float) -> Pointing:
    return Pointing(_turned(float(np.degrees(ra))), float(np.degrees(dec)))


def _turned(angle_deg: float) -> float:
    """Bring an angle to 0 <= angle < 360 [deg]; the remainder of a tiny negative one is 360."""
    turned = angle_deg % 360.0
    return 0.0 if turned == 360.0 else turned
