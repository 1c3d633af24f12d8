"""What a sky map says: credible regions, their areas and volumes, the distance.

References
----------
.. [1] Singer, L. P., et al., 2016, ApJL 829, L15, equations 1 and 2 (the ansatz).
.. [2] Singer, L. P., et al., 2016, ApJS 226, 10, sections 2 and 4 (its moments;
   credible volumes).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import gammaincinv, ndtr

from toros.lvcgcn.skymaps.places import pixels_of
from toros.lvcgcn.skymaps.sky_map import Floats, Integers, SkyMap

DEG2_PER_SR = (180 / np.pi) ** 2

_LEAST_Z = -20.0  # below it the moments of the ansatz lose their digits
_DEPTH_ERROR = 1e-4  # of the threshold's logarithm: as much of the volume, or less
_VOLUME_TAIL = 1e-4  # of the probability, in the faintest tiles, left out of volumes


def credible_tiles(sky_map: SkyMap, level: float) -> NDArray[np.bool_]:
    """Tell which tiles are in the smallest region of a probability.

    Parameters
    ----------
    sky_map : SkyMap
    level : float, 0 < level <= 1
        Of the map's total.

    Returns
    -------
    ndarray of bool, shape (n,)
        The densest tiles; the one that crosses the level is among them, and none
        without probability.
    """
    best, reached = _ranked(sky_map, level)
    before = np.concatenate([[0.0], reached[:-1]])
    chosen = np.zeros(len(sky_map), dtype=bool)
    chosen[best[before < level]] = True
    return chosen & (sky_map.probability > 0)


def credible_area(sky_map: SkyMap, level: float) -> float:
    """Return the area of the credible region [deg2].

    Of the tile that crosses the level the part that is needed counts.

    Parameters
    ----------
    sky_map : SkyMap
    level : float, 0 < level <= 1
    """
    best, reached = _ranked(sky_map, level)
    area = np.cumsum(sky_map.area_sr[best])
    return float(np.interp(level, np.append(0.0, reached), np.append(0.0, area))) * DEG2_PER_SR


def credible_volume(sky_map: SkyMap, level: float) -> float | None:
    """Return the volume of the smallest region of space with a probability [Mpc3].

    Along a tile's line of sight dP/dV = density * norm * N(r; mu, sigma) has one
    peak, so that what is above a threshold is one interval of distance, whose
    probability and volume are known in closed form. The threshold is the one
    at which they add up to the level. Space is Euclidean, as in the ansatz.

    Parameters
    ----------
    sky_map : SkyMap
    level : float, 0 < level < 1
        Of the probability that has a distance.

    Returns
    -------
    float or None
        None for a map that tells no distance, or none that can be.
    """
    _check_level(level)
    if level == 1:
        raise ValueError("level is 1: the volume of all probability has no end")
    space = _Space.of(sky_map)
    if space is None:
        return None
    highest = float(space.log_peak.max())

    def excess(depth: float) -> float:
        return space.inside(highest - depth)[0] - level

    # Were it one Gaussian, the depth would be half of chi squared in three dimensions.
    deep = float(gammaincinv(1.5, level)) * 1.5
    shallow = deep / 2
    while excess(shallow) > 0 and shallow > 1e-6:
        shallow, deep = shallow / 2, shallow
    while excess(deep) < 0 and deep < 1e3:
        shallow, deep = deep, deep * 1.5
    if not excess(shallow) <= 0 <= excess(deep):
        return None  # numbers beyond all bounds
    depth = brentq(excess, shallow, deep, xtol=_DEPTH_ERROR, rtol=1e-6)
    return space.inside(highest - depth)[1]


def distance(sky_map: SkyMap) -> tuple[float, float] | None:
    """Return the distance's mean and standard deviation [Mpc].

    Those of the header, or else the moments of all tiles together; None for a map
    that tells no distance.

    Parameters
    ----------
    sky_map : SkyMap
    """
    mean, deviation = sky_map.facts.get("distmean_mpc"), sky_map.facts.get("diststd_mpc")
    if mean is not None and deviation is not None and mean > 0 and deviation >= 0:
        return float(mean), float(deviation)
    if sky_map.distance_norm is None:
        return None
    known = (sky_map.distance_norm > 0) & (sky_map.probability > 0)
    if not known.any():
        return None
    means, deviations = tile_distances(sky_map)
    weight = sky_map.probability[known] / sky_map.probability[known].sum()
    # Sums, not dot products: those wake BLAS's threads, which costs more than it saves.
    mean = float(np.sum(weight * means[known]))
    square = float(np.sum(weight * (means[known] ** 2 + deviations[known] ** 2)))
    return mean, float(np.sqrt(max(0.0, square - mean**2)))


def tile_distances(sky_map: SkyMap) -> tuple[Floats, Floats]:
    """Return each tile's mean distance and its standard deviation, shape (n,) [Mpc].

    NaN where a tile has no distance [2]_.

    Parameters
    ----------
    sky_map : SkyMap
        With distances.

    Raises
    ------
    ValueError
        The map tells no distance.
    """
    if (
        sky_map.distance_mu is None
        or sky_map.distance_sigma is None
        or sky_map.distance_norm is None
    ):
        raise ValueError("the sky map tells no distance")
    sigma = sky_map.distance_sigma
    z = np.maximum(sky_map.distance_mu / sigma, _LEAST_Z)
    zeroth = ndtr(z)
    first = z * zeroth + np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    second = z * first + zeroth
    third = z * second + 2 * first
    fourth = z * third + 3 * second
    mean = third / second
    deviation = np.sqrt(np.maximum(fourth / second - mean**2, 0))
    known = sky_map.distance_norm > 0
    return np.where(known, mean * sigma, np.nan), np.where(known, deviation * sigma, np.nan)


def ranges29(sky_map: SkyMap, level: float) -> Integers:
    """Return the credible region as ranges of nested pixels of order 29.

    Parameters
    ----------
    sky_map : SkyMap
    level : float, 0 < level <= 1

    Returns
    -------
    ndarray of int64, shape (k, 2)
        First pixel and the one after the last; sorted, and none touches the next.
    """
    chosen = credible_tiles(sky_map, level)
    first, last = sky_map.first[chosen], sky_map.last[chosen]
    apart = first[1:] != last[:-1]
    starts = first[np.append(True, apart)] if first.size else first
    ends = last[np.append(apart, True)] if last.size else last
    return np.stack([starts, ends], axis=1)


def probability_at(sky_map: SkyMap, ra_deg: ArrayLike, dec_deg: ArrayLike) -> Floats:
    """Return the probability per solid angle at places [1/sr]; 0 where the map has no tile.

    Parameters
    ----------
    sky_map : SkyMap
    ra_deg, dec_deg : array_like, shape (k,), ICRS [deg]
    """
    tile = sky_map.tiles_of(pixels_of(ra_deg, dec_deg))
    return np.where(tile >= 0, sky_map.density_sr[tile], 0.0)


def credible_level_at(sky_map: SkyMap, ra_deg: ArrayLike, dec_deg: ArrayLike) -> Floats:
    """Return the level of the smallest credible region with a place; 1 where there is no tile.

    Parameters
    ----------
    sky_map : SkyMap
    ra_deg, dec_deg : array_like, shape (k,), ICRS [deg]
    """
    best, reached = _ranked(sky_map, 1.0)
    level = np.empty(len(sky_map))
    level[best] = reached
    tile = sky_map.tiles_of(pixels_of(ra_deg, dec_deg))
    return np.where(tile >= 0, level[tile], 1.0)


def _check_level(level: float) -> None:
    if not 0 < level <= 1:
        raise ValueError(f"level is {level}; it must be above 0 and at most 1")


def _ranked(sky_map: SkyMap, level: float) -> tuple[Integers, Floats]:
    """Return the tiles, densest first, and the share of the total that is reached with each."""
    _check_level(level)
    best = np.argsort(-sky_map.density_sr, kind="stable")
    reached = np.cumsum(sky_map.probability[best])
    return best, reached / reached[-1]


class _Space:
    """The tiles with a distance, as dP/dV.

    Attributes
    ----------
    log_peak : ndarray, shape (m,)
        Natural logarithm of dP/dV at r = mu, or at 0 where mu is negative.
    """

    def __init__(
        self, weight: Floats, density: Floats, area: Floats, mu: Floats, sigma: Floats
    ) -> None:
        self.weight = weight  # probability * norm
        self.area = area
        self.mu = mu
        self.sigma = sigma
        with np.errstate(divide="ignore"):
            self.log_factor = np.log(density / sigma / np.sqrt(2 * np.pi))
        self.log_peak = self.log_factor - 0.5 * (np.minimum(mu, 0) / sigma) ** 2
        self.total = 1.0
        self.total = self.inside(-np.inf)[0]

    @classmethod
    def of(cls, sky_map: SkyMap) -> _Space | None:
        if (
            sky_map.distance_mu is None
            or sky_map.distance_sigma is None
            or sky_map.distance_norm is None
        ):
            return None
        best, reached = _ranked(sky_map, 1.0)
        count = int(np.searchsorted(reached, 1 - _VOLUME_TAIL)) + 1
        kept = best[:count]
        kept = kept[(sky_map.distance_norm[kept] > 0) & (sky_map.probability[kept] > 0)]
        if not kept.size:
            return None
        norm = sky_map.distance_norm[kept]
        return cls(
            sky_map.probability[kept] * norm,
            sky_map.density_sr[kept] * norm,
            sky_map.area_sr[kept],
            sky_map.distance_mu[kept],
            sky_map.distance_sigma[kept],
        )

    def inside(self, log_threshold: float) -> tuple[float, float]:
        """Return probability and volume [Mpc3] of where dP/dV is above a threshold."""
        above = self.log_peak > log_threshold
        mu, sigma = self.mu[above], self.sigma[above]
        half = np.sqrt(2 * (self.log_factor[above] - log_threshold))
        low = np.maximum(-half, -mu / sigma)  # r = 0
        nearest, farthest = mu + low * sigma, mu + half * sigma
        # The difference of two tails, on the side where they are small.
        part = np.where(low > 0, ndtr(-low) - ndtr(-half), ndtr(half) - ndtr(low))
        with np.errstate(invalid="ignore"):
            edges = (mu + farthest) * np.exp(-0.5 * half**2)
        edges = np.where(np.isfinite(half), edges, 0.0)
        edges -= (mu + nearest) * np.exp(-0.5 * low**2)
        second = (mu**2 + sigma**2) * part - sigma * edges / np.sqrt(2 * np.pi)
        probability = float(np.sum(self.weight[above] * np.maximum(second, 0))) / self.total
        volume = float(np.sum(self.area[above] * (farthest**3 - nearest**3))) / 3
        return probability, volume
