"""Two maps of the sky: Mollweide's for all of it, the tangent plane for a part.

East is to the left, as one sees it from below.

References
----------
Snyder (1987), "Map Projections: A Working Manual", USGS Professional Paper 1395, chapters 22
(gnomonic) and 31 (Mollweide).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from toros.sky.earth import unit
from toros.sky.site import Array

ROOT2 = float(np.sqrt(2.0))
MIDDLE_RA_DEG = 180.0
"""In the middle of the map of all the sky."""


def mollweide(ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> tuple[Array, Array]:
    """Return where places are on an ellipse with the half axes 2 and 1, times the root of 2."""
    lon = np.radians((MIDDLE_RA_DEG - np.asarray(ra_deg, float) + 180.0) % 360.0 - 180.0)
    target = np.pi * np.sin(np.radians(np.asarray(dec_deg, float)))
    # 2 theta + sin 2 theta = pi sin dec; the left side rises, so that halving always finds it.
    low, high = np.full(target.shape, -np.pi / 2.0), np.full(target.shape, np.pi / 2.0)
    for _ in range(40):
        theta = (low + high) / 2.0
        over = 2.0 * theta + np.sin(2.0 * theta) > target
        low, high = np.where(over, low, theta), np.where(over, theta, high)
    theta = (low + high) / 2.0
    return 2.0 * ROOT2 / np.pi * lon * np.cos(theta), ROOT2 * np.sin(theta)


def mollweide_places(x: Array, y: Array) -> tuple[Array, Array]:
    """Return the places at points of the ellipse, ICRS [deg]; NaN outside."""
    inside = (x / 2.0) ** 2 + y**2 < 2.0
    theta = np.arcsin(np.clip(y / ROOT2, -1.0, 1.0))
    sine = (2.0 * theta + np.sin(2.0 * theta)) / np.pi
    with np.errstate(divide="ignore", invalid="ignore"):
        lon = np.degrees(np.pi * x / (2.0 * ROOT2 * np.cos(theta)))
        ra = (MIDDLE_RA_DEG - lon) % 360.0
    dec = np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0)))
    return np.where(inside, ra, np.nan), np.where(inside, dec, np.nan)


@dataclass(frozen=True)
class TangentPlane:
    """The sky around a place as on a plane that touches it there.

    Parameters
    ----------
    ra_deg, dec_deg : float, ICRS [deg]
        Where it touches.
    """

    ra_deg: float
    dec_deg: float

    def _axes(self) -> tuple[Array, Array, Array]:
        ra, dec = np.radians(self.ra_deg), np.radians(self.dec_deg)
        up = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
        east = np.array([-np.sin(ra), np.cos(ra), 0.0])
        return up, east, np.cross(up, east)

    def project(self, ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> tuple[Array, Array]:
        """Return offsets to the east and the north [deg]; NaN more than 80 degrees away."""
        up, east, north = self._axes()
        places = unit(ra_deg, dec_deg)
        depth = places @ up
        depth = np.where(depth > np.cos(np.radians(80.0)), depth, np.nan)
        return np.degrees(places @ east / depth), np.degrees(places @ north / depth)

    def places(self, east_deg: Array, north_deg: Array) -> tuple[Array, Array]:
        """Return the places at offsets [deg], ICRS [deg], same shape."""
        up, east, north = self._axes()
        x, y = np.radians(east_deg)[..., None], np.radians(north_deg)[..., None]
        toward = up + x * east + y * north
        ra = np.degrees(np.arctan2(toward[..., 1], toward[..., 0])) % 360.0
        flat = np.hypot(toward[..., 0], toward[..., 1])
        return ra, np.degrees(np.arctan2(toward[..., 2], flat))
