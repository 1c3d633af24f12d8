"""Index files of astrometry.net: where they are, and the stars in them.

Debian's astrometry-data-tycho2 has indexes made of the Tycho-2 catalogue. The densest,
number 07, doubles as a catalogue of 1.87 million stars down to VT = 12 or so.

References
----------
.. [1] Lang, D., et al., 2010, AJ 139, 1782: astrometry.net and its index files.
.. [2] Hog, E., et al., 2000, A&A 355, L27: Tycho-2; VT is its visual magnitude.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from toros.errors import ConfigurationError

DEBIAN_FOLDER = Path("/usr/share/astrometry")
PACKAGE = "astrometry-data-tycho2"

Column = NDArray[np.float64]


@dataclass(frozen=True)
class Stars:
    """Stars of a catalogue.

    Attributes
    ----------
    ra, dec : ndarray, shape (n,) [deg]
        ICRS, at the catalogue's epoch.
    mag : ndarray, shape (n,) [mag]
        In the catalogue's band, VT for Tycho-2; NaN where it has none.
    """

    ra: Column
    dec: Column
    mag: Column


def index_files(folder: Path | None = None) -> list[Path]:
    """Return the index files of a folder, by default of Debian's.

    Raises
    ------
    ConfigurationError
        There are none.
    """
    where = DEBIAN_FOLDER if folder is None else folder
    found = sorted(where.glob("index-*.fits"))
    if not found:
        raise ConfigurationError(
            f"no index files (index-*.fits) in {where}, which plate solving needs: install "
            f"those of Debian with  apt-get install {PACKAGE}  or name another Index Folder"
        )
    return found


def tycho_catalogue(files: list[Path]) -> Path | None:
    """Return the index file that doubles as a catalogue, where it is among `files`."""
    return next((path for path in files if path.name.startswith("index-tycho2-07.")), None)


def read_stars(path: Path, ra_deg: float, dec_deg: float, radius_deg: float) -> Stars:
    """Read the stars around a place from an index of Tycho-2.

    Parameters
    ----------
    path : Path
        What `tycho_catalogue` returns.
    ra_deg, dec_deg : float, ICRS [deg]
    radius_deg : float [deg]

    Raises
    ------
    ConfigurationError
        The file is no such index.
    """
    try:
        with fits.open(path, memmap=False) as hdus:
            at = {hdu.columns.names[0]: hdu for hdu in hdus[1:] if hdu.columns.names}
            stars, bounds = at["kdtree_data_stars"], at["kdtree_range_stars"]
            count = int(stars.header["NAXIS2"])
            # The tree keeps places on the unit sphere as whole numbers of a step, as the
            # machine has them that wrote it.
            raw = _raw(path, stars, "<u4", 3 * count).reshape(count, 3)
            low, scale = _raw(path, bounds, "<f8", 7)[[0, 6]]
            mag = _raw(path, at["MAG_VT"], ">f4", count)
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise ConfigurationError(
            f"{path}: no readable star index ({error}); install {PACKAGE} again"
        ) from error
    ra, dec = np.radians((ra_deg, dec_deg))
    centre = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    # |v - c|^2 = 2 - 2 v.c <= (2 sin(r/2))^2, in the tree's own numbers.
    cosine = raw.astype(np.float32) @ (centre / scale).astype(np.float32) + low * centre.sum()
    near = cosine >= np.cos(np.radians(radius_deg)) - 1e-5
    vector = raw[near] / scale + low
    cosine = vector @ centre
    inside = cosine >= np.cos(np.radians(radius_deg))
    vector = vector[inside]
    return Stars(
        ra=np.degrees(np.arctan2(vector[:, 1], vector[:, 0])) % 360,
        dec=np.degrees(np.arcsin(np.clip(vector[:, 2], -1, 1))),
        mag=mag[near][inside].astype(np.float64),
    )


def _raw(path: Path, hdu: fits.BinTableHDU, dtype: str, count: int) -> NDArray[np.generic]:
    """Return a table's bytes, which are not always what its header calls them."""
    values = np.fromfile(path, dtype=dtype, count=count, offset=hdu.fileinfo()["datLoc"])
    if len(values) != count:
        raise ValueError(f"the file ends within {hdu.columns.names[0]}")
    return values
