"""The catalogue that comes with the package: the galaxies of OpenNGC, from PyOngc.

About ten thousand galaxies of the NGC and IC catalogues, with redshifts, B and K
magnitudes: enough for the nearest events, and for a robot to work on a fresh machine.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from toros.errors import CatalogueRefused
from toros.lvcgcn.galaxies.batches import Batch, fill
from toros.lvcgcn.galaxies.building import build_from
from toros.lvcgcn.galaxies.catalogue import Catalogue
from toros.lvcgcn.galaxies.columns import DISTANCE_SPECTROSCOPIC, record_type
from toros.lvcgcn.galaxies.mapping import LIGHT_KM_S
from toros.lvcgcn.galaxies.reading import HUBBLE
from toros.lvcgcn.galaxies.tables import NAME_BYTES

LEAST_REDSHIFT = 0.0005
"""Below it (150 km/s) a galaxy's own motion makes Hubble's law worthless."""

QUERY = "SELECT name, ra, dec, bmag, kmag, redshift FROM objects WHERE type = 'G' ORDER BY id"


def packaged(folder: Path, made: datetime) -> Catalogue:
    """Open the packaged catalogue, made at its first use and when PyOngc has a new version.

    Parameters
    ----------
    folder : Path
        Where it is kept, of its own.
    made : datetime
        The time now.

    Raises
    ------
    CatalogueRefused
        PyOngc's data cannot be read, or another process is making the catalogue just now.
    DiskFull, StorageFailed
    """
    name = f"OpenNGC (PyOngc {version('pyongc')})"
    try:
        catalogue = Catalogue.open(folder)
        if catalogue.facts["source"]["name"] == name:
            return catalogue
    except CatalogueRefused:
        pass  # there is none yet, or one that cannot be used: it is made anew
    return build_from([_galaxies()], folder, {"name": name, "form": "pyongc", "bytes": 0}, made)


def _galaxies() -> Batch:
    try:
        with as_file(files("pyongc") / "ongc.db") as path:
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            try:
                rows = connection.execute(QUERY).fetchall()
            finally:
                connection.close()
    except (sqlite3.Error, OSError, ModuleNotFoundError) as error:
        raise CatalogueRefused(
            f"PyOngc's table of galaxies cannot be read ({error}); install PyOngc 1.2 or newer"
        ) from error
    names, *columns = zip(*rows, strict=True)
    ra, dec, b, k, redshift = (np.array(column, dtype=np.float64) for column in columns)
    far = redshift > LEAST_REDSHIFT
    values = {
        "ra": np.degrees(ra),
        "dec": np.degrees(dec),
        "name": np.array([name.encode() for name in names], dtype=f"S{NAME_BYTES}"),
        "b_magnitude": b,
        "k_magnitude": k,
        "distance": np.where(far, redshift * LIGHT_KM_S / HUBBLE, np.nan),
        "flags": np.where(far, DISTANCE_SPECTROSCOPIC, 0),
    }
    batch = Batch(np.empty(0, dtype=record_type(NAME_BYTES)), lines=len(rows))
    fill(batch, np.arange(1, len(rows) + 1), values, NAME_BYTES)
    return batch
