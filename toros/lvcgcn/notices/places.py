"""Positions and sky maps, as the missions state them."""

from __future__ import annotations

from urllib.parse import urlsplit

from toros.lvcgcn.notices.fields import as_address, as_number, is_link, refuse
from toros.lvcgcn.notices.notice import Position, SkyMapSource
from toros.lvcgcn.notices.xml_text import Coordinates

GBM_SYSTEMATIC_DEG = 3.7
"""Systematic error of a Fermi GBM position [deg], 1 sigma.

References
----------
Connaughton et al. 2015, ApJS 216, 32: 3.7 deg for nine in ten, up to 14 deg for the rest.
"""

_FITS_ENDINGS = (".fits", ".fit", ".fits.gz", ".fit.gz")
_DEGREES = ("deg", "degree", "degrees", "")


def position_of(
    ra: float,
    dec: float,
    error: float,
    containment: float | None,
    systematic: float = 0.0,
) -> Position:
    """Make a position of ICRS or J2000 degrees (they agree to 0.1").

    A radius that is zero or less says that there is none.

    Raises
    ------
    NoticeRefused
    """
    as_number("right ascension", ra, 0, 360)
    as_number("declination", dec, -90, 90)
    error = max(0.0, as_number("error radius", error, high=180))
    if error == 0:
        containment, systematic = None, 0.0
    return Position(ra % 360.0, dec, error, containment, systematic)


def position_of_voevent(
    coordinates: Coordinates | None, containment: float | None, systematic: float = 0.0
) -> Position | None:
    """Make a position of a VOEvent's coordinates.

    Returns
    -------
    Position or None
        None for none, for zeros, which stand for none, and for another system.

    Raises
    ------
    NoticeRefused
    """
    if coordinates is None or not ("FK5" in coordinates.system or "ICRS" in coordinates.system):
        return None
    if coordinates.unit not in _DEGREES:
        refuse("unit of the position", coordinates.unit, "deg")
    ra = as_number("right ascension (C1)", coordinates.first)
    dec = as_number("declination (C2)", coordinates.second)
    error = as_number("Error2Radius", coordinates.error) if coordinates.error else 0.0
    if ra == dec == error == 0:
        return None
    return position_of(ra, dec, error, containment, systematic)


def sky_map_at(field: str, address: object) -> SkyMapSource | None:
    """Take the address of a sky map; None where it leads to no FITS file.

    Fermi GBM gives its plot's address, beside which the map stands.
    """
    link = as_address(field, address)
    if not is_link(link):
        return None
    if "/glg_locplot_" in link and link.endswith(".png"):
        link = link.replace("/glg_locplot_", "/glg_healpix_").removesuffix(".png") + ".fit"
    path = urlsplit(link).path.partition(",")[0]
    return SkyMapSource(url=link) if path.endswith(_FITS_ENDINGS) else None
