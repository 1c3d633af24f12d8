"""How a frame lies on the sky."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray


class Placement(NamedTuple):
    """Where the centre of a frame is, and how the frame lies there."""

    ra_deg: float
    """Right ascension of the centre, ICRS [deg], 0 <= ra < 360."""
    dec_deg: float
    """Declination of the centre, ICRS [deg]."""
    scale_arcsec: float
    """Side of a pixel at the centre [arcsec]."""
    rotation_deg: float
    """Position angle of the y axis (rows counting up), from north over east [deg], 0 to 360."""
    mirrored: bool
    """Whether the frame, drawn with y upwards, is a mirror image of the sky: there east is
    counterclockwise from north."""


def placement(wcs: WCS, shape: tuple[int, int]) -> Placement:
    """Tell how a frame lies on the sky.

    Parameters
    ----------
    wcs : astropy.wcs.WCS
        Of the sky in ICRS.
    shape : (int, int)
        (ny, nx) of the frame [pixel].
    """
    ny, nx = shape
    x, y = (nx - 1) / 2, (ny - 1) / 2
    ra, dec = wcs.all_pix2world([x, x + 0.5, x - 0.5, x, x], [y, y, y, y + 0.5, y - 0.5], 0)
    centre, right, left, up, down = _vectors(ra, dec)
    # How the centre moves on the sky, to the east and to the north, along x and along y.
    turn = np.radians(ra[0])
    to_east = np.array([-np.sin(turn), np.cos(turn), 0.0])
    axes = np.array([to_east, np.cross(centre, to_east)])
    (x_east, x_north), (y_east, y_north) = axes @ (right - left), axes @ (up - down)
    area = float(x_east * y_north - x_north * y_east)
    return Placement(
        ra_deg=float(ra[0]) % 360,
        dec_deg=float(dec[0]),
        scale_arcsec=3600 * math.degrees(math.sqrt(abs(area))),
        rotation_deg=math.degrees(math.atan2(y_east, y_north)) % 360,
        # The sky has east along -x where north is along y.
        mirrored=area > 0,
    )


def _vectors(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return unit vectors, shape (n, 3)."""
    lon, lat = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
