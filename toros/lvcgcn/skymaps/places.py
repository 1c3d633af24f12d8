"""Places on the sky and nested HEALPix pixels."""

from __future__ import annotations

import numpy as np
from astropy import units
from astropy_healpix.core import healpix_to_lonlat, lonlat_to_healpix
from numpy.typing import ArrayLike, NDArray

from toros.lvcgcn.skymaps.sky_map import FINEST_ORDER

Floats = NDArray[np.float64]


def pixels_of(
    ra_deg: ArrayLike, dec_deg: ArrayLike, order: int = FINEST_ORDER
) -> NDArray[np.int64]:
    """Return the nested pixels of places.

    Parameters
    ----------
    ra_deg, dec_deg : array_like, shape (k,), ICRS [deg]
    order : int, 0 to 29

    Returns
    -------
    ndarray of int64, shape (k,)
    """
    lon = np.atleast_1d(np.asarray(ra_deg, dtype=np.float64)) * units.deg
    lat = np.atleast_1d(np.asarray(dec_deg, dtype=np.float64)) * units.deg
    found = lonlat_to_healpix(lon, lat, 1 << order, order="nested")
    return np.asarray(found, dtype=np.int64)


def centres_of(order: ArrayLike, index: ArrayLike) -> tuple[Floats, Floats]:
    """Return the centres of nested pixels.

    Parameters
    ----------
    order, index : array_like, shape (n,)

    Returns
    -------
    ra_deg, dec_deg : ndarray, shape (n,), ICRS [deg]
    """
    nside = np.int64(1) << np.asarray(order, dtype=np.int64)
    lon, lat = healpix_to_lonlat(np.asarray(index, dtype=np.int64), nside, order="nested")
    return np.asarray(lon.deg), np.asarray(lat.deg)
