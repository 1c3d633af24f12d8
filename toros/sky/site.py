"""A place on the Earth, and the line below which it sees no sky."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Site:
    """An observing site.

    Parameters
    ----------
    longitude_deg : float
        Geodetic longitude (WGS 84), positive to the east [deg], -180 to 360.
    latitude_deg : float
        Geodetic latitude (WGS 84), positive to the north [deg], -90 to 90.
    height_m : float
        Height above the ellipsoid [m].
    horizon : tuple of (azimuth_deg, altitude_deg)
        The horizon's mask: azimuth from north over east [deg] and the lowest altitude seen
        there [deg], in any order, joined by straight lines all around; empty for none.

    Raises
    ------
    ValueError
        Longitude or latitude is no place on the Earth.
    """

    longitude_deg: float
    latitude_deg: float
    height_m: float = 0.0
    horizon: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if not -180 <= self.longitude_deg <= 360:
            raise ValueError(f"longitude_deg is {self.longitude_deg}; it must be -180 to 360")
        if not -90 <= self.latitude_deg <= 90:
            raise ValueError(f"latitude_deg is {self.latitude_deg}; it must be -90 to 90")

    def horizon_altitude(self, azimuth_deg: npt.ArrayLike) -> Array:
        """Return the lowest altitude that is seen at some azimuths [deg].

        Parameters
        ----------
        azimuth_deg : array_like, any shape
            From north over east [deg].

        Returns
        -------
        ndarray, same shape [deg]
            -90 everywhere for a site without a mask.
        """
        azimuths = np.asarray(azimuth_deg, dtype=float)
        if not self.horizon:
            return np.full(azimuths.shape, -90.0)
        points = sorted((azimuth % 360.0, altitude) for azimuth, altitude in self.horizon)
        where, altitude = zip(*points, strict=True)
        return np.asarray(np.interp(azimuths, where, altitude, period=360.0))
