"""Places on the sky and nested HEALPix pixels."""

from __future__ import annotations

import healpix
import numpy as np
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
    lon = np.atleast_1d(np.asarray(ra_deg, dtype=np.float64))
    lat = np.atleast_1d(np.asarray(dec_deg, dtype=np.float64))
    found = healpix.ang2pix(1 << order, lon, lat, nest=True, lonlat=True)
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
    orders, indices = np.broadcast_arrays(np.asarray(order, np.int64), np.asarray(index, np.int64))
    lon, lat = np.empty(orders.shape), np.empty(orders.shape)
    for each in np.unique(orders).tolist():
        here = orders == each
        lon[here], lat[here] = healpix.pix2ang(1 << each, indices[here], nest=True, lonlat=True)
    return lon % 360.0, lat
