"""The ranking alone against ligo.skymap's crossmatch, on the same catalogue and map."""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np


def main(folder: str, area_deg2: float, distance_mpc: float, seed: int) -> None:
    """Measure both, compare what they say, and print it as JSON."""
    from astropy import units as u
    from astropy.coordinates import SkyCoord
    from ligo.skymap.io import read_sky_map as read_theirs
    from ligo.skymap.postprocess import crossmatch

    from benchmarks.alerts.predecessor import peak_memory_mb
    from toros.lvcgcn.galaxies.catalogue import Catalogue
    from toros.lvcgcn.ranking import rank
    from toros.lvcgcn.skymaps.reading import read_sky_map
    from toros.simulation.sky_maps import make_sky_map

    raw = make_sky_map(215.0, 35.0, distance_mpc, area_deg2, seed=seed)
    catalogue = Catalogue.open(Path(folder))
    catalogue.warm()
    ours = read_sky_map(raw)
    theirs = read_theirs(io.BytesIO(raw), moc=True)
    seconds = []
    for _ in range(7):
        began = time.perf_counter()
        rank(ours, catalogue).best(100)
        seconds.append(time.perf_counter() - began)
    rows = np.flatnonzero(np.isfinite(catalogue.columns["distance"]))
    ra, dec = catalogue.positions(rows)
    coordinates = SkyCoord(ra * u.deg, dec * u.deg, catalogue.columns["distance"][rows] * u.Mpc)
    crossmatch(theirs, coordinates[:1000])
    began = time.perf_counter()
    crossmatch(theirs, coordinates, contours=[0.9])
    peer = time.perf_counter() - began
    told = {
        "area_deg2": area_deg2,
        "galaxies": len(rows),
        "ours_s": float(np.median(seconds)),
        "theirs_s": peer,
        "ratio": peer / float(np.median(seconds)),
        "theirs_mb": peak_memory_mb(),
        **_agreement(ours, theirs),
    }
    print(json.dumps(told))


def _agreement(ours: Any, theirs: Any) -> dict[str, float]:
    """Compare dP/dV of galaxies at the distances of ligo.skymap's bins.

    It has 1000 bins up to six times the mean distance, or up to the farthest galaxy; a galaxy is
    given the value at the beginning of its bin.
    """
    from astropy import units as u
    from astropy.coordinates import SkyCoord
    from ligo.skymap import distance as theirs_distance
    from ligo.skymap import moc
    from ligo.skymap.postprocess import crossmatch

    from tests.galaxy_fields import make_catalogue
    from toros.lvcgcn.ranking import Selection, rank

    area = moc.uniq2pixarea(theirs["UNIQ"])
    mean, _ = theirs_distance.parameters_to_marginal_moments(
        np.asarray(theirs["PROBDENSITY"]) * area,
        np.asarray(theirs["DISTMU"]), np.asarray(theirs["DISTSIGMA"]),
    )  # fmt: skip
    step = 6 * mean / 1000
    random = np.random.default_rng(1)
    number = 20_000
    ra = random.uniform(0, 360, number)
    dec = np.degrees(np.arcsin(random.uniform(-1, 1, number)))
    bins = random.integers(50, 400, number)
    places = SkyCoord(ra * u.deg, dec * u.deg, bins * step * (1 + 1e-12) * u.Mpc)
    expected = np.asarray(crossmatch(theirs, places).probdensity_vol)
    with tempfile.TemporaryDirectory() as folder:
        values = {"ra": ra, "dec": dec, "distance": bins * step}
        catalogue = make_catalogue(Path(folder), values)
        best = rank(ours, catalogue, Selection(weight="none")).best(1000)
    theirs_of = expected[[int(name[1:]) for name in best.name]]
    return {
        "compared": len(best),
        "greatest_difference": float(np.abs(best.score / theirs_of - 1).max()),
    }


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
