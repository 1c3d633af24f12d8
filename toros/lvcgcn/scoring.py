"""The score of a galaxy: the probability per volume at its place, times its weight.

dP/dV = rho * norm * N(d; mu, sigma), with the sky map's probability per solid angle
rho and its distance ansatz in the direction of the galaxy, at the galaxy's distance d
[1]_, equation 3. There is no factor d**2: it is in the volume, of which a galaxy takes
no more because it is far. A map without distances gives rho alone.

The distance is taken as it is; its own error widens nothing (see the book's page on the
ranking of galaxies).

References
----------
.. [1] Singer, L. P., et al., 2016, ApJL 829, L15; its supplement, ApJS 226, 10.
.. [2] Ducoin, J.-G., et al., 2020, MNRAS 492, 4768 (weights).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toros.lvcgcn.galaxies.catalogue import Catalogue
from toros.lvcgcn.skymaps.credible import credible_tiles
from toros.lvcgcn.skymaps.sky_map import SkyMap

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

REACH_SIGMA = 5.0
"""How far beyond the nearest and the farthest mu of the region galaxies are considered."""


@dataclass(frozen=True, eq=False)
class Region:
    """The tiles of a credible region that have galaxies, and which.

    A galaxy's number in the region counts the galaxies of all its tiles, in order.

    Attributes
    ----------
    first_row : ndarray of int64, shape (n,)
        First galaxy of each tile.
    edges : ndarray of int64, shape (n + 1,)
        Number in the region of each tile's first galaxy; then how many there are.
    amplitude : ndarray of float64, shape (n,) [1/sr, or 1/(sr Mpc3) with distances]
        rho, or rho * norm / (sqrt(2 pi) sigma).
    mu, sigma : ndarray of float64, shape (n,) [Mpc], or None
    nearest, farthest : float [Mpc]
        The range of distances that is considered.
    """

    first_row: Integers
    edges: Integers
    amplitude: Floats
    mu: Floats | None
    sigma: Floats | None
    nearest: float
    farthest: float

    def __len__(self) -> int:
        return int(self.edges[-1])

    def tiles_of(self, numbers: Integers) -> Integers:
        """Tell the tiles of galaxies, by their numbers in the region."""
        return np.searchsorted(self.edges, numbers, side="right") - 1

    def rows_of(self, numbers: Integers) -> Integers:
        """Tell the rows in the catalogue of galaxies, by their numbers in the region."""
        tile = self.tiles_of(numbers)
        rows: Integers = self.first_row[tile] + (numbers - self.edges[tile])
        return rows


def find_region(sky_map: SkyMap, catalogue: Catalogue, level: float) -> Region:
    """Find the galaxies of a credible region.

    Parameters
    ----------
    sky_map : SkyMap
    catalogue : Catalogue
    level : float, 0 < level <= 1

    Returns
    -------
    Region
        Without the tiles that have no galaxy, or no distance where the map has some.
    """
    chosen = credible_tiles(sky_map, level)
    if sky_map.distance_norm is not None:
        chosen &= sky_map.distance_norm > 0
    tiles = np.flatnonzero(chosen)
    nearest, farthest = _reach(sky_map, tiles)
    ends = catalogue.rows_from(np.concatenate((sky_map.first[tiles], sky_map.last[tiles])))
    first, last = ends[: len(tiles)], ends[len(tiles) :]
    filled = last > first
    tiles, first, last = tiles[filled], first[filled], last[filled]
    edges = np.concatenate(([0], np.cumsum(last - first)))
    amplitude = sky_map.density_sr[tiles]
    mu = sigma = None
    if (
        sky_map.distance_norm is not None
        and sky_map.distance_mu is not None
        and sky_map.distance_sigma is not None
    ):
        mu, sigma = sky_map.distance_mu[tiles], sky_map.distance_sigma[tiles]
        amplitude = amplitude * sky_map.distance_norm[tiles] / (np.sqrt(2 * np.pi) * sigma)
    return Region(first, edges, amplitude, mu, sigma, nearest, farthest)


def _reach(sky_map: SkyMap, tiles: Integers) -> tuple[float, float]:
    """Return the range of distances that tiles tell of [Mpc]."""
    if sky_map.distance_mu is None or sky_map.distance_sigma is None:
        return -np.inf, np.inf
    mu, reach = sky_map.distance_mu[tiles], REACH_SIGMA * sky_map.distance_sigma[tiles]
    return float((mu - reach).min(initial=np.inf)), float((mu + reach).max(initial=-np.inf))


def exact_scores(
    region: Region, catalogue: Catalogue, numbers: Integers, weight: str
) -> tuple[Integers, Floats]:
    """Score galaxies by the formula, in double precision.

    Parameters
    ----------
    region : Region
    catalogue : Catalogue
    numbers : ndarray of int64, shape (k,)
        Of the galaxies in the region.
    weight : str
        One of `toros.lvcgcn.galaxies.columns.WEIGHTS`, or ``none``.

    Returns
    -------
    rows : ndarray of int64, shape (k,)
    scores : ndarray of float64, shape (k,)
    """
    tile = region.tiles_of(numbers)
    rows = region.rows_of(numbers)
    scores = region.amplitude[tile]
    if region.mu is not None and region.sigma is not None:
        distance = catalogue.columns["distance"][rows]
        scores = scores * np.exp(-0.5 * ((distance - region.mu[tile]) / region.sigma[tile]) ** 2)
    if weight != "none":
        scores = scores * catalogue.columns[f"weight_{weight}"][rows]
    return rows, scores
