"""Where ICRS places stand above a site, over a grid of times.

A `LocalSky` is made once for a night and asked for many targets::

    sky = LocalSky(site, night.grid(60.0))
    stars = sky.place(ra_deg, dec_deg)
    altitude = sky.altitude(stars)          # shape (targets, times)

References
----------
Pickering, K. A. (2002), "The Southern Limits of the Ancient Star Catalog", DIO 12, 3 (airmass).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from toros.sky.earth import Moments, Turning, unix_seconds
from toros.sky.site import Array, Site


def airmass(altitude_deg: npt.ArrayLike) -> Array:
    """Return the airmass at some geometric altitudes.

    Parameters
    ----------
    altitude_deg : array_like, any shape [deg]

    Returns
    -------
    ndarray, same shape
        Infinite below the horizon. Within 0.4 % of 1 / sin(altitude) above 30 degrees.

    References
    ----------
    Pickering (2002), page 22: 1 / sin(h + 244 / (165 + 47 h^1.1)), h in degrees.
    """
    altitude = np.asarray(altitude_deg, dtype=float)
    above = np.maximum(altitude, 0.0)
    result = 1.0 / np.sin(np.radians(above + 244.0 / (165.0 + 47.0 * above**1.1)))
    return np.asarray(np.where(altitude >= 0.0, np.maximum(result, 1.0), np.inf))


def separation(first: Array, second: Array) -> Array:
    """Return the angle between unit vectors [deg]; the last axis, of 3, is theirs."""
    chord = np.linalg.norm(first - second, axis=-1)
    return np.asarray(np.degrees(2.0 * np.arcsin(np.clip(chord / 2.0, 0.0, 1.0))))


class LocalSky:
    """The sky above a site at a grid of times.

    Parameters
    ----------
    site : Site
    moments : datetime, or iterable of them, or ndarray of POSIX seconds [s, UTC]
        The grid of t times; at most some weeks.
    """

    def __init__(self, site: Site, moments: Moments) -> None:
        self.site = site
        self.unix_s = unix_seconds(moments)
        self.earth = Turning(site, self.unix_s)

    def place(self, ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> Array:
        """Return what the other methods take for n targets.

        Parameters
        ----------
        ra_deg, dec_deg : array_like, shape (n,)
            ICRS [deg].

        Returns
        -------
        ndarray, shape (n, 3)
            Apparent unit vectors of the grid's date (CIRS).
        """
        return self.earth.apparent(ra_deg, dec_deg)

    def altitude(self, places: Array) -> Array:
        """Return the geometric altitudes [deg], shape (n, t)."""
        return _altitude(places @ self.earth.up.T)

    def azimuth(self, places: Array) -> Array:
        """Return the azimuths from north over east [deg], 0 to 360, shape (n, t)."""
        return _azimuth(places @ self.earth.east.T, places @ self.earth.north.T)

    def hour_angle(self, places: Array) -> Array:
        """Return the hour angles, positive to the west [h], -12 to 12, shape (n, t)."""
        ra = np.arctan2(places[:, 1], places[:, 0])[:, None]
        hours = np.degrees(self.earth.rotation[None, :] - ra) / 15.0
        return np.asarray((hours + 12.0) % 24.0 - 12.0)

    def moon_distance(self, places: Array) -> Array:
        """Return the distances from the moon as the site sees it [deg], shape (n, t)."""
        return _angle(places @ self.earth.moon.T)

    def sun_distance(self, places: Array) -> Array:
        """Return the distances from the sun [deg], shape (n, t)."""
        return _angle(places @ self.earth.sun.T)

    def above_horizon(self, places: Array) -> npt.NDArray[np.bool_]:
        """Tell where targets stand above the site's horizon mask, shape (n, t)."""
        altitude = self.altitude(places)
        if not self.site.horizon:
            return altitude > 0.0
        return np.asarray(altitude >= self.site.horizon_altitude(self.azimuth(places)))

    @property
    def sun_altitude(self) -> Array:
        """The geometric altitude of the sun's centre [deg], shape (t,)."""
        return _altitude(np.sum(self.earth.sun * self.earth.up, axis=-1))

    @property
    def moon_altitude(self) -> Array:
        """The geometric altitude of the moon's centre, with its parallax [deg], shape (t,)."""
        return _altitude(np.sum(self.earth.moon * self.earth.up, axis=-1))

    @property
    def moon_azimuth(self) -> Array:
        """The azimuth of the moon [deg], shape (t,)."""
        moon, earth = self.earth.moon, self.earth
        return _azimuth(np.sum(moon * earth.east, axis=-1), np.sum(moon * earth.north, axis=-1))

    @property
    def moon_illumination(self) -> Array:
        """The illuminated fraction of the moon's disc, shape (t,), 0 to 1."""
        return self.earth.moon_illumination


def _altitude(sine: Array) -> Array:
    return np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0)))


def _azimuth(east: Array, north: Array) -> Array:
    return np.asarray(np.degrees(np.arctan2(east, north)) % 360.0)


def _angle(cosine: Array) -> Array:
    return np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
