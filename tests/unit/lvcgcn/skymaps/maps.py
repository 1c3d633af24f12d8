"""FITS files of sky maps, made as a test wants them."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import ArrayLike, NDArray

ORDER = 3
PIXELS = 12 << 2 * ORDER
MULTI_ORDER = {"ORDERING": "NUNIQ", "COORDSYS": "C", "INDXSCHM": "EXPLICIT"}
FLAT = {"ORDERING": "NESTED", "COORDSYS": "C", "INDXSCHM": "IMPLICIT"}


def fits_file(
    columns: Mapping[str, ArrayLike],
    cards: Mapping[str, Any],
    per_row: int = 1,
    packed: bool = False,
) -> bytes:
    """Return a FITS file with a table."""
    made = []
    for name, values in columns.items():
        array = np.asarray(values)
        form = {"u8": "K", "i8": "K", "i4": "J", "f4": "E", "f8": "D"}[array.dtype.str[1:]]
        zero = 2**63 if array.dtype.kind == "u" else None
        if per_row > 1:
            array = array.reshape(-1, per_row)
            form = f"{per_row}{form}"
        made.append(fits.Column(name, form, array=array, bzero=zero))
    content = BytesIO()
    table = fits.BinTableHDU.from_columns(made, fits.Header(list(cards.items())))
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(content)
    return gzip.compress(content.getvalue(), 1) if packed else content.getvalue()


def uniform_tiles() -> dict[str, NDArray[Any]]:
    """Return the columns of a multi-order map of equal tiles without distance."""
    return {
        "UNIQ": np.arange(PIXELS) + (4 << 2 * ORDER),
        "PROBDENSITY": np.full(PIXELS, 1 / (4 * np.pi)),
    }


def spot(nside: int, nested: bool = True, seed: int = 1) -> NDArray[np.float64]:
    """Return the probabilities of a flat map, no two alike: a Gaussian of 8 degrees."""
    from astropy_healpix.core import healpix_to_lonlat

    index = np.arange(12 * nside**2)
    lon, lat = healpix_to_lonlat(index, nside, order="nested" if nested else "ring")
    cosine = np.sin(lat.rad) * np.sin(0.4) + np.cos(lat.rad) * np.cos(0.4) * np.cos(lon.rad - 2)
    probability = np.exp((cosine - 1) / np.radians(8) ** 2)
    return probability / probability.sum()
