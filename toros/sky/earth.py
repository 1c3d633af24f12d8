"""How the Earth is turned: the places of ICRS directions, sun and moon seen from a site.

Everything that depends on the date only (precession, nutation, aberration) is computed once for
a grid of times, and everything that depends on the time of day is a turn about one axis; an
altitude is then a product of two vectors.

Leap seconds and UT1-UTC come from the tables inside erfa and astropy-iers-data; nothing is ever
downloaded. Outside the table UT1-UTC keeps its nearest value, and an unknown leap second is left
out, which is said once in the log. Either moves the sky by 15 arcseconds for each second of time.

References
----------
IAU SOFA Collection, "SOFA Astrometry Tools", `iauApci13` and `iauAtciqz`; IERS Conventions
(2010), chapter 5 (the CIO-based transformation); Meeus, Astronomical Algorithms, 2nd ed.,
chapter 47, as `iauMoon98`.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import erfa
import numpy as np
import numpy.typing as npt

from toros.sky.site import Array, Site

log = logging.getLogger(__name__)

_UNIX_EPOCH_JD = 2440587.5
_AU_M = 149597870700.0
_LIGHT_AU_PER_DAY = 173.144632674240
_WGS84 = 1
_NODES_DAYS = 0.25
_LEAST_NODES = 8


Moments = datetime | Sequence[datetime] | Array
"""A moment, some moments (naive is UTC), or an array of POSIX seconds [s, UTC]."""


def unix_seconds(moments: Moments) -> Array:
    """Return moments as POSIX seconds [s, UTC], shape (t,)."""
    if isinstance(moments, datetime):
        return np.array([_posix(moments)])
    if isinstance(moments, np.ndarray):
        return np.atleast_1d(np.asarray(moments, dtype=float))
    return np.array([_posix(moment) for moment in moments], dtype=float)


def _posix(moment: datetime) -> float:
    return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).timestamp()


@functools.cache
def _ut1_table() -> tuple[Array, Array]:
    """Return the packaged table: modified Julian dates (UTC) and UT1-UTC [s]."""
    import astropy_iers_data
    from astropy.utils import iers

    table = iers.IERS_A.open(astropy_iers_data.IERS_A_FILE)
    return np.asarray(table["MJD"].value, float), np.asarray(table["UT1_UTC"].value, float)


@functools.cache
def _say_once(what: str) -> None:
    log.warning("%s", what)


@contextlib.contextmanager
def _far_dates() -> Iterator[None]:
    """Let dates pass that erfa calls dubious: beyond its leap seconds, or 1900 to 2100."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", erfa.ErfaWarning)
        yield


def ut1_minus_utc(unix_s: float) -> float:
    """Return UT1-UTC [s] at a POSIX time, the table's nearest where it ends."""
    dates, values = _ut1_table()
    mjd = unix_s / 86400.0 + 40587.0
    if not dates[0] <= mjd <= dates[-1]:
        _say_once(
            "a date lies outside the packaged table of the Earth's rotation (IERS); its nearest "
            "value is used, and altitudes are off by 15 arcseconds for each second that is wrong"
        )
    return float(np.interp(mjd, dates, values))


def tt_minus_utc(unix_s: float) -> float:
    """Return TT-UTC [s] at a POSIX time; the latest leap second known holds ever after."""
    year, month, day, _ = erfa.jd2cal(_UNIX_EPOCH_JD, unix_s / 86400.0)
    with _far_dates():
        return float(erfa.dat(int(year), int(month), int(day), 0.0)) + 32.184


def _earth_at(tt_days: Array) -> Array:
    """Heliocentric place [au] and barycentric velocity [au/d] of the Earth, shape (t, 6)."""
    with _far_dates():
        heliocentric, barycentric = erfa.epv00(_UNIX_EPOCH_JD, tt_days)
    return np.concatenate([heliocentric["p"], barycentric["v"]], axis=-1)


def _moon_at(tt_days: Array) -> Array:
    """Geocentric place of the moon [au], shape (t, 3)."""
    return np.asarray(erfa.moon98(_UNIX_EPOCH_JD, tt_days)["p"])


def _along(tt_days: Array, ephemeris: Callable[[Array], Array]) -> Array:
    """Return an ephemeris at many times, as a curve through some of them.

    A time costs 40 microseconds (epv00), and the curves are smooth over hours: with a node in
    every six they are within 0.2 arcseconds (the moon) and 0.0001 (the sun).
    """
    if tt_days.size <= _LEAST_NODES:
        return ephemeris(tt_days)
    from scipy.interpolate import CubicSpline

    span = max(float(np.ptp(tt_days)), 0.01)  # the times may all be the same
    count = max(_LEAST_NODES, int(np.ceil(span / _NODES_DAYS)) + 1)
    nodes = tt_days.min() + np.linspace(0.0, span, count)
    return np.asarray(CubicSpline(nodes, ephemeris(nodes))(tt_days))


