"""The sky map of a position with an error circle, so that all events rank alike.

References
----------
.. [1] Fisher, R. A., 1953, Proc. R. Soc. A 217, 295 (the Gaussian of the sphere).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toros.errors import SkyMapRefused
from toros.lvcgcn.skymaps.places import centres_of
from toros.lvcgcn.skymaps.sky_map import FINEST_ORDER, SkyMap, tile_area_sr

LEAST_ERROR_DEG = 10 / 3600
"""A galaxy is no point: a circle smaller than 10 arcsec would miss its own host."""
MOST_ERROR_DEG = 90.0
_CONTAINMENT = 0.9  # what GCN's schema takes where a notice does not say
_SIDE_DEG = 58.632  # of a tile of order 0
_CORE, _EDGE = 3.0, 5.5  # in standard deviations
_LEAST_KAPPA = 1e-3  # all but uniform: what is so wide is nowhere
_WIDEST_DEG = 20.0  # standard deviation, as far as the tiles' sizes go
_CORE_TILE, _EDGE_TILE = 1 / 10, 1 / 4  # the largest tiles there, in standard deviations

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def cone_map(
    ra_deg: float, dec_deg: float, error_deg: float, containment: float | None = None
) -> SkyMap:
    """Make the sky map of a position.

    The density goes with exp(kappa cos(theta)) [1]_, which is a Gaussian in two
    dimensions where the circle is small. Tiles are the finer, the nearer they are.

    Parameters
    ----------
    ra_deg, dec_deg : float, ICRS [deg]
    error_deg : float, 0 to 90 [deg]
        Radius of the error circle; at least 10 arcsec is used.
    containment : float, 0 < containment < 1, optional
        Probability that the source is in the circle; 0.9 where it is not known.

    Raises
    ------
    SkyMapRefused
        A number is outside its range.
    """
    containment = _CONTAINMENT if containment is None else containment
    for name, value, lowest, highest in (
        ("ra_deg", ra_deg, -360.0, 360.0),
        ("dec_deg", dec_deg, -90.0, 90.0),
        ("error_deg", error_deg, 0.0, MOST_ERROR_DEG),
        ("containment", containment, 1e-3, 1 - 1e-6),
    ):
        if not lowest <= value <= highest:
            raise SkyMapRefused(f"{name} is {value}; it must be {lowest:g} to {highest:g}")
    kappa = _concentration(np.radians(max(error_deg, LEAST_ERROR_DEG)), containment)
    order, index, separation = _tiles(
        ra_deg, dec_deg, min(float(np.degrees(kappa**-0.5)), _WIDEST_DEG)
    )
    density = np.exp(-2 * kappa * np.sin(np.radians(separation) / 2) ** 2)
    probability = density * tile_area_sr(order)
    facts = {"form": "circle", "ra_deg": ra_deg, "dec_deg": dec_deg, "error_deg": error_deg}
    return SkyMap.from_tiles(order, index, probability / probability.sum(), None, facts)


def _concentration(error_rad: float, containment: float) -> float:
    """Return kappa, of which the circle contains so much [1]_."""
    depth = 2 * np.sin(error_rad / 2) ** 2  # 1 - cos
    kappa = -np.log1p(-containment) / depth
    for _ in range(50):
        kappa = -np.log1p(-containment * -np.expm1(-2 * kappa)) / depth
    return max(float(kappa), _LEAST_KAPPA)


def _tiles(ra_deg: float, dec_deg: float, sigma_deg: float) -> tuple[Integers, Integers, Floats]:
    """Return order, index and separation [deg] of tiles over the whole sky."""
    done: list[tuple[Integers, Integers, Floats]] = []
    index = np.arange(12, dtype=np.int64)
    for order in range(FINEST_ORDER + 1):
        separation = _separation_deg(*centres_of(order, index), ra_deg, dec_deg)
        side = _SIDE_DEG / 2**order
        nearest = np.maximum(separation - side, 0) / sigma_deg
        largest = np.select([nearest < _CORE, nearest < _EDGE], [_CORE_TILE, _EDGE_TILE], np.inf)
        split = (side > largest * sigma_deg) & (order < FINEST_ORDER)
        kept = ~split
        done.append((np.full(kept.sum(), order), index[kept], separation[kept]))
        index = np.add.outer(4 * index[split], np.arange(4)).ravel()
        if not index.size:
            break
    orders, indices, separations = zip(*done, strict=True)
    return np.concatenate(orders), np.concatenate(indices), np.concatenate(separations)


def _separation_deg(ra: Floats, dec: Floats, ra_deg: float, dec_deg: float) -> Floats:
    """Return angles between places by haversines, which keep their digits when small [deg]."""
    half = np.sin(np.radians(dec - dec_deg) / 2) ** 2
    half = half + np.cos(np.radians(dec)) * np.cos(np.radians(dec_deg)) * (
        np.sin(np.radians(ra - ra_deg) / 2) ** 2
    )
    separation: Floats = np.degrees(2 * np.arcsin(np.sqrt(np.minimum(half, 1))))
    return separation
