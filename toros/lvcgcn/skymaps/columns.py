"""A sky map's columns, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toros.errors import SkyMapRefused
from toros.lvcgcn.skymaps.fits_table import Table

DISTANCES = ("DISTMU", "DISTSIGMA", "DISTNORM")
_FARTHEST_MPC = 1e7  # a thousand times the distance that any detector sees
_LARGEST_NORM = 1e30  # [Mpc-2] of a source in the solar system

Floats = NDArray[np.float64]


def probability_column(table: Table) -> str:
    """Return the name of the column that tells the probability.

    Raises
    ------
    SkyMapRefused
        There is none.
    """
    for name in ("PROBDENSITY", "PROB", "PROBABILITY"):
        if name in table.columns:
            return name
    raise SkyMapRefused("sky map: no column PROBDENSITY, PROB or PROBABILITY")


def checked_probability(values: NDArray[Any], name: str) -> Floats:
    """Return probabilities or densities that are none below 0, NaN or infinite.

    Raises
    ------
    SkyMapRefused
        One of them is.
    """
    # One pass where all is well: NaN and infinite make the extremes so.
    if not (values.min() >= 0 and values.max() < np.inf):
        wrong = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
        raise SkyMapRefused(
            f"sky map: {name} is {values[wrong[0]]:g} in {wrong.size} of its tiles or more; "
            "it must be 0 or a positive number"
        )
    return values.astype(np.float64, copy=False)


def checked_distance(columns: Mapping[str, NDArray[Any]]) -> tuple[Floats, Floats, Floats] | None:
    """Return mu, sigma, norm; None for a map without.

    0, 1, 0 where a tile has no distance, or none that can be.

    Raises
    ------
    SkyMapRefused
        A norm below 0, a width of 0 or below.
    """
    if not columns.keys() >= set(DISTANCES):
        return None
    mu, sigma, norm = (columns[name].astype(np.float64, copy=False) for name in DISTANCES)
    known = (np.abs(mu) < _FARTHEST_MPC) & (np.abs(sigma) < _FARTHEST_MPC)
    known &= (np.abs(norm) < _LARGEST_NORM) & (norm != 0)
    if np.any(wrong := known & (norm < 0)):
        raise SkyMapRefused(f"sky map: DISTNORM is {norm[wrong][0]:g}; it cannot be negative")
    if np.any(wrong := known & (sigma <= 0)):
        raise SkyMapRefused(f"sky map: DISTSIGMA is {sigma[wrong][0]:g}; it must be above 0")
    return np.where(known, mu, 0.0), np.where(known, sigma, 1.0), np.where(known, norm, 0.0)