def unit(ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> Array:
    """Return unit vectors of places, shape (n, 3)."""
    ra, dec = np.radians(np.atleast_1d(ra_deg)), np.radians(np.atleast_1d(dec_deg))
    across = np.cos(dec)
    return np.stack([across * np.cos(ra), across * np.sin(ra), np.sin(dec)], axis=-1)


class Turning:
    """The Earth at a grid of times, as a site on it sees the sky.

    Parameters
    ----------
    site : Site
    unix_s : ndarray, shape (t,) [s, UTC]
        The grid, at most some weeks long: what depends on the date is that of its middle.

    Attributes
    ----------
    up, north, east : ndarray, shape (t, 3)
        The site's directions in the celestial intermediate reference system.
    """

    def __init__(self, site: Site, unix_s: Array) -> None:
        self.site = site
        self.unix_s = unix_s
        middle = float(unix_s.mean()) if unix_s.size else 0.0
        self._tt_days = (unix_s + tt_minus_utc(middle)) / 86400.0
        with _far_dates():
            self._astrom, _ = erfa.apci13(_UNIX_EPOCH_JD, (middle + tt_minus_utc(middle)) / 86400.0)
        ut1_days = (unix_s + ut1_minus_utc(middle)) / 86400.0
        self.rotation = erfa.era00(_UNIX_EPOCH_JD, ut1_days) + np.radians(site.longitude_deg)
        cos, sin = np.cos(self.rotation), np.sin(self.rotation)
        flat, zero = np.radians(site.latitude_deg), np.zeros_like(cos)
        tall, wide = np.sin(flat), np.cos(flat)
        self.up = np.stack([wide * cos, wide * sin, tall + zero], axis=-1)
        self.north = np.stack([-tall * cos, -tall * sin, wide + zero], axis=-1)
        self.east = np.stack([-sin, cos, zero], axis=-1)

    def apparent(self, ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> Array:
        """Return the apparent directions of ICRS places, shape (n, 3), as `up` is."""
        ra, dec = np.radians(np.atleast_1d(ra_deg)), np.radians(np.atleast_1d(dec_deg))
        ra, dec = erfa.atciqz(ra, dec, self._astrom)
        return unit(np.degrees(ra), np.degrees(dec))

    @functools.cached_property
    def _observer(self) -> Array:
        """The site from the geocentre [au], shape (t, 3)."""
        x, _, z = erfa.gd2gc(_WGS84, 0.0, np.radians(self.site.latitude_deg), self.site.height_m)
        turned = [x * np.cos(self.rotation), x * np.sin(self.rotation), z + 0 * self.rotation]
        return np.stack(turned, axis=-1) / _AU_M

    @functools.cached_property
    def _earth(self) -> tuple[Array, Array]:
        """Heliocentric place [au] and barycentric velocity [au/d] of the Earth, shape (t, 3)."""
        both = _along(self._tt_days, _earth_at)
        return both[:, :3], both[:, 3:]

    def _seen(self, vector: Array) -> Array:
        """Turn geocentric vectors [au] of the date's grid into directions as `up` is."""
        seen = vector @ self._astrom["bpn"].T - self._observer
        return np.asarray(seen / np.linalg.norm(seen, axis=-1, keepdims=True))

    @functools.cached_property
    def sun(self) -> Array:
        """The sun's apparent directions, shape (t, 3)."""
        place, velocity = self._earth
        distance = np.linalg.norm(place, axis=-1, keepdims=True)
        return self._seen(-place + distance * velocity / _LIGHT_AU_PER_DAY)  # aberration

    @functools.cached_property
    def _moon_geocentric(self) -> Array:
        return _along(self._tt_days, _moon_at)

    @functools.cached_property
    def moon(self) -> Array:
        """The moon's apparent directions, with its parallax, shape (t, 3)."""
        return self._seen(self._moon_geocentric)

    @functools.cached_property
    def moon_illumination(self) -> Array:
        """The illuminated fraction of the moon's disc, shape (t,), 0 to 1.

        References
        ----------
        Meeus, Astronomical Algorithms, 2nd ed., equation 48.1.
        """
        return np.asarray((1.0 + np.cos(self.moon_phase_angle)) / 2.0)

    @functools.cached_property
    def moon_phase_angle(self) -> Array:
        """The angle sun - moon - Earth [rad], shape (t,); 0 at full moon."""
        moon = self._moon_geocentric
        to_sun = -self._earth[0] - moon
        cosine = -np.sum(to_sun * moon, axis=-1)
        cosine /= np.linalg.norm(to_sun, axis=-1) * np.linalg.norm(moon, axis=-1)
        return np.asarray(np.arccos(np.clip(cosine, -1.0, 1.0)))
